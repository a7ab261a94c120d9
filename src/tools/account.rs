//! Accounts: who is signed in, and signing in. Answered by the daemon itself.

use super::{
    Asks, Does, Effect, Local, Param, ParamType, Risk, Tool,
    tool::{ACCOUNT, CONFIRM},
};
use crate::ids::ToolProfile::{Calendar, Essential, Files, Mail};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "account_list",
        title: "List accounts",
        profiles: &[Essential, Mail, Calendar, Files],
        help: "Lists the Microsoft 365 accounts that are signed in: account_id, username, account_type. Call it first: nearly every \
               other tool needs an account_id (a username will do).",
        params: &[],
        effect: Effect::Local,
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Local(Local::AccountList),
    },
    Tool {
        name: "account_authenticate",
        title: "Sign in to an account",
        profiles: &[Essential, Mail, Calendar, Files],
        help: "Starts signing in to a Microsoft account. Returns verification_url and device_code for the user to enter there in a \
               browser, steps to show to them, and _flow_cache for account_complete_auth. No password or token passes through this \
               conversation.",
        params: &[Param::optional(
            "personal",
            ParamType::Bool,
            "false",
            "true for a personal account (outlook.com, hotmail and the like); a work or school account otherwise.",
        )],
        effect: Effect::Local,
        risk: Risk::Moderate,
        idempotent: false,
        asks: Asks::Never,
        canonical: None,
        does: Does::Local(Local::AccountAuthenticate),
    },
    Tool {
        name: "account_complete_auth",
        title: "Finish signing in",
        profiles: &[Essential, Mail, Calendar, Files],
        help: "Tells whether a sign-in that account_authenticate started is finished: status success with username and account_id, or \
               pending; ask again when the user says they have entered the code.",
        params: &[Param::required("flow_cache", ParamType::Text { max: 4096 }, "The _flow_cache that account_authenticate returned.")],
        effect: Effect::Local,
        risk: Risk::Moderate,
        idempotent: false,
        asks: Asks::Never,
        canonical: None,
        does: Does::Local(Local::AccountCompleteAuth),
    },
    Tool {
        name: "account_remove",
        title: "Sign out of an account",
        profiles: &[],
        help: "Signs an account out and destroys what is kept of it here: its tokens, its cached answers, its tasks and the key they were \
               sealed with. Nothing at Microsoft changes. The account can sign in again later and starts without a cache. Returns \
               entries_deleted.",
        params: &[ACCOUNT, CONFIRM],
        effect: Effect::Local,
        risk: Risk::Critical,
        // A second time there is no such account.
        idempotent: false,
        asks: Asks::Always,
        canonical: None,
        does: Does::Local(Local::AccountRemove),
    },
];
