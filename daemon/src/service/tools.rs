//! The catalogue without MCP: list it, call one.

use std::sync::Arc;

use m365_cached::{
    hint::Kind,
    ids::{Caller, ToolProfile},
};
use m365_cached_proto::v1;
use serde_json::{Map, Value};
use tonic::{Request, Response, Status};

use super::{CACHECTL, convert, refusal};
use crate::{core::Problem, daemon::Daemon};

/// The service.
pub(super) struct Tools {
    daemon: Arc<Daemon>,
}

impl Tools {
    pub(super) fn new(daemon: Arc<Daemon>) -> Self {
        Self { daemon }
    }
}

/// Who calls here: only people and tests do, so no policy is held against them.
pub(super) fn caller(daemon: &Daemon) -> Caller {
    Caller { call: Some(daemon.call_of_a_person()), ..person() }
}

/// A person, by what statistics and the audit trail call one.
pub(crate) fn person() -> Caller {
    Caller { client: CACHECTL.into(), ..Caller::default() }
}

#[tonic::async_trait]
impl v1::tools_server::Tools for Tools {
    async fn list_tools(&self, request: Request<v1::ListToolsRequest>) -> Result<Response<v1::ListToolsReply>, Status> {
        let profile = tool_profile(&request.get_ref().profile).map_err(|problem| refusal(&problem))?.unwrap_or(ToolProfile::Full);
        let catalogue = self.daemon.catalogue.get();
        let listed = catalogue.iter().filter(|row| row.profiles.contains(&profile.as_str()));
        let tools = listed.map(|row| convert::tool(row, profile)).collect();
        Ok(Response::new(v1::ListToolsReply { tools, configured: self.daemon.tools.as_str().into() }))
    }

    async fn call_tool(&self, request: Request<v1::CallToolRequest>) -> Result<Response<v1::CallToolReply>, Status> {
        let request = request.into_inner();
        let core = self.daemon.core().map_err(refusal)?;
        self.daemon.gate.frame(request.arguments.len()).map_err(|problem| refusal(&problem))?;
        let args = arguments(&request.arguments).map_err(|problem| refusal(&problem))?;
        let answered = if request.dry_run {
            core.rehearse(&request.name, &args).await
        } else {
            core.call(&caller(&self.daemon), &request.name, &args).await
        };
        let answer = answered.map_err(|problem| refusal(&problem))?;
        Ok(Response::new(v1::CallToolReply { text: answer.text().into() }))
    }
}

/// The profile of that name; `None` for no name.
pub(super) fn tool_profile(name: &str) -> Result<Option<ToolProfile>, Problem> {
    if name.is_empty() {
        return Ok(None);
    }
    ToolProfile::named(name).map(Some).ok_or_else(|| {
        let name: String = name.chars().filter(|letter| !letter.is_control()).take(64).collect();
        let known: Vec<String> = ToolProfile::NAMES.iter().map(|(name, _)| format!("`{name}`")).collect();
        let message = format!("there is no profile of tools `{name}`; nothing is done for this client");
        Problem::new(Kind::Config, "unknown_tool_profile", message, format!("Name one of {}.", known.join(", ")))
    })
}

/// A JSON object; nothing means an empty one.
fn arguments(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(bytes).map_err(|error| {
        // The parser's own text may repeat what it read.
        let place = format!("line {}, column {}", error.line(), error.column());
        let message = match error.classify() {
            serde_json::error::Category::Data => "the arguments are JSON, but not an object".into(),
            _ => format!("the arguments are not JSON ({place})"),
        };
        Problem::new(Kind::User, "bad_arguments", message, "Give the arguments as one JSON object, such as `{\"limit\": 10}`.")
    })
}
