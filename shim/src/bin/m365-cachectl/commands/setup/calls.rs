//! The sixth step: one real question twice. The first is asked of Microsoft whatever the cache holds, the second has to come from the cache.

use m365_cached_proto::v1::{CallToolRequest, Fault, Kind};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Guide;
use super::report::{Outcome, Part};
use crate::context::answered;

/// What is asked: quick, harmless, and every mailbox has an answer.
const TOOL: &str = "email_list";

impl Guide<'_> {
    /// How long both took, in milliseconds; `None` when nothing was asked.
    pub(super) async fn call(&self, account: Option<&str>) -> Result<Option<(f64, f64)>, Fault> {
        let what = format!("`{TOOL}` twice: from Microsoft, then from the cache");
        self.step(Part::Call, &what, self.called(account)).await
    }

    async fn called(&self, account: Option<&str>) -> Result<(Outcome, Option<(f64, f64)>), Fault> {
        let account = match (self.args.dry_run, account) {
            (true, _) => return Ok((Outcome::would(format!("call `{TOOL}` twice")), None)),
            (false, None) => return Ok((Outcome::skipped("nobody is signed in"), None)),
            (false, Some(account)) => account,
        };
        let (first, asked) = self.ask(account, true).await?;
        let (second, cached) = self.ask(account, false).await?;
        if second != "fresh" {
            let message = format!("the second answer did not come from the cache: it was `{second}`");
            return Err(Fault::new(
                Kind::Config,
                "not_cached",
                message,
                "Run `m365-cachectl doctor` and `m365-cachectl config show cache.enabled`.",
            ));
        }
        let message = format!("{asked:.0} ms from Microsoft ({first}), {cached:.1} ms from the cache ({second})");
        Ok((Outcome::done(message), Some((asked, cached))))
    }

    /// The status of an answer, and how long it took.
    async fn ask(&self, account: &str, anew: bool) -> Result<(String, f64), Fault> {
        let mut tools = self.context.tools().await?;
        let mut arguments = json!({ "account_id": account, "limit": 5 });
        if anew {
            arguments["force_refresh"] = true.into();
        }
        let began = Instant::now();
        let request = CallToolRequest { name: TOOL.into(), arguments: arguments.to_string().into(), dry_run: false };
        let reply = answered(tools.call_tool(request).await)?;
        let took = began.elapsed().as_secs_f64() * 1000.0;
        let answer: Value = serde_json::from_slice(&reply.text).unwrap_or_default();
        Ok((answer["_cache_status"].as_str().unwrap_or("unknown").to_owned(), took))
    }
}
