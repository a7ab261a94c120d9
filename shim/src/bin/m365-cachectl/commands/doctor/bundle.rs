//! The archive for a bug report: what a stranger needs to understand the trouble, and nothing of what the person reads or writes.

use std::io::{Cursor, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use m365_cached_proto::v1::{Fault, Kind};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::daemon::Seen;
use super::redact::Redactor;
use super::{Check, LINKS};
use crate::commands::status;
use crate::context::Context;
use crate::offline;
use crate::private::PrivateFile;

/// The end of the log; what led to the trouble stands there.
const LOG_TAIL: u64 = 256 * 1024;
/// Settings that name people, directories or places: their values stay here.
const PRIVATE: [&str; 12] = [
    "client_id",
    "tenant",
    "cloud.identity",
    "cloud.graph",
    "cloud.downloads",
    "cloud.ca",
    "keys.file",
    "cache.exclude_folders",
    "cache.exclude_senders",
    "files.allowed_roots",
    "metrics.listen",
    "warming.operations",
];
const READ_ME: &str = "\
A report of m365-cached for whoever looks into its trouble. Made by `m365-cachectl doctor --bundle`.

doctor.json    each link and how it is
status.json    the daemon's own word, without names of accounts
config.json    every setting that is not a default; values that name people or places are left out
versions.json  programs and system
log.txt        the end of the daemon's log

Addresses, ids, names of accounts, the home folder and whatever looks like a token were replaced by marks; equal marks stand for equal
words. No answer of Microsoft's and no key is in it.
";

/// Writes it; where it is.
pub(super) async fn write(context: &Context, path: &Path, checks: &[Check], seen: &Seen) -> Result<String, Fault> {
    let redactor = redactor(seen);
    let config: Result<Value, Fault> = offline::look(context, &["config", "show"]).await;
    let texts = [
        ("README.txt", READ_ME.to_owned()),
        ("doctor.json", redactor.clean(&pretty(&json!({ "links": LINKS.map(|(link, _)| link), "checks": checks })))),
        ("status.json", redactor.clean(&pretty(&status::as_json(context, seen.status.as_ref().ok().cloned())))),
        ("config.json", redactor.clean(&pretty(&settings(config)))),
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

/// What is known to be somebody's.
fn redactor(seen: &Seen) -> Redactor {
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
    }
    redactor
}

/// Settings that are not a default; those that name somebody without their values, and families of accounts and clients without their names.
fn settings(shown: Result<Value, Fault>) -> Value {
    let shown = match shown {
        Ok(shown) => shown,
        // What is wrong with the file may repeat a name that a person put there.
        Err(fault) => return json!({ "unusable": fault.code }),
    };
    let settings = shown["settings"].as_array().into_iter().flatten().filter(|setting| setting["origin"] != "default");
    let told = settings.map(|setting| {
        let key = setting["key"].as_str().unwrap_or_default();
        let named = ["cache.accounts.", "policy."].into_iter().find(|family| key.starts_with(family));
        let (key, value) = match named {
            Some(family) => (format!("{family}*.{}", key.rsplit('.').next().unwrap_or_default()), named_value(&setting["value"])),
            None if PRIVATE.iter().any(|private| key.starts_with(private)) => (key.to_owned(), json!("<left out>")),
            None => (key.to_owned(), setting["value"].clone()),
        };
        json!({ "key": key, "value": value, "origin": setting["origin"] })
    });
    json!({ "settings": told.collect::<Vec<_>>() })
}

/// Of a family that is named after somebody only truth values are told.
fn named_value(value: &Value) -> Value {
    if ["true", "false"].contains(&value.as_str().unwrap_or_default()) { value.clone() } else { json!("<left out>") }
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
    fn settings_that_name_somebody_are_left_out() {
        let shown = json!({ "settings": [
            { "key": "graph.http2", "value": "false", "origin": "file" },
            { "key": "tenant", "value": "\"contoso.com\"", "origin": "environment" },
            { "key": "log.format", "value": "\"text\"", "origin": "default" },
            { "key": "policy.boss.accounts", "value": "[\"ada\"]", "origin": "file" },
            { "key": "cache.accounts.\"ada@contoso.com\".enabled", "value": "false", "origin": "file" },
        ]});
        let told = settings(Ok(shown)).to_string();
        assert!(told.contains(r#"{"key":"graph.http2","value":"false","origin":"file"}"#), "{told}");
        assert!(told.contains(r#"{"key":"cache.accounts.*.enabled","value":"false","origin":"file"}"#), "{told}");
        for private in ["contoso", "ada", "boss", "log.format"] {
            assert!(!told.contains(private), "{private}: {told}");
        }
        let wrong = Fault::new(Kind::Config, "bad_config", "no tool `hunter2`", "");
        assert_eq!(settings(Err(wrong)), json!({ "unusable": "bad_config" }));
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
