//! `reload`: the running daemon reads its settings again; what needs no restart holds at once, the rest is named.

use std::fmt::Write as _;

use m365_cached_proto::fault::NOT_RUNNING;
use m365_cached_proto::v1::{ChangedSetting, Fault, ReloadReply, ReloadRequest};
use serde::Serialize;

use crate::context::{Context, promptly};
use crate::output::{Paint, View};

/// What stands below the help.
pub(crate) const HELP: &str = "\
The file is read whole and judged as at a start. When anything is wrong with it, nothing changes, and what is wrong is said (exit code 7). Calls under
way end as they have begun, and clients stay connected. `m365-cachectl config show` says of each key whether a reload or a restart puts it into
effect. The daemon's environment and flags are those of its start. On Unix SIGHUP does the same; the daemon's log says what came of it.

Examples:
  m365-cachectl config set log.filter debug
  m365-cachectl reload
  m365-cachectl reload --json";

/// `{"running":true,"changed":[{"key":"log.filter","was":"\"info\"","is":"\"debug\""}],"waiting":[]}`: `changed` holds from now on, `waiting` takes effect
/// at the next start; values are spelled as in the file, `null` where there is none. `running` is `false` when there is no daemon to tell.
#[derive(Debug, Serialize)]
struct Reloaded {
    running: bool,
    changed: Vec<Setting>,
    waiting: Vec<Setting>,
}

#[derive(Debug, Serialize)]
struct Setting {
    key: String,
    was: Option<String>,
    is: Option<String>,
}

pub(super) async fn run(context: &Context) -> Result<(), Fault> {
    let reply = asked(context).await?;
    let running = reply.is_some();
    let ReloadReply { changed, waiting } = reply.unwrap_or_default();
    let all = |settings: Vec<ChangedSetting>| settings.into_iter().map(Setting::from).collect();
    context.output.show(&Reloaded { running, changed: all(changed), waiting: all(waiting) });
    Ok(())
}

/// Has the running daemon take what another verb has written; whether there is one.
pub(super) async fn tell(context: &Context) -> Result<bool, Fault> {
    Ok(asked(context).await?.is_some())
}

/// What the running daemon says; `None` when there is none.
async fn asked(context: &Context) -> Result<Option<ReloadReply>, Fault> {
    match context.running().await {
        Ok(mut admin) => promptly(admin.reload(ReloadRequest {})).await.map(Some),
        Err(fault) if fault.code == NOT_RUNNING => Ok(None),
        Err(fault) => Err(fault),
    }
}

impl From<ChangedSetting> for Setting {
    fn from(setting: ChangedSetting) -> Self {
        Self { key: setting.key, was: setting.was, is: setting.is }
    }
}

impl View for Reloaded {
    fn text(&self, paint: Paint) -> String {
        if !self.running {
            return "no daemon is running; the next one reads the settings when it starts\n".into();
        }
        let mut text = String::new();
        let spelled = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".into());
        for setting in &self.changed {
            let _ = writeln!(text, "{} is now {} (it was {})", setting.key, paint.strong(&spelled(&setting.is)), spelled(&setting.was));
        }
        for setting in &self.waiting {
            let _ =
                writeln!(text, "{} {} waits for `m365-cachectl restart` to be {}", paint.warn("later:"), setting.key, spelled(&setting.is));
        }
        if text.is_empty() {
            text.push_str("nothing has changed\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(key: &str, was: Option<&str>, is: Option<&str>) -> Setting {
        Setting { key: key.into(), was: was.map(str::to_owned), is: is.map(str::to_owned) }
    }

    #[test]
    fn it_reads_well() {
        let mut reloaded = Reloaded {
            running: true,
            changed: vec![setting("log.filter", Some("\"info\""), Some("\"debug\"")), setting("policy.desk.no_send", Some("true"), None)],
            waiting: vec![setting("graph.http2", Some("true"), Some("false"))],
        };
        let expected = "log.filter is now \"debug\" (it was \"info\")\npolicy.desk.no_send is now not set (it was true)\nlater: graph.http2 waits for `m365-cachectl restart` to be false\n";
        assert_eq!(reloaded.text(Paint::OFF), expected);
        (reloaded.changed, reloaded.waiting) = (Vec::new(), Vec::new());
        assert_eq!(reloaded.text(Paint::OFF), "nothing has changed\n");
        reloaded.running = false;
        assert!(reloaded.text(Paint::OFF).starts_with("no daemon is running"));
    }
}
