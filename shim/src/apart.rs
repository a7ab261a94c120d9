//! Programs that outlive the one that starts them: neither its terminal nor its pipes may be theirs.

use std::process::Command;

/// Has the program of `command` go on by itself: what ends this terminal, or everything in it, does not end that program, and whoever reads what this process
/// writes sees the end of it when this process ends.
#[cfg(unix)]
pub fn apart(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

/// Has the program of `command` go on by itself: what ends this console does not end that program, and whoever reads what this process writes sees the
/// end of it when this process ends.
///
/// It gets a console of its own without a window, rather than none (`DETACHED_PROCESS`): a program without one would have a window opened for everything
/// that it runs itself.
#[cfg(windows)]
pub fn apart(command: &mut Command) {
    use windows_sys::Win32::System::Threading::{CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW};
    std::os::windows::process::CommandExt::creation_flags(command, CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP);
    keep_pipes();
}

/// Windows gives a new program every handle that may be inherited, and those that we were given may be: a daemon would hold its first client's pipes
/// for as long as it lives. From here on they are ours alone; a program that is to have them gets copies.
#[cfg(windows)]
fn keep_pipes() {
    use std::os::windows::io::AsRawHandle as _;
    use windows_sys::Win32::Foundation::{HANDLE_FLAG_INHERIT, SetHandleInformation};
    let ours = [std::io::stdin().as_raw_handle(), std::io::stdout().as_raw_handle(), std::io::stderr().as_raw_handle()];
    for handle in ours {
        #[expect(unsafe_code, reason = "the standard library has no call for it")]
        // SAFETY: it takes any value; one that is no handle (a process may lack these) it refuses, and then there is nothing to keep.
        let _ = unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, 0) };
    }
}
