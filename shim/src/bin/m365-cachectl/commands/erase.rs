//! `erase`: destroy everything that is held on one account, and say what is left.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use m365_cached_proto::v1::{EraseReply, EraseRequest, Fault};
use serde::Serialize;

use crate::agree::agreed;
use crate::context::{Context, answered};
use crate::output::{Paint, View, counted};

/// Something is left: the store needs attention.
const NOT_COMPLETE: u8 = 7;

/// `{"account_id":"…","entries_deleted":n,"copies_removed":n,"complete":true,"left":{"entries":0,…},"untouched":["/…"]}`. `copies_removed`: sealed
/// copies of an import. `untouched`: what may hold something of the account and was left as it is.
#[derive(Debug, Serialize)]
struct Erased {
    account_id: String,
    entries_deleted: u64,
    copies_removed: u64,
    complete: bool,
    left: BTreeMap<String, u64>,
    untouched: Vec<String>,
}

/// What is said when there are sealed copies.
const SEALED: &str =
    "; the sealed copies of m365-mcp's cache go whole, with what they have of other accounts, since nothing can be taken out of one";

pub(super) async fn run(context: &Context, account: String, yes: bool) -> Result<u8, Fault> {
    let copies = context.profile.imported().read_dir().is_ok_and(|mut copies| copies.next().is_some());
    let copies = if copies { SEALED } else { "" };
    let question = format!(
        "Everything that is held on {account} is destroyed: answers, tokens, its key, tasks, statistics, the journal of its writes and its \
         name in the audit trail{copies}; nothing at Microsoft is changed, and this cannot be undone. `m365-cachectl export` keeps a copy."
    );
    agreed(context, yes, &question)?;
    let mut records = context.records().await?;
    let reply =
        answered(context.output.meanwhile("destroying what is held on the account", records.erase(EraseRequest { account })).await)?;
    let erased = Erased::from(reply);
    context.output.show(&erased);
    Ok(if erased.complete { 0 } else { NOT_COMPLETE })
}

impl From<EraseReply> for Erased {
    fn from(reply: EraseReply) -> Self {
        let EraseReply { account, entries, left, complete, copies, untouched } = reply;
        Self {
            account_id: account,
            entries_deleted: entries,
            copies_removed: copies,
            complete,
            left: left.into_iter().collect(),
            untouched,
        }
    }
}

impl View for Erased {
    fn text(&self, paint: Paint) -> String {
        let mut text = if self.complete {
            format!("erased; {} deleted, nothing is left\n", counted(self.entries_deleted, "answer"))
        } else {
            let left: Vec<String> =
                self.left.iter().filter(|(_, count)| **count > 0).map(|(what, count)| format!("{count} {what}")).collect();
            format!("{}: {}; the daemon goes on by itself\n", paint.bad("something is left"), left.join(", "))
        };
        if self.copies_removed > 0 {
            let _ = writeln!(text, "{} sealed copies of m365-mcp's cache went with it", self.copies_removed);
        }
        for path in &self.untouched {
            let _ = writeln!(text, "not touched, and it may hold something of the account: `{path}`");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_well() {
        let left = [("entries".to_owned(), 0), ("writes".to_owned(), 2)];
        let reply = EraseReply { account: "1.2".into(), entries: 5, left: left.into(), ..EraseReply::default() };
        let view = Erased::from(reply.clone());
        assert_eq!(view.text(Paint::OFF), "something is left: 2 writes; the daemon goes on by itself\n");
        let view = Erased::from(EraseReply { complete: true, copies: 1, untouched: vec!["/p/quarantine".into()], ..reply.clone() });
        let expected = "erased; 5 answers deleted, nothing is left\n1 sealed copies of m365-mcp's cache went with it\nnot touched, and it may hold something of the account: `/p/quarantine`\n";
        assert_eq!(view.text(Paint::OFF), expected);
        let view = Erased::from(EraseReply { complete: true, ..reply });
        assert_eq!(view.text(Paint::OFF), "erased; 5 answers deleted, nothing is left\n");
        insta::assert_json_snapshot!("erase_json", view);
    }
}
