//! The names that OneDrive takes, how long paths may be, and what to do about a name that is taken.

use crate::graph::errors::Fault;
use crate::graph::odata::Answer;
use crate::graph::store::{Conflict, Drive};

/// Names that OneDrive refuses whole, and characters that it refuses anywhere.
const RESERVED: &[&str] = &[".lock", "con", "prn", "aux", "nul", "desktop.ini"];
const REFUSED: &[char] = &['"', '*', ':', '<', '>', '?', '/', '\\', '|'];
/// The longest name, in characters.
const LONGEST: usize = 255;
/// The longest path below the root, in characters.
const LONGEST_PATH: usize = 400;

/// Reads a `conflictBehavior`; `usual` is what goes without one.
pub(crate) fn conflict(text: Option<&str>, usual: Conflict) -> Answer<Conflict> {
    match text {
        None => Ok(usual),
        Some("fail") => Ok(Conflict::Fail),
        Some("rename") => Ok(Conflict::Rename),
        Some("replace") => Ok(Conflict::Replace),
        Some(other) => Err(Fault::invalid_request(format!("The conflict behavior '{other}' is not valid."))),
    }
}

/// A name that OneDrive takes.
pub(crate) fn check_name(name: &str) -> Answer<()> {
    let bad = name.is_empty()
        || name.chars().count() > LONGEST
        || name.contains(REFUSED)
        || name.starts_with(' ')
        || name.ends_with([' ', '.'])
        || RESERVED.contains(&name.to_lowercase().as_str());
    if bad {
        Err(Fault::invalid_request("The provided name cannot contain some of its characters or is reserved or too long."))
    } else {
        Ok(())
    }
}

/// A path that OneDrive takes: all names down to this one, and the slashes before them.
pub(crate) fn check_path(drive: &Drive, parent: u32, name: &str) -> Answer<()> {
    let above: usize = drive.path(parent).into_iter().map(|name| name.chars().count() + 1).sum();
    if above + 1 + name.chars().count() <= LONGEST_PATH {
        return Ok(());
    }
    let mut fault = Fault::invalid_request("The resulting path would be too long.");
    fault.inner = Some("pathIsTooLong");
    Err(fault)
}
