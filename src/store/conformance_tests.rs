//! One suite for every backend: what `Entries` and `Ledger` promise, and a comparison of the backends over random operations.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    cache::{Body, CacheKey, Check, EntryMeta, Epoch, Escaped, Feed, Found, Marks, Reading, Scope, Service, Touch},
    chance::SeededDice,
};

/// A backend under test.
pub(super) trait Backend: Entries + Ledger {}
impl<T: Entries + Ledger> Backend for T {}

/// A backend and the folder it lives in.
pub(super) struct World {
    pub(super) store: Arc<dyn Backend>,
    _folder: Option<tempfile::TempDir>,
}

pub(super) fn in_memory() -> World {
    World { store: Arc::new(Memory::new(Arc::new(SeededDice::new(1)), Limits::default())), _folder: None }
}

#[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
fn open(folder: &tempfile::TempDir) -> sqlcipher::Sqlcipher {
    let store = sqlcipher::Sqlcipher::open(sqlcipher::OpenOptions {
        path: folder.path().join("store.db"),
        keys: StoreKeys { database: Secret::new([1; 32]), wrapping: Secret::new([2; 32]) },
        dice: Arc::new(SeededDice::new(2)),
        new_epochs: false,
        limits: Limits::default(),
    });
    store.unwrap()
}

#[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
pub(super) fn in_a_file() -> World {
    let folder = tempfile::tempdir().unwrap();
    World { store: Arc::new(open(&folder)), _folder: Some(folder) }
}

pub(super) fn volatile() -> World {
    let ledger = Memory::new(Arc::new(SeededDice::new(3)), Limits::default());
    World { store: Arc::new(Volatile::new(Arc::new(ledger), 1 << 30, Limits::default())), _folder: None }
}

#[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
fn volatile_beside_a_file() -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Volatile::new(Arc::new(open(&folder)), 1 << 30, Limits::default());
    World { store: Arc::new(store), _folder: Some(folder) }
}

macro_rules! every_backend {
    ($($name:ident),* $(,)?) => {
        mod volatile {
            $(#[tokio::test] async fn $name() { let world = super::volatile(); super::$name(&*world.store).await; })*
        }
        #[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
        mod volatile_beside_a_file {
            $(#[tokio::test] async fn $name() { let world = super::volatile_beside_a_file(); super::$name(&*world.store).await; })*
        }
        mod memory {
            $(#[tokio::test] async fn $name() { let world = super::in_memory(); super::$name(&*world.store).await; })*
        }
        #[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
        mod file {
            $(#[tokio::test] async fn $name() { let world = super::in_a_file(); super::$name(&*world.store).await; })*
        }
    };
}

every_backend!(
    an_absent_item_is_void_and_what_may_show_it_has_changed,
    an_entry_comes_back_as_it_was_put,
    sizes_from_nothing_to_the_limit_come_back_and_no_more_is_taken,
    replacing_raises_the_revision,
    an_answer_that_was_asked_for_earlier_and_comes_later_replaces_nothing,
    accounts_do_not_see_each_other,
    a_written_scope_overtakes_and_others_do_not,
    an_unsettled_item_is_not_stored_until_it_settles,
    a_mark_overtakes_the_searches_that_show_it_and_no_others,
    a_clock_that_is_set_back_begins_an_unsettled_time_anew_and_no_more,
    a_fetch_begun_while_unsettled_is_not_stored_between_the_end_and_the_settling,
    a_plain_write_leaves_nothing_unsettled_but_searches,
    another_epoch_overtakes,
    floors_count_for_scopes_without_a_row,
    a_shown_item_that_was_written_overtakes,
    patterns_remove_what_they_name,
    uses_and_totals_add_up,
    a_write_bumps_all_containers_an_item_was_seen_in,
    an_unknown_item_bumps_all_of_its_service,
    a_refused_write_bumps_nothing,
    a_write_is_closed_once_and_its_call_is_known,
    learned_containers_replace_the_seen_ones,
    open_writes_are_recovered_as_unknown,
    a_later_write_keeps_the_longer_unsettled_time,
    others_changes_mark_changed,
    forgetting_raises_floors_and_bumps_containers,
    thousands_of_rows_are_forgotten_in_steps_and_counted,
    a_source_goes_when_nothing_of_it_is_left,
    a_baseline_is_kept_once_and_says_whether_its_answer_may_build_on_it,
    a_check_keeps_its_token_its_time_and_its_bumps_together,
    a_removal_or_a_refusal_ends_a_token,
    a_token_belongs_to_its_account,
    a_renewed_source_keeps_nothing_true,
    an_item_shown_again_within_the_hour_is_no_younger,
    accounts_and_tokens_are_kept_and_forgotten,
);

const ACCOUNT: &str = "o1.t1";

fn account() -> AccountId {
    AccountId::new(ACCOUNT)
}

fn mailbox() -> SourceId {
    SourceId::mailbox("global", "t1", "o1")
}

fn drive() -> SourceId {
    SourceId::drive("global", "t1", "d1")
}

fn feed() -> FeedKey {
    FeedKey { account: account(), source: drive(), feed: Feed::drive() }
}

/// Forgets all but `keep` rows of each kind, two at a time, and tells what was bumped.
async fn forget(store: &dyn Backend, keep: u64) -> Vec<Bumped> {
    let mut bumped = Vec::new();
    loop {
        let forgotten = store.forget(&mailbox(), Keep::both(keep), 2).await.unwrap();
        bumped.extend(forgotten.bumped);
        if !forgotten.more {
            return bumped;
        }
    }
}

fn messages(folder: &str) -> Scope {
    Scope::messages(folder)
}

fn shown(item: &str, folders: &[&str]) -> Shown {
    Shown { source: mailbox(), item: item.into(), containers: folders.iter().map(|folder| messages(folder)).collect() }
}

fn touched(touches: Vec<Touch>) -> Touched {
    Touched { source: mailbox(), service: Service::Mail, touches }
}

fn touch_item(item: &str) -> Touched {
    touched(vec![Touch::Item(item.into())])
}

fn new_write(call: &str, touched: Touched) -> NewWrite {
    let tool = "email_move".into();
    NewWrite {
        call_key: call.into(),
        account: account(),
        tool,
        args_hash: [7; 32],
        touched,
        at: Timestamp(5),
        client: String::new(),
        targets: Vec::new(),
    }
}

/// An entry read from the mailbox at `state`.
fn entry_of(account: &AccountId, tool: &str, args: &[(&str, Value)], state: &SourceState, scopes: &[Scope], text: &str) -> Entry {
    let args = args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let mut scopes = scopes.to_vec();
    scopes.push(Scope::all(Service::Mail));
    let reading = Reading { source: mailbox(), epoch: state.epoch, read_seq: state.seq, scopes };
    let meta = EntryMeta {
        key: CacheKey::new(tool, account.clone(), args),
        readings: vec![reading],
        fetch_started: Timestamp(1000),
        etag: Some("W/\"x\"".into()),
        revision: 0,
    };
    Entry { meta, body: Body { text: Escaped::from_text(text), items: vec![(0, 3), (4, 9)] } }
}

async fn list_entry(store: &dyn Backend, folder: &str) -> Entry {
    let state = store.source(&mailbox()).await.unwrap();
    entry_of(&account(), "email_list", &[("folder", json!(folder))], &state, &[messages(folder)], "\"messages\":[]}")
}

async fn put(store: &dyn Backend, entry: &Entry) -> Put {
    store.put(entry.clone(), vec![], Timestamp(2000)).await.unwrap()
}

async fn write(store: &dyn Backend, call: &str, touched: Touched, outcome: Outcome) -> Vec<Bumped> {
    let id = store.open_write(new_write(call, touched)).await.unwrap();
    store.close_write(id, outcome, vec![], vec![], Timestamp(60_000), Timestamp(10)).await.unwrap()
}

fn names(bumped: &[Bumped]) -> BTreeSet<String> {
    bumped.iter().flat_map(|one| &one.scopes).map(|(scope, _)| scope.as_str().to_owned()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn an_entry_comes_back_as_it_was_put(store: &dyn Backend) {
    let state = store.source(&mailbox()).await.unwrap();
    let args = [("folder", json!("inbox")), ("limit", json!(10)), ("deep", json!(null)), ("ids", json!(["a", "b"]))];
    let text = format!("\"messages\":[{{\"subject\":\"{}\"}}]}}", "Grüße ✓ ".repeat(300));
    let mut entry = entry_of(&account(), "email_list", &args, &state, &[messages("inbox")], &text);
    assert_eq!(store.get(entry.meta.key.hash).await.unwrap(), None);
    assert_eq!(put(store, &entry).await, Put::Stored { revision: 1 });
    entry.meta.revision = 1;
    assert_eq!(store.get(entry.meta.key.hash).await.unwrap(), Some(entry.clone()));
    entry.meta.etag = None;
    entry.body.items.clear();
    put(store, &entry).await;
    entry.meta.revision = 2;
    assert_eq!(store.get(entry.meta.key.hash).await.unwrap(), Some(entry));
}

async fn sizes_from_nothing_to_the_limit_come_back_and_no_more_is_taken(store: &dyn Backend) {
    let limit = Limits::default().entry_bytes;
    for size in [0, 1, 511, 512, 4096, 130_000, 300_000, limit] {
        let mut entry = list_entry(store, &format!("f{size}")).await;
        let text: String = (0..size).map(|at| char::from(b'a' + u8::try_from((at * at / 7) % 26).unwrap())).collect();
        entry.body.text = Escaped(text.into());
        assert_eq!(put(store, &entry).await, Put::Stored { revision: 1 }, "{size}");
        let back = store.get(entry.meta.key.hash).await.unwrap().unwrap();
        assert!(back.body == entry.body, "{size}");
    }
    let mut entry = list_entry(store, "too large").await;
    entry.body.text = Escaped(vec![b'a'; limit + 1].into());
    assert_eq!(put(store, &entry).await, Put::TooLarge);
    assert_eq!(store.get(entry.meta.key.hash).await.unwrap(), None);
}

async fn replacing_raises_the_revision(store: &dyn Backend) {
    let mut entry = list_entry(store, "inbox").await;
    for revision in 1..4 {
        entry.body.text = Escaped::from_text(&format!("\"n\":{revision}}}"));
        assert_eq!(put(store, &entry).await, Put::Stored { revision });
        let back = store.get(entry.meta.key.hash).await.unwrap().unwrap();
        assert_eq!((back.meta.revision, back.body), (revision, entry.body.clone()));
    }
}

async fn an_answer_that_was_asked_for_earlier_and_comes_later_replaces_nothing(store: &dyn Backend) {
    let first = list_entry(store, "inbox").await;
    let at = |entry: &Entry, began: i64| {
        let mut entry = entry.clone();
        entry.meta.fetch_started = Timestamp(began);
        entry.body.text = Escaped::from_text(&format!("\"at\":{began}}}"));
        entry
    };
    let kept = || async { store.get(first.meta.key.hash).await.unwrap().unwrap().meta };
    assert_eq!(put(store, &at(&first, 2)).await, Put::Stored { revision: 1 });
    assert_eq!(put(store, &at(&first, 1)).await, Put::Older);
    assert_eq!((kept().await.fetch_started, kept().await.revision), (Timestamp(2), 1));
    assert_eq!(store.get(first.meta.key.hash).await.unwrap().unwrap().body, at(&first, 2).body);
    assert_eq!(put(store, &at(&first, 2)).await, Put::Stored { revision: 2 }, "no newer");
    let set_back = store.put(at(&first, 1), vec![], Timestamp(1)).await.unwrap();
    assert_eq!(set_back, Put::Stored { revision: 3 }, "what the clock has not come to yet is not newer");
    assert_eq!(put(store, &at(&first, 5)).await, Put::Stored { revision: 4 });
    store.renew(&mailbox()).await.unwrap();
    let anew = list_entry(store, "inbox").await;
    assert_eq!(put(store, &at(&anew, 4)).await, Put::Stored { revision: 5 }, "nothing of before is true any more");
    assert_eq!(kept().await.fetch_started, Timestamp(4));
}

async fn accounts_do_not_see_each_other(store: &dyn Backend) {
    let state = store.source(&mailbox()).await.unwrap();
    let other = AccountId::new("o2.t1");
    let args = [("folder", json!("inbox"))];
    let mine = entry_of(&account(), "email_list", &args, &state, &[messages("inbox")], "\"mine\":1}");
    let theirs = entry_of(&other, "email_list", &args, &state, &[messages("inbox")], "\"theirs\":1}");
    put(store, &mine).await;
    assert_eq!(store.get(theirs.meta.key.hash).await.unwrap(), None);
    put(store, &theirs).await;
    assert_eq!(store.get(mine.meta.key.hash).await.unwrap().unwrap().body, mine.body);
    assert_eq!(store.get(theirs.meta.key.hash).await.unwrap().unwrap().body, theirs.body);
    assert_eq!(store.remove_account(&other).await.unwrap(), 1);
    assert_eq!(store.get(theirs.meta.key.hash).await.unwrap(), None);
    assert!(store.get(mine.meta.key.hash).await.unwrap().is_some());
}

async fn a_written_scope_overtakes_and_others_do_not(store: &dyn Backend) {
    let inbox = list_entry(store, "inbox").await;
    let sent = list_entry(store, "sent").await;
    write(store, "w", touched(vec![Touch::Scope(messages("inbox"))]), Outcome::Done { late: false }).await;
    assert_eq!(put(store, &inbox).await, Put::Overtaken);
    assert_eq!(store.get(inbox.meta.key.hash).await.unwrap(), None);
    assert_eq!(put(store, &sent).await, Put::Stored { revision: 1 });
    let again = list_entry(store, "inbox").await;
    assert_eq!(put(store, &again).await, Put::Stored { revision: 1 }, "read after the write");
}

async fn an_absent_item_is_void_and_what_may_show_it_has_changed(store: &dyn Backend) {
    let mut entry = list_entry(store, "inbox").await;
    store.put(entry.clone(), vec![shown("m", &["inbox"])], Timestamp(1)).await.unwrap();
    let bumped = store.absent(mailbox(), Service::Mail, vec![missing("m", false)]).await.unwrap();
    assert_eq!(names(&bumped), set(&["item:m", "messages:inbox", "any:mail", "found:mail"]));
    let written: Vec<&str> =
        bumped.iter().flat_map(|one| &one.scopes).filter(|(_, marks)| marks.written_at > 0).map(|(scope, _)| scope.as_str()).collect();
    assert_eq!(written, ["item:m"], "all else may still stand in");
    assert!(bumped.iter().flat_map(|one| &one.scopes).all(|(_, marks)| marks.unsettled_until.is_none()));
    entry.meta.readings[0].scopes.push(Scope::item("m"));
    assert_eq!(put(store, &entry).await, Put::Overtaken, "it was read before");
    let again = store.absent(mailbox(), Service::Mail, vec![missing("m", false), missing("never heard of", false)]).await.unwrap();
    assert_eq!(again.iter().flat_map(|one| &one.scopes).count(), 0, "who asks for it again overtakes nothing more");
    let shown = store.absent(mailbox(), Service::Mail, vec![missing("n", true)]).await.unwrap();
    assert_eq!(names(&shown), set(&["item:n", "all:mail", "any:mail", "found:mail"]), "an answer shows it, and does not say where it is");
}

fn missing(id: &str, shown: bool) -> Missing {
    Missing { id: id.to_owned(), shown }
}

async fn an_unsettled_item_is_not_stored_until_it_settles(store: &dyn Backend) {
    let bumped = write(store, "w", touched(vec![Touch::Scope(messages("inbox"))]), Outcome::Unknown).await;
    assert!(bumped[0].scopes.iter().all(|(_, marks)| marks.unsettled_until == Some(Timestamp(60_000))));
    let early = list_entry(store, "inbox").await;
    assert_eq!(put(store, &early).await, Put::Overtaken);
    assert_eq!(store.settle(Timestamp(59_999)).await.unwrap(), (vec![], Some(Timestamp(60_000))));
    let (bumped, next) = store.settle(Timestamp(60_000)).await.unwrap();
    assert_eq!((names(&bumped), next), (set(&["messages:inbox", "any:mail", "found:mail"]), None));
    assert!(bumped[0].scopes.iter().all(|(_, marks)| marks.unsettled_until.is_none() && marks.written_at == bumped[0].seq));
    assert_eq!(put(store, &early).await, Put::Overtaken, "it was read before the time ended");
    let late = list_entry(store, "inbox").await;
    assert_eq!(put(store, &late).await, Put::Stored { revision: 1 });
    assert_eq!(store.settle(Timestamp(99_999)).await.unwrap(), (vec![], None), "settling happens once");
}

async fn a_mark_overtakes_the_searches_that_show_it_and_no_others(store: &dyn Backend) {
    let entry = list_entry(store, "inbox").await;
    store.put(entry, vec![shown("m", &["inbox"])], Timestamp(1)).await.unwrap();
    let marks = touched(vec![Touch::Mark("m".into()), Touch::Marked(Scope::folders())]);
    let bumped = write(store, "w", marks, Outcome::Done { late: false }).await;
    let hit = Scope::hit("m");
    assert_eq!(names(&bumped), set(&["item:m", hit.as_str(), "messages:inbox", "folders", "any:mail"]));
    // One that was made before stays, unless it shows the message; one that is made meanwhile may miss it, and is not kept.
    let mut found = list_entry(store, "inbox").await;
    found.meta.readings[0].scopes = vec![Scope::found(), Scope::hit("other")];
    assert_eq!(put(store, &found).await, Put::Overtaken);
    let late = |name: &str| bumped[0].scopes.iter().find(|(scope, _)| scope.as_str() == name).unwrap().1.unsettled_until.is_some();
    assert!(late(hit.as_str()) && late("any:mail") && !late("item:m") && !late("messages:inbox"), "the index follows later");
    let (bumped, _) = store.settle(Timestamp(60_000)).await.unwrap();
    assert_eq!(names(&bumped), set(&[hit.as_str(), "any:mail"]));
    assert_eq!(put(store, &found).await, Put::Overtaken, "it was made before the time ended");
    found.meta.readings[0].read_seq = store.source(&mailbox()).await.unwrap().seq;
    assert!(matches!(put(store, &found).await, Put::Stored { .. }));
    let unknown = write(store, "x", touched(vec![Touch::Mark("n".into())]), Outcome::Done { late: false }).await;
    assert!(names(&unknown).contains("all:mail"), "nobody knows where it is: {unknown:?}");
    let both = touched(vec![Touch::Mark("m".into()), Touch::Scope(Scope::folders())]);
    assert!(names(&write(store, "y", both, Outcome::Done { late: false }).await).contains("found:mail"));
}

async fn a_clock_that_is_set_back_begins_an_unsettled_time_anew_and_no_more(store: &dyn Backend) {
    let then = Timestamp(400 * 86_400_000);
    let close = |call: &'static str, at: Timestamp, seconds: u64| async move {
        let touches = touched(vec![Touch::Scope(messages("inbox"))]);
        let (account, tool, touched, client) = (account(), "email_move".into(), touches, String::new());
        let write = NewWrite { call_key: call.into(), account, tool, args_hash: [1; 32], touched, at, client, targets: vec![] };
        let id = store.open_write(write).await.unwrap();
        let until = at.plus(Duration::from_secs(seconds));
        store.close_write(id, Outcome::Unknown, vec![], vec![], until, at).await.unwrap();
    };
    close("w", then, 60).await;
    close("x", then, 30).await;
    // Nobody knows how much of it has passed.
    let now = Timestamp(1_000_000);
    assert_eq!(store.settle(now).await.unwrap(), (vec![], Some(Timestamp(1_030_000))));
    let mut entry = list_entry(store, "inbox").await;
    entry.meta.fetch_started = Timestamp(1_029_000);
    assert_eq!(store.put(entry, vec![], Timestamp(1_029_000)).await.unwrap(), Put::Overtaken);
    let (bumped, next) = store.settle(Timestamp(1_030_000)).await.unwrap();
    assert_eq!((names(&bumped), next), (set(&["messages:inbox", "any:mail", "found:mail"]), Some(Timestamp(1_060_000))));
    assert!(bumped[0].scopes.iter().all(|(_, marks)| marks.unsettled_until == Some(Timestamp(1_060_000))), "the longer one holds on");
    let (bumped, next) = store.settle(Timestamp(1_060_000)).await.unwrap();
    assert_eq!((bumped.len(), next), (1, None));
    assert!(bumped[0].scopes.iter().all(|(_, marks)| marks.unsettled_until.is_none()));
    let mut entry = list_entry(store, "inbox").await;
    entry.meta.fetch_started = Timestamp(1_060_000);
    assert!(matches!(store.put(entry, vec![], Timestamp(1_061_000)).await.unwrap(), Put::Stored { .. }));
}

async fn a_fetch_begun_while_unsettled_is_not_stored_between_the_end_and_the_settling(store: &dyn Backend) {
    write(store, "w", touched(vec![Touch::Scope(messages("inbox"))]), Outcome::Done { late: true }).await;
    let mut entry = list_entry(store, "inbox").await;
    entry.meta.fetch_started = Timestamp(59_999);
    assert_eq!(store.put(entry.clone(), vec![], Timestamp(60_001)).await.unwrap(), Put::Overtaken);
    entry.meta.fetch_started = Timestamp(60_000);
    assert_eq!(store.put(entry, vec![], Timestamp(60_001)).await.unwrap(), Put::Stored { revision: 1 });
}

async fn a_plain_write_leaves_nothing_unsettled_but_searches(store: &dyn Backend) {
    let bumped = write(store, "w", touched(vec![Touch::Scope(messages("inbox"))]), Outcome::Done { late: false }).await;
    let marks = |unsettled_until| Marks { written_at: 1, changed_at: 0, unsettled_until };
    let search = Scope::any(Service::Mail);
    let late = marks(Some(Timestamp(60_000)));
    let expected = vec![(search.clone(), late), (Scope::found(), late), (messages("inbox"), marks(None))];
    assert_eq!((bumped.len(), bumped[0].seq, &bumped[0].scopes), (1, 1, &expected), "one step of history");
    assert_eq!(store.source(&mailbox()).await.unwrap().marks(&search), marks(Some(Timestamp(60_000))), "kept, not only told");
    let list = list_entry(store, "inbox").await;
    assert_eq!(put(store, &list).await, Put::Stored { revision: 1 });
    let mut found = list_entry(store, "inbox").await;
    found.meta.readings[0].scopes = vec![search];
    assert_eq!(put(store, &found).await, Put::Overtaken);
    let (bumped, next) = store.settle(Timestamp(60_000)).await.unwrap();
    assert_eq!((names(&bumped), bumped[0].seq, next), (set(&["any:mail", "found:mail"]), 2, None));
    assert_eq!(put(store, &found).await, Put::Overtaken, "it was read before the time ended");
    let seq = store.source(&mailbox()).await.unwrap().seq;
    found.meta.readings[0].read_seq = seq;
    assert_eq!(put(store, &found).await, Put::Stored { revision: 2 });
}

async fn another_epoch_overtakes(store: &dyn Backend) {
    let mut entry = list_entry(store, "inbox").await;
    entry.meta.readings[0].epoch.0 ^= 1;
    assert_eq!(put(store, &entry).await, Put::Overtaken);
    let mut entry = list_entry(store, "inbox").await;
    entry.meta.readings[0].source = SourceId::drive("global", "t1", "never met");
    assert_eq!(put(store, &entry).await, Put::Overtaken);
}

async fn floors_count_for_scopes_without_a_row(store: &dyn Backend) {
    let entry = list_entry(store, "inbox").await;
    write(store, "w", touched(vec![Touch::Scope(messages("sent"))]), Outcome::Done { late: false }).await;
    store.settle(Timestamp(60_000)).await.unwrap();
    forget(store, 0).await;
    let state = store.source(&mailbox()).await.unwrap();
    assert!(state.scopes.is_empty());
    assert_eq!(state.floors.written_at, 2, "the searches were settled");
    assert_eq!(put(store, &entry).await, Put::Overtaken);
    store.changed(vec![touched(vec![Touch::Scope(messages("sent"))])], Timestamp(5)).await.unwrap();
    let state = store.source(&mailbox()).await.unwrap();
    assert_eq!(
        state.scopes[&messages("sent")],
        Marks { written_at: 2, changed_at: 3, unsettled_until: None },
        "a new row begins with the floors"
    );
}

async fn a_shown_item_that_was_written_overtakes(store: &dyn Backend) {
    let entry = list_entry(store, "inbox").await;
    write(store, "w", touched(vec![Touch::Scope(Scope::item("m1"))]), Outcome::Done { late: false }).await;
    let put = |shown| store.put(entry.clone(), vec![shown], Timestamp(2000));
    assert_eq!(put(shown("m1", &["inbox"])).await.unwrap(), Put::Overtaken);
    assert_eq!(put(shown("m2", &["inbox"])).await.unwrap(), Put::Stored { revision: 1 });
}

async fn patterns_remove_what_they_name(store: &dyn Backend) {
    let state = store.source(&mailbox()).await.unwrap();
    let other = AccountId::new("o2.t1");
    let long = "x".repeat(600);
    let all = [
        (account(), "email_get", vec![("email_id", json!("X"))]),
        (account(), "email_get", vec![("email_id", json!("x"))]),
        (other.clone(), "email_get", vec![("email_id", json!("X"))]),
        (account(), "email_list", vec![("folder", json!("sentitems")), ("limit", json!(10))]),
        (account(), "email_list", vec![("folder", json!("s_nt")), ("limit", json!(100))]),
        (account(), "file_list", vec![("folder_id", json!("P1"))]),
        (account(), "folder_get_tree", vec![("path", json!(format!("/{long}a")))]),
        (other.clone(), "folder_get_tree", vec![("path", json!(format!("/{long}b")))]),
        (account(), "cursor.email_list", vec![("folder", json!("sentitems")), (".page", json!(0))]),
    ];
    // Each of these starts from all entries; the numbers are the entries' places above.
    let cases: &[(&str, Option<&AccountId>, &[usize])] = &[
        ("email_get:*:email_id=X", None, &[0, 2]),
        ("email_get:o1.t1:email_id=X", None, &[0]),
        ("email_get:*:email_id=X", Some(&other), &[2]),
        ("email_list:*:folder=sent*", None, &[3, 8]),
        ("email_list", None, &[3, 4, 8]),
        ("cursor.*", None, &[8]),
        ("c*", None, &[8]),
        ("email_list:*:folder=s_nt", None, &[4]),
        ("email_list:*:limit=10", None, &[3]),
        ("file_list:*:folder_id=P*", None, &[5]),
        ("folder_get_tree:*", None, &[6, 7]),
        ("folder_get_tree:*:path=*b", None, &[7]),
        ("email_*:o1.t1", None, &[0, 1, 3, 4, 8]),
        ("*", Some(&other), &[2, 7]),
        ("*", None, &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("*:*:email_id=*", None, &[0, 1, 2]),
        ("nothing", None, &[]),
    ];
    let exact = format!("folder_get_tree:*:path=/{long}a");
    let cut = format!("folder_get_tree:*:path=/{long}*");
    let more: [(&str, Option<&AccountId>, &[usize]); 2] = [(&exact, None, &[6]), (&cut, None, &[6, 7])];
    let entries: Vec<Entry> =
        all.iter().map(|(account, tool, args)| entry_of(account, tool, args, &state, &[messages("inbox")], "\"a\":1}")).collect();
    for (pattern, only, gone) in cases.iter().chain(&more) {
        for entry in &entries {
            put(store, entry).await;
        }
        let what = Invalidation {
            pattern: KeyPattern::parse(pattern).unwrap(),
            account: only.cloned(),
            reason: "test".into(),
            by: "test".into(),
            at: Timestamp(1),
        };
        assert_eq!(store.invalidate(what).await.unwrap(), u64::try_from(gone.len()).unwrap(), "{pattern}");
        for (place, entry) in entries.iter().enumerate() {
            assert_eq!(store.get(entry.meta.key.hash).await.unwrap().is_none(), gone.contains(&place), "{pattern}: {place}");
        }
    }
}

async fn uses_and_totals_add_up(store: &dyn Backend) {
    assert_eq!(store.stats().await.unwrap(), StoreStats::default());
    let state = store.source(&mailbox()).await.unwrap();
    let other = AccountId::new("o2.t1");
    let text = "\"a\":1}".repeat(200);
    let make = |account: &AccountId, tool: &str| entry_of(account, tool, &[], &state, &[messages("inbox")], &text);
    let entries = [make(&account(), "email_list"), make(&account(), "file_list"), make(&other, "email_list")];
    for entry in &entries {
        put(store, entry).await;
        put(store, entry).await;
    }
    let [one, two, three] = [0, 1, 2].map(|at: usize| entries[at].meta.key.hash);
    let uses = |hits, key| EntryUse { key, at: Timestamp(9), hits };
    store.touch(vec![uses(3, one), uses(2, two), uses(5, three), uses(99, KeyHash([0; 16]))]).await.unwrap();
    let stats = store.stats().await.unwrap();
    let each = u64::try_from(entries[0].body.text.0.len()).unwrap();
    assert_eq!((stats.entries, stats.raw_bytes, stats.hits), (3, 3 * each, 10));
    let seen: Vec<(&str, u64, u64)> = stats.by_tool.iter().map(|(tool, group)| (&**tool, group.entries, group.hits)).collect();
    assert_eq!(seen, [("email_list", 2, 8), ("file_list", 1, 2)]);
    let seen: Vec<(&str, u64, u64)> = stats.by_account.iter().map(|(id, group)| (id.as_str(), group.raw_bytes, group.hits)).collect();
    assert_eq!(seen, [(ACCOUNT, 2 * each, 5), ("o2.t1", each, 5)]);
    put(store, &entries[0]).await;
    assert_eq!(store.stats().await.unwrap().hits, 10, "a replaced entry keeps its hits");
    store.remove_account(&account()).await.unwrap();
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.entries, stats.raw_bytes, stats.hits, stats.by_tool.len(), stats.by_account.len()), (1, each, 5, 1, 1));
}

async fn a_write_bumps_all_containers_an_item_was_seen_in(store: &dyn Backend) {
    let entry = list_entry(store, "inbox").await;
    for folder in ["inbox", "archive"] {
        let shown = vec![shown("m1", &[folder]), shown("m2", &["other"]), shown("m3", &[])];
        store.put(entry.clone(), shown, Timestamp(1)).await.unwrap();
    }
    let id = store.open_write(new_write("w", touch_item("m1"))).await.unwrap();
    let extra = vec![touched(vec![Touch::Scope(Scope::folders())])];
    let bumped = store.close_write(id, Outcome::Done { late: false }, extra, vec![], Timestamp(0), Timestamp(9)).await.unwrap();
    assert_eq!(names(&bumped), set(&["item:m1", "messages:inbox", "messages:archive", "folders", "any:mail", "found:mail"]));
    assert_eq!((bumped[0].source.clone(), bumped[0].seq), (mailbox(), 1));
    let state = store.source(&mailbox()).await.unwrap();
    assert_eq!((state.epoch, state.seq), (bumped[0].epoch, 1));
    assert_eq!(state.scopes.into_iter().collect::<Vec<_>>(), bumped[0].scopes);
}

async fn an_unknown_item_bumps_all_of_its_service(store: &dyn Backend) {
    let bumped = write(store, "w", touch_item("never seen"), Outcome::Done { late: false }).await;
    assert_eq!(names(&bumped), set(&["item:never seen", "all:mail", "any:mail", "found:mail"]));
    let entry = list_entry(store, "inbox").await;
    store.put(entry, vec![shown("m3", &[])], Timestamp(1)).await.unwrap();
    let bumped = write(store, "w2", touch_item("m3"), Outcome::Done { late: false }).await;
    assert_eq!(names(&bumped), set(&["item:m3", "all:mail", "any:mail", "found:mail"]), "shown without a container is not known either");
}

async fn a_refused_write_bumps_nothing(store: &dyn Backend) {
    assert_eq!(write(store, "w", touch_item("m1"), Outcome::Refused).await, vec![]);
    assert_eq!(store.source(&mailbox()).await.unwrap().seq, 0);
    assert_eq!(store.recover_writes(Timestamp(1), Timestamp(1)).await.unwrap(), vec![]);
}

async fn a_write_is_closed_once_and_its_call_is_known(store: &dyn Backend) {
    let id = store.open_write(new_write("w", touch_item("m1"))).await.unwrap();
    assert!(matches!(store.open_write(new_write("w", touch_item("m1"))).await, Err(StoreError::Journalled)));
    let close = || store.close_write(id, Outcome::Done { late: false }, vec![], vec![], Timestamp(0), Timestamp(0));
    close().await.unwrap();
    assert!(matches!(close().await, Err(StoreError::Failed(_))));
    assert_eq!(store.source(&mailbox()).await.unwrap().seq, 1);
}

async fn learned_containers_replace_the_seen_ones(store: &dyn Backend) {
    let entry = list_entry(store, "inbox").await;
    store.put(entry, vec![shown("m1", &["inbox"]), shown("m2", &["inbox"])], Timestamp(1)).await.unwrap();
    let id = store.open_write(new_write("w", touch_item("m1"))).await.unwrap();
    let learned = |item: &str, folders: &[&str]| Learned {
        source: mailbox(),
        item: item.into(),
        containers: folders.iter().map(|folder| messages(folder)).collect(),
    };
    let lesson = vec![learned("m1", &["archive"]), learned("m2", &[])];
    let bumped = store.close_write(id, Outcome::Done { late: false }, vec![], lesson, Timestamp(0), Timestamp(9)).await.unwrap();
    assert_eq!(names(&bumped), set(&["item:m1", "messages:inbox", "any:mail", "found:mail"]), "where it was, not only where it is");
    let bumped = write(store, "w2", touch_item("m1"), Outcome::Done { late: false }).await;
    assert_eq!(names(&bumped), set(&["item:m1", "messages:archive", "any:mail", "found:mail"]));
    let bumped = write(store, "w3", touch_item("m2"), Outcome::Done { late: false }).await;
    assert_eq!(names(&bumped), set(&["item:m2", "all:mail", "any:mail", "found:mail"]), "gone");
}

async fn open_writes_are_recovered_as_unknown(store: &dyn Backend) {
    let entry = list_entry(store, "inbox").await;
    let write = new_write("w", touch_item("m1"));
    let id = store.open_write(write.clone()).await.unwrap();
    store.put(entry.clone(), vec![shown("m1", &["inbox"])], Timestamp(1)).await.unwrap();
    assert_eq!(store.recover_writes(Timestamp(70_000), Timestamp(10_000)).await.unwrap(), vec![OpenWrite { id, write }]);
    let marks = store.source(&mailbox()).await.unwrap().marks(&messages("inbox"));
    assert_eq!(marks, Marks { written_at: 1, changed_at: 0, unsettled_until: Some(Timestamp(70_000)) }, "spread as items are known now");
    assert_eq!(put(store, &entry).await, Put::Overtaken);
    assert_eq!(store.recover_writes(Timestamp(70_000), Timestamp(10_000)).await.unwrap(), vec![]);
    assert_eq!(store.settle(Timestamp(70_000)).await.unwrap().0.len(), 1);
}

async fn a_later_write_keeps_the_longer_unsettled_time(store: &dyn Backend) {
    let scope = || touched(vec![Touch::Scope(messages("inbox"))]);
    for (call, until) in [("a", 80_000), ("b", 50_000)] {
        let id = store.open_write(new_write(call, scope())).await.unwrap();
        store.close_write(id, Outcome::Unknown, vec![], vec![], Timestamp(until), Timestamp(9)).await.unwrap();
    }
    write(store, "c", scope(), Outcome::Done { late: false }).await;
    let (bumped, next) = store.settle(Timestamp(50_000)).await.unwrap();
    assert_eq!(next, Some(Timestamp(60_000)));
    assert!(
        bumped[0]
            .scopes
            .iter()
            .all(|(_, marks)| *marks == Marks { written_at: 4, changed_at: 0, unsettled_until: Some(Timestamp(80_000)) })
    );
    let (bumped, next) = store.settle(Timestamp(80_000)).await.unwrap();
    assert!(next.is_none() && bumped[0].scopes.iter().all(|(_, marks)| marks.unsettled_until.is_none()));
}

async fn others_changes_mark_changed(store: &dyn Backend) {
    let entry = list_entry(store, "inbox").await;
    store.put(entry.clone(), vec![shown("m1", &["inbox"])], Timestamp(1)).await.unwrap();
    let bumped = store.changed(vec![touch_item("m1")], Timestamp(5)).await.unwrap();
    assert_eq!(names(&bumped), set(&["item:m1", "messages:inbox", "any:mail", "found:mail"]));
    assert!(bumped[0].scopes.iter().all(|(_, marks)| *marks == Marks { written_at: 0, changed_at: 1, unsettled_until: None }));
    assert_eq!(put(store, &entry).await, Put::Stored { revision: 2 }, "only our own writes forbid storing");
}

async fn forgetting_raises_floors_and_bumps_containers(store: &dyn Backend) {
    let entry = list_entry(store, "inbox").await;
    for (at, item) in ["old", "new"].into_iter().enumerate() {
        let now = Timestamp(i64::try_from(at).unwrap() * 10_000_000 + 1);
        store.put(entry.clone(), vec![shown(item, &[&format!("{item} folder")])], now).await.unwrap();
    }
    assert_eq!(forget(store, 2).await, vec![]);
    let bumped = forget(store, 1).await;
    assert_eq!(names(&bumped), set(&["messages:old folder", "any:mail"]));
    let state = store.source(&mailbox()).await.unwrap();
    assert_eq!((state.scopes.len(), state.floors.written_at), (1, 1));
    let bumped = write(store, "w", touch_item("new"), Outcome::Done { late: false }).await;
    assert_eq!(names(&bumped), set(&["item:new", "messages:new folder", "any:mail", "found:mail"]), "kept");
    let bumped = write(store, "w2", touch_item("old"), Outcome::Unknown).await;
    assert_eq!(names(&bumped), set(&["item:old", "all:mail", "any:mail", "found:mail"]), "forgotten");
    forget(store, 0).await;
    let state = store.source(&mailbox()).await.unwrap();
    assert_eq!(state.scopes.len(), 4, "unsettled rows stay: {:?}", state.scopes);
    let unknown = SourceId::drive("global", "t", "unknown");
    assert_eq!(store.forget(&unknown, Keep::both(0), 9).await.unwrap(), Forgotten::default());
}

async fn thousands_of_rows_are_forgotten_in_steps_and_counted(store: &dyn Backend) {
    let mut entry = list_entry(store, "inbox").await;
    for folder in 0..20 {
        let shown: Vec<Shown> = (0..150).map(|item| shown(&format!("m{folder}-{item}"), &[&format!("f{folder}")])).collect();
        store.put(entry.clone(), shown, Timestamp(folder * 40_000_000 + 1)).await.unwrap();
    }
    for item in 0..300 {
        write(store, &format!("w{item}"), touch_item(&format!("m19-{}", item % 150)), Outcome::Done { late: false }).await;
        write(store, &format!("x{item}"), touched(vec![Touch::Scope(Scope::item(&format!("x{item}")))]), Outcome::Done { late: false })
            .await;
    }
    let size = store.sources().await.unwrap().remove(0);
    assert_eq!(
        (size.id, size.items, size.scopes, size.used),
        (mailbox(), 3000, 150 + 300 + 3, Timestamp(18 * 40_000_000 + 1)),
        "used: to the day"
    );
    let keep = Keep { scopes: 100, items: 1000 };
    let (mut steps, mut bumped) = (0, BTreeSet::new());
    loop {
        let before = store.sources().await.unwrap().remove(0);
        let done = store.forget(&mailbox(), keep, 300).await.unwrap();
        let after = store.sources().await.unwrap().remove(0);
        assert!(before.items - after.items <= 300 && done.dropped.len() <= 300);
        bumped.extend(names(&done.bumped));
        steps += 1;
        let state = store.source(&mailbox()).await.unwrap();
        assert_eq!(state.floors, done.floors);
        assert!(done.dropped.iter().all(|scope| !state.scopes.contains_key(scope)));
        if !done.more {
            break;
        }
    }
    let size = store.sources().await.unwrap().remove(0);
    assert_eq!((size.items, size.scopes, steps), (1000, 100, 7));
    assert!(bumped.contains("messages:f0") && !bumped.contains("messages:f19"), "those not shown for longest: {bumped:?}");
    // A write by a forgotten id does not know its folder any more; one by a kept id does.
    assert!(names(&write(store, "y", touch_item("m0-0"), Outcome::Done { late: false }).await).contains("all:mail"));
    assert!(!names(&write(store, "z", touch_item("m19-0"), Outcome::Done { late: false }).await).contains("all:mail"));
    entry.meta.readings[0].read_seq = 10;
    assert_eq!(put(store, &entry).await, Put::Overtaken, "a scope without a row counts as the floor");
}

async fn a_source_goes_when_nothing_of_it_is_left(store: &dyn Backend) {
    let entry = list_entry(store, "inbox").await;
    store.put(entry.clone(), vec![shown("m1", &["inbox"])], Timestamp(1)).await.unwrap();
    write(store, "w", touch_item("m1"), Outcome::Unknown).await;
    forget(store, 0).await;
    assert!(!store.drop_source(&mailbox()).await.unwrap(), "it is unsettled");
    store.settle(Timestamp(60_000)).await.unwrap();
    forget(store, 0).await;
    let epoch = store.source(&mailbox()).await.unwrap().epoch;
    assert!(store.drop_source(&mailbox()).await.unwrap());
    assert_eq!(store.sources().await.unwrap(), []);
    let anew = store.source(&mailbox()).await.unwrap();
    assert!(anew.epoch != epoch && anew.seq == 0 && anew.scopes.is_empty());
    assert_eq!(put(store, &entry).await, Put::Overtaken);
}

fn baseline(state: &SourceState, link: &str) -> Baseline {
    let depends = vec![Scope::structure(), Scope::item("x")];
    let link = Secret::new(link.into());
    Baseline { feed: feed(), epoch: state.epoch, read_seq: state.seq, depends, link, started: Timestamp(100) }
}

fn check(from: u64, found: Vec<Found>, next: Option<&str>) -> Checked {
    let next = next.map(|link| Secret::new(link.into()));
    Checked { feed: feed(), from, started: Timestamp(200), changes: Changes::Found(found), next }
}

async fn link(store: &dyn Backend) -> Option<(String, u64)> {
    store.delta_token(&feed()).await.unwrap().map(|token| (token.link.expose().clone(), token.from))
}

fn touch_drive(scope: Scope) -> Touched {
    Touched { source: drive(), service: Service::Files, touches: vec![Touch::Scope(scope)] }
}

async fn a_baseline_is_kept_once_and_says_whether_its_answer_may_build_on_it(store: &dyn Backend) {
    let state = store.source(&drive()).await.unwrap();
    let mut foreign = baseline(&state, "one");
    foreign.epoch.0 ^= 1;
    assert_eq!(store.baseline(foreign).await.unwrap(), Based::No);
    assert_eq!(store.baseline(baseline(&state, "one")).await.unwrap(), Based::Yes { from: 1, clean: true });
    assert_eq!(link(store).await, Some(("one".into(), 1)));
    let known = store.source(&drive()).await.unwrap();
    assert_eq!(known.seq, 1);
    assert_eq!(known.checked, BTreeMap::from([((account(), Feed::drive()), Check { at: Timestamp(100), from: 1 })]));
    assert_eq!(store.baseline(baseline(&known, "two")).await.unwrap(), Based::No, "the one there is vouches for more");
    assert_eq!((link(store).await.unwrap().0, store.source(&drive()).await.unwrap().seq), ("one".into(), 1));
    store.checked(check(1, vec![], None)).await.unwrap();
    // A write, somebody's change, or an unsettled scope during the walk: the answer stands by itself.
    for (nth, scope) in [Scope::structure(), Scope::item("x")].into_iter().enumerate() {
        let state = store.source(&drive()).await.unwrap();
        write(store, &format!("w{nth}"), touch_drive(scope.clone()), Outcome::Done { late: false }).await;
        assert!(matches!(store.baseline(baseline(&state, "x")).await.unwrap(), Based::Yes { clean: false, .. }));
        let now = store.source(&drive()).await.unwrap();
        store.checked(check(now.seq, vec![], None)).await.unwrap();
        store.changed(vec![touch_drive(scope)], Timestamp(5)).await.unwrap();
        assert!(matches!(store.baseline(baseline(&now, "x")).await.unwrap(), Based::Yes { clean: false, .. }));
        let now = store.source(&drive()).await.unwrap();
        store.checked(check(now.seq, vec![], None)).await.unwrap();
    }
    let late = Outcome::Done { late: true };
    write(store, "late", touch_drive(Scope::structure()), late).await;
    let now = store.source(&drive()).await.unwrap();
    assert!(matches!(store.baseline(baseline(&now, "x")).await.unwrap(), Based::Yes { clean: false, .. }), "unsettled");
}

async fn a_check_keeps_its_token_its_time_and_its_bumps_together(store: &dyn Backend) {
    let state = store.source(&drive()).await.unwrap();
    store.baseline(baseline(&state, "one")).await.unwrap();
    let vouched = Check { at: Timestamp(200), from: 1 };
    let noted = store.checked(check(1, vec![], Some("two"))).await.unwrap();
    assert_eq!(noted, CheckNoted { bumped: vec![], check: Some(vouched) });
    let known = store.source(&drive()).await.unwrap();
    assert_eq!((known.seq, known.checked[&(account(), Feed::drive())]), (1, vouched), "an empty check is no step of history");
    assert_eq!(link(store).await, Some(("two".into(), 1)));
    let found = Found { item: "x".into(), parent: Some("f".into()), gone: false, top: false };
    let noted = store.checked(check(1, vec![found.clone()], Some("three"))).await.unwrap();
    assert_eq!(names(&noted.bumped), set(&["any:files", "children:f", "item:x", "moves:files", "structure", "totals"]));
    assert!(noted.bumped[0].scopes.iter().all(|(_, marks)| *marks == Marks { written_at: 0, changed_at: 2, unsettled_until: None }));
    assert_eq!((link(store).await, noted.check), (Some(("three".into(), 1)), Some(vouched)));
    // Where the item was seen is known from here on.
    let mut entry = list_entry(store, "inbox").await;
    let known = store.source(&drive()).await.unwrap();
    entry.meta.readings = vec![Reading {
        source: drive(),
        epoch: known.epoch,
        read_seq: known.seq,
        scopes: vec![Scope::children("old"), Scope::all(Service::Files)],
    }];
    let shown = |(item, place): (&str, &str)| Shown { source: drive(), item: item.into(), containers: vec![Scope::children(place)] };
    store.put(entry, [("x", "old"), ("old", "r"), ("f", "r")].map(shown).into(), Timestamp(1)).await.unwrap();
    let top = Found { item: "r".into(), parent: None, gone: false, top: true };
    let noted = store.checked(check(1, vec![top, found], Some("four"))).await.unwrap();
    assert_eq!(names(&noted.bumped), set(&["any:files", "children:f", "children:old", "item:x", "structure", "totals"]));
    let stale = check(7, vec![], Some("five"));
    assert_eq!(store.checked(stale).await.unwrap(), CheckNoted { bumped: vec![], check: None }, "another baseline's token");
    assert_eq!(link(store).await, Some(("four".into(), 1)));
}

async fn a_removal_or_a_refusal_ends_a_token(store: &dyn Backend) {
    let gone = Found { item: "x".into(), parent: None, gone: true, top: false };
    for found in [vec![gone], vec![]] {
        let state = store.source(&drive()).await.unwrap();
        let Based::Yes { from, .. } = store.baseline(baseline(&state, "one")).await.unwrap() else { panic!("not kept") };
        let noted = store.checked(check(from, found.clone(), None)).await.unwrap();
        assert_eq!((noted.check, noted.bumped.is_empty()), (None, found.is_empty()));
        assert_eq!(link(store).await, None);
        assert!(store.source(&drive()).await.unwrap().checked.is_empty());
    }
    let state = store.source(&drive()).await.unwrap();
    store.baseline(baseline(&state, "one")).await.unwrap();
    let unknown = Checked { changes: Changes::Unknown, ..check(state.seq + 1, vec![], None) };
    assert_eq!(names(&store.checked(unknown).await.unwrap().bumped), set(&["all:files", "any:files"]));
}

async fn a_token_belongs_to_its_account(store: &dyn Backend) {
    let state = store.source(&drive()).await.unwrap();
    let other = FeedKey { account: AccountId::new("o2.t1"), ..feed() };
    store.baseline(baseline(&state, "mine")).await.unwrap();
    assert!(store.delta_token(&other).await.unwrap().is_none());
    let theirs = Baseline { feed: other.clone(), ..baseline(&state, "theirs") };
    assert_eq!(store.baseline(theirs).await.unwrap(), Based::Yes { from: 2, clean: true });
    store.remove_account(&account()).await.unwrap();
    assert_eq!(link(store).await, None);
    assert_eq!(store.source(&drive()).await.unwrap().checked.keys().map(|(account, _)| account.as_str()).collect::<Vec<_>>(), ["o2.t1"]);
    let late = store.checked(check(1, vec![], Some("late"))).await.unwrap();
    assert_eq!((late.check, link(store).await), (None, None), "a check that ends after the sign-out leaves nothing");
    assert_eq!(store.delta_token(&other).await.unwrap().unwrap().link.expose(), "theirs");
}

async fn a_renewed_source_keeps_nothing_true(store: &dyn Backend) {
    let entry = list_entry(store, "inbox").await;
    write(store, "w", touched(vec![Touch::Scope(messages("sent"))]), Outcome::Done { late: false }).await;
    let before = store.source(&mailbox()).await.unwrap();
    let after = store.renew(&mailbox()).await.unwrap();
    assert!(after.epoch != before.epoch);
    assert_eq!((after.seq, &after.scopes), (before.seq, &before.scopes));
    assert_eq!(store.source(&mailbox()).await.unwrap(), after);
    assert_eq!(put(store, &entry).await, Put::Overtaken);
}

async fn an_item_shown_again_within_the_hour_is_no_younger(store: &dyn Backend) {
    const MINUTE: i64 = 60_000;
    let entry = list_entry(store, "inbox").await;
    let show = async |item: &str, at: i64| {
        let shown = vec![shown(item, &[&format!("{item} folder")])];
        store.put(entry.clone(), shown, Timestamp(at)).await.unwrap();
    };
    show("a", MINUTE).await;
    show("b", 10 * MINUTE).await;
    show("a", 60 * MINUTE).await;
    assert_eq!(names(&forget(store, 1).await), set(&["messages:a folder", "any:mail"]));
    let entry = list_entry(store, "inbox").await;
    let shown = vec![shown("c", &["c folder"])];
    store.put(entry.clone(), shown, Timestamp(20 * MINUTE)).await.unwrap();
    let again = vec![self::shown("b", &["b folder"])];
    store.put(entry, again, Timestamp(80 * MINUTE)).await.unwrap();
    assert_eq!(names(&forget(store, 1).await), set(&["messages:c folder", "any:mail"]), "after the hour it is");
}

async fn accounts_and_tokens_are_kept_and_forgotten(store: &dyn Backend) {
    let mut row = AccountRow {
        id: account(),
        username: "a@example.org".into(),
        display_name: "A".into(),
        tenant_id: "t1".into(),
        object_id: "o1".into(),
        drive_id: None,
        added_at: Timestamp(3),
    };
    store.save_account(row.clone()).await.unwrap();
    row.drive_id = Some("d1".into());
    store.save_account(row.clone()).await.unwrap();
    assert_eq!(store.accounts().await.unwrap(), vec![row]);
    let tokens = async |account: &AccountId| store.tokens(account).await.unwrap().map(|record| record.expose().clone());
    assert_eq!(tokens(&account()).await, None);
    for record in [b"one".to_vec(), b"two, longer".to_vec(), vec![]] {
        store.save_tokens(&account(), Secret::new(record.clone())).await.unwrap();
        assert_eq!(tokens(&account()).await, Some(record));
    }
    let entry = list_entry(store, "inbox").await;
    put(store, &entry).await;
    store.enqueue(task(1, 5)).await.unwrap();
    assert_eq!(store.remove_account(&account()).await.unwrap(), 1);
    assert_eq!(tokens(&account()).await, None);
    assert_eq!(store.accounts().await.unwrap(), vec![]);
    assert_eq!(store.get(entry.meta.key.hash).await.unwrap(), None);
    assert_eq!(store.task_counts().await.unwrap(), TaskCounts::default());
    assert_eq!(store.remove_account(&account()).await.unwrap(), 0, "gone already");
    assert_eq!(put(store, &entry).await, Put::Stored { revision: 1 }, "it may come back");
    assert!(store.get(entry.meta.key.hash).await.unwrap().is_some());
}

fn task(number: usize, priority: u8) -> TaskRow {
    TaskRow {
        id: format!("id{number}"),
        account: account(),
        kind: TaskKind::Refresh,
        tool: "email_list".into(),
        args: "{}".into(),
        dedup: format!("d{number}"),
        priority,
        created_at: Timestamp(i64::try_from(number).unwrap()),
        not_before: Timestamp(0),
    }
}

/// One random operation. Small ranges, so that operations meet.
#[derive(Debug, Clone)]
#[cfg_attr(
    not(any(feature = "sqlcipher", feature = "system-openssl")),
    expect(dead_code, reason = "ends come where two stores are compared")
)]
enum Op {
    Read { folder: u8, item: u8 },
    PutRead { place: usize },
    Get { folder: u8 },
    Open { item: u8, service: bool },
    Close { place: usize, outcome: u8, learn: Option<u8> },
    Recover,
    Settle,
    Changed { item: u8 },
    Forget { keep: u64 },
    Base { folder: u8 },
    Check { item: u8, gone: bool, lost: bool },
    DropSource { drive: bool },
    Renew,
    Touch { folder: u8, hits: u32 },
    Invalidate { pattern: u8 },
    RemoveAccount,
    Enqueue { number: u8 },
    Claim,
    SettleTask { place: usize, good: bool },
    Wait { ms: u32 },
}

fn op() -> impl Strategy<Value = Op> {
    let (folder, item) = (0..3u8, 0..4u8);
    prop_oneof![
        4 => (folder.clone(), item.clone()).prop_map(|(folder, item)| Op::Read { folder, item }),
        4 => any::<usize>().prop_map(|place| Op::PutRead { place }),
        4 => folder.clone().prop_map(|folder| Op::Get { folder }),
        3 => (item.clone(), any::<bool>()).prop_map(|(item, service)| Op::Open { item, service }),
        3 => (any::<usize>(), 0..4u8, prop::option::of(folder.clone())).prop_map(|(place, outcome, learn)| Op::Close { place, outcome, learn }),
        1 => Just(Op::Recover),
        2 => Just(Op::Settle),
        1 => item.prop_map(|item| Op::Changed { item }),
        1 => (0..4u64).prop_map(|keep| Op::Forget { keep }),
        1 => (0..3u8).prop_map(|folder| Op::Base { folder }),
        2 => (0..4u8, any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(item, gone, lost)| Op::Check { item, gone, lost }),
        1 => (folder, 1..5u32).prop_map(|(folder, hits)| Op::Touch { folder, hits }),
        1 => (0..4u8).prop_map(|pattern| Op::Invalidate { pattern }),
        1 => Just(Op::RemoveAccount),
        1 => (0..4u8).prop_map(|number| Op::Enqueue { number }),
        1 => Just(Op::Claim),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(place, good)| Op::SettleTask { place, good }),
        2 => (0..4_000_000u32).prop_map(|ms| Op::Wait { ms }),
    ]
}

/// The same with ends of sources, after which marks begin anew.
#[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
fn op_or_end() -> impl Strategy<Value = Op> {
    prop_oneof![20 => op(), 1 => any::<bool>().prop_map(|drive| Op::DropSource { drive }), 1 => Just(Op::Renew)]
}

/// Runs operations and writes down everything that can be seen, epochs aside, which are random in each store.
async fn trace(store: &dyn Backend, ops: &[Op]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut now = Timestamp(1_000_000);
    let mut reads: Vec<(Entry, Vec<Shown>)> = Vec::new();
    let mut open: Vec<WriteId> = Vec::new();
    let mut leases: Vec<Lease> = Vec::new();
    let folder_name = |folder: u8| format!("f{folder}");
    let item_name = |item: u8| format!("m{item}");
    let bumps = |mut bumped: Vec<Bumped>| {
        bumped.iter_mut().for_each(|one| one.epoch = Epoch(0));
        format!("{bumped:?}")
    };
    for (at, op) in ops.iter().enumerate() {
        seen.push(match op {
            Op::Read { folder, item } => {
                let mut entry = list_entry(store, &folder_name(*folder)).await;
                entry.meta.fetch_started = now;
                entry.body.text = Escaped::from_text(&format!("\"at\":{at}}}").repeat(usize::from(*item) * 100 + 1));
                reads.push((entry, vec![shown(&item_name(*item), &[&folder_name(*folder)])]));
                String::new()
            }
            Op::PutRead { place } if !reads.is_empty() => {
                let (entry, shown) = reads[place % reads.len()].clone();
                format!("{:?}", store.put(entry, shown, now).await)
            }
            Op::Get { folder } => {
                let key = list_entry(store, &folder_name(*folder)).await.meta.key.hash;
                let mut entry = store.get(key).await.unwrap();
                entry.iter_mut().for_each(|entry| entry.meta.readings[0].epoch = Epoch(0));
                format!("{entry:?}")
            }
            Op::Open { item, service } => {
                let touch = if *service { Touch::All } else { Touch::Item(item_name(*item)) };
                let id = store.open_write(new_write(&format!("call {at}"), touched(vec![touch]))).await.unwrap();
                open.push(id);
                format!("{id:?}")
            }
            Op::Close { place, outcome, learn } if !open.is_empty() => {
                let id = open[place % open.len()];
                let outcome = [Outcome::Done { late: false }, Outcome::Done { late: true }, Outcome::Refused, Outcome::Unknown]
                    [usize::from(*outcome)]
                .clone();
                let learned = learn.iter().map(|folder| Learned {
                    source: mailbox(),
                    item: item_name(*folder),
                    containers: vec![messages(&folder_name(*folder))],
                });
                let closed = store.close_write(id, outcome, vec![], learned.collect(), now.plus(Duration::from_secs(60)), now).await;
                closed.map_or_else(|error| error.to_string(), bumps)
            }
            Op::Recover => format!("{:?}", store.recover_writes(now.plus(Duration::from_secs(60)), now).await.unwrap()),
            Op::Settle => {
                let (bumped, next) = store.settle(now).await.unwrap();
                format!("{} {next:?}", bumps(bumped))
            }
            Op::Changed { item } => bumps(store.changed(vec![touch_item(&item_name(*item))], now).await.unwrap()),
            Op::Forget { keep } => {
                let mut forgotten = store.forget(&mailbox(), Keep::both(*keep), 2).await.unwrap();
                forgotten.bumped.iter_mut().for_each(|one| one.epoch = Epoch(0));
                format!("{forgotten:?}")
            }
            Op::Base { folder } => {
                let state = store.source(&drive()).await.unwrap();
                let depends = vec![Scope::children(&folder_name(*folder)), Scope::structure()];
                let feed = feed();
                let link = Secret::new(format!("link {at}"));
                let new = Baseline { feed, epoch: state.epoch, read_seq: state.seq.saturating_sub(1), depends, link, started: now };
                format!("{:?}", store.baseline(new).await)
            }
            Op::Check { item, gone, lost } => {
                let token = store.delta_token(&feed()).await.unwrap();
                let from = token.as_ref().map_or(0, |token| token.from);
                let found = Found { item: item_name(*item), parent: Some(folder_name(*item % 3)), gone: *gone, top: false };
                let next = (!gone && !lost).then(|| Secret::new(format!("link {at}")));
                let changes = if *lost { Changes::Unknown } else { Changes::Found(vec![found]) };
                let done = Checked { feed: feed(), from, started: now, changes, next };
                let mut noted = store.checked(done).await.unwrap();
                noted.bumped.iter_mut().for_each(|one| one.epoch = Epoch(0));
                format!("{:?} {noted:?}", token.map(|token| (token.link.expose().clone(), token.from)))
            }
            Op::DropSource { drive: other } => {
                let id = if *other { drive() } else { mailbox() };
                format!("{:?}", store.drop_source(&id).await)
            }
            Op::Renew => {
                let mut state = store.renew(&mailbox()).await.unwrap();
                state.epoch = Epoch(0);
                format!("{state:?}")
            }
            Op::Touch { folder, hits } => {
                let key = list_entry(store, &folder_name(*folder)).await.meta.key.hash;
                format!("{:?}", store.touch(vec![EntryUse { key, at: now, hits: *hits }]).await)
            }
            Op::Invalidate { pattern } => {
                let pattern = ["email_list:*:folder=f1", "email_*", "*:*:folder=f*", "x"][usize::from(*pattern)];
                let pattern = KeyPattern::parse(pattern).unwrap();
                let what = Invalidation { pattern, account: None, reason: String::new(), by: String::new(), at: now };
                format!("{:?}", store.invalidate(what).await)
            }
            Op::RemoveAccount => format!("{:?}", store.remove_account(&account()).await),
            Op::Enqueue { number } => {
                let row = TaskRow { id: format!("task {at}"), ..task(usize::from(*number), *number + 1) };
                format!("{:?}", store.enqueue(row).await)
            }
            Op::Claim => match store.claim(now, now.plus(Duration::from_secs(60)), vec![]).await.unwrap() {
                Claim::Task(claimed) => {
                    leases.push(claimed.lease.clone());
                    format!("{claimed:?}")
                }
                nothing => format!("{nothing:?}"),
            },
            Op::SettleTask { place, good } if !leases.is_empty() => {
                let lease = leases[place % leases.len()].clone();
                let end = match good {
                    true => TaskEnd::Completed { result: None, took: Duration::from_secs(1) },
                    false => TaskEnd::Failed { failure: "no".into() },
                };
                format!("{:?}", store.settle_task(lease, end, now).await)
            }
            Op::Wait { ms } => {
                now = now.plus(Duration::from_millis(u64::from(*ms)));
                String::new()
            }
            Op::PutRead { .. } | Op::Close { .. } | Op::SettleTask { .. } => String::new(),
        });
    }
    let mut state = store.source(&mailbox()).await.unwrap();
    state.epoch = Epoch(0);
    let mut files = store.source(&drive()).await.unwrap();
    files.epoch = Epoch(0);
    let sizes = store.sources().await.unwrap();
    let mut stats = store.stats().await.unwrap();
    let groups = stats.by_tool.iter_mut().map(|(_, group)| group).chain(stats.by_account.iter_mut().map(|(_, group)| group));
    groups.chain(stats.groups.iter_mut().map(|(.., group)| group)).for_each(|group| group.stored_bytes = 0);
    stats.stored_bytes = 0;
    seen.push(format!("{state:?} {files:?} {sizes:?} {stats:?} {:?}", store.task_counts().await));
    seen
}

proptest! {
    #![proptest_config(crate::chance::cases(48))]
    #[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
    #[test]
    fn the_file_does_what_memory_does(ops in prop::collection::vec(op_or_end(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (file, memory) = (in_a_file(), in_memory());
        let (one, two) = runtime.block_on(async { (trace(&*file.store, &ops).await, trace(&*memory.store, &ops).await) });
        for (at, (one, two)) in one.iter().zip(&two).enumerate() {
            prop_assert_eq!(one, two, "at {} {:?}", at, ops.get(at));
        }
    }

    #[test]
    fn entries_kept_apart_from_their_ledger_are_no_different(ops in prop::collection::vec(op(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (apart, memory) = (volatile(), in_memory());
        let (one, two) = runtime.block_on(async { (trace(&*apart.store, &ops).await, trace(&*memory.store, &ops).await) });
        for (at, (one, two)) in one.iter().zip(&two).enumerate() {
            prop_assert_eq!(one, two, "at {} {:?}", at, ops.get(at));
        }
    }

    /// Forgetting included: what a scope counts as only rises.
    #[test]
    fn marks_never_fall(ops in prop::collection::vec(op(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut last: BTreeMap<Scope, Marks> = BTreeMap::new();
        for end in 1..=ops.len() {
            let world = in_memory();
            let state = runtime.block_on(async {
                trace(&*world.store, &ops[..end]).await;
                world.store.source(&mailbox()).await.unwrap()
            });
            for (scope, old) in &last {
                let new = state.marks(scope);
                prop_assert!(new.written_at >= old.written_at && new.changed_at >= old.changed_at, "{:?} after {:?}", scope, ops[end - 1]);
            }
            last = state.scopes;
        }
    }
}
