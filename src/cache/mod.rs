//! What we believe: keys, entries, scopes and the verdict on an entry. Never awaits, never reads a clock, never touches a disk.

mod check;
mod entry;
mod evict;
mod invalidate;
mod key;
mod part;
mod room;
mod scope;
mod ttl;
mod verdict;

pub use check::{Check, Feed, FeedKind, FeedOf, Found, VOUCHED, spread_found};
pub use entry::{Body, Entry, EntryMeta, Escaped, Reading};
pub use evict::{Bounds, Keep, SourceSize, trim};
pub use invalidate::{Glob, KeyPattern, PatternError, REST_OF};
pub use key::{CacheKey, KeyHash};
pub use part::{Extent, Follows, extent, member, part};
pub use room::{Excess, Group, Held, Lane, Next, Order, Place, RoomLimits, Share, excess, next, of_use};
pub use scope::{
    Bumped, Epoch, Learned, Marks, Scope, Seq, Service, Shown, SourceId, SourceState, Touch, Touched, overtaken_searches, spread,
};
pub use ttl::Ttl;
pub use verdict::{
    Fallback, Mode, ScopeView, Verdict, feeds, is_overtaken, is_void, judge, judge_fallback, true_since, unasked, unsettled,
};
