//! `stop`: let the daemon finish and end, and wait until it has. No daemon is what was wanted, so that is no error.

use std::time::Duration;

use m365_cached_proto::endpoint::connect;
use m365_cached_proto::fault::NOT_RUNNING;
use m365_cached_proto::v1::{Fault, Kind, StopReply, StopRequest};
use serde::Serialize;

use crate::context::{Context, promptly};
use crate::output::{Paint, View};

/// A daemon that still listens after this has calls that take very long.
const PATIENCE: Duration = Duration::from_secs(60);
/// After it stopped listening the process itself ends within this.
const LAST: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(20);

/// `{"stopped":true,"pid":4242}`, or `{"stopped":false,"pid":null}` when there was no daemon.
#[derive(Debug, Serialize)]
struct Stopped {
    stopped: bool,
    pid: Option<u32>,
}

pub(super) async fn run(context: &Context) -> Result<(), Fault> {
    let pid = stopped(context).await?;
    context.output.show(&Stopped { stopped: pid.is_some(), pid });
    Ok(())
}

/// Has the running daemon end, and waits for it; its pid, or `None` when there was none.
pub(crate) async fn stopped(context: &Context) -> Result<Option<u32>, Fault> {
    let mut admin = match context.running().await {
        Ok(admin) => admin,
        Err(fault) if fault.code == NOT_RUNNING => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let StopReply { pid, socket_stays } = promptly(admin.stop(StopRequest {})).await?;
    // Our own connection must not keep it waiting.
    drop(admin);
    let gone = async {
        while alive(pid) {
            tokio::time::sleep(LOOK).await;
        }
    };
    let still_stopping = || {
        let message = format!("the daemon (pid {pid}) is still finishing its calls after {} s", PATIENCE.as_secs());
        Fault::new(Kind::Internal, "still_stopping", message, "`m365-cachectl status` shows what is running.")
    };
    if socket_stays {
        // To knock at a service manager's socket would start the next one.
        return tokio::time::timeout(PATIENCE, gone).await.map(|()| Some(pid)).map_err(|_| still_stopping());
    }
    let silent = async {
        while !connect(context.profile.socket()).await.is_err_and(|error| error.is_not_running()) {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, silent).await.map_err(|_| still_stopping())?;
    // A process whose parent has not noticed its end still counts as alive; it no longer matters.
    let _ = tokio::time::timeout(LAST, gone).await;
    Ok(Some(pid))
}

#[cfg(unix)]
fn alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

#[cfg(not(unix))]
fn alive(_pid: u32) -> bool {
    false
}

impl View for Stopped {
    fn text(&self, _paint: Paint) -> String {
        match self.pid {
            Some(pid) => format!("stopped (pid {pid})\n"),
            None => "no daemon was running\n".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_well() {
        let (yes, no) = (Stopped { stopped: true, pid: Some(7) }, Stopped { stopped: false, pid: None });
        assert_eq!((yes.text(Paint::OFF), no.text(Paint::OFF)), ("stopped (pid 7)\n".into(), "no daemon was running\n".into()));
        assert_eq!(serde_json::to_string(&no).unwrap(), r#"{"stopped":false,"pid":null}"#);
    }
}
