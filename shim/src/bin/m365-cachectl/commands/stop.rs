//! `stop`: let the daemon finish and end, and wait until it has. No daemon is what was wanted, so that is no error.
//!
//! Decision: it has ended when the lock of the profile is free, or somebody else's. A daemon that drains takes no more connections from the first moment on, and holds
//! the profile until its last write has an answer, which may take minutes: that nobody listens says nothing, and whoever went on then (`restart`, the verbs on
//! files) found the profile taken. That the process is gone says it too, and alone it would not do: one whose parent has not noticed counts as there.

use std::time::Duration;

use m365_cached_proto::fault::NOT_RUNNING;
use m365_cached_proto::holder::{self, Held, Holder};
use m365_cached_proto::v1::{Fault, Kind, StatusRequest, StopReply, StopRequest};
use serde::Serialize;
use tokio::time::{sleep, timeout};

use crate::context::{Context, promptly};
use crate::output::{Paint, View};

/// A daemon that has not ended after this has a write under way that takes very long, or hangs.
const PATIENCE: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_millis(20);

/// `{"stopped":true,"pid":4242,"socket_stays":false}`, or `{"stopped":false,"pid":null,"socket_stays":false}` when there was no daemon.
#[derive(Debug, Serialize)]
struct Stopped {
    stopped: bool,
    pid: Option<u32>,
    /// Whether a service manager keeps the socket, and starts the next daemon for the first client that asks something.
    socket_stays: bool,
}

/// A daemon that has ended, or another process that held the profile.
#[derive(Debug, Clone, Copy)]
struct Ended {
    pid: u32,
    socket_stays: bool,
}

pub(super) async fn run(context: &Context) -> Result<(), Fault> {
    let ended = ended_in_time(context).await?;
    let socket_stays = ended.is_some_and(|ended| ended.socket_stays);
    context.output.show(&Stopped { stopped: ended.is_some(), pid: ended.map(|ended| ended.pid), socket_stays });
    Ok(())
}

/// Has the running daemon end, and waits for it; also for one that somebody else has asked, and for a verb that works on the files. Its pid, or `None` when
/// there was no daemon.
pub(crate) async fn stopped(context: &Context) -> Result<Option<u32>, Fault> {
    Ok(ended_in_time(context).await?.map(|ended| ended.pid))
}

/// As [`stopped`].
async fn ended_in_time(context: &Context) -> Result<Option<Ended>, Fault> {
    let mut waited_for: Option<Ended> = None;
    let ended = context.output.meanwhile("waiting for what has been begun to be finished", ended(context, &mut waited_for));
    match timeout(PATIENCE, ended).await {
        Ok(ended) => ended,
        Err(_) => {
            let who =
                waited_for.map_or_else(|| "a process that does not say which it is".to_owned(), |it| format!("the process {}", it.pid));
            let message = format!("{who} still holds the profile after {} s, and no longer listens", PATIENCE.as_secs());
            let hint =
                "It may have a long write under way; the daemon's log says so: `m365-cachectl logs`. If it does not, end that process.";
            Err(Fault::new(Kind::Internal, "still_stopping", message, hint))
        }
    }
}

/// As [`stopped`], for as long as it takes. Who is waited for meanwhile stands in `ending`.
async fn ended(context: &Context, ending: &mut Option<Ended>) -> Result<Option<Ended>, Fault> {
    loop {
        match context.running().await {
            Ok(mut admin) => {
                // The one that was waited for has ended, and this is the next.
                if let Some(before) = *ending
                    && promptly(admin.status(StatusRequest::default())).await?.pid != before.pid
                {
                    return Ok(*ending);
                }
                let StopReply { pid, socket_stays } = promptly(admin.stop(StopRequest {})).await?;
                *ending = Some(Ended { pid, socket_stays });
                // Our own connection must not keep it waiting; and to knock at a service manager's socket would start the next one.
                drop(admin);
                while !is_over(context, pid) {
                    sleep(LOOK).await;
                }
                return Ok(*ending);
            }
            Err(fault) if fault.code == NOT_RUNNING => match holder::look(&context.profile) {
                // At a socket that stays somebody listens.
                Ok(Held::By(Some(Holder { pid, socket: Some(_) }))) => *ending = Some(Ended { pid, socket_stays: false }),
                Ok(Held::By(_)) => {}
                Ok(Held::Free) => return Ok(*ending),
                // One that cannot be read is told of by whoever needs it, unless the one that is waited for is still there.
                Err(_) if ending.is_some_and(|before| is_there(before.pid)) => {}
                Err(_) => return Ok(*ending),
            },
            Err(fault) => return Err(fault),
        }
        sleep(LOOK).await;
    }
}

/// Whether the process `pid` has given the profile back.
fn is_over(context: &Context, pid: u32) -> bool {
    if !is_there(pid) {
        return true;
    }
    match holder::look(&context.profile) {
        Ok(Held::By(Some(holder))) => holder.pid != pid,
        // As long as the process is there, a lock that cannot be read at this moment says nothing.
        Ok(Held::By(None)) | Err(_) => false,
        Ok(Held::Free) => true,
    }
}

#[cfg(unix)]
fn is_there(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

#[cfg(windows)]
fn is_there(pid: u32) -> bool {
    use windows_sys::Win32::Foundation::{CloseHandle, WAIT_TIMEOUT};
    use windows_sys::Win32::System::Threading::{OpenProcess, PROCESS_SYNCHRONIZE, WaitForSingleObject};
    #[expect(unsafe_code, reason = "the standard library has no call for a process that is not its child")]
    // SAFETY: any number may be asked for; the handle is looked at before it is used, and closed once.
    unsafe {
        let process = OpenProcess(PROCESS_SYNCHRONIZE, 0, pid);
        if process.is_null() {
            return false;
        }
        let there = WaitForSingleObject(process, 0) == WAIT_TIMEOUT;
        CloseHandle(process);
        there
    }
}

impl View for Stopped {
    fn text(&self, _paint: Paint) -> String {
        match self.pid {
            Some(pid) if self.socket_stays => {
                format!("stopped (pid {pid}); the service manager starts the next when a client asks for something\n")
            }
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
        let one = |socket_stays| Stopped { stopped: true, pid: Some(7), socket_stays };
        let no = Stopped { stopped: false, pid: None, socket_stays: false };
        assert_eq!((one(false).text(Paint::OFF), no.text(Paint::OFF)), ("stopped (pid 7)\n".into(), "no daemon was running\n".into()));
        assert!(one(true).text(Paint::OFF).starts_with("stopped (pid 7); the service manager starts the next"));
        assert_eq!(serde_json::to_string(&no).unwrap(), r#"{"stopped":false,"pid":null,"socket_stays":false}"#);
    }
}
