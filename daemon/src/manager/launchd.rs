//! launchd's way of passing a socket: it is asked by the name that the agent's plist gives it. Type-checked, never run.

use std::{
    ffi::{c_char, c_int},
    io,
    os::fd::{FromRawFd as _, OwnedFd},
};

use super::HandedError;

/// The key below `Sockets` in the plist.
const NAME: &std::ffi::CStr = c"Clients";
/// This process was not started by launchd, or by a plist without such a socket.
const NONE: [c_int; 2] = [2 /* ENOENT */, 3 /* ESRCH */];

#[expect(unsafe_code, reason = "launchd has no other interface")]
unsafe extern "C" {
    fn launch_activate_socket(name: *const c_char, fds: *mut *mut c_int, count: *mut usize) -> c_int;
    fn free(memory: *mut std::ffi::c_void);
}

/// The socket, when launchd keeps one for this process.
#[expect(unsafe_code, reason = "launchd has no other interface")]
pub(super) fn socket() -> Result<Option<OwnedFd>, HandedError> {
    let (mut fds, mut count) = (std::ptr::null_mut::<c_int>(), 0);
    // SAFETY: the name ends with a zero, and both places are written before 0 is returned.
    let error = unsafe { launch_activate_socket(NAME.as_ptr(), &raw mut fds, &raw mut count) };
    if NONE.contains(&error) {
        return Ok(None);
    }
    if error != 0 || fds.is_null() {
        return Err(HandedError::Io(io::Error::from_raw_os_error(error)));
    }
    // SAFETY: launchd gave `count` descriptors that are ours from here on, in memory that `free` takes back.
    let sockets: Vec<OwnedFd> = unsafe {
        let sockets = std::slice::from_raw_parts(fds, count).iter().map(|fd| OwnedFd::from_raw_fd(*fd)).collect();
        free(fds.cast());
        sockets
    };
    let given = sockets.len();
    match <[OwnedFd; 1]>::try_from(sockets) {
        Ok([socket]) => Ok(Some(socket)),
        Err(_) => Err(HandedError::Count(given.to_string())),
    }
}
