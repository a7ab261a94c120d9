//! Whose a named pipe is: the owner of the pipe itself, compared with the user of this process.
//!
//! Of the pipe rather than of the process that serves it, because a process id may belong to somebody else by the time it is looked up.
//! The daemon writes its user into the pipe as owner (an administrator's default would be the whole group). `windows-permissions` is
//! old and small; it was read for what is used here, and spares this crate its own `unsafe`.

use std::{io, os::windows::io::AsRawHandle};

use windows_permissions::{
    constants::{SeObjectType, SecurityInformation},
    utilities::current_process_sid,
    wrappers::GetSecurityInfo,
};

/// The user of this process as text: `S-1-5-21-…`.
///
/// # Errors
/// When the system does not tell.
pub fn this_user() -> io::Result<String> {
    current_process_sid().map(|sid| sid.to_string())
}

/// `None` when the pipe belongs to the user of this process, else who owns it.
///
/// # Errors
/// When the system does not tell.
pub fn stranger(pipe: &impl AsRawHandle) -> io::Result<Option<String>> {
    let descriptor = GetSecurityInfo(pipe, SeObjectType::SE_KERNEL_OBJECT, SecurityInformation::Owner)?;
    let user = current_process_sid()?;
    Ok(match descriptor.owner() {
        Some(owner) if *owner == *user => None,
        Some(owner) => Some(owner.to_string()),
        None => Some("nobody".to_owned()),
    })
}
