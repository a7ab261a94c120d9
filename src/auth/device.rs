//! The device code flow (RFC 8628): asks at the given interval until somebody has entered the code.

use std::time::Duration;

use super::{
    AuthError, Identity, Reason, SignInProblem,
    identity::{DeviceStart, Failure, TokenReply},
};
use crate::clock::Clock;

/// How much slower to ask after `slow_down` (RFC 8628, 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// Trouble of the service makes the interval no longer than this; `slow_down` may.
const LONGEST: Duration = Duration::from_secs(60);

/// Asks until there are tokens, a refusal, or the code has expired.
pub(super) async fn wait(identity: &Identity, clock: &dyn Clock, tenant: &str, started: &DeviceStart) -> Result<TokenReply, AuthError> {
    let end = clock.now().plus(started.expires_in);
    let mut interval = started.interval;
    loop {
        clock.sleep(interval).await;
        if clock.now() >= end {
            return Err(AuthError::TooLate);
        }
        let failure = match identity.device_poll(tenant, &started.device_code).await {
            Ok(reply) => return Ok(reply),
            Err(failure) => failure,
        };
        if let Failure::Refused(refusal) = &failure {
            match refusal.error.as_str() {
                "authorization_pending" => continue,
                "slow_down" => {
                    interval += SLOWER;
                    continue;
                }
                "expired_token" | "code_expired" => return Err(AuthError::TooLate),
                "authorization_declined" | "access_denied" => return Err(AuthError::Refused(SignInProblem::ours(Reason::Declined))),
                _ => {}
            }
        }
        match failure.at_sign_in() {
            // No network for a moment: the code is still good. Ask less often (RFC 8628, 3.5).
            AuthError::Unreachable { retry_after, .. } => interval = retry_after.unwrap_or(interval * 2).min(LONGEST).max(interval),
            error => return Err(error),
        }
    }
}
