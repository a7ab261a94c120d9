//! Room on the disk: a floor below which nothing grows, and a ballast that is dropped when the disk is full.
//!
//! On a full disk SQLite can not even delete: a removal writes to the log first, and so does moving the log into the file (design:
//! reliability, section 0, point 2). The ballast is a file of that much room, held for this: the store drops it, tries again, and makes it
//! anew when there is room for it twice over. Entries keep off the floor, so that what is left serves the history of writes, tokens and tasks.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Size of the ballast: the log is moved into the file at 4 MB, and a batch of writes is a fraction of one.
pub const BALLAST_BYTES: u64 = 16 * 1024 * 1024;

/// How much room there is.
pub trait Disk: Send + Sync {
    /// Bytes that may still be written; `None` when that cannot be told.
    fn free(&self) -> Option<u64>;
}

/// The disk that holds a folder.
#[derive(Debug, Clone)]
pub struct DiskOf(pub PathBuf);

impl Disk for DiskOf {
    #[cfg(unix)]
    fn free(&self) -> Option<u64> {
        let facts = rustix::fs::statvfs(&self.0).ok()?;
        // What is left for everybody, not for the superuser alone.
        facts.f_bavail.checked_mul(facts.f_frsize)
    }

    #[cfg(windows)]
    #[expect(unsafe_code, reason = "nothing safe that is here already asks for it")]
    fn free(&self) -> Option<u64> {
        use std::{os::windows::ffi::OsStrExt as _, ptr::null_mut};

        use windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW;

        let folder: Vec<u16> = self.0.as_os_str().encode_wide().chain([0]).collect();
        let mut free = 0;
        // SAFETY: the name ends with a zero, what is answered outlives the call, and what is not asked for may be left out.
        let told = unsafe { GetDiskFreeSpaceExW(folder.as_ptr(), &raw mut free, null_mut(), null_mut()) };
        (told != 0).then_some(free)
    }
}

/// Keeps room on the disk for what has to be written.
#[derive(Clone)]
pub struct Guard {
    disk: Arc<dyn Disk>,
    floor: u64,
    ballast: PathBuf,
    ballast_bytes: u64,
}

impl Guard {
    /// Nothing grows while less than `floor` bytes are free. The ballast lies at `ballast`, as large as the floor at most.
    pub fn new(disk: Arc<dyn Disk>, floor: u64, ballast: &Path) -> Self {
        Self { disk, floor, ballast: ballast.to_owned(), ballast_bytes: floor.min(BALLAST_BYTES) }
    }

    /// Whether less is free than has to stay free. A disk that cannot be asked is taken to have room: a full one says so itself.
    pub fn low(&self) -> bool {
        self.free().is_some_and(|free| free < self.floor)
    }

    /// Bytes free now.
    pub fn free(&self) -> Option<u64> {
        self.disk.free()
    }

    /// Makes the ballast unless it is there or there is no room for it twice over above the floor. Returns whether it is there.
    pub fn hold(&self) -> bool {
        if self.floor == 0 {
            return false;
        }
        if fs::metadata(&self.ballast).is_ok_and(|facts| facts.len() == self.ballast_bytes) {
            return true;
        }
        let room = self.free().is_none_or(|free| free >= self.floor.saturating_add(2 * self.ballast_bytes));
        if !room {
            return false;
        }
        let made = self.make();
        if let Err(error) = &made {
            tracing::warn!(kind = %error.kind(), "no ballast could be laid beside the database");
            let _ = fs::remove_file(&self.ballast);
        }
        made.is_ok()
    }

    fn make(&self) -> io::Result<()> {
        let mut file = File::create(&self.ballast)?;
        if reserve(&file, self.ballast_bytes) {
            return Ok(());
        }
        // Written and not only claimed: a file with holes takes no room.
        let piece = vec![0x55; 64 * 1024];
        let mut left = self.ballast_bytes;
        while left > 0 {
            let now = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            file.write_all(&piece[..now])?;
            left -= u64::try_from(now).unwrap_or(0);
        }
        file.sync_all()
    }

    /// Gives the ballast's room away. Returns whether there was any.
    pub fn let_go(&self) -> bool {
        match fs::remove_file(&self.ballast) {
            Ok(()) => {
                tracing::warn!("the disk is full: the ballast was dropped so that the database can be tidied");
                true
            }
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => {
                tracing::warn!(kind = %error.kind(), "the ballast beside the database could not be dropped");
                false
            }
        }
    }
}

/// Has the file system set room aside, where it can do so without writing.
#[cfg(target_os = "linux")]
fn reserve(file: &File, bytes: u64) -> bool {
    rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &File, _bytes: u64) -> bool {
    false
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;

    /// A disk that says what the test wants.
    #[derive(Debug)]
    pub(in crate::store) struct Told(pub(in crate::store) AtomicU64);

    impl Disk for Told {
        fn free(&self) -> Option<u64> {
            Some(self.0.load(SeqCst))
        }
    }

    #[test]
    fn the_ballast_is_made_with_room_to_spare_and_dropped_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ballast");
        let disk = Arc::new(Told(AtomicU64::new(100 * 1024)));
        let guard = Guard::new(disk.clone(), 40 * 1024, &path);
        assert!(!guard.hold() && !path.exists(), "the floor and twice the ballast do not fit");
        disk.0.store(120 * 1024, SeqCst);
        assert!(guard.hold() && guard.hold());
        assert_eq!(fs::metadata(&path).unwrap().len(), 40 * 1024);
        assert!(!guard.low());
        disk.0.store(40 * 1024 - 1, SeqCst);
        assert!(guard.low());
        assert!(guard.let_go() && !path.exists());
        assert!(!guard.let_go());
        // One that was cut short is made whole.
        fs::write(&path, b"part").unwrap();
        disk.0.store(1 << 30, SeqCst);
        assert!(guard.hold());
        assert_eq!(fs::metadata(&path).unwrap().len(), 40 * 1024);
    }

    #[test]
    fn without_a_floor_there_is_no_ballast_and_nothing_is_low() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ballast");
        let guard = Guard::new(Arc::new(Told(AtomicU64::new(0))), 0, &path);
        assert!(!guard.low() && !guard.hold() && !path.exists());
    }

    #[test]
    fn a_real_disk_has_room_and_a_missing_folder_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        assert!(DiskOf(folder.path().to_owned()).free().unwrap() > 0);
        assert_eq!(DiskOf(folder.path().join("none")).free(), None);
    }
}
