//! What we believe: keys, entries, scopes and the verdict on an entry. Never awaits, never reads a clock, never touches a disk.

mod entry;
mod invalidate;
mod key;
mod scope;
mod ttl;
mod verdict;

pub use entry::{Body, Entry, EntryMeta, Escaped, Reading};
pub use invalidate::{Glob, KeyPattern, PatternError};
pub use key::{CacheKey, KeyHash};
pub use scope::{Bumped, Epoch, Learned, Marks, Scope, Seq, Service, Shown, SourceId, SourceState, Touch, Touched, spread};
pub use ttl::Ttl;
pub use verdict::{Fallback, Mode, ScopeView, Verdict, judge, judge_fallback};
