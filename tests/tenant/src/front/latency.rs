//! How slow Graph is today: log-normal by kind of request, repeatable by seed and route.

use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::batch::Plan;
use crate::options::Latency;
use crate::state::State;

/// Milliseconds a list takes as a rule.
const LIST: f64 = 250.0;
/// Milliseconds one item takes as a rule.
const ITEM: f64 = 120.0;
/// Milliseconds a write takes as a rule.
const WRITE: f64 = 400.0;
/// Milliseconds each 100 items of a page add.
const PER_HUNDRED: u64 = 60;
/// How far times spread: one standard deviation is a factor of e^0.35, about 1.4.
const SPREAD: f64 = 0.35;

/// How long one request takes. Half before it is carried out and half after, so that what a slow read shows is
/// neither the state at its start nor at its end, as in life.
pub(crate) struct Wait {
    base: Option<Duration>,
}

/// How long the next request on a route takes.
pub(crate) fn of(state: &State, route: &str, batch: Option<&Plan>) -> Wait {
    if state.settings().latency == Latency::None {
        return Wait { base: None };
    }
    // Its number on its own route, so that other routes do not change its times.
    let number = state.counts.nth(route);
    let base = match batch {
        None => sample(state.seed, route, number),
        // Items run four at a time.
        Some(plan) => {
            let items = plan.routes.iter().zip(number..).map(|(route, number)| sample(state.seed, route, number));
            items.sum::<Duration>() / 4 + Duration::from_millis(50)
        }
    };
    Wait { base: Some(base) }
}

impl Wait {
    pub(crate) async fn first_half(&self) {
        if let Some(base) = self.base {
            tokio::time::sleep(base / 2).await;
        }
    }

    /// The second half, longer for a long page.
    pub(crate) async fn second_half(&self, body: &[u8]) {
        if let Some(base) = self.base {
            tokio::time::sleep(base / 2 + Duration::from_millis(items(body) * PER_HUNDRED / 100)).await;
        }
    }
}

fn items(body: &[u8]) -> u64 {
    let page: Option<Value> = serde_json::from_slice(body).ok();
    page.and_then(|page| page["value"].as_array().map(|items| items.len() as u64)).unwrap_or(0)
}

/// One log-normal draw for the `number`th request.
fn sample(seed: u64, route: &str, number: u64) -> Duration {
    let median = match route.split_once(' ') {
        Some(("GET", path)) if path.ends_with('}') || path == "/me" => ITEM,
        Some(("GET", _)) => LIST,
        _ => WRITE,
    };
    let hash: [u8; 32] =
        Sha256::new().chain_update(seed.to_le_bytes()).chain_update(number.to_le_bytes()).chain_update(route).finalize().into();
    let unit = |at: usize| {
        let bits = hash[at..at + 4].iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        (f64::from(bits) + 0.5) / 4_294_967_296.0
    };
    let normal = (-2.0 * unit(0).ln()).sqrt() * (std::f64::consts::TAU * unit(4)).cos();
    Duration::from_secs_f64(median * (SPREAD * normal).exp() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_repeatable_and_centred() {
        for (route, median) in [("GET /me/messages", 250), ("GET /me/messages/{id}", 120), ("POST /me/messages", 400)] {
            let mut draws: Vec<u128> = (0..1001).map(|n| sample(3, route, n).as_millis()).collect();
            assert_eq!(draws[7], sample(3, route, 7).as_millis());
            draws.sort_unstable();
            let middle = draws[500];
            assert!(middle.abs_diff(median) < median / 10, "{route}: {middle}");
            assert!(draws[1000] < median * 4 && draws[0] > median / 5, "{route}");
        }
    }
}
