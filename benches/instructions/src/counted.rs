//! One scenario under callgrind: what runs inside [`collected`] is counted, and nothing else.

use std::path::Path;
use std::process::Command;

/// The name by which callgrind finds what is to be counted.
const COLLECTED: &str = "askonce_collected";

/// Runs `what` so that its instructions are counted. Of what runs on other threads meanwhile nothing is.
pub fn collected<T>(what: impl FnOnce() -> T) -> T {
    let mut what = Some(what);
    let mut out = None;
    askonce_collected(&mut || {
        if let Some(what) = what.take() {
            out = Some(what());
        }
    });
    out.unwrap_or_else(|| unreachable!("it was run"))
}

/// Under a name of its own, which is not mangled, and never made part of another function.
#[allow(unsafe_code, reason = "callgrind finds the function by its name in the binary")]
#[unsafe(no_mangle)]
#[inline(never)]
fn askonce_collected(what: &mut dyn FnMut()) {
    what();
    // Not the last thing, or the call would become a jump, and nothing would tell its end.
    std::hint::black_box(());
}

/// The instructions of the scenario `name`.
pub fn count(name: &str) -> Result<u64, String> {
    let out = valgrind(name, Path::new("/dev/null"))?;
    let line = out.lines().find_map(|line| line.split_once("Collected :"));
    let number = line.and_then(|(_, number)| number.trim().parse().ok()).filter(|count| *count > 0);
    number.ok_or_else(|| format!("valgrind counted nothing of `{name}`:\n{out}"))
}

/// Leaves a file for `callgrind_annotate`.
pub fn profile(name: &str) -> Result<(), String> {
    let file = format!("callgrind.out.{name}");
    valgrind(name, Path::new(&file))?;
    println!("callgrind_annotate --inclusive=yes {file}");
    Ok(())
}

fn valgrind(name: &str, file: &Path) -> Result<String, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(std::env::var_os("ASKONCE_VALGRIND").unwrap_or_else(|| "valgrind".into()));
    command.arg("--tool=callgrind").arg(format!("--toggle-collect={COLLECTED}"));
    command.arg(format!("--callgrind-out-file={}", file.display()));
    let out = command.arg(own).args(["--run", name]).output();
    let out =
        out.map_err(|error| format!("valgrind cannot be started: {error}; install it, or set ASKONCE_VALGRIND"))?;
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    if out.status.success() { Ok(said) } else { Err(format!("`{name}` failed:\n{said}")) }
}
