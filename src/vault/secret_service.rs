//! Whether the desktop's keyring would answer without asking a person. The `keyring` crate cannot be asked that: whatever it does unlocks first, and that is
//! what puts a prompt on the screen. Looking for entries and for whether a collection is locked needs no unlocking.

use std::collections::HashMap;

use zbus::{
    Message, Result,
    blocking::Connection,
    zvariant::{DynamicType, OwnedObjectPath, OwnedValue},
};

const NAME: &str = "org.freedesktop.secrets";
const ROOT: &str = "/org/freedesktop/secrets";
const SERVICE: &str = "org.freedesktop.Secret.Service";
const COLLECTION: &str = "org.freedesktop.Secret.Collection";
/// No object, where an object's path is asked for.
const NONE: &str = "/";

/// Whether the entry `entry` of the program `service` can be read, or where there is none, one can be made.
pub(super) fn is_open(service: &str, entry: &str) -> Result<bool> {
    let bus = Connection::session()?;
    let named = HashMap::from([("service", service), ("username", entry)]);
    let found = call(&bus, ROOT, SERVICE, "SearchItems", &(named,))?;
    let (open, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = found.body().deserialize()?;
    if !open.is_empty() || !locked.is_empty() {
        return Ok(!open.is_empty());
    }
    let usual: OwnedObjectPath = call(&bus, ROOT, SERVICE, "ReadAlias", &("default",))?.body().deserialize()?;
    if usual.as_str() == NONE {
        return Ok(false);
    }
    let locked: OwnedValue =
        call(&bus, usual.as_str(), "org.freedesktop.DBus.Properties", "Get", &(COLLECTION, "Locked"))?.body().deserialize()?;
    Ok(!bool::try_from(locked)?)
}

fn call<B: serde::Serialize + DynamicType>(bus: &Connection, path: &str, interface: &str, method: &str, words: &B) -> Result<Message> {
    bus.call_method(Some(NAME), path, Some(interface), method, words)
}
