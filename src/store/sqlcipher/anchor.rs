//! The end of the audit trail outside the database: one small sealed file beside it, replaced whole.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::Path,
};

use super::seal::SealKey;
use crate::{audit::Point, chance::Dice};

/// What the key of the trail's seals is wrapped for: the name of no account, which all have a dot.
pub(super) const WRAPPED_FOR: &str = "audit";
/// What the seal is bound to.
const AAD: &[u8] = b"m365-cached audit anchor v1";
/// More than a sealed point has; what is longer is none.
const MOST: u64 = 1024;

/// The file as it was found.
pub(super) enum Anchor {
    /// There is none.
    Absent,
    /// What lies there.
    Bytes(Vec<u8>),
}

impl Anchor {
    /// Reads it. One that cannot be read is none of ours.
    pub(super) fn read(file: &Path) -> Self {
        match fs::metadata(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => Self::Absent,
            Ok(facts) if facts.is_file() && facts.len() <= MOST => Self::Bytes(fs::read(file).unwrap_or_default()),
            _ => Self::Bytes(Vec::new()),
        }
    }

    /// Whether there is no file.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The point, when it was sealed under `key`.
    pub(super) fn open(&self, key: &SealKey) -> Option<Point> {
        let Self::Bytes(sealed) = self else { return None };
        let mut sealed = sealed.clone();
        key.open(AAD, &mut sealed).and_then(|bytes| Point::from_bytes(bytes)).map(|(point, _)| point)
    }
}

/// Puts `point` in the place of what lies there; on the disk when this returns.
pub(super) fn write(file: &Path, key: &SealKey, dice: &dyn Dice, point: Point) -> std::io::Result<()> {
    let sealed = key.seal(dice, AAD, &[&point.to_bytes()]);
    let new = file.with_extension("head.new");
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.open(&new)?;
    out.write_all(&sealed)?;
    out.sync_all()?;
    fs::rename(&new, file)
}
