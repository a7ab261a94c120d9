//! The archive for a bug report: what a stranger needs to understand the trouble, and nothing of what the person reads or writes.

use std::collections::BTreeSet;
use std::io::{Cursor, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use m365_cached_proto::v1::{Fault, Kind};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::daemon::Seen;
use super::redact::Redactor;
use super::{Check, LINKS, settings};
use crate::commands::{stats, status};
use crate::context::Context;
use crate::offline;
use crate::private::PrivateFile;

/// Words in the place of a policy's name that are nobody's.
const OURS: [&str; 2] = ["default", "read-only tools"];
/// The end of the log; what led to the trouble stands there.
const LOG_TAIL: u64 = 256 * 1024;
const READ_ME: &str = "\
A report of m365-cached for whoever looks into its trouble. Made by `m365-cachectl doctor --bundle`.

doctor.json    each link and how it is
status.json    the daemon's own word
stats.json     what the cache did in the last seven days
config.json    every setting that is not a default; values that name people, hosts, folders or files are left out
versions.json  programs and system
log.txt        the end of the daemon's log

Addresses, ids, names of accounts and policies, the proxy, whatever a setting says that is left out, the home folder and whatever looks like
a token were replaced by marks; equal marks stand for equal words. No answer of Microsoft's and no key is in it.
";

/// Writes it; where it is.
pub(super) async fn write(context: &Context, path: &Path, checks: &[Check], proxy: Option<&str>, seen: &Seen) -> Result<String, Fault> {
    let config: Result<Value, Fault> = offline::look(context, &["config", "show"]).await;
    let mut redactor = redactor(seen, config.as_ref().ok(), proxy);
    if config.is_err() {
        // The daemon may have written of it when it could still be read.
        quoted(&std::fs::read_to_string(context.profile.config_file()).unwrap_or_default())
            .for_each(|text| know_quoted(&mut redactor, text));
    }
    let cleaned = |value: Value| pretty(&redactor.clean_value(value));
    let stats = stats::as_json(context).await.unwrap_or_else(|fault| json!({ "unknown": fault.code }));
    let texts = [
        ("README.txt", READ_ME.to_owned()),
        ("doctor.json", cleaned(json!({ "links": LINKS.map(|(link, _)| link), "checks": checks }))),
        ("status.json", cleaned(status::as_json(context, seen.status.as_ref().ok().cloned()))),
        ("stats.json", cleaned(stats)),
        // What is wrong with the file may repeat a name that a person put there.
        ("config.json", cleaned(config.map_or_else(|fault| json!({ "unusable": fault.code }), |config| settings::told(&config)))),
        (
            "versions.json",
            pretty(&json!({ "m365-cachectl": env!("CARGO_PKG_VERSION"), "os": std::env::consts::OS, "arch": std::env::consts::ARCH })),
        ),
        ("log.txt", redactor.clean(&tail(&context.profile.log_file()))),
    ];
    let mut file = PrivateFile::create(path, "m365-cached-report.zip")?;
    let made = archive(&texts).map_err(|error| {
        Fault::new(
            Kind::Internal,
            "bundle_failed",
            format!("the archive cannot be made: {error}"),
            "Send `m365-cachectl doctor --json` instead.",
        )
    })?;
    let at = file.path().display().to_string();
    file.write(&made)?;
    file.finish()?;
    Ok(at)
}

fn archive(texts: &[(&str, String)]) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in texts {
        zip.start_file(*name, SimpleFileOptions::default().unix_permissions(0o600))?;
        zip.write_all(text.as_bytes())?;
    }
    Ok(zip.finish()?.into_inner())
}

/// What is known to be somebody's: accounts and policies of the running daemon, what the settings say, the proxy that was found.
fn redactor(seen: &Seen, config: Option<&Value>, proxy: Option<&str>) -> Redactor {
    let mut redactor = Redactor::default();
    if let Some(home) = std::env::home_dir().and_then(|home| home.to_str().map(str::to_owned)) {
        redactor.know(&home, "~");
    }
    for name in ["USER", "LOGNAME", "USERNAME", "HOSTNAME"] {
        if let Ok(value) = std::env::var(name) {
            redactor.know(&value, "<user>");
        }
    }
    for (at, account) in seen.status.iter().flat_map(|status| &status.accounts).enumerate() {
        let mark = format!("<account-{}>", at + 1);
        let object = account.id.split('.').next().unwrap_or_default();
        for text in [&account.id, &account.username, &account.display_name, &account.tenant_id, object] {
            redactor.know(text, &mark);
        }
        if let Some((name, _)) = account.username.split_once('@') {
            redactor.know(name, &mark);
        }
        redactor.know_word(&account.alias, &mark);
    }
    if let Some(proxy) = proxy {
        redactor.know_word(host(proxy), "<proxy>");
    }
    let kept = config.map(settings::kept_back).unwrap_or_default();
    let of_settings = kept.iter().filter(|(_, key)| key == "policy").map(|(name, _)| name.as_str());
    let of_clients = seen.status.iter().flat_map(|status| &status.clients).flat_map(|client| policies(&client.policy));
    let policies: BTreeSet<String> =
        of_settings.chain(of_clients).map(str::to_lowercase).filter(|name| !OURS.contains(&name.as_str())).collect();
    for (at, policy) in policies.iter().enumerate() {
        redactor.know_word(policy, &format!("<policy-{}>", at + 1));
    }
    for (text, key) in kept.iter().filter(|(_, key)| key != "policy") {
        let mark = format!("<{key}>");
        // A path or a network has a `/`, so that it is no part of an address or an id, which are known by their looks.
        let mut know = |text: &str| if text.contains(['/', '\\']) { redactor.know(text, &mark) } else { redactor.know_word(text, &mark) };
        know(text);
        match key.as_str() {
            "network.proxy" => redactor.know_word(host(text), "<proxy>"),
            // `env:VARIABLE`, `keyring:ENTRY`, `file:/PATH`.
            "network.proxy_auth" => know(text.split_once(':').map_or("", |(_, place)| place)),
            _ => {}
        }
    }
    redactor
}

/// What may name somebody or a place in settings that cannot be used: quoted, and no plain word.
fn quoted(settings: &str) -> impl Iterator<Item = &str> {
    let inside = settings.lines().flat_map(|line| line.split(['"', '\'']).skip(1).step_by(2));
    inside.filter(|text| text.len() >= 4 && text.contains(['.', ':', '/', '\\', '@', '-']))
}

fn know_quoted(redactor: &mut Redactor, text: &str) {
    redactor.know(text, "<setting>");
    if text.contains("://") {
        redactor.know_word(host(text), "<setting>");
    }
}

/// The policies in what `status` says of a client: `work and desk: read-only, 1 account`.
fn policies(said: &str) -> impl Iterator<Item = &str> {
    said.rsplit_once(": ").into_iter().flat_map(|(names, _)| names.split(" and "))
}

/// The host of `http://host:3128` or `host:3128`.
fn host(address: &str) -> &str {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    address.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(address, |(host, _)| host)
}

/// The end of the log, from the beginning of a line.
fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
        let mut end = Vec::new();
        file.take(LOG_TAIL).read_to_end(&mut end)?;
        if length > LOG_TAIL {
            let first = end.iter().position(|byte| *byte == b'\n').map_or(end.len(), |at| at + 1);
            end.drain(..first);
        }
        Ok(end)
    };
    match read() {
        Ok(end) => String::from_utf8_lossy(&end).into_owned(),
        Err(error) => format!("(there is no log to read: {error})\n"),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_settings_that_cannot_be_used_are_known_too() {
        let mut redactor = Redactor::default();
        let settings =
            "[network]\nproxy = 'http://gate.contoso.corp:3128' # \"that one\"\nno_proxy = [\"intern.contoso.corp\", \"warn\"\n[grahp";
        quoted(settings).for_each(|text| know_quoted(&mut redactor, text));
        let told = redactor.clean("warn: gate.contoso.corp and INTERN.contoso.corp, a gate\n");
        assert_eq!(told, "warn: <setting> and <setting>, a gate\n");
    }

    #[test]
    fn what_people_named_is_known() {
        use m365_cached_proto::v1::{Account, Client, StatusReply};
        let account = Account { id: "oid.tid".into(), username: "ada@contoso.com".into(), alias: "lovelace".into(), ..Account::default() };
        let client = Client { policy: "boss and read-only tools: read-only, 1 account".into(), ..Client::default() };
        let status = StatusReply { accounts: vec![account], clients: vec![client], ..StatusReply::default() };
        let setting = |key: &str, value: &str| json!({ "key": key, "value": value, "origin": "file" });
        let config = json!({ "settings": [
            setting("policy.desk.accounts", r#"["home"]"#),
            setting("policy.default.read_only", "true"),
            setting("network.proxy", r#""http://proxy.corp.example:3128""#),
            setting("network.ca", r#""/srv/corp/root.pem""#),
            setting("network.proxy_auth", r#""env:CORP_AUTH""#),
            setting("accounts.default", r#""lovelace""#),
        ]});
        let redactor = redactor(&Seen::of(status), Some(&config), Some("10.1.2.3:8080"));
        for (text, expected) in [
            ("`Lovelace` is signed in", "`<account-1>` is signed in"),
            ("the policy `boss`: read-only tools", "the policy `<policy-1>`: read-only tools"),
            (
                "the policies desk and default, and the account home",
                "the policies <policy-2> and default, and the account <policy.*.accounts>",
            ),
            ("names proxy.corp.example:3128, or 10.1.2.3:8080", "names <proxy>:3128, or <proxy>:8080"),
            ("http://proxy.corp.example:3128/", "<network.proxy>/"),
            ("`CORP_AUTH` is not set", "`<network.proxy_auth>` is not set"),
            ("`/srv/corp/root.pem` cannot be read", "`<network.ca>` cannot be read"),
        ] {
            assert_eq!(redactor.clean(text), expected);
        }
    }

    #[test]
    fn the_end_of_a_long_log_begins_with_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let lines: String = (0..40_000).map(|number| format!("line {number}\n")).collect();
        std::fs::write(&path, &lines).unwrap();
        let end = tail(&path);
        assert!(lines.ends_with(&end) && end.starts_with("line ") && end.len() as u64 <= LOG_TAIL);
        assert!(tail(&folder.path().join("none")).starts_with("(there is no log"));
    }

    #[test]
    fn the_archive_opens_again() {
        let made = archive(&[("a.txt", "one".into()), ("b.txt", "two".into())]).unwrap();
        let mut zip = zip::ZipArchive::new(Cursor::new(made)).unwrap();
        let mut text = String::new();
        zip.by_name("b.txt").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!((zip.len(), text.as_str()), (2, "two"));
    }
}
