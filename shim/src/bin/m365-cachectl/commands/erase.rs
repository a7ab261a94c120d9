//! `erase`: destroy everything that is held on one account, and say what is left.

use std::collections::BTreeMap;

use m365_cached_proto::v1::{EraseReply, EraseRequest, Fault, Kind};
use serde::Serialize;

use crate::context::{Context, answered};
use crate::output::{Paint, View};

/// Something is left: the store needs attention.
const NOT_COMPLETE: u8 = 7;

/// `{"account_id":"…","entries_deleted":n,"complete":true,"left":{"entries":0,…}}`
#[derive(Debug, Serialize)]
struct Erased {
    account_id: String,
    entries_deleted: u64,
    complete: bool,
    left: BTreeMap<String, u64>,
}

pub(super) async fn run(context: &Context, account: String, yes: bool) -> Result<u8, Fault> {
    let question = format!(
        "Everything that is held on {account} is destroyed: answers, tokens, its key, tasks, statistics, the journal of its writes and its \
         name in the audit trail. Nothing at Microsoft is changed. This cannot be undone."
    );
    if !yes {
        match context.output.ask(&question) {
            Some(true) => {}
            Some(false) => return Err(Fault::new(Kind::User, "declined", "Nothing was done.", "")),
            None => {
                let hint = "`m365-cachectl export` first, then add --yes";
                return Err(Fault::new(Kind::User, "confirmation_required", question, hint));
            }
        }
    }
    let reply = answered(context.records().await?.erase(EraseRequest { account }).await)?;
    let erased = Erased::from(reply);
    context.output.show(&erased);
    Ok(if erased.complete { 0 } else { NOT_COMPLETE })
}

impl From<EraseReply> for Erased {
    fn from(reply: EraseReply) -> Self {
        let EraseReply { account, entries, left, complete } = reply;
        Self { account_id: account, entries_deleted: entries, complete, left: left.into_iter().collect() }
    }
}

impl View for Erased {
    fn text(&self, paint: Paint) -> String {
        if self.complete {
            return format!("erased; {} answers deleted, nothing is left\n", self.entries_deleted);
        }
        let left: Vec<String> = self.left.iter().filter(|(_, count)| **count > 0).map(|(what, count)| format!("{count} {what}")).collect();
        format!("{}: {}; the next start of the daemon goes on\n", paint.bad("something is left"), left.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_well() {
        let left = [("entries".to_owned(), 0), ("writes".to_owned(), 2)];
        let view = Erased::from(EraseReply { account: "1.2".into(), entries: 5, left: left.clone().into(), complete: false });
        assert_eq!(view.text(Paint::OFF), "something is left: 2 writes; the next start of the daemon goes on\n");
        let view = Erased::from(EraseReply { account: "1.2".into(), entries: 5, left: left.into(), complete: true });
        assert_eq!(view.text(Paint::OFF), "erased; 5 answers deleted, nothing is left\n");
        insta::assert_json_snapshot!("erase_json", view);
    }
}
