//! Names for who and what: accounts, tenants, callers with what they are shown and what they may not do, calls.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id spelled `text`.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// One signed-in user: `<object id>.<tenant id>`, which is MSAL's home account id.
    AccountId
);
text_id!(
    /// A directory of Microsoft Entra; `9188040d-6c67-4c5b-b112-36a304b66dad` for personal accounts.
    TenantId
);

/// The tenant of all personal Microsoft accounts.
pub const PERSONAL_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// One line of a client, from the shim to Microsoft's logs. Written as a GUID, because Graph takes no other `client-request-id`: the run of
/// the shim, its connection and the number of the line on it. The same call sent again on another connection has another id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallId {
    /// Random, made when the client's shim began.
    pub run: u64,
    /// Which connection of that shim, from 0.
    pub connection: u64,
    /// Which line on it, from 1.
    pub line: u64,
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = self.run;
        // Version 4 and variant 10, as a random one has; 64 bits of the run, 16 of the connection, 40 of the line.
        write!(
            f,
            "{:08x}-{:04x}-4{:03x}-a{:x}{:02x}",
            run >> 32,
            run >> 16 & 0xffff,
            run >> 4 & 0xfff,
            run & 0xf,
            self.connection >> 8 & 0xff
        )?;
        write!(f, "-{:02x}{:010x}", self.connection & 0xff, self.line & 0xff_ffff_ffff)
    }
}

/// Which tools a client is shown, fixed by the configuration or by its launch line, never by who it is. Tools that are not shown can be called
/// all the same, except that [`ToolProfile::ReadOnly`] refuses whatever changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ToolProfile {
    /// The daily work of mail, calendar, files, people and search, in few tokens.
    #[default]
    Essential,
    /// All of mail but its rules.
    Mail,
    /// All of calendars.
    Calendar,
    /// All of files and folders.
    Files,
    /// Whatever changes nothing; the rest is refused.
    ReadOnly,
    /// Every tool, with every argument and limit spelled out.
    Full,
}

impl ToolProfile {
    /// All of them by their names, in the order of the manual.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("essential", Self::Essential),
        ("mail", Self::Mail),
        ("calendar", Self::Calendar),
        ("files", Self::Files),
        ("read-only", Self::ReadOnly),
        ("full", Self::Full),
    ];

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, profile)| *profile)
    }

    /// Its name, as settings and launch lines spell it.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, profile)| *profile == self).map_or("", |(name, _)| name)
    }
}

/// What a client may not do, whatever it asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fence {
    /// Names of the policies that hold together, for the message of a refusal.
    pub policies: Vec<String>,
    /// It changes nothing.
    pub read_only: bool,
    /// It does nothing that reaches other people.
    pub no_send: bool,
    /// It changes nothing, because that is the profile of its tools.
    pub read_only_tools: bool,
    /// Each list holds ids and usernames (lower case) of accounts; an account is within the fence when every list has it.
    pub accounts: Vec<Vec<String>>,
}

impl Fence {
    /// What holds when both hold.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.policies.extend(other.policies.iter().filter(|name| !self.policies.contains(name)).cloned().collect::<Vec<_>>());
        self.read_only |= other.read_only;
        self.no_send |= other.no_send;
        self.read_only_tools |= other.read_only_tools;
        self.accounts.extend(other.accounts.iter().cloned());
        self
    }

    /// Whether the account with this id and username is within it.
    pub fn admits(&self, id: &AccountId, username: &str) -> bool {
        self.accounts.iter().all(|list| list.iter().any(|name| name == id.as_str() || name.eq_ignore_ascii_case(username)))
    }

    /// Whether it keeps anybody from anything.
    pub fn is_open(&self) -> bool {
        !self.read_only && !self.no_send && !self.read_only_tools && self.accounts.is_empty()
    }
}

/// Who asks: for statistics and the audit trail, and what is kept from them. The name is the client's own claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The client's own name for itself, `cachectl` for people, `worker` for background work.
    pub client: String,
    /// Number of the stream the call came in on; 0 outside any.
    pub session: u64,
    /// What it may not do; `None` for nothing.
    pub fence: Option<Arc<Fence>>,
    /// Which line this is about; `None` for what nobody asked for.
    pub call: Option<CallId>,
    /// Where it is counted how far the call is; `None` when nobody wants to know.
    pub work: Option<Work>,
}

/// How far the work of one call is: counted where it is done, read by who tells the client. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Work(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    answers: AtomicU64,
    moved: AtomicU64,
    of: AtomicU64,
    given_up: AtomicBool,
    shared: AtomicBool,
}

impl PartialEq for Work {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Work {}

impl Work {
    /// Microsoft has answered a request.
    pub fn answered(&self) {
        self.0.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// So many bytes of a file have moved, of so many when that is known.
    pub fn moves(&self, bytes: u64, of: Option<u64>) {
        self.0.moved.store(bytes, Ordering::Relaxed);
        self.0.of.store(of.unwrap_or(0), Ordering::Relaxed);
    }

    /// Who asked does not want the answer any more, and said so. One who is merely gone may come back for it.
    pub fn give_up(&self) {
        self.0.given_up.store(true, Ordering::Relaxed);
    }

    /// Whether it was given up.
    pub fn is_given_up(&self) -> bool {
        self.0.given_up.load(Ordering::Relaxed)
    }

    /// It shares the fetch of another call.
    pub fn share(&self) {
        self.0.shared.store(true, Ordering::Relaxed);
    }

    /// Whether it shares the fetch of another call.
    pub fn is_shared(&self) -> bool {
        self.0.shared.load(Ordering::Relaxed)
    }

    /// Requests that Microsoft has answered.
    pub fn answers(&self) -> u64 {
        self.0.answers.load(Ordering::Relaxed)
    }

    /// Bytes that have moved; 0 while no file moves.
    pub fn moved(&self) -> u64 {
        self.0.moved.load(Ordering::Relaxed)
    }

    /// Of how many; 0 when that is not known.
    pub fn of(&self) -> u64 {
        self.0.of.load(Ordering::Relaxed)
    }
}

/// How urgent a request to Graph is: background work waits while somebody is watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A person or a model waits for the answer.
    Foreground,
    /// Refreshes and warming.
    Background,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_call_has_a_guid_of_its_own() {
        let id = |run, connection, line| CallId { run, connection, line }.to_string();
        assert_eq!(id(0x0123_4567_89ab_cdef, 0x0203, 0x1_0000_0007), "01234567-89ab-4cde-af02-030100000007");
        let all: BTreeSet<String> = (0..4).flat_map(|run| (0..4).flat_map(move |at| (0..4).map(move |line| id(run, at, line)))).collect();
        assert_eq!(all.len(), 64);
        assert!(all.iter().all(|id| id.len() == 36 && id.split('-').map(str::len).eq([8, 4, 4, 4, 12])));
    }

    #[test]
    fn fences_together_keep_out_what_either_does() {
        let list = |names: &[&str]| vec![names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()];
        let one = Fence { policies: vec!["a".into()], read_only: true, accounts: list(&["ada@x.example", "2.t"]), ..Fence::default() };
        let two = Fence { policies: vec!["b".into()], no_send: true, accounts: list(&["1.t"]), ..Fence::default() };
        let both = one.clone().and(&two);
        assert!(both.read_only && both.no_send && both.policies == ["a", "b"]);
        let (ada, bea) = (AccountId::new("1.t"), AccountId::new("2.t"));
        assert!(one.admits(&ada, "Ada@X.example") && one.admits(&bea, "bea") && !one.admits(&AccountId::new("3.t"), "cy"));
        assert!(both.admits(&ada, "ada@x.example") && !both.admits(&bea, "bea@x.example"));
        assert!(!Fence { accounts: vec![Vec::new()], ..Fence::default() }.admits(&ada, ""), "an empty list has nobody");
        assert!(Fence::default().is_open() && !two.is_open());
    }
}
