//! The tenant's data at its start: everything follows from one seed, ids and bytes included. No clock, no network.

mod contacts;
mod corpus;
mod drive;
mod events;
pub(crate) mod ids;
mod mail;
pub(crate) mod people;
pub(crate) mod prng;
pub(crate) mod prose;
mod settings;

use jiff::Timestamp;

pub use people::PERSONAL_TENANT;
pub use prose::CANARY;

use crate::graph::Uploads;
use crate::graph::store::{Drive, Mailbox, State};

/// The instant to which all seeded dates relate: 2026-11-20T09:00:00Z.
pub const NOW: Timestamp = Timestamp::constant(1_795_165_200, 0);

/// How much data the tenant starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// About 400 messages, 30 mail folders, 300 drive items, 120 contacts and 80 events per account.
    Small,
    /// 50,000 messages, 5,000 mail folders, 10,000 drive items, 1,000 contacts and 800 events for the first account;
    /// the others stay small.
    Large,
}

/// What kind of account a user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A work or school account.
    Work,
    /// A personal Microsoft account.
    Personal,
    /// A shared mailbox: nobody signs in to it, both work accounts may open it.
    Shared,
}

/// An account of the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Object id, a GUID.
    pub id: String,
    /// Directory (tenant) id, a GUID.
    pub tenant_id: String,
    /// User principal name, also the mail address.
    pub username: String,
    /// What people see.
    pub display_name: String,
    /// Work, personal or shared.
    pub kind: Kind,
    /// The mailbox's GUID, against which its concurrency counts.
    pub mailbox_id: String,
    /// The id of the user's drive.
    pub drive_id: String,
}

/// How many of each thing one account has.
struct Amounts {
    messages: usize,
    mail_folders: usize,
    drive_items: usize,
    drive_folders: usize,
    contacts: usize,
    events: usize,
    /// How far back the mail goes.
    mail_days: i64,
}

const SMALL: Amounts =
    Amounts { messages: 400, mail_folders: 30, drive_items: 300, drive_folders: 80, contacts: 120, events: 80, mail_days: 120 };
const LARGE: Amounts = Amounts {
    messages: 50_000,
    mail_folders: 5_000,
    drive_items: 10_000,
    drive_folders: 2_000,
    contacts: 1_000,
    events: 800,
    mail_days: 1_500,
};

/// Builds the whole tenant.
pub(crate) fn build(size: Size, seed: u64, more_accounts: usize) -> State {
    let users = people::users(seed, more_accounts);
    let mut mailboxes = Vec::new();
    let mut drives = Vec::new();
    for (index, user) in users.iter().enumerate() {
        let amounts = if index == 0 && size == Size::Large { &LARGE } else { &SMALL };
        let zone = ["Europe/Berlin", "America/New_York", "Europe/London", "UTC"][index % 4];
        let mut mailbox = Mailbox::new(ids::MailboxKey::new(seed, &user.username), zone);
        mail::fill(&mut mailbox, user, amounts, seed);
        settings::fill(&mut mailbox);
        contacts::fill(&mut mailbox, user, amounts, seed);
        events::fill(&mut mailbox, user, amounts, seed);
        mailboxes.push(mailbox);
        let personal = user.kind == Kind::Personal;
        let mut drive = Drive::new(
            ids::DriveKey::new(seed, &user.username, personal),
            personal,
            index,
            NOW - jiff::SignedDuration::from_hours(24 * 900),
        );
        drive::fill(&mut drive, user, amounts, seed);
        drives.push(drive);
    }
    State {
        users,
        mailboxes,
        drives,
        late: Vec::new(),
        uploads: Uploads::default(),
        copies: Vec::new(),
        anonymous_links: true,
        lag: std::time::Duration::ZERO,
    }
}

/// So many seconds before [`NOW`] (negative: after).
fn before_now(seconds: i64) -> Timestamp {
    NOW.checked_sub(jiff::SignedDuration::from_secs(seconds)).unwrap_or(NOW)
}
