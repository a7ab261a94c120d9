//! Why the identity service refused, from its AADSTS number: who has to do what.
//!
//! Numbers and their meaning: Microsoft Entra documentation, *Microsoft Entra authentication and authorization error codes*.

use std::fmt;

/// Why a sign-in or a refresh was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Not used for too long, or simply at its end.
    Expired,
    /// A personal account signed in through `common`: its refresh tokens stop after an hour.
    PersonalThroughCommon,
    /// Password changed or sessions revoked.
    Revoked,
    /// Multi-factor sign-in is wanted.
    Mfa,
    /// The user has not agreed to the permissions.
    Consent,
    /// An administrator has to agree to the permissions.
    AdminConsent,
    /// A conditional access policy.
    Policy,
    /// A policy that forbids the device code flow.
    DeviceCodeBlocked,
    /// The application is not assigned to this user.
    NotAssigned,
    /// Account disabled, locked, unknown, or its password expired.
    AccountBlocked,
    /// This kind of account cannot sign in there.
    WrongAudience,
    /// A single-tenant application, used through a tenant-independent address.
    SingleTenant,
    /// No application of that client id.
    UnknownApp,
    /// The registration does not allow public clients.
    NotPublic,
    /// The registration lacks the redirect address.
    Redirect,
    /// A scope that does not exist.
    Scope,
    /// The user said no.
    Declined,
    /// No tokens are kept for the account, or they cannot be read.
    NoTokens,
    /// The account signed in to another cloud than the one that is set.
    OtherCloud,
    /// Graph keeps refusing tokens that are new.
    TokenRefused,
    /// Something else that does not pass by itself.
    Other,
}

/// A refusal that does not pass by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInProblem {
    /// What it means.
    pub reason: Reason,
    /// The number in `AADSTS50173`, when there was one.
    pub aadsts: Option<u32>,
    /// OAuth error code such as `invalid_grant`; empty when the problem is ours.
    pub error: String,
    /// Microsoft's correlation id, for their support.
    pub correlation: Option<String>,
}

impl SignInProblem {
    /// A problem found on this side.
    pub(crate) fn ours(reason: Reason) -> Self {
        Self { reason, aadsts: None, error: String::new(), correlation: None }
    }

    /// One thing to do.
    pub fn hint(&self) -> String {
        match self.reason {
            Reason::PersonalThroughCommon => "Sign in again with `m365-cachectl login --personal`.",
            Reason::Consent => "Run `m365-cachectl login` and accept the permissions.",
            Reason::AdminConsent => "An administrator of your organisation has to agree: `m365-cachectl permissions` shows the link.",
            Reason::Policy => "A policy of your organisation decides: check device, network and place, then run `m365-cachectl login`.",
            Reason::DeviceCodeBlocked => "Use the browser: `m365-cachectl login` without `--device`.",
            Reason::NotAssigned => "Ask an administrator to assign the application to your account.",
            Reason::AccountBlocked => "Check on the Microsoft sign-in page that the account works, then run `m365-cachectl login`.",
            Reason::WrongAudience => {
                "Use `m365-cachectl login --personal` for a personal account; for a work account check `tenant` in the settings and the registration's account types."
            }
            Reason::SingleTenant => "Set `tenant` in the settings to your directory's id.",
            Reason::UnknownApp => "Check `client_id` in the settings, and `tenant` when the application belongs to one directory.",
            Reason::NotPublic => "In the app registration, under Authentication, allow public client flows.",
            Reason::Redirect => "In the app registration, add the mobile and desktop redirect `http://localhost`.",
            Reason::Scope => {
                "Compare the permissions of the app registration with `m365-cachectl permissions`, and `cloud.name` with the cloud it is in."
            }
            Reason::OtherCloud => "Set `cloud.name` back, or sign in to this cloud with `m365-cachectl login`.",
            Reason::Expired | Reason::Revoked | Reason::Mfa | Reason::Declined | Reason::NoTokens | Reason::TokenRefused | Reason::Other => {
                "Sign in again with `m365-cachectl login`."
            }
        }
        .to_owned()
    }

    /// Whether the settings or the registration need work, rather than the user.
    pub fn is_setup(&self) -> bool {
        matches!(self.reason, Reason::SingleTenant | Reason::UnknownApp | Reason::NotPublic | Reason::Redirect | Reason::Scope)
    }

    /// Stable code of a refusal at sign-in.
    pub fn code(&self) -> &'static str {
        match self.reason {
            Reason::Expired => "sign_in_expired",
            Reason::PersonalThroughCommon => "personal_through_common",
            Reason::Revoked => "sign_in_revoked",
            Reason::Mfa => "mfa_required",
            Reason::Consent => "consent_required",
            Reason::AdminConsent => "admin_consent_required",
            Reason::Policy => "blocked_by_policy",
            Reason::DeviceCodeBlocked => "device_code_blocked",
            Reason::NotAssigned => "app_not_assigned",
            Reason::AccountBlocked => "account_blocked",
            Reason::WrongAudience => "wrong_account_kind",
            Reason::SingleTenant => "single_tenant_app",
            Reason::UnknownApp => "unknown_app",
            Reason::NotPublic => "public_client_disabled",
            Reason::Redirect => "redirect_not_registered",
            Reason::Scope => "unknown_scope",
            Reason::Declined => "sign_in_declined",
            Reason::NoTokens => "no_tokens",
            Reason::OtherCloud => "other_cloud",
            Reason::TokenRefused => "token_refused",
            Reason::Other => "sign_in_refused",
        }
    }
}

impl fmt::Display for SignInProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            Reason::Expired => "the sign-in has expired",
            Reason::PersonalThroughCommon => "a personal account's sign-in through `common` lasts only an hour",
            Reason::Revoked => "the sign-in was revoked, as after a change of password",
            Reason::Mfa => "multi-factor sign-in is required",
            Reason::Consent => "the permissions have not been accepted",
            Reason::AdminConsent => "the permissions need an administrator's consent",
            Reason::Policy => "a policy of the organisation blocks the sign-in",
            Reason::DeviceCodeBlocked => "a policy of the organisation blocks sign-in by device code",
            Reason::NotAssigned => "the application is not assigned to this account",
            Reason::AccountBlocked => "the account cannot sign in",
            Reason::WrongAudience => "this kind of account cannot sign in to the application there",
            Reason::SingleTenant => "the application belongs to one directory and was used through a general address",
            Reason::UnknownApp => "Microsoft knows no application of this client id",
            Reason::NotPublic => "the app registration does not allow public clients",
            Reason::Redirect => "the app registration lacks the redirect address",
            Reason::Scope => "a requested permission does not exist",
            Reason::Declined => "the sign-in was declined",
            Reason::NoTokens => "no usable sign-in is kept for the account",
            Reason::OtherCloud => "the account signed in to another cloud, whose tokens are not shown to this one",
            Reason::TokenRefused => "Microsoft Graph keeps refusing new tokens",
            Reason::Other => "Microsoft refused the sign-in",
        })?;
        match (self.aadsts, self.error.as_str()) {
            (Some(number), _) => write!(f, " (AADSTS{number})"),
            (None, "") => Ok(()),
            (None, error) => write!(f, " ({error})"),
        }
    }
}

/// What a refusal of the token endpoint means; `None` when it passes by itself.
pub(crate) fn classify(error: &str, numbers: &[u32], status: u16, authority: &str) -> Option<Reason> {
    let reason = numbers.iter().find_map(|number| match number {
        // Passing troubles of the service, and too many requests.
        90_006 | 90_033 | 50_196 | 90_024 | 90_025 => Some(None),
        _ => by_number(*number).map(Some),
    });
    let reason = match reason {
        Some(Some(Reason::Expired)) if authority == "common" && numbers.contains(&70_000) => Some(Some(Reason::PersonalThroughCommon)),
        other => other,
    };
    match reason {
        Some(reason) => reason,
        None if status >= 500 || status == 429 || matches!(error, "temporarily_unavailable" | "server_error") => None,
        None => Some(match error {
            "access_denied" | "authorization_declined" => Reason::Declined,
            "consent_required" => Reason::Consent,
            "unauthorized_client" => Reason::UnknownApp,
            "invalid_scope" => Reason::Scope,
            "expired_token" | "invalid_grant" => Reason::Expired,
            _ => Reason::Other,
        }),
    }
}

fn by_number(number: u32) -> Option<Reason> {
    Some(match number {
        70_000 | 70_008 | 700_082 | 700_084 | 700_081 | 50_089 => Reason::Expired,
        50_173 | 50_133 | 50_132 | 50_078 | 70_043 => Reason::Revoked,
        50_072 | 50_074 | 50_076 | 50_079 | 50_158 => Reason::Mfa,
        65_001 => Reason::Consent,
        90_094 | 90_095 => Reason::AdminConsent,
        530_036 => Reason::DeviceCodeBlocked,
        53_000..=53_011 | 50_097 | 50_005 | 50_131 | 530_030..=530_035 => Reason::Policy,
        50_105 => Reason::NotAssigned,
        50_034 | 50_053 | 50_055 | 50_057 => Reason::AccountBlocked,
        50_020 | 9_002_331 | 9_002_332 | 9_002_346 | 500_200 => Reason::WrongAudience,
        50_194 => Reason::SingleTenant,
        700_016 | 700_038 | 90_002 | 7_000_112 => Reason::UnknownApp,
        7_000_218 | 700_025 => Reason::NotPublic,
        50_011 => Reason::Redirect,
        70_011 | 650_053 => Reason::Scope,
        65_004 => Reason::Declined,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_decide_before_the_general_error() {
        let of = |error: &str, number: u32| classify(error, &[number], 400, "organizations");
        assert_eq!(of("invalid_grant", 50_173), Some(Reason::Revoked));
        assert_eq!(of("invalid_grant", 700_082), Some(Reason::Expired));
        assert_eq!(of("invalid_grant", 65_001), Some(Reason::Consent));
        assert_eq!(of("invalid_grant", 53_003), Some(Reason::Policy));
        assert_eq!(of("unauthorized_client", 700_016), Some(Reason::UnknownApp));
        assert_eq!(of("invalid_client", 7_000_218), Some(Reason::NotPublic));
        assert_eq!(of("interaction_required", 50_076), Some(Reason::Mfa));
        assert_eq!(of("invalid_grant", 999_999), Some(Reason::Expired));
    }

    #[test]
    fn each_refusal_says_who_has_to_do_what() {
        for (number, code, to_do) in [
            (700_082, "sign_in_expired", "Sign in again with `m365-cachectl login`."),
            (50_173, "sign_in_revoked", "Sign in again with `m365-cachectl login`."),
            (50_076, "mfa_required", "Sign in again with `m365-cachectl login`."),
            (65_001, "consent_required", "accept the permissions"),
            (90_094, "admin_consent_required", "`m365-cachectl permissions`"),
            (53_003, "blocked_by_policy", "check device, network and place"),
            (530_036, "device_code_blocked", "without `--device`"),
            (50_105, "app_not_assigned", "assign the application to your account"),
            (50_057, "account_blocked", "that the account works"),
            (50_020, "wrong_account_kind", "`m365-cachectl login --personal`"),
            (50_194, "single_tenant_app", "your directory's id"),
            (700_016, "unknown_app", "Check `client_id`"),
            (7_000_218, "public_client_disabled", "allow public client flows"),
            (50_011, "redirect_not_registered", "`http://localhost`"),
            (70_011, "unknown_scope", "`m365-cachectl permissions`"),
            (65_004, "sign_in_declined", "Sign in again"),
        ] {
            let reason = classify("invalid_grant", &[number], 400, "organizations").unwrap();
            let problem = SignInProblem { reason, aadsts: Some(number), error: "invalid_grant".into(), correlation: None };
            assert_eq!(problem.code(), code, "{number}");
            assert!(problem.hint().contains(to_do), "{number}: {}", problem.hint());
            // What a person needs to look it up.
            assert!(problem.to_string().ends_with(&format!(" (AADSTS{number})")), "{problem}");
            let setup = ["single_tenant_app", "unknown_app", "public_client_disabled", "redirect_not_registered", "unknown_scope"];
            assert_eq!(problem.is_setup(), setup.contains(&code), "{number}");
        }
    }

    #[test]
    fn without_a_number_the_general_error_decides() {
        let of = |error: &str| classify(error, &[], 400, "organizations").unwrap();
        for (error, reason) in [
            ("authorization_declined", Reason::Declined),
            ("consent_required", Reason::Consent),
            ("unauthorized_client", Reason::UnknownApp),
            ("invalid_scope", Reason::Scope),
            ("expired_token", Reason::Expired),
            ("something_new", Reason::Other),
        ] {
            assert_eq!(of(error), reason, "{error}");
        }
        let problem = SignInProblem { reason: of("something_new"), aadsts: None, error: "something_new".into(), correlation: None };
        assert_eq!(problem.to_string(), "Microsoft refused the sign-in (something_new)");
        assert_eq!(SignInProblem::ours(Reason::NoTokens).to_string(), "no usable sign-in is kept for the account");
        assert!(SignInProblem::ours(Reason::OtherCloud).hint().contains("`cloud.name`"));
    }

    #[test]
    fn a_personal_account_through_common_is_told_what_to_do() {
        assert_eq!(classify("invalid_grant", &[70_000], 400, "common"), Some(Reason::PersonalThroughCommon));
        assert_eq!(classify("invalid_grant", &[70_000], 400, "consumers"), Some(Reason::Expired));
    }

    #[test]
    fn passing_troubles_are_not_the_users() {
        assert_eq!(classify("temporarily_unavailable", &[], 400, "common"), None);
        assert_eq!(classify("invalid_grant", &[90_033], 400, "common"), None);
        assert_eq!(classify("", &[], 503, "common"), None);
        assert_eq!(classify("invalid_request", &[], 429, "common"), None);
        // Final until the user acts, even with a status of the 500s nobody has seen yet.
        assert_eq!(classify("interaction_required", &[50_079], 500, "common"), Some(Reason::Mfa));
    }
}
