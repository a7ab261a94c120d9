//! The gRPC services. They translate and ask the engine; they decide nothing.

mod admin;
mod convert;
mod health;
mod keys;
mod mcp;
mod records;
mod status;
mod tools;

use std::sync::Arc;

use m365_cached_proto::{
    MAX_MESSAGE_IN, MAX_MESSAGE_OUT,
    health::health_server::HealthServer,
    v1::{
        admin_server::AdminServer, keys_server::KeysServer, mcp_server::McpServer, records_server::RecordsServer, tools_server::ToolsServer,
    },
};
use tonic::service::Routes;

use crate::daemon::Daemon;

pub(crate) use self::admin::Admin;
#[cfg(feature = "sqlcipher")]
pub(crate) use self::status::kind;
pub use self::status::{fault, refusal};
pub(crate) use self::tools::person;

/// What `m365-cachectl` is called in statistics and limits.
pub(crate) const CACHECTL: &str = "cachectl";

/// Every service of the daemon.
pub fn routes(daemon: &Arc<Daemon>) -> Routes {
    let admin = AdminServer::new(Admin::new(Arc::clone(daemon)));
    let tools = ToolsServer::new(tools::Tools::new(Arc::clone(daemon)));
    let keys = KeysServer::new(keys::Keys::new(Arc::clone(daemon)));
    let records = RecordsServer::new(records::Records::new(Arc::clone(daemon)));
    let mcp = McpServer::new(mcp::McpService::new(Arc::clone(daemon)));
    Routes::new(admin.max_decoding_message_size(MAX_MESSAGE_IN).max_encoding_message_size(MAX_MESSAGE_OUT))
        .add_service(keys.max_decoding_message_size(MAX_MESSAGE_IN).max_encoding_message_size(MAX_MESSAGE_OUT))
        .add_service(records.max_decoding_message_size(MAX_MESSAGE_IN).max_encoding_message_size(MAX_MESSAGE_OUT))
        .add_service(tools.max_decoding_message_size(MAX_MESSAGE_IN).max_encoding_message_size(MAX_MESSAGE_OUT))
        .add_service(HealthServer::new(health::Health::new(Arc::clone(daemon))))
        .add_service(mcp.max_decoding_message_size(MAX_MESSAGE_IN).max_encoding_message_size(MAX_MESSAGE_OUT))
}

#[cfg(test)]
mod skew_tests;
#[cfg(test)]
mod tests;
