//! Everything that is held on an account, readable: sent piece by piece, so that 10,000 answers never lie in memory at once.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{CallError, Engine, Shown, Wanted};
use crate::{
    audit::Kind,
    cache::Entry,
    clock::Timestamp,
    ids::Caller,
    store::{AccountRow, CountsQuery, Span, TaskQuery},
};

/// Pieces that wait for whoever reads.
const AHEAD: usize = 16;
/// Entries whose names are asked at a time.
const PAGE: usize = 128;

/// One piece of what is held.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// What it is: `account`, `entries`, `tasks`, `statistics`, `writes`, `invalidations`, `delta_feeds`, `known_items`, `known_scopes`, `audit`.
    pub section: &'static str,
    /// One of them.
    pub value: Value,
}

/// Nobody reads any more, or the store does not.
enum Stop {
    Gone,
    Failed(CallError),
}

impl<E: Into<CallError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

type Pieces = mpsc::Sender<Result<Piece, CallError>>;

async fn send(pieces: &Pieces, section: &'static str, value: Value) -> Result<(), Stop> {
    pieces.send(Ok(Piece { section, value })).await.map_err(|_| Stop::Gone)
}

impl Engine {
    /// Everything that is held on an account, id or username. Tokens and keys are named and not shown.
    ///
    /// # Errors
    ///
    /// When no such account is signed in.
    pub async fn export(self: &Arc<Self>, name: &str, caller: &Caller) -> Result<mpsc::Receiver<Result<Piece, CallError>>, CallError> {
        let row = self.accounts.find(name)?;
        self.flush_counts().await;
        self.record(self.event(Kind::Export, caller).of(&row.id).ended("begun")).await;
        let (pieces, reader) = mpsc::channel(AHEAD);
        let (engine, caller) = (self.clone(), caller.clone());
        tokio::spawn(async move {
            let done = match engine.export_to(&row, &pieces).await {
                Ok(()) => "done",
                Err(Stop::Gone) => "given_up",
                Err(Stop::Failed(error)) => {
                    // Nobody may be there to hear it.
                    let _ = pieces.send(Err(error)).await;
                    "failed"
                }
            };
            engine.record(engine.event(Kind::Export, &caller).of(&row.id).ended(done)).await;
        });
        Ok(reader)
    }

    async fn export_to(&self, row: &AccountRow, pieces: &Pieces) -> Result<(), Stop> {
        let account = json!({
            "account_id": row.id.as_str(),
            "username": row.username,
            "display_name": row.display_name,
            "tenant_id": row.tenant_id,
            "object_id": row.object_id,
            "drive_id": row.drive_id,
            "added_at": row.added_at.rfc3339(),
            "tokens": "kept sealed and not exported",
            "data_key": "kept wrapped and not exported",
        });
        send(pieces, "account", account).await?;
        let mut after = Some(0);
        while let Some(from) = after {
            let (keys, next) = self.entries.entries_of(&row.id, from, PAGE).await?;
            for key in keys {
                // One that has gone meanwhile is held no more.
                if let Some(entry) = self.entries.get(key).await? {
                    send(pieces, "entries", shown(&entry)).await?;
                }
            }
            after = next;
        }
        let query = TaskQuery { account: Some(row.id.clone()), limit: usize::MAX >> 1, ..TaskQuery::default() };
        for seen in self.ledger.tasks(query).await? {
            let args: Value = serde_json::from_str(&seen.task.args).unwrap_or_default();
            let task = json!({ "id": seen.task.id, "tool": seen.task.tool, "arguments": args, "changed_at": seen.changed_at.rfc3339() });
            send(pieces, "tasks", task).await?;
        }
        let query = CountsQuery { span: Span::Day, from: Timestamp(0), until: Timestamp(i64::MAX), account: Some(row.id.clone()) };
        for row in self.ledger.counts(query).await? {
            let counts = &row.counted.counts;
            let what = json!({
                "day": row.at.rfc3339(), "about": format!("{:?}", row.counted.about), "hits": counts.hits, "stale_hits": counts.stale_hits,
                "misses": counts.misses, "fetches": counts.fetches, "requests": counts.requests,
            });
            send(pieces, "statistics", what).await?;
        }
        for (section, rows) in self.records().held_beside(&row.id, &self.sources_of(row)).await? {
            for value in rows {
                send(pieces, section, value).await?;
            }
        }
        let wanted = Wanted { account: Some(row.id.as_str().to_owned()), ..Wanted::default() };
        let mut after = Some(0);
        while let Some(from) = after {
            let (records, next) = self.trail_after(&wanted, from).await?;
            for record in records {
                send(pieces, "audit", record.to_json()).await?;
            }
            after = next;
        }
        Ok(())
    }
}

/// An entry as people read it.
fn shown(entry: &Entry) -> Value {
    let answer = serde_json::from_str(&format!("{{{}", entry.body.text.to_text())).unwrap_or_default();
    let answer: Value = answer;
    json!({
        "tool": &*entry.meta.key.tool,
        "arguments": entry.meta.key.args,
        "fetched_at": entry.meta.fetch_started.rfc3339(),
        "answer": answer,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Shown {
    /// As one line of JSON shows it. Its hash is SHA-256 in hex; marks stand for ids.
    pub fn to_json(&self) -> Value {
        let record = &self.record;
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        json!({
            "seq": record.seq,
            "at": record.at.rfc3339(),
            "until": record.until.rfc3339(),
            "kind": record.kind,
            "account": some(&self.account),
            "tool": some(&record.tool),
            "client": some(&record.client),
            "outcome": some(&record.outcome),
            "times": record.times,
            "targets": record.targets,
            "marks": record.marks.iter().map(|mark| hex(mark)).collect::<Vec<_>>(),
            "refers": (record.refers > 0).then_some(record.refers),
            "hash": hex(&record.hash),
        })
    }
}
