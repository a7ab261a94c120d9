//! What every verb needs: the profile, a way to the daemon, the output.

use std::time::Duration;

use m365_cached_proto::dirs::{DIR_VARIABLE, Profile};
use m365_cached_proto::endpoint::{admin_client, keys_client, records_client, tools_client};
use m365_cached_proto::v1::admin_client::AdminClient;
use m365_cached_proto::v1::keys_client::KeysClient;
use m365_cached_proto::v1::records_client::RecordsClient;
use m365_cached_proto::v1::tools_client::ToolsClient;
use m365_cached_proto::v1::{Fault, Kind};
use m365_cached_shim::reach::reach;
use m365_cached_shim::start::Starter;
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::cli::Cli;
use crate::output::Output;

/// A daemon that has not answered a question about itself within this is stuck.
const PROMPT: Duration = Duration::from_secs(30);

/// What every verb needs.
pub(crate) struct Context {
    pub(crate) profile: Profile,
    pub(crate) output: Output,
}

impl Context {
    pub(crate) fn new(cli: &Cli, output: Output) -> Result<Self, Fault> {
        let given = cli.profile.clone();
        let env = |name: &str| match &given {
            Some(dir) if name == DIR_VARIABLE => Some(dir.clone().into_os_string()),
            _ => std::env::var_os(name),
        };
        let profile = Profile::find(&env)
            .map_err(|error| Fault::new(Kind::Config, "no_profile", error.to_string(), "Name one with `--profile DIR`."))?;
        Ok(Self { profile, output })
    }

    /// A connection to the running daemon; starts nothing.
    pub(crate) async fn running(&self) -> Result<AdminClient<Channel>, Fault> {
        reach(&self.profile, None).await.map(admin_client)
    }

    /// The way to the running daemon; starts nothing.
    pub(crate) async fn reached(&self) -> Result<Channel, Fault> {
        reach(&self.profile, None).await
    }

    /// The administration verbs; starts the daemon when it is not running.
    pub(crate) async fn admin(&self) -> Result<AdminClient<Channel>, Fault> {
        self.started().await.map(admin_client)
    }

    /// The verbs of the vault; starts the daemon when it is not running.
    pub(crate) async fn keys(&self) -> Result<KeysClient<Channel>, Fault> {
        self.started().await.map(keys_client)
    }

    /// The catalogue; starts the daemon when it is not running.
    pub(crate) async fn tools(&self) -> Result<ToolsClient<Channel>, Fault> {
        self.started().await.map(tools_client)
    }

    /// The audit trail and the rights of the person; starts the daemon when it is not running.
    pub(crate) async fn records(&self) -> Result<RecordsClient<Channel>, Fault> {
        self.started().await.map(records_client)
    }

    async fn started(&self) -> Result<Channel, Fault> {
        let mut starter = Starter::new(self.profile.clone(), &|name| std::env::var_os(name));
        reach(&self.profile, Some(&mut starter)).await
    }
}

/// The answer to a question that a working daemon answers at once.
pub(crate) async fn promptly<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Fault> {
    match tokio::time::timeout(PROMPT, call).await {
        Ok(answer) => answered(answer),
        Err(_) => Err(Fault::new(
            Kind::Internal,
            "daemon_stuck",
            format!("the daemon did not answer within {} s", PROMPT.as_secs()),
            "Run `m365-cachectl stop`; if that hangs too, end the process `m365-cached`.",
        )),
    }
}

/// The answer to a question that takes as long as it takes.
pub(crate) fn answered<T>(answer: Result<Response<T>, Status>) -> Result<T, Fault> {
    answer.map(Response::into_inner).map_err(|status| Fault::from_status(&status))
}
