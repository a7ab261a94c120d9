//! Local files as tools see them: what was saved, what was opened. Opening, reading and writing is what `Steps` are for.

/// The largest file that [`super::Steps::read_local`] gives, in bytes: what goes into a message inline. Larger ones take an upload session
/// (Graph documentation, *Attach large files*).
pub const INLINE: u64 = 3_000_000;

/// A new local file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Where it lies, absolute.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type: `application/pdf`.
    pub content_type: String,
}

/// A local file that a call has opened; it stays the same file until the call ends, whatever becomes of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFile {
    /// Its name without folders.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type, by its name's ending.
    pub content_type: String,
    /// Which of the call's opened files it is, from 0.
    pub(crate) number: usize,
}
