//! The server itself. Answered by the daemon.

use super::{Asks, Does, Effect, Local, Risk, Tool};

pub(super) const TOOLS: &[Tool] = &[Tool {
    name: "server_get_version",
    title: "Server version",
    profiles: &[],
    help: "Name (package) and version of this server.",
    params: &[],
    effect: Effect::Local,
    risk: Risk::Safe,
    idempotent: true,
    asks: Asks::Never,
    canonical: None,
    does: Does::Local(Local::ServerVersion),
}];
