//! Waits until somebody has entered the device's code somewhere else (RFC 8628).

use std::time::Duration;

use super::{
    AuthError, Identity,
    identity::{DeviceStart, Failure, TokenReply},
};
use crate::clock::Clock;

/// What `slow_down` adds to the interval (RFC 8628, 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// Asks at the service's pace until there is an answer or the code has run out.
pub(super) async fn wait(identity: &Identity, tenant: &str, started: &DeviceStart, clock: &dyn Clock) -> Result<TokenReply, AuthError> {
    let ends = clock.now().plus(started.expires_in);
    let mut interval = started.interval.max(Duration::from_millis(100));
    loop {
        clock.sleep(interval).await;
        if clock.now() >= ends {
            return Err(AuthError::TooLate);
        }
        match identity.device_poll(tenant, &started.device_code).await {
            Ok(reply) => return Ok(reply),
            Err(Failure::Refused(refusal)) => match refusal.error.as_str() {
                "authorization_pending" => {}
                "slow_down" => interval += SLOW_DOWN,
                "expired_token" | "code_expired" => return Err(AuthError::TooLate),
                _ => {
                    let error = Failure::Refused(refusal).at_sign_in();
                    if !error.is_passing() {
                        return Err(error);
                    }
                    interval += SLOW_DOWN;
                }
            },
            // A lost connection is no answer: ask again, more slowly.
            Err(broken) => {
                let error = broken.at_sign_in();
                if !error.is_passing() {
                    return Err(error);
                }
                interval += SLOW_DOWN;
            }
        }
    }
}
