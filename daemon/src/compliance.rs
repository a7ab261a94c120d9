//! What `m365-cachectl compliance` says: each safeguard with whether it holds now, and what no program can answer for.
//!
//! The mapping to the articles, and the test or command behind each, is `packaging/manual/compliance.md`.

use m365_cached::{config::Config, engine::Engine};
use serde_json::{Value, json};

/// What the settings say, kept from the start.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    audit_reads: bool,
    audit_keep_days: u64,
    key_source: &'static str,
    excluded: usize,
    drain_s: u64,
}

impl Facts {
    /// Those of `config`, with the place the master key came from.
    pub(crate) fn of(config: &Config, key_source: &'static str) -> Self {
        Self {
            audit_reads: config.audit.reads,
            audit_keep_days: config.audit.keep.as_secs() / (24 * 3600),
            key_source,
            excluded: config.cache.exclude_folders.len() + config.cache.exclude_senders.len(),
            drain_s: config.drain.as_secs(),
        }
    }
}

fn safeguard(name: &str, points: &[&str], holds: bool, detail: Value) -> Value {
    json!({ "safeguard": name, "points": points, "holds": holds, "detail": detail })
}

/// The report. Goes through the whole audit trail.
pub(crate) async fn report(engine: &Engine, facts: &Facts, backend: &str) -> Result<Value, m365_cached::engine::CallError> {
    let status = engine.status().await;
    let trail = engine.verify_trail(None).await?;
    let pending = engine.erasures_pending().await?;
    let encrypted = backend == "sqlcipher" || facts.key_source != "none";
    let faults: Vec<&str> = trail.faults.iter().map(m365_cached::audit::Fault::code).collect();
    let safeguards = vec![
        safeguard(
            "encryption_at_rest",
            &["GDPR Art. 32(1)(a)", "HIPAA 164.312(a)(2)(iv)", "SOC 2 CC6.7"],
            encrypted && status.health.healthy,
            json!({ "pages": "SQLCipher 4: AES-256-CBC, HMAC-SHA512", "answers_and_tokens": "AES-256-GCM under a key of each account",
                "master_key_from": facts.key_source, "store_healthy": status.health.healthy, "fips": false }),
        ),
        safeguard(
            "integrity",
            &["GDPR Art. 32(1)(b)", "HIPAA 164.312(c)(1)"],
            status.store_trouble.is_none() && status.totals_corrected == 0,
            json!({ "damaged_answers_dropped": status.health.damaged, "totals_corrected": status.totals_corrected }),
        ),
        safeguard(
            "audit_trail",
            &["GDPR Art. 5(2)", "GDPR Art. 32(1)(d)", "HIPAA 164.312(b)", "SOC 2 CC6.7"],
            trail.holds() && facts.audit_reads,
            json!({ "reads": facts.audit_reads, "kept_days": facts.audit_keep_days, "records": trail.records, "faults": faults,
                "head": head(&trail.head) }),
        ),
        safeguard(
            "storage_limitation",
            &["GDPR Art. 5(1)(e)"],
            // A sweep that fails is trouble of the store. A daemon that does not run, or is locked, sweeps nothing, and cannot say so here.
            status.store_trouble.is_none(),
            json!({ "swept": "within the hour while a daemon runs", "swept_since_start": status.room.as_ref().map(|room| room.swept), "audit_kept_days": facts.audit_keep_days }),
        ),
        safeguard(
            "data_minimisation",
            &["GDPR Art. 5(1)(c)"],
            true,
            json!({ "excluded_folders_and_senders": facts.excluded, "caching": status.caching }),
        ),
        safeguard(
            "access_of_the_person",
            &["GDPR Art. 15", "GDPR Art. 20"],
            true,
            json!({ "command": "m365-cachectl export ACCOUNT FILE" }),
        ),
        safeguard(
            "erasure",
            &["GDPR Art. 17"],
            pending == 0,
            json!({ "command": "m365-cachectl erase ACCOUNT --yes", "erasures_not_complete": pending }),
        ),
        safeguard(
            "access_control",
            &["HIPAA 164.312(a)(1)", "HIPAA 164.312(d)", "SOC 2 CC6.7"],
            cfg!(unix) || cfg!(windows),
            json!({ "local_socket": "owner only", "accounts_signed_in": engine.accounts().len(), "drain_s": facts.drain_s }),
        ),
    ];
    let holds = safeguards.iter().all(|safeguard| safeguard["holds"] == true);
    Ok(json!({ "holds": holds, "safeguards": safeguards, "not_covered": NOT_COVERED }))
}

/// What is outside of this program.
const NOT_COVERED: [&str; 6] = [
    "What Microsoft 365 itself keeps, and what clients and models keep of the answers they were given.",
    "Files that were downloaded, exports and backups: they lie where they were put.",
    "Encryption of the rest of the disk, of swap and of the memory of clients.",
    "Whoever has this user's session, or is administrator of this machine.",
    "FIPS 140: the cryptographic modules are not claimed to be validated.",
    "Organisational measures: agreements, training, reviews, notification of breaches.",
];

/// `<number>:<hash>`.
pub(crate) fn head(point: &m365_cached::audit::Point) -> String {
    let hash: String = point.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}:{hash}", point.seq)
}
