//! The cache itself: figures, and forgetting on request. Answered by the daemon itself.

use super::{Asks, Does, Effect, Local, Param, ParamType, Risk, Tool};

/// Where a task can stand.
const STATES: &[&str] = &["queued", "running", "completed", "failed", "cancelled"];

/// How far back statistics go.
const PERIODS: &[&str] = &["hour", "day", "week", "all"];

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "cache_task_get_status",
        title: "Status of a background task",
        profiles: &[],
        help: "One task of the background queue: task_id, account_id, operation (the tool), parameters, priority (1 first, 10 last), \
               status (queued, running, completed, failed), created_at, started_at, completed_at, error. result only says where the \
               answer is: call the tool with these parameters.",
        params: &[Param::required("task_id", ParamType::Text { max: 64 }, "The task_id, as cache_task_list shows it.")],
        effect: Effect::Local,
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Local(Local::CacheTask),
    },
    Tool {
        name: "cache_task_list",
        title: "List background tasks",
        profiles: &[],
        help: "Tasks of the background queue, newest first, with the fields of cache_task_get_status. Tasks renew stale answers; nobody \
               has to wait for them. Completed and failed ones are kept for a while.",
        params: &[
            Param::optional("account_id", ParamType::Account, "null", "Only this account's tasks; without it those of all accounts."),
            Param::optional("status", ParamType::Choice(STATES), "null", "Only tasks that stand there."),
            Param::optional("limit", ParamType::Int { min: 1, max: 500 }, "50", "Most tasks to return."),
        ],
        effect: Effect::Local,
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Local(Local::CacheTasks),
    },
    Tool {
        name: "cache_get_stats",
        title: "Cache statistics",
        profiles: &[],
        help: "Figures of the local encrypted cache: what it holds now, and for a period hits, misses, hit_rate, saved_graph_calls and response \
               times, by account, tool (by_resource) and client. Asks Microsoft nothing.",
        params: &[
            Param::optional("period", ParamType::Choice(PERIODS), "\"day\"", "How far back; all is up to 400 days."),
            Param::optional("account_id", ParamType::Account, "null", "Only this account's; without it those of all accounts."),
        ],
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
        profiles: &[],
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
    Tool {
        name: "cache_warming_status",
        title: "Warming of the cache",
        profiles: &[],
        help: "Whether answers are being fetched ahead of use, and how far that is: is_warming, status, operations_total, \
               operations_completed, operations_skipped, operations_failed, progress_percent, estimated_completion, accounts_warmed, \
               operations_by_type; and how many answers in use are renewed.",
        params: &[],
        effect: Effect::Local,
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Local(Local::CacheWarming),
    },
];
