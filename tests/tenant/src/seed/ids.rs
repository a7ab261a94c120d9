//! Ids as Exchange and OneDrive write them: long, opaque, case-sensitive, one prefix per mailbox.
//!
//! An Exchange id is base64 of the mailbox's GUIDs, the folder and a counter. Ours carry the item's number, so that an
//! id is read back without a table; whoever reads it back compares with the id it should have been, so that no other
//! spelling of it is ever accepted.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::prng::{Prng, guid, mix};

/// What an Exchange id names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdKind {
    /// A mail message.
    Message = 0,
    /// An event as stored: single or master of a series.
    Event = 1,
    /// A contact.
    Contact = 2,
    /// One day of a series; the place is its day number.
    Occurrence = 3,
    /// A folder of mail.
    MailFolder = 4,
    /// A folder of contacts.
    ContactFolder = 5,
    /// A calendar.
    Calendar = 6,
    /// A group of calendars.
    CalendarGroup = 7,
}

impl IdKind {
    fn from_byte(byte: u8) -> Option<Self> {
        use IdKind::{Calendar, CalendarGroup, Contact, ContactFolder, Event, MailFolder, Message, Occurrence};
        let all = [Message, Event, Contact, Occurrence, MailFolder, ContactFolder, Calendar, CalendarGroup];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }

    fn is_container(self) -> bool {
        matches!(self, Self::MailFolder | Self::ContactFolder | Self::Calendar | Self::CalendarGroup)
    }
}

/// An Exchange id taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) kind: IdKind,
    /// True for the id that survives moves.
    pub(crate) immutable: bool,
    pub(crate) number: u32,
    /// How often the item had moved when the id was made.
    pub(crate) generation: u16,
    /// The folder it lay in then, or the day of an occurrence.
    pub(crate) place: u32,
}

/// What all ids of one mailbox share.
#[derive(Debug, Clone)]
pub(crate) struct MailboxKey {
    guid: String,
    store: [u8; 16],
    log: [u8; 16],
}

impl MailboxKey {
    /// The key of the mailbox with this name.
    pub(crate) fn new(seed: u64, username: &str) -> Self {
        let mut prng = Prng::new(seed, &format!("mailbox {username}"));
        let mut log = prng.bytes16();
        // These bytes are written as `+…/` by one base64 alphabet and as `-…_` by the other.
        log[4..7].copy_from_slice(&[0xfb, 0x4a, 0x7f]);
        Self { guid: prng.guid(), store: prng.bytes16(), log }
    }

    /// The mailbox's GUID.
    pub(crate) fn guid(&self) -> &str {
        &self.guid
    }

    /// Writes an id.
    pub(crate) fn encode(&self, named: Named) -> String {
        let Named { kind, immutable, number, generation, place } = named;
        let mut raw = Vec::with_capacity(113);
        if immutable && !kind.is_container() {
            raw.extend_from_slice(&[0, 0x09, 0x24, 0, 0x2e, 0, 0, 0, 0, 0, 0x1d, 0x84, 0x03, 0x11, 0xaa]);
            raw.extend_from_slice(&self.store);
            raw.extend_from_slice(&[0x0d, 0]);
            raw.extend_from_slice(&self.log);
            raw.push(kind as u8);
            raw.extend_from_slice(&number.to_be_bytes());
            raw.extend_from_slice(&if kind == IdKind::Occurrence { place } else { 0 }.to_be_bytes());
            raw.extend_from_slice(&[0, 0]);
            return URL_SAFE.encode(raw);
        }
        raw.extend_from_slice(&[0, 0x03, 0x24, 0]);
        raw.extend_from_slice(self.guid.as_bytes());
        if kind.is_container() {
            raw.extend_from_slice(&[0, 0x2e, 0, 0, 0, 0, 0]);
            raw.extend_from_slice(&self.store);
            raw.extend_from_slice(&[1, 0]);
            raw.extend_from_slice(&self.log);
            raw.extend_from_slice(&[kind as u8, 0]);
            raw.extend_from_slice(&number.to_be_bytes());
            raw.extend_from_slice(&[0, 0]);
            return URL_SAFE.encode(raw);
        }
        raw.extend_from_slice(&[0, 0x46, 0, 0, 0, 0, 0]);
        raw.extend_from_slice(&self.store);
        raw.extend_from_slice(&[7, 0]);
        raw.extend_from_slice(&self.log);
        raw.extend_from_slice(&[0, 0]);
        raw.extend_from_slice(&place.to_be_bytes());
        raw.extend_from_slice(&[kind as u8, 0]);
        raw.extend_from_slice(&self.log);
        raw.extend_from_slice(&number.to_be_bytes());
        raw.extend_from_slice(&generation.to_be_bytes());
        raw.extend_from_slice(&[0, 0]);
        // A few ids in the older alphabet, with `/` and `+`, as long-lived mailboxes have them.
        if kind == IdKind::Message && number % 53 == 7 { STANDARD.encode(raw) } else { URL_SAFE.encode(raw) }
    }

    /// Takes an id apart; `None` when it is not an id of this mailbox, letter for letter.
    pub(crate) fn decode(&self, id: &str) -> Option<Named> {
        let raw = decode_either(id)?;
        let at = |from: usize| raw.get(from..from + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
        let named = match (raw.get(1)?, raw.len()) {
            (0x09, 60) => Named { kind: IdKind::from_byte(raw[49])?, immutable: true, number: at(50)?, generation: 0, place: at(54)? },
            (0x03, 89) => {
                let kind = IdKind::from_byte(raw[81])?;
                Named { kind, immutable: false, number: at(83)?, generation: 0, place: 0 }
            }
            (0x03, 113) => Named {
                kind: IdKind::from_byte(raw[87])?,
                immutable: false,
                number: at(105)?,
                generation: u16::from_be_bytes([raw[109], raw[110]]),
                place: at(83)?,
            },
            _ => return None,
        };
        (self.encode(named) == id).then_some(named)
    }

    /// The id of the `index`th attachment of an item.
    pub(crate) fn attachment(&self, item_id: &str, index: u32) -> String {
        let mut raw = decode_either(item_id).unwrap_or_default();
        raw.extend_from_slice(&[0, 0, 0x01, 0x12, 0, 0x10, 0]);
        let high = mix(u64::from(index) ^ 0x000a_77ac);
        raw.extend_from_slice(&high.to_be_bytes());
        raw.extend_from_slice(&mix(high).to_be_bytes());
        URL_SAFE.encode(raw)
    }

    /// A change key: `CQAAABYAAAC…` with the version in its tail.
    pub(crate) fn change_key(&self, change: u64) -> String {
        let mut raw = vec![0x09, 0, 0, 0, 0x16, 0, 0, 0];
        raw.extend_from_slice(&self.log);
        raw.extend_from_slice(&change.to_be_bytes()[2..]);
        STANDARD.encode(raw)
    }

    /// A conversation id.
    pub(crate) fn conversation(&self, conversation: u64) -> String {
        let mut raw = vec![0, 0x04, 0x24, 0];
        raw.extend_from_slice(self.guid.as_bytes());
        raw.extend_from_slice(&[0, 0x10, 0]);
        raw.extend_from_slice(&mix(conversation).to_be_bytes());
        raw.extend_from_slice(&mix(conversation ^ 1).to_be_bytes());
        URL_SAFE.encode(raw)
    }
}

fn decode_either(id: &str) -> Option<Vec<u8>> {
    URL_SAFE.decode(id).or_else(|_| STANDARD.decode(id)).ok()
}

/// True when the text could be an Exchange id at all: only then is a miss "not found" rather than "malformed".
pub(crate) fn looks_like_exchange_id(id: &str) -> bool {
    id.len() >= 60 && decode_either(id).is_some_and(|raw| raw.first() == Some(&0))
}

/// What all ids of one drive share.
#[derive(Debug, Clone)]
pub(crate) struct DriveKey {
    /// The drive's id.
    pub(crate) id: String,
    prefix: String,
    personal: bool,
    salt: u64,
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

impl DriveKey {
    /// The key of the drive of this user: `b!…` for work accounts, sixteen hex digits for personal ones.
    pub(crate) fn new(seed: u64, username: &str, personal: bool) -> Self {
        let mut prng = Prng::new(seed, &format!("drive {username}"));
        let salt = prng.next();
        if personal {
            let prefix = format!("{salt:016X}");
            return Self { id: prefix.to_lowercase(), prefix, personal, salt };
        }
        let mut raw = Vec::with_capacity(48);
        for _ in 0..3 {
            raw.extend_from_slice(&prng.bytes16());
        }
        let prefix = (0..6).map(|_| char::from(*prng.pick(BASE32))).collect::<String>();
        Self { id: format!("b!{}", URL_SAFE.encode(raw)), prefix: format!("01{prefix}"), personal, salt }
    }

    /// The unique id of an item, as in `UniqueId=` of a download URL and inside eTags.
    pub(crate) fn guid(&self, number: u32) -> String {
        guid(self.bytes(number))
    }

    fn bytes(&self, number: u32) -> [u8; 16] {
        let mut out = [0; 16];
        let high = mix(self.salt ^ u64::from(number));
        out[..8].copy_from_slice(&high.to_be_bytes());
        out[8..].copy_from_slice(&mix(high ^ self.salt).to_be_bytes());
        out
    }

    /// The id of an item.
    pub(crate) fn item(&self, number: u32) -> String {
        if self.personal {
            return format!("{}!{}", self.prefix, 100 + u64::from(number));
        }
        let mut out = self.prefix.clone();
        let bits = u128::from_be_bytes(self.bytes(number));
        for at in 0..26_u32 {
            let shift = 123_i64 - i64::from(at) * 5;
            let five = if shift >= 0 { bits >> shift } else { bits << -shift };
            out.push(char::from(BASE32[(five & 31) as usize]));
        }
        out
    }

    /// The tag of an item's properties (`eTag`).
    pub(crate) fn etag(&self, number: u32, version: u32) -> String {
        if self.personal {
            return format!("a{}", URL_SAFE.encode(format!("{}.{version}", self.item(number))));
        }
        format!("\"{{{}}},{version}\"", self.guid(number).to_uppercase())
    }

    /// The tag of an item's content (`cTag`).
    pub(crate) fn ctag(&self, number: u32, version: u32) -> String {
        if self.personal {
            return format!("a{}", URL_SAFE.encode(format!("c:{}.{version}", self.item(number))));
        }
        format!("\"c:{{{}}},{version}\"", self.guid(number).to_uppercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_back_letter_for_letter_only() {
        let key = MailboxKey::new(1, "alex");
        let other = MailboxKey::new(1, "bea");
        for kind in [IdKind::Message, IdKind::Event, IdKind::MailFolder, IdKind::Occurrence] {
            for immutable in [false, true] {
                let named = Named {
                    kind,
                    immutable: immutable && !kind.is_container(),
                    number: 60,
                    generation: if immutable || kind.is_container() { 0 } else { 3 },
                    place: if kind == IdKind::Occurrence || !(immutable || kind.is_container()) { 9 } else { 0 },
                };
                let id = key.encode(named);
                assert_eq!(key.decode(&id), Some(named));
                assert!(id.len() >= 80 && id.len().is_multiple_of(4), "{id}");
                assert_eq!(other.decode(&id), None);
                let swapped: String = id.chars().map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c }).collect();
                assert_eq!(key.decode(&swapped), None);
            }
        }
    }

    #[test]
    fn a_few_message_ids_need_percent_encoding() {
        let key = MailboxKey::new(1, "alex");
        let id = key.encode(Named { kind: IdKind::Message, immutable: false, number: 60, generation: 0, place: 1 });
        assert!(id.contains('/') && id.contains('+') && id.ends_with('='), "{id}");
    }

    #[test]
    fn drive_ids_have_the_forms_of_both_services() {
        let work = DriveKey::new(1, "alex", false);
        assert_eq!(work.item(5).len(), 34);
        assert!(work.id.starts_with("b!") && work.id.len() == 66);
        let personal = DriveKey::new(1, "casey", true);
        assert_eq!(personal.id.len(), 16);
        assert!(personal.item(5).ends_with("!105"));
    }
}
