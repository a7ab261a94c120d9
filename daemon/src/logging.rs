//! Tracing to stderr and to a file of our own, with a redactor that lets through only what is known to be harmless.
//!
//! Decision: an allow-list of field names, since a list of forbidden ones is always one name short. Values still pass a filter for
//! addresses and tokens, because an error text may carry one. Of other crates only warnings are shown, and only where they come from:
//! HTTP libraries write headers, and with them tokens, into their events.

use std::{fmt, io, sync::OnceLock};

use m365_cached::{
    clock::{Clock, SystemClock},
    config::{LogFormat, LogSettings},
};
use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, format::Writer},
    layer::SubscriberExt,
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt,
};

use crate::logfile::LogFile;

/// Fields that may be shown. They hold names, numbers and reasons of ours, never content, addresses or tokens.
const ALLOWED: [&str; 37] = [
    "attempt",
    "breaker",
    "bytes",
    "call",
    "client",
    "code",
    "count",
    "created",
    "dir",
    "duration_ms",
    "entries",
    "error",
    "hint",
    "instance",
    "job",
    "kind",
    "location",
    "message",
    "method",
    "path",
    "phase",
    "pid",
    "profile",
    "protocol",
    "reason",
    "request_id",
    "route",
    "session",
    "signal",
    "socket",
    "source",
    "state",
    "status",
    "tool",
    "uid",
    "version",
    "wait_ms",
];

/// Our own crates.
const OURS: &str = "m365_cached";

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("`log.filter` is not a filter that tracing understands")]
    Filter,
    /// It was set up before.
    #[error("logging is set up already")]
    Twice,
}

/// Whether the filter can be read.
pub(crate) fn check(settings: &LogSettings) -> Result<(), LogError> {
    filter(settings).map(drop)
}

/// The filter of this process, to be exchanged.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Puts another filter in the place of the one that logging began with. Without effect where it has not begun.
///
/// # Errors
/// When it cannot be read; the one before stays.
pub(crate) fn refilter(settings: &LogSettings) -> Result<(), LogError> {
    let filter = filter(settings)?;
    match FILTER.get() {
        Some(handle) => handle.reload(filter).map_err(|_| LogError::Filter),
        None => Ok(()),
    }
}

fn filter(settings: &LogSettings) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(&settings.filter).map_err(|_| LogError::Filter)
}

/// Sends the events of this process to stderr and to `file`, and what a panic may tell as well. Where both are one file they are written once.
pub fn start(settings: &LogSettings, file: Option<LogFile>) -> Result<(), LogError> {
    let (filter, handle) = reload::Layer::new(filter(settings)?);
    let to_stderr = if file.as_ref().is_some_and(LogFile::is_stderr) { None } else { Some(layer(settings, io::stderr)) };
    let to_file = file.map(|file| layer(settings, move || file.clone()));
    let subscriber = tracing_subscriber::registry().with(filter).with(to_stderr).with(to_file);
    subscriber.try_init().map_err(|_| LogError::Twice)?;
    let _ = FILTER.set(handle);
    quiet_panics();
    Ok(())
}

/// A panic tells where it happened and no more: its message may hold whatever was being worked on, and so may a backtrace's names.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!("{}:{}", inside(place.file()), place.line()));
        tracing::error!(location = place.as_deref(), "something of ours panicked; its message is left out, it may hold content");
    }));
}

/// A source file without the folders of the machine that it was built on: from its package's folder on.
fn inside(file: &str) -> &str {
    let parts: Vec<_> = file.rmatch_indices(['/', '\\']).map(|(at, _)| at).collect();
    let absolute = file.starts_with('/') || file.contains(':');
    match parts.get(3).or(parts.last()).filter(|_| absolute) {
        Some(at) => &file[at + 1..],
        None => file,
    }
}

fn layer<S, W>(settings: &LogSettings, writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    let format = Redacted { json: settings.format == LogFormat::Json };
    tracing_subscriber::fmt::layer().with_writer(writer).event_format(format)
}

struct Redacted {
    json: bool,
}

impl<S, N> FormatEvent<S, N> for Redacted
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let ours = metadata.target().starts_with(OURS);
        if !ours && *metadata.level() > Level::WARN {
            return Ok(());
        }
        let mut fields = Fields(Map::new());
        if ours {
            event.record(&mut fields);
        } else {
            // Where it comes from is its target; its name would add a path of the machine it was built on.
            fields.0.insert("message".into(), "has something to say; the text is left out, it may hold content".into());
        }
        let (at, level) = (SystemClock.now().rfc3339(), metadata.level().as_str());
        if self.json {
            let mut line = Map::new();
            line.insert("at".into(), at.into());
            line.insert("level".into(), level.into());
            line.insert("target".into(), metadata.target().into());
            line.extend(fields.0);
            return writeln!(writer, "{}", Value::Object(line));
        }
        write!(writer, "{at} {level:5} {}:", metadata.target())?;
        if let Some(Value::String(message)) = fields.0.shift_remove("message") {
            write!(writer, " {message}")?;
        }
        for (name, value) in &fields.0 {
            write!(writer, " {name}={value}")?;
        }
        writeln!(writer)
    }
}

/// The fields that may be shown, in the order of the event.
struct Fields(Map<String, Value>);

impl Fields {
    fn keep(&mut self, field: &Field, value: impl FnOnce() -> Value) {
        if ALLOWED.contains(&field.name()) {
            self.0.insert(field.name().into(), value());
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, || redact(&format!("{value:?}")).into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, || redact(value).into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.keep(field, || redact(&value.to_string()).into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, || value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, || value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, || value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, || value.into());
    }
}

/// `text` on one line, without the words that look like an address, a token or a query with a code in it.
fn redact(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut secret_follows = false;
    for (at, word) in text.split([' ', '\n', '\r', '\t']).enumerate() {
        if at > 0 {
            clean.push(' ');
        }
        let telling = word.contains('@') || word.contains("eyJ") || (word.contains('?') && word.contains('=')) || is_opaque(word);
        let hidden = telling || (secret_follows && !word.is_empty());
        clean.push_str(if hidden { "[redacted]" } else { word });
        secret_follows = word.to_lowercase().ends_with("bearer");
    }
    clean.retain(|letter| !letter.is_control());
    clean
}

/// Whether `word` has a run of letters and digits that only ids, keys and tokens are as long as. A GUID is shorter, a path has slashes.
fn is_opaque(word: &str) -> bool {
    let inside = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '_' | '-' | '=' | '%');
    word.split(|letter| !inside(letter)).any(|run| run.len() >= OPAQUE)
}

/// A key of 32 bytes has 43 characters in Base64, a GUID 36.
const OPAQUE: usize = 40;

#[cfg(test)]
#[path = "logging_tests.rs"]
mod tests;
