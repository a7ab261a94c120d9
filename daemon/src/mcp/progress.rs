//! Progress of a call that takes long, for a client that gave a token: every second from the second second on, strictly rising.
//!
//! While a file moves, the number is its bytes, of how many when that is known. Otherwise it is the seconds that have passed, so that a
//! client that counts silence goes on waiting; the message says how often Microsoft has answered. A token that is not given costs nothing.

use std::{future::Future, time::Duration};

use m365_cached::ids::Work;
use rmcp::{
    RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
    service::{Peer, RequestContext},
};

/// How often progress is told; a call that is shorter tells nothing.
const EVERY: Duration = Duration::from_secs(1);

/// What is told: a number, of how many, and in words.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    number: f64,
    of: Option<f64>,
    message: String,
}

/// What there is to tell after `seconds`; nothing when the number would not rise.
fn told(work: &Work, seconds: u32, last: f64) -> Option<Told> {
    let (moved, of, answers) = (work.moved(), work.of(), work.answers());
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let told = match (moved, of) {
        (0, _) => Told {
            number: f64::from(seconds),
            of: None,
            message: match answers {
                0 => format!("waiting for Microsoft for {seconds} s"),
                1 => "Microsoft has answered once so far".into(),
                more => format!("Microsoft has answered {more} times so far"),
            },
        },
        (moved, 0) => Told { number: moved as f64, of: None, message: format!("{:.1} MB", megabytes(moved)) },
        (moved, of) => {
            let message = format!("{:.1} of {:.1} MB", megabytes(moved), megabytes(of));
            Told { number: moved as f64, of: Some(of.max(moved) as f64), message }
        }
    };
    (told.number > last).then_some(told)
}

/// Awaits `call`, and tells of it while it lasts when the client wants to know.
pub(super) async fn telling<T>(context: &RequestContext<RoleServer>, work: &Work, call: impl Future<Output = T>) -> T {
    let Some(token) = context.meta.get_progress_token() else { return call.await };
    tokio::select! {
        biased;
        done = call => done,
        never = tell(&context.peer, &token, work) => match never {},
    }
}

async fn tell(peer: &Peer<RoleServer>, token: &ProgressToken, work: &Work) -> std::convert::Infallible {
    let (mut seconds, mut last) = (0, 0.0);
    loop {
        tokio::time::sleep(EVERY).await;
        seconds += 1;
        let Some(now) = told(work, seconds, last) else { continue };
        last = now.number;
        let mut param = ProgressNotificationParam::new(token.clone(), now.number).with_message(now.message);
        if let Some(of) = now.of {
            param = param.with_total(of);
        }
        // A client that is gone ends the call by itself.
        let _ = peer.notify_progress(param).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_says_what_moves() {
        let work = Work::default();
        assert_eq!(told(&work, 1, 0.0).unwrap().message, "waiting for Microsoft for 1 s");
        work.answered();
        work.answered();
        assert_eq!(told(&work, 2, 1.0).unwrap().message, "Microsoft has answered 2 times so far");
        work.moves(3_400_000, Some(10_000_000));
        let now = told(&work, 3, 2.0).unwrap();
        assert_eq!((now.number, now.of, now.message.as_str()), (3.4e6, Some(1e7), "3.4 of 10.0 MB"));
        assert_eq!(told(&work, 4, 3.4e6), None, "nothing has moved");
    }

    proptest! {
        #[test]
        fn the_number_only_rises(steps in proptest::collection::vec((0u64..5_000, 0u64..9_000, any::<bool>()), 1..60)) {
            let (work, mut last) = (Work::default(), 0.0);
            for (second, (moved, of, answered)) in (1..).zip(steps) {
                if answered {
                    work.answered();
                }
                work.moves(moved, (of > 0).then_some(of));
                if let Some(now) = told(&work, second, last) {
                    prop_assert!(now.number > last && now.of.is_none_or(|of| of >= now.number));
                    last = now.number;
                }
            }
        }
    }
}
