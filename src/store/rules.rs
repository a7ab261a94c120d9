//! Rules that every backend follows alike: what may be stored, what a pattern matches, what a write spreads to. Pure.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use super::{Changes, Missing, Outcome, StoreError};
use crate::{
    cache::{
        CacheKey, EntryMeta, Epoch, Feed, KeyHash, KeyPattern, Marks, Reading, Scope, Seq, Service, Shown, SourceId, Touch, Touched,
        overtaken_searches, spread, spread_found,
    },
    clock::Timestamp,
    ids::AccountId,
};

/// An item shown again within this time (ms) does not renew its `used` stamp: lists are fetched every few minutes, and each renewal
/// would dirty pages all over the table.
pub(super) const USED_GRAIN_MS: i64 = 3_600_000;

/// The same for the `used` stamp of a source: a day.
pub(super) const SOURCE_USED_GRAIN_MS: i64 = 24 * USED_GRAIN_MS;

/// Some of `all` behind the place `after`, and the place to go on from.
pub(super) fn some_behind(mut all: Vec<KeyHash>, after: i64, most: usize) -> (Vec<KeyHash>, Option<i64>) {
    all.sort_unstable();
    let from = usize::try_from(after).unwrap_or(0);
    let some: Vec<KeyHash> = all.into_iter().skip(from).take(most).collect();
    let next = (!some.is_empty()).then(|| i64::try_from(from + some.len()).unwrap_or(i64::MAX));
    (some, next)
}

/// Rows of finished things (writes, invalidations) that are kept.
pub(super) const KEPT_ROWS: usize = 10_000;

/// What a backend knows of scopes at the moment of storing.
pub(super) trait Known {
    /// The source's epoch; `None` when it has no record.
    fn epoch(&mut self, source: &SourceId) -> Result<Option<Epoch>, StoreError>;
    /// The marks of a scope: its row's, or the source's floors.
    fn marks(&mut self, source: &SourceId, scope: &Scope) -> Result<Marks, StoreError>;
}

/// Whether an answer may be kept: no source has begun anew, and nothing it depends on or shows is unsettled or was written since its
/// fetch began (`truth.md`, *Which scopes*).
///
/// A search that depends on [`Scope::found`] stays true when a message that it does not show is marked, but must not be made while the
/// index follows such a write: the message may be missing from it meanwhile. So it is kept only as if it depended on all of its service.
///
/// A mark that is unsettled until after the *fetch began* counts too: such a fetch may have missed the late effect even when it is
/// stored after the time ended and before [`super::Ledger::settle`] ran.
pub(super) fn may_store(meta: &EntryMeta, shown: &[Shown], now: Timestamp, known: &mut impl Known) -> Result<bool, StoreError> {
    let since = now.min(meta.fetch_started);
    let passes = |marks: Marks, read_seq: Seq| marks.written_at <= read_seq && marks.unsettled_until.is_none_or(|until| until <= since);
    let mut read: BTreeMap<&SourceId, Seq> = BTreeMap::new();
    for reading in &meta.readings {
        if known.epoch(&reading.source)? != Some(reading.epoch) {
            return Ok(false);
        }
        for scope in &reading.scopes {
            if !passes(known.marks(&reading.source, scope)?, reading.read_seq) {
                return Ok(false);
            }
            if *scope == Scope::found() && !passes(known.marks(&reading.source, &Scope::any(Service::Mail))?, reading.read_seq) {
                return Ok(false);
            }
        }
        let earliest = read.entry(&reading.source).or_insert(reading.read_seq);
        *earliest = (*earliest).min(reading.read_seq);
    }
    for item in shown {
        // An item of a source that was not read cannot be judged, except as read before anything was written.
        let read_seq = read.get(&item.source).copied().unwrap_or(0);
        if !passes(known.marks(&item.source, &Scope::item(&item.item))?, read_seq) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether an answer that was asked for at `asked` stays where one asked for at `than` lands: a slow fetch must not put an older state in the
/// place of a newer one. What lies in the future was stored before the clock was set back, and nobody knows how old it is.
pub(super) fn is_newer(asked: Timestamp, than: Timestamp, now: Timestamp) -> bool {
    than < asked && asked <= now
}

/// Whether two answers were drawn from the same sources, and none of them has begun anew between them: else nothing is known of which is newer.
pub(super) fn same_sources(one: &[Reading], other: &[Reading]) -> bool {
    one.iter().map(|reading| (&reading.source, reading.epoch)).eq(other.iter().map(|reading| (&reading.source, reading.epoch)))
}

/// Whether the answer `kept` stays where `new` lands.
pub(super) fn stays(kept: &EntryMeta, new: &EntryMeta, now: Timestamp) -> bool {
    is_newer(kept.fetch_started, new.fetch_started, now) && same_sources(&kept.readings, &new.readings)
}

/// The scopes of several touches, by source.
pub(super) fn spread_all(
    touched: &[Touched],
    mut containers_of: impl FnMut(&SourceId, &str) -> Result<Vec<Scope>, StoreError>,
) -> Result<BTreeMap<SourceId, BTreeSet<Scope>>, StoreError> {
    let mut by_source: BTreeMap<SourceId, BTreeSet<Scope>> = BTreeMap::new();
    for one in touched {
        let mut failed = None;
        let scopes = spread(one, |item| match containers_of(&one.source, item) {
            Ok(containers) => Some(containers),
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        if !scopes.is_empty() {
            by_source.entry(one.source.clone()).or_default().extend(scopes);
        }
    }
    Ok(by_source)
}

/// Items that are not there, as the two bumps see them.
pub(super) struct Absent {
    /// Whatever shows them.
    pub(super) touched: Touched,
    /// What depends on them by their ids.
    pub(super) themselves: BTreeMap<SourceId, BTreeSet<Scope>>,
}

impl Absent {
    /// `is_known`: whether it is known where an item was. `None` when nothing shows any of them.
    pub(super) fn new(source: &SourceId, service: Service, missing: &[Missing], is_known: impl Fn(&str) -> bool) -> Option<Self> {
        let items: Vec<String> = missing.iter().filter(|one| one.shown || is_known(&one.id)).map(|one| one.id.clone()).collect();
        if items.is_empty() {
            return None;
        }
        let scopes = items.iter().map(|item| Scope::item(item)).collect();
        let touches = items.into_iter().map(Touch::Item).collect();
        let touched = Touched { source: source.clone(), service, touches };
        Some(Self { themselves: BTreeMap::from([(source.clone(), scopes)]), touched })
    }
}

/// The scopes that a check's changes spread to.
pub(super) fn spread_changes(
    feed: &Feed,
    changes: &Changes,
    mut containers_of: impl FnMut(&str) -> Result<Vec<Scope>, StoreError>,
) -> Result<BTreeSet<Scope>, StoreError> {
    let found = match changes {
        Changes::Unknown => {
            let service = feed.of().service();
            return Ok(overtaken_searches(service).chain([Scope::all(service)]).collect());
        }
        Changes::Found(found) => found,
    };
    let mut failed = None;
    let scopes = spread_found(feed, found, |item| {
        containers_of(item).unwrap_or_else(|error| {
            failed = Some(error);
            Vec::new()
        })
    });
    failed.map_or(Ok(scopes), Err)
}

/// How much later than a look at the clock a write may be closed that came in between. A clock that is set back by less prolongs an unsettled
/// time by no more.
const IN_BETWEEN: Duration = Duration::from_secs(60);

/// A write that was closed later than this was closed before the clock was set back. Nobody knows how much of its unsettled time has passed since,
/// so that time begins anew: a step of the clock prolongs it by its own length at most, and never ends it early.
pub(super) fn set_back(now: Timestamp) -> Timestamp {
    now.plus(IN_BETWEEN)
}

/// Which scopes of a write are unsettled when it is closed, and until when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unsettled {
    until: Timestamp,
    /// What is unsettled are searches alone: their index follows every write, however plain its outcome. All else is as the write left it.
    searches_only: bool,
}

impl Unsettled {
    /// After a write that came out so; `None` when nothing has changed.
    pub(super) fn after(outcome: &Outcome, until: Timestamp) -> Option<Self> {
        match outcome {
            Outcome::Refused => None,
            Outcome::Done { late } => Some(Self { until, searches_only: !late }),
            Outcome::Unknown => Some(Self { until, searches_only: false }),
        }
    }

    /// Until when `scope`, which the write bumps, is unsettled.
    pub(super) fn until_of(self, scope: &Scope) -> Option<Timestamp> {
        (!self.searches_only || scope.is_of_searches()).then_some(self.until)
    }

    /// The scopes of `bumped` that are to be bumped once more when the time has ended.
    pub(super) fn of(self, bumped: &BTreeMap<SourceId, BTreeSet<Scope>>) -> BTreeMap<SourceId, BTreeSet<Scope>> {
        let unsettled = |scopes: &BTreeSet<Scope>| scopes.iter().filter(|scope| self.until_of(scope).is_some()).cloned().collect();
        bumped.iter().map(|(source, scopes)| (source.clone(), unsettled(scopes))).collect()
    }
}

/// Whether a scope with these marks has not changed since `read_seq` and is settled.
pub(super) fn unmoved(marks: Marks, read_seq: Seq) -> bool {
    marks.written_at <= read_seq && marks.changed_at <= read_seq && marks.unsettled_until.is_none()
}

/// The `any` scope that a bump of this container brings along, told from the container's name.
pub(super) fn any_of(container: &Scope) -> Option<Scope> {
    let service = match container.as_str().split(':').next()? {
        "messages" | "folders" => Service::Mail,
        "children" | "structure" => Service::Files,
        "calendar" => Service::Calendar,
        "contacts" => Service::Contacts,
        "rules" => Service::Rules,
        _ => return None,
    };
    Some(Scope::any(service))
}

/// An argument as patterns see it: text as it is, anything else as JSON.
pub(super) fn arg_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// Whether a pattern, and the account it is limited to, name this entry.
pub(super) fn matches(pattern: &KeyPattern, only: Option<&AccountId>, key: &CacheKey) -> bool {
    pattern.names_type(&key.tool)
        && pattern.account.matches(key.account.as_str())
        && only.is_none_or(|account| *account == key.account)
        && match &pattern.arg {
            None => true,
            Some((name, glob)) => key.args.get(name).is_some_and(|value| glob.matches(&arg_text(value))),
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_plans_examples_match_what_they_mean() {
        let key = |tool: &str, name: &str, value: Value| {
            CacheKey::new(tool, AccountId::new("o.t"), BTreeMap::from([(name.to_owned(), value), ("limit".to_owned(), json!(10))]))
        };
        let hit = |pattern: &str, key: &CacheKey| matches(&KeyPattern::parse(pattern).unwrap(), None, key);
        assert!(hit("email_get:*:email_id=X", &key("email_get", "email_id", json!("X"))));
        assert!(!hit("email_get:*:email_id=X", &key("email_get", "email_id", json!("x"))));
        assert!(hit("email_list:*:folder=sent*", &key("email_list", "folder", json!("sentitems"))));
        assert!(!hit("email_list:*:folder=sent*", &key("email_list", "folder_id", json!("sentitems"))));
        assert!(hit("file_list:*:folder_id=P*", &key("file_list", "folder_id", json!("P!1"))));
        assert!(hit("folder_get_tree:*", &key("folder_get_tree", "path", json!(null))));
        assert!(hit("email_list:o.t:limit=10", &key("email_list", "folder", json!("inbox"))), "numbers match by their text");
        assert!(!matches(&KeyPattern::parse("*").unwrap(), Some(&AccountId::new("other.t")), &key("email_list", "a", json!(1))));
    }
}
