//! What the identity server remembers: codes, device codes, refresh tokens, consents, and what tests did to them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;

use super::errors::{Refusal, refuse, slow_down};
use crate::seed::{Kind, User};
use crate::state::lock;

/// Seconds an authorization code lives.
pub(super) const CODE_LIFE: i64 = 600;
/// Seconds a device code lives.
pub(super) const DEVICE_LIFE: i64 = 900;
/// Seconds an unused refresh token lives.
const REFRESH_LIFE: i64 = 90 * 24 * 3600;
/// Seconds a personal account's refresh token from `common` lives: such tokens must be asked of `consumers`.
const PERSONAL_COMMON_LIFE: i64 = 3600;

/// What somebody agreed to.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) user: User,
    pub(super) client_id: String,
    pub(super) scopes: Vec<String>,
    /// The authority it was asked of.
    pub(super) authority: String,
    pub(super) nonce: Option<String>,
}

/// An authorization code.
pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) challenge: String,
    pub(super) redirect_uri: String,
    pub(super) issued: i64,
    used: bool,
}

impl Code {
    pub(super) fn new(grant: Grant, challenge: String, redirect_uri: String, issued: i64) -> Self {
        Self { grant, challenge, redirect_uri, issued, used: false }
    }
}

/// A device-code sign-in under way.
pub(super) struct Device {
    pub(super) user_code: String,
    pub(super) client_id: String,
    pub(super) scopes: Vec<String>,
    pub(super) authority: String,
    pub(super) expires: i64,
    pub(super) answer: Answer,
    /// Milliseconds of the last poll.
    pub(super) polled: Option<i64>,
}

/// What the person said to a device's code.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Pending,
    Approved(User),
    Declined,
}

struct Refresh {
    grant: Grant,
    issued: i64,
    revoked: bool,
}

#[derive(Default)]
struct Book {
    codes: BTreeMap<String, Code>,
    devices: BTreeMap<String, Device>,
    refresh: BTreeMap<String, Refresh>,
    /// Scopes by user and application.
    consents: BTreeMap<(String, String), BTreeSet<String>>,
    /// AADSTS codes of an account's next refreshes.
    failures: BTreeMap<String, VecDeque<u32>>,
    /// Access tokens of a user below this serial have ended.
    ended: BTreeMap<String, u64>,
    /// Permissions by user, in lower case, that are not granted whatever is asked for.
    withheld: BTreeMap<String, BTreeSet<String>>,
}

/// The identity server's memory.
#[derive(Default)]
pub(crate) struct Grants {
    book: Mutex<Book>,
}

impl Grants {
    /// Whether a user's access token was ended before its time.
    pub(crate) fn access_ended(&self, user: &str, serial: u64) -> bool {
        lock(&self.book).ended.get(user).is_some_and(|below| serial < *below)
    }

    /// Ends all access tokens of a user whose serial is below `serial`.
    pub(crate) fn end_access(&self, user: &str, serial: u64) {
        lock(&self.book).ended.insert(user.to_owned(), serial);
    }

    /// Revokes all refresh tokens of a user; how many there were.
    pub(crate) fn revoke(&self, user: &str) -> usize {
        let mut book = lock(&self.book);
        let tokens = book.refresh.values_mut().filter(|refresh| refresh.grant.user.id == user && !refresh.revoked);
        tokens.map(|refresh| refresh.revoked = true).count()
    }

    /// Lets a user's next refresh fail with that AADSTS code.
    pub(crate) fn fail_refresh(&self, user: &str, code: u32) {
        lock(&self.book).failures.entry(user.to_owned()).or_default().push_back(code);
    }

    /// Grants a user these permissions no more, whatever is asked for.
    pub(crate) fn withhold(&self, user: &str, scopes: &[String]) {
        lock(&self.book).withheld.entry(user.to_owned()).or_default().extend(scopes.iter().map(|scope| scope.to_lowercase()));
    }

    /// An administrator agrees to these for everybody of the directory.
    pub(super) fn agree(&self, users: &[User], scopes: &[String]) {
        let mut book = lock(&self.book);
        for user in users {
            if let Some(withheld) = book.withheld.get_mut(&user.id) {
                withheld.retain(|scope| !scopes.iter().any(|agreed| agreed.eq_ignore_ascii_case(scope)));
            }
        }
    }

    /// Of what was asked for, what is granted.
    pub(super) fn granted(&self, user: &str, asked: &[String]) -> Vec<String> {
        let book = lock(&self.book);
        let withheld = |scope: &String| book.withheld.get(user).is_some_and(|held| held.contains(&scope.to_lowercase()));
        asked.iter().filter(|scope| !withheld(scope)).cloned().collect()
    }

    /// Answers a device's code; false when no device waits for that code.
    pub(crate) fn decide(&self, user_code: &str, user: Option<User>) -> bool {
        let code: String = user_code.chars().filter(char::is_ascii_alphanumeric).collect();
        let mut book = lock(&self.book);
        let waiting = book
            .devices
            .values_mut()
            .find(|device| device.user_code.eq_ignore_ascii_case(&code) && matches!(device.answer, Answer::Pending));
        waiting.is_some_and(|device| {
            device.answer = user.map_or(Answer::Declined, Answer::Approved);
            true
        })
    }

    /// Forgets how long ago a device polled, and makes its next poll too early.
    pub(crate) fn hurry(&self, user_code: &str, now_ms: i64) -> bool {
        let mut book = lock(&self.book);
        let device = book.devices.values_mut().find(|device| device.user_code.eq_ignore_ascii_case(user_code));
        device.is_some_and(|device| {
            device.polled = Some(now_ms.saturating_add(1_000_000_000));
            true
        })
    }

    /// The authority of a waiting device's code.
    pub(super) fn authority_of(&self, user_code: &str) -> Option<String> {
        let code: String = user_code.chars().filter(char::is_ascii_alphanumeric).collect();
        let book = lock(&self.book);
        let device = book.devices.values().find(|device| device.user_code.eq_ignore_ascii_case(&code))?;
        Some(device.authority.clone())
    }

    pub(super) fn keep_code(&self, code: String, kept: Code) {
        self.consent(&kept.grant);
        lock(&self.book).codes.insert(code, kept);
    }

    /// Redeems an authorization code, once. `check` judges the rest of the request.
    pub(super) fn redeem(&self, code: &str, now: i64, check: impl FnOnce(&Code) -> Result<(), Refusal>) -> Result<Grant, Refusal> {
        let mut book = lock(&self.book);
        let code = book.codes.get_mut(code).ok_or_else(|| refuse(70000).about("code"))?;
        if code.used {
            return Err(refuse(54005));
        }
        if now >= code.issued + CODE_LIFE {
            return Err(refuse(70008));
        }
        check(code)?;
        code.used = true;
        Ok(code.grant.clone())
    }

    pub(super) fn keep_device(&self, device_code: String, device: Device) {
        lock(&self.book).devices.insert(device_code, device);
    }

    /// A device asks how far the person is.
    pub(super) fn poll(&self, code: &str, client: &str, now_ms: i64, interval_ms: i64) -> Result<Grant, Refusal> {
        let mut book = lock(&self.book);
        let device = book.devices.get_mut(code).filter(|device| device.client_id == client);
        let device = device.ok_or_else(|| refuse(70018))?;
        if now_ms / 1000 >= device.expires {
            return Err(refuse(70019));
        }
        match &device.answer {
            Answer::Declined => Err(Refusal { error: "authorization_declined", ..refuse(65004) }),
            Answer::Pending => {
                // Half a second of grace for clients whose timer runs a little ahead.
                let early = device.polled.replace(now_ms).is_some_and(|last| now_ms < last + interval_ms - 500);
                Err(if early { slow_down() } else { refuse(70016) })
            }
            Answer::Approved(user) => {
                let grant = Grant {
                    user: user.clone(),
                    client_id: device.client_id.clone(),
                    scopes: device.scopes.clone(),
                    authority: device.authority.clone(),
                    nonce: None,
                };
                book.devices.remove(code);
                drop(book);
                self.consent(&grant);
                Ok(grant)
            }
        }
    }

    pub(super) fn keep_refresh(&self, token: String, grant: Grant, issued: i64) {
        lock(&self.book).refresh.insert(token, Refresh { grant, issued, revoked: false });
    }

    /// What a refresh token stands for. The token stays good: rotation gives a new one and forgets none.
    pub(super) fn refresh(&self, token: &str, client: &str, now: i64) -> Result<Grant, Refusal> {
        let mut book = lock(&self.book);
        let Some(refresh) = book.refresh.get(token).filter(|refresh| refresh.grant.client_id == client) else {
            return Err(refuse(70000));
        };
        let (grant, issued, revoked) = (refresh.grant.clone(), refresh.issued, refresh.revoked);
        if let Some(code) = book.failures.get_mut(&grant.user.id).and_then(VecDeque::pop_front) {
            return Err(refuse(code));
        }
        if revoked {
            return Err(refuse(50173));
        }
        if grant.user.kind == Kind::Personal && grant.authority == "common" && now >= issued + PERSONAL_COMMON_LIFE {
            return Err(refuse(70000));
        }
        if now >= issued + REFRESH_LIFE {
            return Err(refuse(700_082));
        }
        Ok(grant)
    }

    /// Whether the user has agreed to all these scopes for this application.
    pub(super) fn consented(&self, user: &str, client: &str, scopes: &[String]) -> bool {
        let book = lock(&self.book);
        let agreed = book.consents.get(&(user.to_owned(), client.to_owned()));
        scopes.iter().all(|scope| agreed.is_some_and(|agreed| agreed.contains(&scope.to_lowercase())))
    }

    fn consent(&self, grant: &Grant) {
        let mut book = lock(&self.book);
        let agreed = book.consents.entry((grant.user.id.clone(), grant.client_id.clone())).or_default();
        agreed.extend(grant.scopes.iter().map(|scope| scope.to_lowercase()));
    }
}
