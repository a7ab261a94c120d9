//! `restart`: the running daemon finishes and ends, and one starts anew from the installed program. Clients do not notice.
//!
//! Decision: it drains at once, and does not wait until no write is under way, as a daemon that gives way by itself does (`daemon/src/life.rs`). Who types it
//! wants it now, and often because something hangs, which may be that very write. Calls that come meanwhile are held by the shims for 25 s; a write that takes
//! longer than that costs those calls an error that says that nothing was done.

use m365_cached_proto::v1::{Fault, StatusRequest};
use serde::Serialize;

use super::stop;
use crate::context::{Context, promptly};
use crate::output::{Paint, View};

/// `{"was":4242,"pid":4343,"version":"0.1.0"}`; `was` is `null` when there was no daemon.
#[derive(Debug, Serialize)]
struct Restarted {
    was: Option<u32>,
    pid: u32,
    version: String,
}

pub(super) async fn run(context: &Context) -> Result<(), Fault> {
    let was = stop::stopped(context).await?;
    // A client may have started it in the meantime; then it is that one.
    let status = promptly(context.admin().await?.status(StatusRequest::default())).await?;
    context.output.show(&Restarted { was, pid: status.pid, version: status.version });
    Ok(())
}

impl View for Restarted {
    fn text(&self, _paint: Paint) -> String {
        let was = self.was.map_or_else(|| "no daemon was running".to_owned(), |pid| format!("stopped (pid {pid})"));
        format!("{was}; version {} runs (pid {})\n", self.version, self.pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_well() {
        let mut restarted = Restarted { was: Some(7), pid: 8, version: "0.1.0".into() };
        assert_eq!(restarted.text(Paint::OFF), "stopped (pid 7); version 0.1.0 runs (pid 8)\n");
        restarted.was = None;
        assert_eq!(restarted.text(Paint::OFF), "no daemon was running; version 0.1.0 runs (pid 8)\n");
    }
}
