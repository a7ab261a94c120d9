//! Connects a program that asks once and ends, starting the daemon when that is wanted.

use m365_cached_proto::dirs::Profile;
use m365_cached_proto::endpoint::{ConnectError, connect};
use m365_cached_proto::fault::NOT_RUNNING;
use m365_cached_proto::v1::{Fault, Kind};
use tonic::transport::Channel;

use crate::link::{HOLD, HOLD_LEAVING};
use crate::pump::seed;
use crate::retry::Retry;
use crate::start::{End, Started, Starter};

/// A connection to the daemon of `profile`. With a `starter` a daemon that is not running is started and waited for.
///
/// # Errors
/// `daemon_not_running`, or why it cannot be reached or started.
pub async fn reach(profile: &Profile, starter: Option<&mut Starter>) -> Result<Channel, Fault> {
    let error = match connect(profile).await {
        Ok(channel) => return Ok(channel),
        Err(error) => error,
    };
    match starter {
        Some(starter) if error.is_not_running() => start(profile, starter).await,
        _ => Err(fault(profile, &error)),
    }
}

async fn start(profile: &Profile, starter: &mut Starter) -> Result<Channel, Fault> {
    let cannot = |message: String| {
        Fault::new(Kind::Config, NOT_RUNNING, message, "`m365-cachectl doctor` looks at each link and says what is in its way.")
    };
    let began = tokio::time::Instant::now();
    let mut retry = Retry::new(seed());
    // A daemon that was started answers within this or has failed.
    let mut patience = HOLD;
    loop {
        if retry.may_start(began.elapsed()) && starter.start().map_err(&cannot)? == Started::Now {
            retry.started(began.elapsed());
        }
        tokio::time::sleep(retry.wait(true)).await;
        let error = match connect(profile).await {
            Ok(channel) => {
                starter.answered();
                return Ok(channel);
            }
            Err(error) => error,
        };
        match starter.look() {
            Some(End::GaveWay) => {
                retry.gave_way(began.elapsed());
                patience = HOLD_LEAVING;
            }
            Some(End::Failed) => patience = HOLD,
            None => {}
        }
        if !error.is_not_running() || began.elapsed() >= patience {
            return Err(starter.words().map_or_else(|| fault(profile, &error), |words| cannot(words.to_owned())));
        }
    }
}

fn fault(profile: &Profile, error: &ConnectError) -> Fault {
    let dir = profile.dir.display();
    match error {
        ConnectError::NotRunning { .. } => Fault::new(
            Kind::Config,
            NOT_RUNNING,
            format!("no daemon is running for the profile `{dir}`"),
            "`m365-cachectl restart` starts it, as does the first client.",
        ),
        ConnectError::Foreign { socket, .. } => {
            Fault::new(Kind::Config, "foreign_socket", error.to_string(), format!("See who owns it: `ls -l {}`.", socket.display()))
        }
        ConnectError::Io { .. } | ConnectError::Handshake { .. } => {
            let hint =
                format!("Check the rights of `{}` and the daemon's log `{}`.", profile.runtime.display(), profile.log_file().display());
            Fault::new(Kind::Config, "cannot_connect", error.to_string(), hint)
        }
    }
}
