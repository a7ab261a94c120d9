//! What the trips run on: a tenant, a hot and a cold daemon, and questions whose answers have the wanted sizes.

use std::path::PathBuf;

use anyhow::Context as _;
use m365_cached_checks::support::{
    bins::{Bins, For, bins, packaged_shim},
    daemon::Daemon,
    home::Home,
    mcp::{Era, Mcp, open},
    signin,
    world::ALEX,
};
use m365_cached_tenant::{Options, Tenant};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// What runs during the bench.
pub(crate) struct Stage {
    pub(crate) bins: &'static Bins,
    /// `m365-mcp` as packages ship it.
    pub(crate) shim: PathBuf,
    pub(crate) hot: Side,
    pub(crate) cold: Side,
    /// For sockets and bodies of the raw lanes.
    pub(crate) scratch: tempfile::TempDir,
    /// Kept alive: refreshes go to the tenant.
    _tenant: Tenant,
    _runtime: Runtime,
}

/// One daemon and its profile.
pub(crate) struct Side {
    pub(crate) home: Home,
    account: String,
    pub(crate) daemon: Daemon,
}

/// A question and the size of its answer.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) arguments: Value,
    pub(crate) bytes: usize,
}

impl Stage {
    pub(crate) fn set() -> anyhow::Result<Self> {
        let bins = bins(For::Bench("trip"))?;
        let shim = packaged_shim()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let tenant = runtime.block_on(Tenant::start(Options::default()))?;
        let side = |seed: u8, config: &str| -> anyhow::Result<Side> {
            let home = Home::new(seed)?;
            m365_cached_tenant::profile::write(home.path(), &tenant, false)?;
            // No fresh time ends during the bench: nothing but hits is timed.
            home.configure(&format!("[cache.tools.email_list]\nfresh = 86400\nstale = 172800\n{config}"))?;
            let daemon = Daemon::start(bins, &home)?;
            let account = runtime.block_on(signin::sign_in(bins, &home, ALEX))?;
            let account = account["id"].as_str().context("an account without id")?.to_owned();
            Ok(Side { home, account, daemon })
        };
        let hot = side(1, "")?;
        let cold = side(2, "[cache]\nhot_bytes = 0\n")?;
        Ok(Self { bins, shim, hot, cold, scratch: tempfile::tempdir()?, _tenant: tenant, _runtime: runtime })
    }

    /// A client of one side, through the packaged shim.
    pub(crate) fn client(&self, side: &Side) -> anyhow::Result<Mcp> {
        let mut client = open(self.bins, &side.home, &self.shim, Era::Legacy)?;
        client.greet()?;
        Ok(client)
    }

    /// For each size in bytes the `email_list` whose answer comes nearest, asked once on both sides, so that it is cached.
    pub(crate) fn questions(&self, sizes: &[usize]) -> anyhow::Result<Vec<Question>> {
        let mut found = Vec::new();
        let mut client = self.client(&self.hot)?;
        // How long the answer is after the first, the second, … message: with the beginnings of bodies, without bodies, with whole ones.
        let mut ladders = Vec::new();
        for shape in [json!({}), json!({"include_body": false}), json!({"body_max_length": 50_000, "body_format": "html"})] {
            let mut arguments = shape.clone();
            for (name, value) in [("limit", json!(200)), ("use_cache", json!(false)), ("account_id", json!(self.hot.account))] {
                arguments[name] = value;
            }
            let answer = client.call("email_list", &arguments)?.json()?;
            let messages = answer["messages"].as_array().context("no messages")?;
            let lengths = messages.iter().scan(0, |sum, message| {
                *sum += message.to_string().len();
                Some(*sum)
            });
            ladders.push((shape, lengths.collect::<Vec<usize>>()));
        }
        for size in sizes {
            let nearest = ladders
                .iter()
                .flat_map(|(shape, ladder)| ladder.iter().enumerate().map(move |(at, length)| (length.abs_diff(*size), shape, at + 1)))
                .min_by_key(|(off, _, _)| *off)
                .context("an empty inbox")?;
            let mut question = Question { arguments: nearest.1.clone(), bytes: 0 };
            question.arguments["limit"] = nearest.2.into();
            for side in [&self.hot, &self.cold] {
                // Anew, so that it has an entry of its own: else a longer list that is stored would be cut each time.
                let mut arguments = side.ask(&question);
                arguments["force_refresh"] = true.into();
                let answer = self.client(side)?.call("email_list", &arguments)?;
                anyhow::ensure!(!answer.is_error, "{}", answer.text);
                question.bytes = answer.text.len();
            }
            found.push(question);
        }
        Ok(found)
    }
}

impl Side {
    /// The arguments of a question on this side.
    pub(crate) fn ask(&self, question: &Question) -> Value {
        let mut arguments = question.arguments.clone();
        arguments["account_id"] = json!(self.account);
        arguments
    }
}
