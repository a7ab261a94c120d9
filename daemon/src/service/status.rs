//! How a problem travels: as a fault in the details of a gRPC status.

use m365_cached::hint::Kind;
use m365_cached_proto::v1;
use tonic::Status;

use crate::core::Problem;

/// The problem as every client shows it.
pub fn fault(problem: &Problem) -> v1::Fault {
    let consent = problem.consent.as_ref().map(|consent| {
        Box::new(v1::Consent { question: consent.question(), argument: consent.argument.clone(), value: consent.value.to_string().into() })
    });
    let busy = problem.busy.as_ref().map(|busy| v1::Busy {
        setting: busy.setting.into(),
        limit: busy.limit,
        remaining: busy.remaining,
        reset_ms: u64::try_from(busy.reset.as_millis()).unwrap_or(u64::MAX),
    });
    v1::Fault {
        consent,
        busy: busy.map(Box::new),
        ..v1::Fault::new(kind(problem.kind), &problem.code, problem.message.clone(), problem.hint.clone())
    }
}

/// Who has to act, as the wire spells it.
pub(crate) fn kind(kind: Kind) -> v1::Kind {
    match kind {
        Kind::User => v1::Kind::User,
        Kind::SignIn => v1::Kind::SignIn,
        Kind::Offline => v1::Kind::Offline,
        Kind::Throttled => v1::Kind::Throttled,
        Kind::Denied => v1::Kind::Denied,
        Kind::Config => v1::Kind::Config,
        Kind::Internal => v1::Kind::Internal,
    }
}

/// The problem as the answer to a gRPC call.
pub fn refusal(problem: &Problem) -> Status {
    fault(problem).to_status()
}
