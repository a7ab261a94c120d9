//! A limit that is reached, as clients read it: the same fields in the error of a tool and in the `data` of a JSON-RPC error.

use serde_json::{Value, json};

use crate::core::{Busy, Problem};

/// Which limit, how much of it is left, and in how many seconds to come again.
pub(super) fn fields(busy: &Busy) -> Value {
    let reset = u64::try_from(busy.reset.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
    json!({ "setting": busy.setting, "limit": busy.limit, "remaining": busy.remaining, "reset_s": reset })
}

/// What a JSON-RPC error of a limit carries besides its words; `None` when no limit stood against it.
pub(super) fn data(problem: &Problem) -> Option<Value> {
    let busy = problem.busy.as_ref()?;
    Some(json!({ "code": problem.code, "hint": problem.hint, "busy": fields(busy) }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use m365_cached::hint::Kind;

    use super::*;

    #[test]
    fn seconds_are_never_too_few() {
        let busy = Busy { setting: "limits.calls", limit: 3, remaining: 0, reset: Duration::from_millis(1001) };
        assert_eq!(fields(&busy), json!({"setting": "limits.calls", "limit": 3, "remaining": 0, "reset_s": 2}));
        let problem = Problem::new(Kind::Throttled, "busy", "m", "h");
        assert_eq!(data(&problem), None);
        let told = data(&Problem { busy: Some(Box::new(busy)), ..problem }).unwrap();
        assert_eq!((&told["code"], &told["hint"], &told["busy"]["reset_s"]), (&json!("busy"), &json!("h"), &json!(2)));
    }
}
