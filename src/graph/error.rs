//! Why Graph did not give what was asked for.

use serde_json::Value;

use crate::{
    auth::AuthError,
    hint::{Hint, Kind},
};

/// Why Graph did not give what was asked for. Never holds content: Graph's own messages can quote it and are left out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GraphError {
    /// Graph answered with a refusal.
    #[error("Microsoft Graph refused: {}", describe(*status, code.as_deref()))]
    Refused {
        /// HTTP status.
        status: u16,
        /// Graph's error code, innermost known first.
        code: Option<String>,
        /// Graph's id of the request, for a support case.
        request_id: Option<String>,
        /// An attempt may have taken effect all the same.
        unknown_outcome: bool,
    },
    /// Graph asked to slow down for longer than this call can wait.
    #[error("Microsoft Graph asks to slow down{}", seconds(*retry_after_s))]
    Throttled {
        /// For how long.
        retry_after_s: Option<u64>,
        /// An earlier attempt may have taken effect all the same.
        unknown_outcome: bool,
    },
    /// Graph could not be reached, or did not answer in time.
    #[error("Microsoft Graph cannot be reached: {reason}")]
    Unreachable {
        /// What happened, without addresses of content.
        reason: String,
        /// The request may have arrived.
        unknown_outcome: bool,
        /// The request certainly did not leave this machine.
        never_sent: bool,
    },
    /// The answer is not what Graph sends.
    #[error("Microsoft Graph sent an answer that cannot be read: {reason}")]
    Garbled {
        /// What is wrong with it.
        reason: String,
        /// The request may have taken effect.
        unknown_outcome: bool,
    },
    /// A link points somewhere else than to Graph. Nothing was sent there.
    #[error("Microsoft Graph gave a link to another host")]
    ForeignHost,
    /// A delta token is no longer good: start over.
    #[error("the delta token is no longer good")]
    Resync,
    /// No token.
    #[error(transparent)]
    Auth(#[from] AuthError),
}

fn describe(status: u16, code: Option<&str>) -> String {
    match code {
        Some(code) => format!("{code} (HTTP {status})"),
        None => format!("HTTP {status}"),
    }
}

fn seconds(wait: Option<u64>) -> String {
    wait.map(|wait| format!(" for {wait} s")).unwrap_or_default()
}

impl GraphError {
    /// HTTP status of the refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Throttled { .. } => Some(429),
            Self::Resync => Some(410),
            _ => None,
        }
    }

    /// Graph's own error code.
    pub fn graph_code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => code.as_deref(),
            _ => None,
        }
    }

    /// Whether the request may have taken effect. Never for a GET.
    pub fn unknown_outcome(&self) -> bool {
        match self {
            Self::Refused { unknown_outcome, .. }
            | Self::Throttled { unknown_outcome, .. }
            | Self::Unreachable { unknown_outcome, .. }
            | Self::Garbled { unknown_outcome, .. } => *unknown_outcome,
            Self::ForeignHost | Self::Resync | Self::Auth(_) => false,
        }
    }

    /// Whether the request certainly did not leave this machine.
    pub fn never_sent(&self) -> bool {
        match self {
            Self::Unreachable { never_sent, .. } => *never_sent,
            Self::ForeignHost | Self::Auth(_) => true,
            _ => false,
        }
    }

    /// Whether it is one of the answers that mean "start the delta over" (documentation: 410; seen: 400 and 404 with these codes).
    pub(super) fn is_resync(&self) -> bool {
        let Self::Refused { status, code, .. } = self else { return matches!(self, Self::Resync) };
        let named = code.as_deref().is_some_and(|code| {
            ["syncStateNotFound", "syncStateInvalid", "resyncRequired", "resyncChangesApplyDifferences", "resyncChangesUploadDifferences"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(code))
        });
        *status == 410 || (matches!(status, 400 | 404) && named)
    }
}

impl Hint for GraphError {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused { status: 401, .. } => Kind::SignIn,
            Self::Refused { status: 400, .. } => Kind::User,
            Self::Refused { status: 500.., .. } => Kind::Offline,
            Self::Refused { .. } => Kind::Denied,
            Self::Throttled { .. } => Kind::Throttled,
            Self::Unreachable { .. } | Self::Garbled { .. } => Kind::Offline,
            Self::ForeignHost => Kind::Denied,
            Self::Resync => Kind::Internal,
            Self::Auth(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Refused { status: 400, .. } => "bad_request",
            Self::Refused { status: 401, .. } => "sign_in_required",
            Self::Refused { status: 403, .. } => "access_denied",
            Self::Refused { status: 404 | 410, .. } => "not_found",
            Self::Refused { status: 409 | 412, .. } => "conflict",
            Self::Refused { status: 500.., .. } => "graph_failed",
            Self::Refused { .. } => "refused",
            Self::Throttled { .. } => "throttled",
            Self::Unreachable { .. } => "unreachable",
            Self::Garbled { .. } => "unexpected_reply",
            Self::ForeignHost => "foreign_host",
            Self::Resync => "resync",
            Self::Auth(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Refused { status: 400, .. } => "Check the ids and values you gave: they should come from an earlier answer.".into(),
            Self::Refused { status: 401, .. } => "Sign in again with `m365-cachectl login`.".into(),
            Self::Refused { status: 403, .. } => "The account lacks the right, or an administrator has to grant the permission.".into(),
            Self::Refused { status: 404 | 410, .. } => "It was moved or deleted: list its folder again for the new id.".into(),
            Self::Refused { status: 409 | 412, .. } => "Somebody changed it meanwhile: read it again, then repeat.".into(),
            Self::Throttled { retry_after_s: Some(wait), .. } => format!("Try again in {wait} s."),
            Self::Throttled { .. } => "Try again in a minute.".into(),
            Self::Unreachable { .. } => "Check the network; `m365-cachectl status` shows how the daemon sees it.".into(),
            Self::Refused { status: 500.., .. } | Self::Garbled { .. } => "Try again in a moment.".into(),
            Self::Refused { .. } => "Read the item again before you repeat this.".into(),
            Self::ForeignHost => "Nothing was sent there. If it repeats, a proxy may be changing Graph's answers.".into(),
            Self::Resync => "Ask again.".into(),
            Self::Auth(error) => return error.hint(),
        })
    }
}

/// Graph's error code from an error body, the innermost that is one: the outer ones are general (Graph documentation, *Error responses*).
pub(super) fn code_of(body: &Value) -> Option<String> {
    let mut node = body.get("error")?;
    let mut code = None;
    loop {
        if let Some(text) = node.get("code").and_then(Value::as_str) {
            // A code is a word; anything longer might be content.
            let plain: String =
                text.chars().filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-')).take(64).collect();
            if !plain.is_empty() {
                code = Some(plain);
            }
        }
        match node.get("innerError").or_else(|| node.get("innererror")) {
            Some(inner) if inner.is_object() => node = inner,
            _ => return code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_innermost_code_is_taken_and_messages_are_not() {
        let body = json!({ "error": { "code": "invalidRequest", "message": "subject 'secret'", "innererror": { "code": "nameAlreadyExists", "innerError": { "date": "x" } } } });
        assert_eq!(code_of(&body).as_deref(), Some("nameAlreadyExists"));
        assert_eq!(code_of(&json!({ "error": "x" })), None);
        assert_eq!(code_of(&json!([])), None);
    }
}
