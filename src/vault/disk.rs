//! The two kinds of file the vault touches: written whole or not at all, and read only when nobody else could have.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use zeroize::Zeroizing;

/// No file of the vault is longer.
const LONGEST: u64 = 64 * 1024;

/// Makes `path` hold `bytes`, readable by its owner only: written beside it, flushed, then renamed.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    // What a crash left behind was never used.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create(&beside, bytes)?;
    let renamed = fs::rename(&beside, path);
    if renamed.is_err() {
        let _ = fs::remove_file(&beside);
    }
    renamed.and_then(|()| flush_folder(path))
}

/// Makes a file that must not exist yet, readable by its owner only.
pub(super) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a key is worse than none.
        let _ = fs::remove_file(path);
        return written;
    }
    flush_folder(path)
}

/// A new name is durable once its folder has been flushed. Windows has no such call and needs none.
pub(super) fn flush_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Writes zeroes over a file before it loses its name. On a copying file system or a flash disk the old blocks may stay; nothing here can
/// reach them. A file that its owner made read-only is left as it is: losing its name has to do.
pub(super) fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => return Ok(()),
        Err(error) => return Err(error),
    };
    let length = usize::try_from(file.metadata()?.len().min(LONGEST)).unwrap_or(0);
    file.write_all(&vec![0; length])?;
    file.sync_all()
}

/// The whole file, in memory that is wiped.
pub(super) fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    read_open(&File::open(path)?)
}

fn read_open(file: &File) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for the longest file at once, since a growing buffer leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(LONGEST).unwrap_or(0) + 1));
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too long"));
    }
    Ok(bytes)
}

/// Why a secret file was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// There is none.
    Missing,
    /// Others could have read or written it.
    Insecure(String),
    /// The file system said no.
    Failed(io::Error),
}

/// A file that holds a secret: refused when anybody but its owner may touch it, or when its owner is neither `owner` nor root.
///
/// The checks look at the opened file, so a path that is changed meanwhile gains nothing. Group rights on a file of root's are allowed
/// for reading: they are how systemd shows the access list of a credential.
pub(super) fn read_secret(path: &Path, owner: Option<u32>) -> Result<Zeroizing<Vec<u8>>, Unread> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unread::Missing),
        Err(error) => return Err(Unread::Failed(error)),
    };
    let metadata = file.metadata().map_err(Unread::Failed)?;
    if !metadata.is_file() {
        return Err(Unread::Insecure("it is not a plain file".into()));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let loose = if metadata.uid() == 0 { 0o037 } else { 0o077 };
        if metadata.uid() != 0 && Some(metadata.uid()) != owner {
            return Err(Unread::Insecure(format!("it belongs to another user (uid {})", metadata.uid())));
        }
        if metadata.mode() & loose != 0 {
            return Err(Unread::Insecure(format!("its mode is {:04o}", metadata.mode() & 0o7777)));
        }
    }
    #[cfg(not(unix))]
    let _ = owner;
    read_open(&file).map_err(Unread::Failed)
}

/// Who owns `folder`; `None` where files have no numeric owner.
pub(super) fn owner(folder: &Path) -> Option<u32> {
    #[cfg(unix)]
    return fs::metadata(folder).ok().map(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata));
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}
