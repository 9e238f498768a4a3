//! Building on one core and on two. Threads that an index starts stay on the cores of the one that starts it.

use std::time::Instant;

use askonce_index::{Index, IndexConfig};

use crate::setup::{Case, Setup, config, per};

pub fn run(setup: &Setup, size: usize) {
    let case = setup.case(size);
    let mut times = Vec::new();
    for count in [1, 2, 1, 2] {
        if let Err(error) = keep_to(count) {
            println!("  not measured: {error}");
            return;
        }
        let took =
            std::thread::scope(|threads| threads.spawn(|| build(&case, count)).join().expect("a build that ends"));
        println!("  {count} core{}: {took:.1} us a vector", if count == 1 { "" } else { "s" });
        times.push(took);
    }
    println!("  two cores are {:.2} × as fast as one", (times[0] + times[2]) / (times[1] + times[3]));
    let _ = keep_to(usize::MAX);
}

fn build(case: &Case, threads: usize) -> f64 {
    let index = Index::in_memory(IndexConfig { threads, ..config() }).expect("a good configuration");
    let begin = Instant::now();
    case.fill(&index);
    index.settle();
    per(begin.elapsed(), case.stored.len())
}

/// Keeps this thread, and those it starts from now on, on the first so many cores that the process had.
#[cfg(target_os = "linux")]
fn keep_to(count: usize) -> Result<(), String> {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use std::sync::OnceLock;
    static ALL: OnceLock<CpuSet> = OnceLock::new();
    let (me, words) = (nix::unistd::Pid::from_raw(0), |error: nix::Error| error.to_string());
    let all = match ALL.get() {
        Some(all) => all,
        None => {
            let now = sched_getaffinity(me).map_err(words)?;
            ALL.get_or_init(|| now)
        }
    };
    let mut chosen = CpuSet::new();
    let cores: Vec<usize> = (0..CpuSet::count()).filter(|core| all.is_set(*core).unwrap_or(false)).collect();
    if count != usize::MAX && cores.len() < count {
        return Err(format!("{} cores, expected {count}", cores.len()));
    }
    cores.into_iter().take(count).try_for_each(|core| chosen.set(core)).map_err(words)?;
    sched_setaffinity(me, &chosen).map_err(words)
}

#[cfg(not(target_os = "linux"))]
fn keep_to(_: usize) -> Result<(), String> {
    Err("only on Linux".to_owned())
}
