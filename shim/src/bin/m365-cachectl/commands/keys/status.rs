//! `keys status`: where the master key is, how old it is and when the next rotation is due.

use std::fmt::Write as _;

use m365_cached_proto::v1::{Fault, KeysStatusReply, KeysStatusRequest};
use serde::Serialize;

use super::place;
use crate::context::{Context, promptly};
use crate::output::{Paint, View, seconds};
use crate::views::known;

/// Answers sealed under the new data keys, of so many; `null` while no re-encryption is under way.
#[derive(Debug, Serialize)]
struct Progress {
    done: u64,
    total: u64,
}

/// Times are Unix milliseconds; `due_ms` is `null` when no rotation is due ever.
#[derive(Debug, Serialize)]
struct Status {
    source: String,
    location: String,
    generation: u64,
    since_ms: u64,
    due_ms: Option<u64>,
    automatic: bool,
    unfinished: bool,
    trouble: Option<String>,
    data_generation: u64,
    reencryption: Option<Progress>,
    #[serde(skip)]
    now_ms: u64,
}

pub(super) async fn run(context: &Context) -> Result<(), Fault> {
    let reply = promptly(context.keys().await?.status(KeysStatusRequest {})).await?;
    context.output.show(&Status::from(reply));
    Ok(())
}

impl From<KeysStatusReply> for Status {
    fn from(reply: KeysStatusReply) -> Self {
        Self {
            trouble: known(&reply.trouble),
            due_ms: (reply.due_ms != 0).then_some(reply.due_ms),
            source: reply.source,
            location: reply.location,
            generation: reply.generation,
            since_ms: reply.since_ms,
            automatic: reply.automatic,
            unfinished: reply.unfinished,
            data_generation: reply.data_generation,
            reencryption: reply.reencryption.map(|progress| Progress { done: progress.done, total: progress.total }),
            now_ms: reply.now_ms,
        }
    }
}

impl View for Status {
    fn text(&self, paint: Paint) -> String {
        let mut text = format!("master key   {}\n", place(&self.source, &self.location));
        let age = seconds(self.now_ms.saturating_sub(self.since_ms) / 1000);
        let _ = writeln!(text, "generation   {}, since {age}", self.generation);
        let next = match (self.due_ms, self.automatic) {
            (None, _) => "never by itself (`keys.rotate_every` is `never`)".to_owned(),
            (Some(due), true) if due > self.now_ms => format!("by itself in {}", seconds((due - self.now_ms) / 1000)),
            (Some(_), true) => "by itself, due now".to_owned(),
            (Some(due), false) if due > self.now_ms => format!("by its owner in {}", seconds((due - self.now_ms) / 1000)),
            (Some(_), false) => paint.warn("by its owner, due now (`m365-cachectl keys rotate --help`)"),
        };
        let _ = writeln!(text, "rotation     {next}");
        let _ = writeln!(text, "data keys    generation {}", self.data_generation);
        if let Some(Progress { done, total }) = self.reencryption {
            let _ = writeln!(text, "re-encrypting {done} of {total} answers");
        }
        if self.unfinished {
            let _ = writeln!(text, "{} a rotation was cut short; the next start finishes it", paint.warn("unfinished"));
        }
        if let Some(trouble) = &self.trouble {
            let _ = writeln!(text, "{} the last rotation failed: {trouble}", paint.bad("failed"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use m365_cached_proto::v1::Reencryption;

    use super::*;

    #[test]
    fn it_reads_well() {
        let day = 24 * 3600 * 1000;
        let reply = KeysStatusReply {
            source: "keyring".into(),
            location: "default-g2".into(),
            generation: 2,
            since_ms: 5 * day,
            due_ms: 95 * day,
            automatic: true,
            now_ms: 8 * day,
            data_generation: 1,
            ..KeysStatusReply::default()
        };
        let text = Status::from(reply.clone()).text(Paint::OFF);
        assert_eq!(
            text,
            "master key   the keyring entry `default-g2`\ngeneration   2, since 3 d 0 h\nrotation     by itself in 87 d 0 h\ndata keys    generation 1\n"
        );
        let late =
            KeysStatusReply { source: "environment".into(), location: "KEY".into(), automatic: false, now_ms: 96 * day, ..reply.clone() };
        let late = KeysStatusReply {
            unfinished: true,
            reencryption: Some(Reencryption { done: 3, total: 7, ended: false }),
            trouble: "the keyring is locked".into(),
            ..late
        };
        insta::assert_snapshot!("keys_status_text", Status::from(late.clone()).text(Paint::OFF));
        insta::assert_json_snapshot!("keys_status_json", Status::from(late));
        assert!(Status::from(KeysStatusReply { due_ms: 0, ..reply }).text(Paint::OFF).contains("never"));
    }
}
