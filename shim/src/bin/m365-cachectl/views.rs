//! JSON shapes that several verbs share. Every field is always present; what is unknown is `null`.

use m365_cached_proto::fault::login_command;
use m365_cached_proto::v1::{Account, Client, Fault, Permissions};
use serde::Serialize;

use crate::output::Paint;

/// `{"kind":"sign_in","code":"sign_in_required","message":"…","hint":"…"}`; kinds are those of the exit codes.
#[derive(Debug, Serialize)]
pub(crate) struct FaultView {
    kind: &'static str,
    code: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// The limit of the daemon that stood against it, when one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    busy: Option<BusyView>,
}

/// A limit that is reached: its setting, how much of it is left and when to come again.
#[derive(Debug, Serialize)]
struct BusyView {
    setting: String,
    limit: u64,
    remaining: u64,
    reset_ms: u64,
}

impl From<&Fault> for FaultView {
    fn from(fault: &Fault) -> Self {
        let busy = fault.busy.as_ref().map(|busy| BusyView {
            setting: busy.setting.clone(),
            limit: busy.limit,
            remaining: busy.remaining,
            reset_ms: busy.reset_ms,
        });
        Self { kind: fault.kind().word(), code: fault.code.clone(), message: fault.message.clone(), hint: known(&fault.hint), busy }
    }
}

/// One account. `account_type` is `personal` or `work_school`, `state` is `signed_in` or `sign_in_required`.
#[derive(Debug, Serialize)]
pub(crate) struct AccountView {
    pub(crate) id: String,
    pub(crate) username: String,
    pub(crate) account_type: String,
    pub(crate) tenant_id: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) state: String,
    /// Unix milliseconds; `null` without a token.
    pub(crate) access_token_expires_ms: Option<u64>,
    pub(crate) caching: bool,
    /// The short name it was given; `null` without one.
    pub(crate) alias: Option<String>,
    /// Whether it is meant where a call names none.
    pub(crate) default: bool,
    /// `null` where it was not asked for, and where the account's tokens cannot be read.
    pub(crate) permissions: Option<PermissionsView>,
}

/// What an account's sign-in asked for and what Microsoft granted. `granted` is `null` for tokens from before it was kept, until they are renewed;
/// `admin_consent_url` for a personal account.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct PermissionsView {
    pub(crate) asked: Vec<String>,
    pub(crate) granted: Option<Vec<String>>,
    /// Needed today, and not yet asked for when it signed in.
    pub(crate) not_asked: Vec<String>,
    /// Needed today, asked for, and not granted.
    pub(crate) not_granted: Vec<String>,
    pub(crate) admin_consent_url: Option<String>,
}

/// Permissions that an account lacks, and what to do.
pub(crate) struct Lack {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Lack {
    /// Two lines, as `status` warns.
    pub(crate) fn text(&self, paint: Paint) -> String {
        format!("{} {}\n{} {}\n", paint.warn("warning:"), self.message, paint.strong("hint:"), self.hint)
    }
}

impl AccountView {
    /// The permissions that it lacks.
    pub(crate) fn lacks(&self) -> Vec<Lack> {
        let Some(permissions) = &self.permissions else { return Vec::new() };
        let login = format!("`{}`", self.login());
        let mut lacks = Vec::new();
        if !permissions.not_granted.is_empty() {
            lacks.push(Lack {
                code: "scopes_not_granted",
                message: format!("{}: Microsoft has not granted {}", self.username, permissions.not_granted.join(", ")),
                hint: match &permissions.admin_consent_url {
                    Some(_) => format!("An administrator agrees at the link that `m365-cachectl permissions` shows; then {login}."),
                    None => format!("Run {login}, and accept every permission."),
                },
            });
        }
        if !permissions.not_asked.is_empty() {
            lacks.push(Lack {
                code: "scopes_missing",
                message: format!("{}: its sign-in has not asked for {}", self.username, permissions.not_asked.join(", ")),
                hint: format!("Run {login}."),
            });
        }
        lacks
    }

    /// What signs it in again.
    pub(crate) fn login(&self) -> String {
        login_command(&self.username, self.account_type == "personal")
    }

    /// Whether `name` is its id, its username or its alias.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let spelled = |known: &str| known.eq_ignore_ascii_case(name.trim());
        self.id == name.trim() || spelled(&self.username) || self.alias.as_deref().is_some_and(spelled)
    }
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        Self {
            tenant_id: known(&account.tenant_id),
            display_name: known(&account.display_name),
            alias: known(&account.alias),
            default: account.is_default,
            id: account.id,
            username: account.username,
            account_type: account.account_type,
            state: account.state,
            access_token_expires_ms: (account.access_token_expires_ms != 0).then_some(account.access_token_expires_ms),
            caching: account.caching,
            permissions: account.permissions.map(PermissionsView::from),
        }
    }
}

impl From<Permissions> for PermissionsView {
    fn from(permissions: Permissions) -> Self {
        Self {
            asked: permissions.asked,
            granted: permissions.told.then_some(permissions.granted),
            not_asked: permissions.not_asked,
            not_granted: permissions.not_granted,
            admin_consent_url: known(&permissions.admin_consent_url),
        }
    }
}

/// A connected MCP client; `name`, `version`, `protocol` and `era` are `null` before it has said them.
#[derive(Debug, Serialize)]
pub(crate) struct ClientView {
    pub(crate) session: u64,
    pub(crate) pid: u32,
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) protocol: Option<String>,
    /// `legacy` (opened by `initialize`) or `modern` (2026-07-28 and later).
    pub(crate) era: Option<&'static str>,
    pub(crate) calls: u64,
    /// Calls under way; `null` from a daemon that does not tell.
    pub(crate) under_way: Option<u64>,
    pub(crate) connected_ms: u64,
    pub(crate) shim_version: String,
    /// What it may not do, in words; `null` when nothing is configured for it.
    pub(crate) policy: Option<String>,
    /// The profile of tools it is shown; `null` from a daemon that does not tell.
    pub(crate) tools: Option<String>,
}

/// The first protocol without a handshake. Versions are dates, which order as text.
const MODERN: &str = "2026-07-28";

impl From<Client> for ClientView {
    fn from(client: Client) -> Self {
        let protocol = known(&client.protocol);
        Self {
            session: client.session,
            pid: client.pid,
            name: known(&client.name),
            version: known(&client.version),
            era: protocol.as_deref().map(|protocol| if protocol < MODERN { "legacy" } else { "modern" }),
            protocol,
            calls: client.calls,
            under_way: client.under_way,
            connected_ms: client.connected_ms,
            policy: known(&client.policy),
            tools: known(&client.tools),
            shim_version: client.shim_version,
        }
    }
}

/// The text, unless it is empty, which is how the wire says unknown.
pub(crate) fn known(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
