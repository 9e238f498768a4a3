//! What the kernel says about a process and the host. Linux only; elsewhere every figure is absent.

use serde::Serialize;
use std::fs;

/// Clock ticks a second in `/proc/<pid>/stat`: fixed in the kernel's interface on every current architecture.
const TICKS_PER_S: f64 = 100.0;

/// Processor time that process `pid` has used so far, in seconds (in steps of 10 ms).
pub fn cpu_s(pid: u32) -> Option<f64> {
    parse_cpu_s(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Memory of process `pid` in use now, in MB (10⁶ bytes).
pub fn rss_mb(pid: u32) -> Option<f64> {
    parse_status_mb(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmRSS")
}

/// The most memory that process `pid` has had in use, in MB (10⁶ bytes).
pub fn rss_peak_mb(pid: u32) -> Option<f64> {
    parse_status_mb(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmHWM")
}

/// The program's name comes second, in brackets, and may itself hold spaces and brackets.
fn parse_cpu_s(stat: &str) -> Option<f64> {
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_S)
}

fn parse_status_mb(status: &str, key: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}

/// Where the measurement ran.
#[derive(Clone, Debug, Serialize)]
pub struct Host {
    /// Processor model.
    pub cpu: Option<String>,
    /// Processors that this process may use.
    pub cores: Option<usize>,
    /// Operating system and architecture.
    pub system: String,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Load average over the minute before the measurement: other work on the machine makes figures worse.
    pub load_1m: Option<f64>,
}

impl Host {
    /// This host, now.
    pub fn this() -> Host {
        let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpu_info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Host {
            cpu: cpu.map(|(_, name)| name.trim().to_owned()),
            cores: std::thread::available_parallelism().ok().map(usize::from),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned()),
            load_1m: fs::read_to_string("/proc/loadavg")
                .ok()
                .and_then(|text| text.split_ascii_whitespace().next()?.parse().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_text() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194304 500 0 0 0 250 150 7 7 20 0 9 0 100 1 1";
        assert_eq!(parse_cpu_s(stat), Some(4.0));
        assert_eq!(parse_cpu_s("42 (cut) S 1"), None);
        let status = "Name:\tx\nVmHWM:\t  2000 kB\nVmRSS:\t  1000 kB\n";
        assert_eq!(parse_status_mb(status, "VmRSS"), Some(1.024));
        assert_eq!(parse_status_mb(status, "VmHWM"), Some(2.048));
        assert_eq!(parse_status_mb(status, "VmSwap"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn sees_this_process_work() {
        let pid = std::process::id();
        let before = cpu_s(pid).unwrap();
        let started = std::time::Instant::now();
        let mut waste = 1u64;
        while started.elapsed() < std::time::Duration::from_secs(5) && cpu_s(pid).unwrap() < before + 0.05 {
            for _ in 0..100_000 {
                waste = std::hint::black_box(waste.wrapping_mul(6364136223846793005).wrapping_add(1));
            }
        }
        assert!(cpu_s(pid).unwrap() >= before + 0.05);
        assert!(rss_mb(pid).unwrap() > 1.0 && rss_peak_mb(pid).unwrap() >= rss_mb(pid).unwrap() * 0.5);
    }
}
