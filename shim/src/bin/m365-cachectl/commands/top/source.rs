//! Looks at the daemon again and again. A daemon that has gone is no end: the next look tries the next one.

use std::time::Duration;

use m365_cached_proto::dirs::Profile;
use m365_cached_proto::endpoint::admin_client;
use m365_cached_proto::v1::admin_client::AdminClient;
use m365_cached_proto::v1::{Fault, StatusReply, StatusRequest};
use m365_cached_shim::reach::reach;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tonic::transport::Channel;

use crate::context::promptly;

/// One look.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// Since the first one. Our own clock that only goes forward: rates are reckoned by it.
    pub(super) at: Duration,
    /// What the daemon said, or why it said nothing.
    pub(super) seen: Result<Box<StatusReply>, Fault>,
}

/// The daemon of a profile, to be looked at.
pub(super) struct Source {
    profile: Profile,
    admin: Option<AdminClient<Channel>>,
    /// The last call that was told, of the daemon with this instance.
    told: (String, u64),
}

impl Source {
    /// Connects to the running daemon; starts nothing.
    pub(super) async fn open(profile: Profile) -> Result<Self, Fault> {
        let admin = admin_client(reach(&profile, None).await?);
        Ok(Self { profile, admin: Some(admin), told: Default::default() })
    }

    /// A look now.
    async fn look(&mut self) -> Result<Box<StatusReply>, Fault> {
        let mut admin = match self.admin.take() {
            Some(admin) => admin,
            None => admin_client(reach(&self.profile, None).await?),
        };
        let reply = promptly(admin.status(StatusRequest { activity: true, after_call: self.told.1 })).await?;
        self.admin = Some(admin);
        if reply.instance != self.told.0 && self.told.1 > 0 {
            // Another daemon counts anew: what it has told is only what came after a number of the one before.
            self.told = Default::default();
            return Box::pin(self.look()).await;
        }
        self.told = (reply.instance.clone(), reply.activity.as_ref().map_or(0, |activity| activity.last_call));
        Ok(Box::new(reply))
    }

    /// Looks at once and then every so often, as long as somebody takes what is seen.
    pub(super) fn every(mut self, time: Duration) -> mpsc::Receiver<Look> {
        let (tell, looks) = mpsc::channel(1);
        tokio::spawn(async move {
            let began = Instant::now();
            let mut ticks = interval(time);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let seen = self.look().await;
                if tell.send(Look { at: began.elapsed(), seen }).await.is_err() {
                    return;
                }
            }
        });
        looks
    }
}
