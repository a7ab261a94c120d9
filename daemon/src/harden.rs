//! What a process that holds keys does first: no core dumps, no other process of the user reads its memory, no file open to others.

/// Hardens this process. What the system does not grant is reported as a list of names, since nothing else depends on it.
#[cfg(unix)]
pub fn harden() -> Vec<&'static str> {
    use rustix::process::{Resource, Rlimit, setrlimit, umask};
    umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let mut missing = Vec::new();
    if setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).is_err() {
        missing.push("no_core_dumps");
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        if set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err() {
            missing.push("not_dumpable");
        }
    }
    missing
}

/// Files of a Windows profile are private by inheritance, and the system writes no dumps unless it is told to.
#[cfg(not(unix))]
pub fn harden() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

    #[test]
    fn no_core_and_no_foreign_eyes() {
        assert!(super::harden().is_empty());
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        let mask = rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
        assert_eq!(mask, rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    }
}
