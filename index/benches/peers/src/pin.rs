//! Keeps a thread on one core, so that a measurement does not wander between cores and their caches.

/// Keeps the calling thread, and those it starts from now on, on a core.
///
/// # Errors
/// Words for people.
#[cfg(target_os = "linux")]
pub fn to(core: usize) -> Result<(), String> {
    let mut set = nix::sched::CpuSet::new();
    set.set(core)
        .and_then(|()| nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set))
        .map_err(|error| format!("cannot stay on core {core}: {error}"))
}

/// Not on this system: the measurement goes on unpinned.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn to(_core: usize) -> Result<(), String> {
    Ok(())
}
