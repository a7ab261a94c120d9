//! What keeping connections is worth: the product's Graph client over its pool beside a new TLS connection for each call.
//!
//! The tenant answers without latency of its own, so that what is measured is the way there. Rounds in turn, medians of medians.

use std::{io::Write as _, sync::Arc, time::Duration};

use anyhow::Context as _;
use async_trait::async_trait;
use m365_cached::{
    auth::{AuthError, Bearer, Http, HttpSettings, Refused},
    chance::OsDice,
    clock::{Clock, SystemClock},
    cloud::Cloud,
    graph::{Budget, Client, Context, GraphRequest, OUTLOOK_LIMIT, Settings},
    ids::{AccountId, Urgency},
    secret::Secret,
};
use m365_cached_checks::support::{
    stopwatch::{micros, now, percentile},
    tenant::http,
    world::ALEX,
};
use m365_cached_tenant::{CLIENT_ID, DeviceAction, Options, Tenant};
use serde::Serialize;
use serde_json::Value;

/// Gives the one token there is.
struct OneToken(String);

#[async_trait]
impl Bearer for OneToken {
    async fn bearer(&self, _account: &AccountId, _refused: Option<&Refused>) -> Result<Secret<String>, AuthError> {
        Ok(Secret::new(self.0.clone()))
    }
}

#[derive(Debug, Serialize)]
struct Figures {
    calls: usize,
    pooled_p50_us: f64,
    pooled_p99_us: f64,
    fresh_p50_us: f64,
    fresh_p99_us: f64,
    /// By how much the pooled median is lower, in percent.
    pooled_lower_percent: f64,
    pooled_connections_per_1000: f64,
    fresh_connections_per_1000: f64,
    /// The pooled calls again, eight at a time.
    pooled_8_calls_per_s: f64,
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // `--bench` is Cargo's own word.
    let known = ["--json", "--quick", "--bench"];
    if let Some(strange) = words.iter().find(|word| !known.contains(&word.as_str())) {
        anyhow::bail!("unknown word {strange}; there are --json and --quick");
    }
    let has = |word: &str| words.iter().any(|one| one == word);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let figures = runtime.block_on(run(if has("--quick") { 3 } else { 10 }))?;
    let text = if has("--json") { serde_json::to_string(&figures)? } else { table(&figures) };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

async fn run(rounds: usize) -> anyhow::Result<Figures> {
    const CALLS: usize = 100;
    let tenant = Tenant::start(Options::default()).await?;
    let token = token(&tenant).await?;
    let at = tenant.addresses();
    let cloud = Cloud {
        name: "demo".to_owned(),
        identity: at.identity_tls.parse()?,
        graph: at.graph_tls.parse()?,
        downloads: Vec::new(),
        ca_pem: Some(tenant.ca_pem().to_owned()),
    };
    let client = || client(&cloud, &token);
    let pooled = Arc::new(client());
    call(&pooled).await?;

    let (mut medians, mut tails) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let mut connections = [0, 0];
    for _ in 0..rounds {
        for which in 0..2 {
            tenant.control().reset_stats();
            let mut times = Vec::with_capacity(CALLS);
            for _ in 0..CALLS {
                // Making a client is not timed: it is the connection that is compared.
                let fresh = (which == 1).then(&client);
                let start = now();
                call(fresh.as_ref().unwrap_or(&pooled)).await?;
                times.push(start.elapsed());
            }
            medians[which].push(percentile(&mut times, 0.5));
            tails[which].push(percentile(&mut times, 0.99));
            connections[which] += tenant.control().stats().connections.values().sum::<u64>();
        }
    }
    let together = together(&pooled, CALLS * rounds).await?;
    let [pooled_p50, fresh_p50] = medians.each_mut().map(|times| micros(percentile(times, 0.5)));
    let [pooled_p99, fresh_p99] = tails.each_mut().map(|times| micros(percentile(times, 0.5)));
    let per_1000 = |count: u64| count as f64 * 1000.0 / (CALLS * rounds) as f64;
    Ok(Figures {
        calls: CALLS * rounds,
        pooled_p50_us: pooled_p50,
        pooled_p99_us: pooled_p99,
        fresh_p50_us: fresh_p50,
        fresh_p99_us: fresh_p99,
        pooled_lower_percent: ((1.0 - pooled_p50 / fresh_p50) * 1000.0).round() / 10.0,
        pooled_connections_per_1000: per_1000(connections[0]),
        fresh_connections_per_1000: per_1000(connections[1]),
        pooled_8_calls_per_s: together.round(),
    })
}

fn client(cloud: &Cloud, token: &str) -> Client {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let http = Arc::new(Http::new(cloud.clone(), HttpSettings::default()));
    let settings = Settings { request_timeout: Duration::from_secs(30) };
    let budget = Budget::new(Arc::clone(&clock), OUTLOOK_LIMIT);
    Client::new(http, Arc::new(OneToken(token.to_owned())), settings, budget, clock, Arc::new(OsDice))
}

async fn call(client: &Client) -> anyhow::Result<()> {
    let context = Context {
        account: AccountId::new("o1.t1"),
        urgency: Urgency::Foreground.into(),
        deadline: SystemClock.now().plus(Duration::from_secs(30)),
        mailbox: "bench".to_owned(),
    };
    let request = GraphRequest::get(&["me", "messages"]).with("$top", "1").with("$select", "id,subject");
    let reply = client.send(&context, &request).await?;
    anyhow::ensure!(reply.json()?["value"].is_array(), "no list");
    Ok(())
}

/// Calls a second with eight at a time over one pool; the budget lets four through at once, as Graph would.
async fn together(client: &Arc<Client>, calls: usize) -> anyhow::Result<f64> {
    let start = now();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let client = Arc::clone(client);
            tokio::spawn(async move {
                for _ in 0..calls / 8 {
                    call(&client).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok((calls / 8 * 8) as f64 / start.elapsed().as_secs_f64())
}

/// Signs in by device code: the one flow that needs neither a browser nor a listener.
async fn token(tenant: &Tenant) -> anyhow::Result<String> {
    let (http, base) = (http()?, format!("{}/organizations/oauth2/v2.0", tenant.addresses().identity));
    let scope = "openid profile offline_access User.Read Mail.ReadWrite";
    let asked: Value =
        http.post(format!("{base}/devicecode")).form(&[("client_id", CLIENT_ID), ("scope", scope)]).send().await?.json().await?;
    let code = |name: &str| asked[name].as_str().with_context(|| format!("no {name} in {asked}"));
    tenant.control().device(code("user_code")?, Some(ALEX), DeviceAction::Approve)?;
    let form =
        [("client_id", CLIENT_ID), ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", code("device_code")?)];
    let given: Value = http.post(format!("{base}/token")).form(&form).send().await?.json().await?;
    Ok(given["access_token"].as_str().with_context(|| format!("no token: {given}"))?.to_owned())
}

fn table(figures: &Figures) -> String {
    format!(
        "Graph calls over TLS, {} of each\n\
         pooled               p50 {:>8.1} us   p99 {:>8.1} us   {:>6.1} new connections per 1,000 calls (goal <= 10)\n\
         new connection each  p50 {:>8.1} us   p99 {:>8.1} us   {:>6.1}\n\
         pooled is {} % lower (goal >= 50); 8 at a time: {:.0} calls/s",
        figures.calls,
        figures.pooled_p50_us,
        figures.pooled_p99_us,
        figures.pooled_connections_per_1000,
        figures.fresh_p50_us,
        figures.fresh_p99_us,
        figures.fresh_connections_per_1000,
        figures.pooled_lower_percent,
        figures.pooled_8_calls_per_s
    )
}
