//! What was done with the data and the rights of the person whose data it is, as the services ask for them.

use async_trait::async_trait;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use m365_cached::{
    audit::{Filter, Point, Report},
    clock::Timestamp,
    engine::{Engine, Erased, Piece, Wanted},
    hint::Kind,
    ids::Caller,
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

use crate::core::Problem;

/// How often what was gathered is written while somebody follows the trail.
const FOLLOWED: Duration = Duration::from_secs(1);

/// Which records are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditQuestion {
    /// Id, username or alias; `None` for every account.
    pub account: Option<String>,
    /// What a client calls itself.
    pub client: Option<String>,
    /// A tool, or with `*` behind it the beginning of one.
    pub tool: Option<String>,
    /// Something by the id Microsoft gave it.
    pub target: Option<String>,
    /// Kinds, as words.
    pub kinds: Vec<String>,
    /// From then on: some time ago (`2h`), a date, or RFC 3339.
    pub since: Option<String>,
    /// Before then.
    pub until: Option<String>,
    /// At most so many; 0 for all of them.
    pub limit: u64,
    /// Every one that comes afterwards too.
    pub follow: bool,
}

/// Records as they come.
pub type AuditStream = BoxStream<'static, Result<Value, Problem>>;

/// The trail and the rights.
#[async_trait]
pub trait Records: Send + Sync {
    /// Records of the trail.
    async fn audit(&self, asked: AuditQuestion) -> Result<AuditStream, Problem>;
    /// Goes through the whole trail; `noted` is an end that was noted earlier.
    async fn verify_audit(&self, noted: Option<Point>) -> Result<Report, Problem>;
    /// Everything that is held on an account.
    async fn export(&self, account: &str, caller: &Caller) -> Result<BoxStream<'static, Result<Piece, Problem>>, Problem>;
    /// Destroys everything that is held on an account.
    async fn erase(&self, account: &str, caller: &Caller) -> Result<Erased, Problem>;
    /// Records that something happened to the keys; on the disk when this returns.
    async fn record_key(&self, outcome: &'static str);
    /// What is configured and holds now.
    async fn compliance(&self) -> Result<Value, Problem>;
}

fn time(text: Option<&String>, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    text.map(|text| {
        m365_cached::audit::moment(text, now).ok_or_else(|| {
            let hint = "Write some time ago as `15m`, `2h` or `7d`, or a time as `2026-11-21` or `2026-11-21T08:00:00Z`.";
            Problem::new(Kind::User, "malformed_time", "that is no time", hint)
        })
    })
    .transpose()
}

fn wanted(asked: AuditQuestion, now: Timestamp) -> Result<Wanted, Problem> {
    let kinds = asked
        .kinds
        .iter()
        .map(|word| {
            m365_cached::audit::Kind::of(word).ok_or_else(|| {
                let words: Vec<&str> = m365_cached::audit::Kind::ALL.iter().map(|kind| kind.as_str()).collect();
                let message = "the trail has no kind of that name";
                Problem::new(Kind::User, "unknown_kind", message, format!("One of {}.", words.join(", ")))
            })
        })
        .collect::<Result<_, _>>()?;
    let (since, until) = (time(asked.since.as_ref(), now)?, time(asked.until.as_ref(), now)?);
    let filter = Filter { client: asked.client, tool: asked.tool, kinds, since, until, subjects: None, marks: None };
    Ok(Wanted { account: asked.account, target: asked.target, filter })
}

/// What a follower has seen.
struct Follower {
    engine: Arc<Engine>,
    wanted: Wanted,
    after: u64,
    ready: std::collections::VecDeque<Value>,
    /// Ends when there is nothing more.
    follow: bool,
}

impl Follower {
    async fn next(mut self) -> Option<(Result<Value, Problem>, Self)> {
        loop {
            if let Some(value) = self.ready.pop_front() {
                return Some((Ok(value), self));
            }
            match self.engine.trail_after(&self.wanted, self.after).await {
                Ok((records, Some(next))) => {
                    self.after = next;
                    self.ready.extend(records.iter().map(m365_cached::engine::Shown::to_json));
                }
                Ok((_, None)) if self.follow => {
                    self.engine.sleep(FOLLOWED).await;
                    self.engine.settle_trail().await;
                }
                Ok((_, None)) => return None,
                Err(error) => {
                    self.follow = false;
                    self.after = u64::MAX >> 1;
                    return Some((Err(Problem::of(&error)), self));
                }
            }
        }
    }
}

/// Records of the trail: the last ones, or all of them, and then those that come.
pub(crate) async fn audit(engine: &Arc<Engine>, asked: AuditQuestion) -> Result<AuditStream, Problem> {
    let (limit, follow) = (usize::try_from(asked.limit).unwrap_or(usize::MAX), asked.follow);
    let wanted = wanted(asked, engine.now())?;
    engine.settle_trail().await;
    let of = |error| Problem::of(&error);
    let (ready, after) = if limit == 0 {
        (Vec::new(), 0)
    } else {
        // What comes while these are read is for the follower.
        let head = engine.trail_ends().await.map_err(of)?.head.seq;
        let last = engine.trail_tail(&wanted, limit).await.map_err(of)?;
        (last.iter().filter(|shown| shown.record.seq <= head).map(m365_cached::engine::Shown::to_json).collect(), head)
    };
    // All of them when no number was given; else only the later ones, for a follower.
    let more = limit == 0 || follow;
    let follower = Follower { engine: Arc::clone(engine), wanted, after, ready: ready.into(), follow };
    if more { Ok(stream::unfold(follower, Follower::next).boxed()) } else { Ok(stream::iter(follower.ready.into_iter().map(Ok)).boxed()) }
}

/// Everything that is held on an account.
pub(crate) async fn export(
    engine: &Arc<Engine>,
    account: &str,
    caller: &Caller,
) -> Result<BoxStream<'static, Result<Piece, Problem>>, Problem> {
    let pieces = engine.export(account, caller).await.map_err(|error| Problem::of(&error))?;
    let next = |mut pieces: tokio::sync::mpsc::Receiver<_>| async move { pieces.recv().await.map(|piece| (piece, pieces)) };
    Ok(stream::unfold(pieces, next).map(|piece| piece.map_err(|error| Problem::of(&error))).boxed())
}
