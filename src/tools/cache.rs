//! The cache itself: figures, and forgetting on request. Answered by the daemon itself.

use super::{Asks, Does, Effect, Local, Param, ParamType, Risk, Tool};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "cache_get_stats",
        title: "Cache statistics",
        help: "Figures of the local encrypted cache: entries, bytes, hits and hit rate, by account and by tool. Asks Microsoft nothing.",
        params: &[],
        effect: Effect::Local,
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Local(Local::CacheStats),
    },
    Tool {
        name: "cache_invalidate",
        title: "Forget cached answers",
        help: "Forgets cached answers, so that the next call asks Microsoft 365 again. Nothing at Microsoft changes. Rarely needed: writes \
               through this server forget what they change by themselves, and force_refresh renews a single answer. The pattern is \
               tool[:account][:argument=value] with * for any text: `email_list:*`, `email_get:*:email_id=X`, `email_list:*:folder=sent*`. \
               Returns entries_deleted.",
        params: &[
            Param::required("pattern", ParamType::Text { max: 2048 }, "What to forget: tool[:account][:argument=value], * for any text."),
            Param::optional("account_id", ParamType::Account, "null", "Only this account's answers; without it those of all accounts."),
            Param::optional("reason", ParamType::Text { max: 200 }, "\"manual_invalidation\"", "Why, for the record."),
        ],
        effect: Effect::Local,
        risk: Risk::Moderate,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Local(Local::CacheInvalidate),
    },
];
