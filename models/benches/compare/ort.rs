//! onnxruntime as one of those that take turns: a Python process that is told what to time, line by line.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use askonce_models::bench::{Runner, Shape, Timing};

/// The two forms of the model, as [`Ort::name`] calls them.
pub const F32: &str = "onnxruntime f32";
pub const INT8: &str = "onnxruntime int8";

/// One graph in the worker.
pub struct Ort {
    worker: Rc<RefCell<Worker>>,
    name: &'static str,
    key: &'static str,
    max_tokens: usize,
}

struct Worker {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// Writes the graphs of a model and loads them in a worker on this core. Says which version it is, too.
///
/// # Errors
/// Words for people: what is missing, or what Python said.
pub fn start(python: &Path, model: &Path, core: usize, max_tokens: usize) -> Result<(String, Vec<Ort>), String> {
    if !python.is_file() {
        return Err(format!("there is no {}; models/benches/setup.sh installs it", python.display()));
    }
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
    let graphs = [("f32", F32), ("int8", INT8)].map(|(key, name)| (key, name, graph_path(key)));
    let [f32, int8] = graphs.each_ref().map(|(_, _, path)| path);
    let mut write = Command::new(python);
    write.arg(scripts.join("bert_onnx.py")).args([model, f32]).arg("--quantize").arg(int8);
    let status = write.status().map_err(|error| format!("cannot run {}: {error}", python.display()))?;
    if !status.success() {
        return Err("bert_onnx.py wrote no graph, see above".into());
    }
    let mut worker = Worker::start(python, &scripts.join("ort_worker.py"), core)?;
    for (key, _, path) in &graphs {
        worker.ask(&format!("load {key} {}", path.display()))?;
    }
    let version = worker.ask("version")?;
    let worker = Rc::new(RefCell::new(worker));
    let runners = graphs.map(|(key, name, _)| Ort { worker: Rc::clone(&worker), name, key, max_tokens });
    Ok((version, runners.into()))
}

fn graph_path(key: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("compare.{key}.onnx"))
}

impl Worker {
    fn start(python: &Path, script: &Path, core: usize) -> Result<Worker, String> {
        let mut child = Command::new(python)
            .arg(script)
            .arg(if cfg!(target_os = "linux") { core.to_string() } else { "-".into() })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run {}: {error}", python.display()))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(stdin), Some(stdout)) => Ok(Worker { child, stdin, stdout: BufReader::new(stdout) }),
            _ => Err("ort_worker.py has no pipes".into()),
        }
    }

    fn ask(&mut self, line: &str) -> Result<String, String> {
        let mut answer = String::new();
        writeln!(self.stdin, "{line}")
            .and_then(|()| self.stdin.flush())
            .and_then(|()| self.stdout.read_line(&mut answer))
            .map_err(|error| format!("ort_worker.py has gone: {error}"))?;
        match answer.trim_end() {
            "" => Err(format!("ort_worker.py ended at `{line}`")),
            error if error.starts_with("error ") => Err(format!("onnxruntime: {error}")),
            answer => Ok(answer.to_owned()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It holds nothing that would have to be saved.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Runner for Ort {
    fn name(&self) -> String {
        self.name.into()
    }

    fn time(&mut self, shape: Shape, time: Duration) -> Result<Option<Timing>, String> {
        if shape.tokens > self.max_tokens {
            return Ok(None);
        }
        let line = format!("time {} {} {} {}", self.key, shape.texts, shape.tokens, time.as_secs_f64());
        let answer = self.worker.borrow_mut().ask(&line)?;
        let mut numbers = answer.split(' ').map(str::parse::<f64>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(median_us)), Some(Ok(best_us))) => Ok(Some(Timing { median_us, best_us })),
            _ => Err(format!("ort_worker.py said `{answer}`, expected two numbers")),
        }
    }
}
