//! Tells candle, once and for all, to use one core.
//!
//! Before every matrix product candle asks how many cores there are, and on Linux the answer is read anew from
//! `/proc/cpuinfo` each time: some fifty times for one question, about a fifth of the whole time for 16 tokens. It
//! does not ask when the environment variable `CANDLE_CPU_MASK` names the cores. One core is what each worker uses
//! anyway.
#![allow(unsafe_code)] // Setting an environment variable: sound while there is one thread, which is checked.

/// Sets `CANDLE_CPU_MASK` to one core, so that candle does not count the cores before every matrix product. To be
/// called first thing in `main`: when the process already has a second thread, or the user has set `CANDLE_CPU_MASK`
/// or `RAYON_NUM_THREADS`, or the system is not Linux, nothing is done. Says whether the variable was set. Without it
/// everything works, only slower.
pub fn stop_candle_counting_cores() -> bool {
    let chosen = ["CANDLE_CPU_MASK", "RAYON_NUM_THREADS"].iter().any(|name| std::env::var_os(name).is_some());
    if chosen || !is_single_threaded() {
        return false;
    }
    // SAFETY: no other thread exists, as just checked, so none can read the environment meanwhile.
    unsafe { std::env::set_var("CANDLE_CPU_MASK", "0") };
    true
}

fn is_single_threaded() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("Threads:")).is_some_and(|count| count.trim() == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_a_second_thread_nothing_is_touched() {
        // The test harness runs this on a thread of its own.
        assert!(!is_single_threaded());
        let before = std::env::var_os("CANDLE_CPU_MASK");
        assert!(!stop_candle_counting_cores());
        assert_eq!(std::env::var_os("CANDLE_CPU_MASK"), before);
    }
}
