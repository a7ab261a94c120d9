//! Sign-in errors as Entra words them: OAuth error, AADSTS code, suberror, claims.

use http::StatusCode;
use serde_json::{Value, json};

use crate::state::State;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// OAuth error, e.g. `invalid_grant`.
    pub(crate) error: &'static str,
    /// The number after `AADSTS`.
    pub(crate) code: u32,
    pub(crate) text: String,
    pub(crate) suberror: Option<&'static str>,
    /// A conditional-access claims challenge.
    pub(crate) claims: Option<String>,
}

const CAPOLIDS: &str = r#"{"access_token":{"capolids":{"essential":true,"values":["c1a7e5d0-0000-4000-a000-000000000001"]}}}"#;

/// A refusal by its number. `None` for numbers the tenant does not speak.
pub(crate) fn by_code(code: u32) -> Option<Refusal> {
    let (error, text): (&'static str, &str) = match code {
        50011 => (
            "invalid_request",
            "The redirect URI specified in the request does not match the redirect URIs configured for the application.",
        ),
        50020 => (
            "invalid_grant",
            "User account from identity provider does not exist in tenant and cannot access the application in that tenant. The account needs to be added as an external user in the tenant first.",
        ),
        50034 => (
            "invalid_grant",
            "The user account does not exist in the directory. To sign into this application, the account must be added to the directory.",
        ),
        50057 => ("invalid_grant", "The user account is disabled."),
        50076 => (
            "interaction_required",
            "Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '00000003-0000-0000-c000-000000000000'.",
        ),
        50079 => (
            "interaction_required",
            "Due to a configuration change made by your administrator, or because you moved to a new location, you must enroll in multi-factor authentication to access '00000003-0000-0000-c000-000000000000'.",
        ),
        50173 => (
            "invalid_grant",
            "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password.",
        ),
        50194 => (
            "invalid_request",
            "Application is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such apps created after '10/15/2018'.",
        ),
        53003 => {
            ("invalid_grant", "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.")
        }
        54005 => (
            "invalid_grant",
            "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.",
        ),
        65001 => (
            "invalid_grant",
            "The user or administrator has not consented to use the application. Send an interactive authorization request for this user and resource.",
        ),
        65004 => ("access_denied", "User declined to consent to access the app."),
        70000 => ("invalid_grant", "The provided value for the input parameter 'refresh_token' or 'assertion' is not valid."),
        70003 => ("unsupported_grant_type", "The app requested an unsupported grant type."),
        70005 => ("unsupported_response_type", "The app requested an unsupported response type."),
        70007 => ("invalid_request", "An unsupported value for 'response_mode' was requested."),
        70008 => (
            "invalid_grant",
            "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.",
        ),
        70011 => ("invalid_scope", "The provided value for the input parameter 'scope' is not valid."),
        70016 => ("authorization_pending", "OAuth 2.0 device flow error. Authorization is pending. Continue polling."),
        70018 => ("bad_verification_code", "Invalid verification code."),
        70019 => ("expired_token", "Verification code expired. Have the user retry the sign-in."),
        90002 => (
            "invalid_request",
            "Tenant not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.",
        ),
        90014 => (
            "invalid_request",
            "The required field is missing from the credential. Ensure that you have all the necessary parameters for the login request.",
        ),
        90033 => ("temporarily_unavailable", "A transient error has occurred. Please try again."),
        500112 => ("invalid_client", "The reply address does not match the reply address provided when requesting Authorization code."),
        501481 => ("invalid_grant", "The Code_Verifier does not match the code_challenge supplied in the authorization request."),
        530036 => ("invalid_grant", "Access has been blocked by Conditional Access policies: the device code flow is not allowed."),
        700016 => (
            "unauthorized_client",
            "Application with this identifier was not found in the directory. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant.",
        ),
        700025 => ("invalid_client", "Client is public so neither 'client_assertion' nor 'client_secret' should be presented."),
        700082 => ("invalid_grant", "The refresh token has expired due to inactivity. The token was inactive for 90.00:00:00."),
        7000218 => ("invalid_client", "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."),
        9002325 => {
            ("invalid_request", "Proof Key for Code Exchange is required for authorization code redemption; the method must be S256.")
        }
        _ => return None,
    };
    let status = match code {
        90033 => StatusCode::SERVICE_UNAVAILABLE,
        700025 | 7000218 => StatusCode::UNAUTHORIZED,
        _ => StatusCode::BAD_REQUEST,
    };
    let suberror = match code {
        50076 | 50079 => Some("basic_action"),
        53003 | 530036 => Some("message_only"),
        65001 => Some("consent_required"),
        _ => None,
    };
    let claims = matches!(code, 50076 | 50079 | 53003).then(|| CAPOLIDS.to_owned());
    Some(Refusal { status, error, code, text: text.to_owned(), suberror, claims })
}

/// A refusal whose number is written in this program.
pub(crate) fn refuse(code: u32) -> Refusal {
    by_code(code).unwrap_or(Refusal {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        error: "server_error",
        code,
        text: "The server does not know the error it meant to report.".to_owned(),
        suberror: None,
        claims: None,
    })
}

/// A device that asks too often (RFC 8628).
pub(crate) fn slow_down() -> Refusal {
    Refusal { error: "slow_down", text: "The device polls too often.".to_owned(), ..refuse(70016) }
}

impl Refusal {
    /// The same refusal with an addition to its text.
    pub(crate) fn about(mut self, what: &str) -> Self {
        self.text = format!("{} ({what})", self.text);
        self
    }

    /// `AADSTS50173: …` with the trailer that real descriptions have.
    fn description(&self, trace: &str, correlation: &str, time: &str) -> String {
        let Self { code, text, .. } = self;
        format!("AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {time}")
    }

    /// The JSON body.
    pub(crate) fn body(&self, state: &State, correlation: Option<&str>, base: &str) -> Value {
        let trace = state.ids.guid();
        let correlation = correlation.map_or_else(|| state.ids.guid(), str::to_owned);
        let time = state.clock.now().strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let mut body = json!({
            "error": self.error,
            "error_description": self.description(&trace, &correlation, &time),
            "error_codes": [self.code],
            "timestamp": time,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("{base}/error?code={}", self.code),
        });
        if let Some(suberror) = self.suberror {
            body["suberror"] = Value::from(suberror);
        }
        if let Some(claims) = &self.claims {
            body["claims"] = Value::from(claims.clone());
        }
        body
    }

    /// `error_description` alone, for redirects and pages.
    pub(crate) fn line(&self) -> String {
        format!("AADSTS{}: {}", self.code, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_numbers_have_a_refusal() {
        assert_eq!(by_code(50173).map(|refusal| refusal.error), Some("invalid_grant"));
        assert_eq!(by_code(1), None);
        assert_eq!(slow_down().error, "slow_down");
    }
}
