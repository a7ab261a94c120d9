//! What happened: events, the chain that holds them together, and what is wrong with a chain. Pure: no clock, no disk, no keys of the store.
//!
//! A trail is a row of records. Each one's hash covers the one before, so that nothing can be changed, moved or taken out of the middle
//! without its being seen; the ends are held by *points* (number and hash of a record) that the store keeps sealed: where the trail begins
//! after old records were dropped, where it ends, and a copy of that end outside the database, so that an older database put in the place of
//! the present one is seen as well.
//!
//! **Content-free.** A record says who, what, when, through which client and how it ended. Subjects, addresses, search words and texts have no
//! place in it: words are literals of this program, except the name a client gives itself. Ids of messages, files and folders (they name
//! content, and some are chosen by people) are kept as *marks*: 8 bytes of an HMAC under a secret of the account. Whoever has an id can ask what
//! was done to it; nobody can read an id out of the trail.
//!
//! **Erasure.** Records name an account by a number. What the number stands for, and the secret of its marks, lie beside the trail and are
//! destroyed when the account is erased; the hash covers only a salted hash of them, so that the chain holds as before.

mod chain;
mod event;
mod filter;
mod moment;
mod verify;

pub use chain::{Hash, Mark, Point, Record, Subject, mark};
pub use event::{Event, Kind};
pub use filter::Filter;
pub use moment::moment;
pub use verify::{Fault, Report, Verifier};

/// Marks kept of one event; how many targets there were is kept beside them.
pub const MOST_MARKS: usize = 32;
