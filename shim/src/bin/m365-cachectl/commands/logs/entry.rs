//! A line of the log: read in either of its formats, judged, shown. Pure.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::commands::pause;
use crate::output::Paint;

/// How grave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    fn named(word: &str) -> Option<Self> {
        Some(match word {
            "ERROR" => Self::Error,
            "WARN" => Self::Warn,
            "INFO" => Self::Info,
            "DEBUG" => Self::Debug,
            "TRACE" => Self::Trace,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }
}

/// `{"at":"2026-11-22T08:00:00.000Z","level":"INFO","target":"m365_cached_daemon::life","text":"…"}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Entry {
    at: Option<Timestamp>,
    #[serde(serialize_with = "word")]
    level: Option<Level>,
    target: Option<String>,
    text: String,
}

#[expect(clippy::ref_option, reason = "as serde calls it")]
fn word<S: serde::Serializer>(level: &Option<Level>, serializer: S) -> Result<S::Ok, S::Error> {
    level.map(Level::as_str).serialize(serializer)
}

impl Entry {
    /// Reads a line. One that is in neither format was written to stderr before there was a log, or by the system.
    pub(super) fn of(line: &str) -> Self {
        json(line).or_else(|| text(line)).unwrap_or_else(|| Self { at: None, level: None, target: None, text: line.trim_end().to_owned() })
    }

    /// Whether it says when it was written.
    pub(super) fn has_time(&self) -> bool {
        self.at.is_some()
    }

    /// As a person reads it.
    pub(super) fn painted(&self, paint: Paint) -> String {
        let (Some(at), Some(level)) = (self.at, self.level) else { return format!("{}\n", self.text) };
        let word = format!("{:5}", level.as_str());
        let word = match level {
            Level::Error => paint.bad(&word),
            Level::Warn => paint.warn(&word),
            _ => word,
        };
        format!("{at:.3} {word} {}: {}\n", self.target.as_deref().unwrap_or_default(), self.text)
    }
}

/// `2026-11-22T08:00:00.000Z INFO  m365_cached_daemon::life: ready pid=42`
fn text(line: &str) -> Option<Entry> {
    let (at, rest) = line.split_once(' ')?;
    let (level, rest) = rest.split_once(' ')?;
    let (target, text) = rest.trim_start().split_once(": ")?;
    Some(Entry {
        at: Some(at.parse().ok()?),
        level: Some(Level::named(level)?),
        target: Some(target.to_owned()),
        text: text.trim_end().to_owned(),
    })
}

/// `{"at":"…","level":"INFO","target":"…","message":"ready","pid":42}`: shown as the other format has it.
fn json(line: &str) -> Option<Entry> {
    let mut fields: Map<String, Value> = serde_json::from_str(line).ok()?;
    let mut taken = |name: &str| match fields.shift_remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (at, level, target) = (taken("at")?.parse().ok()?, Level::named(&taken("level")?)?, taken("target")?);
    let mut text = taken("message").unwrap_or_default();
    for (name, value) in &fields {
        let _ = write!(text, " {name}={value}");
    }
    Some(Entry { at: Some(at), level: Some(level), target: Some(target), text })
}

/// Which lines are wanted.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    since: Option<Timestamp>,
    level: Option<Level>,
    /// When the last line was written that says so.
    last: Option<Timestamp>,
}

impl Filter {
    pub(super) fn new(since: Option<Timestamp>, level: Option<Level>) -> Self {
        Self { since, level, last: None }
    }

    /// Whether a line is wanted; to be asked in the order of the log. One without a time is as old as the one before it, and one without a level is
    /// as grave as can be: the daemon says it when it cannot start.
    pub(super) fn wants(&mut self, entry: &Entry) -> bool {
        self.last = entry.at.or(self.last);
        let late = self.since.is_none_or(|since| self.last.is_some_and(|at| at >= since));
        late && self.level.is_none_or(|least| entry.level.unwrap_or(Level::Error) <= least)
    }

    /// Whether everything before `first` is too old.
    pub(super) fn is_enough(&self, first: Option<&Entry>) -> bool {
        self.since.zip(first.and_then(|first| first.at)).is_some_and(|(since, at)| at < since)
    }
}

/// A time as a person gives it.
pub(super) fn since(text: &str) -> Result<Timestamp, String> {
    let expected = || "a time such as `15m`, `2h` or `7d` ago, a date, or `2026-11-21T08:00:00Z`".to_owned();
    if let Ok(seconds) = pause::time(text) {
        let back = jiff::SignedDuration::from_secs(i64::try_from(seconds).map_err(|_| expected())?);
        return Timestamp::now().checked_sub(back).map_err(|_| expected());
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let date: Date = text.parse().map_err(|_| expected())?;
    date.to_zoned(TimeZone::UTC).map(|at| at.timestamp()).map_err(|_| expected())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "2026-11-22T08:00:00.250Z WARN  m365_cached_daemon::life: told to wait wait_ms=1500 code=\"throttled\"";
    const JSON: &str = r#"{"at":"2026-11-22T08:00:00.250Z","level":"WARN","target":"m365_cached_daemon::life","message":"told to wait","wait_ms":1500,"code":"throttled"}"#;

    #[test]
    fn both_formats_say_the_same() {
        let entry = Entry::of(TEXT);
        assert_eq!(entry, Entry::of(JSON));
        assert_eq!(entry.painted(Paint::OFF), format!("{TEXT}\n"));
        let line = serde_json::to_string(&entry).unwrap();
        assert_eq!(
            line,
            r#"{"at":"2026-11-22T08:00:00.25Z","level":"WARN","target":"m365_cached_daemon::life","text":"told to wait wait_ms=1500 code=\"throttled\""}"#
        );
    }

    #[test]
    fn what_is_no_line_of_the_log_is_shown_as_it_is() {
        for line in ["error: The key is gone.", "", "2026-11-22 somebody wrote this: x", "{\"at\":1}", "2026-11-22T08:00:00Z LOUD x: y"] {
            let entry = Entry::of(line);
            assert_eq!((entry.at, entry.level, entry.text.as_str()), (None, None, line), "{line}");
        }
    }

    #[test]
    fn what_is_wanted_is_judged_by_time_and_level() {
        let line = |minute: u32, level: &str| Entry::of(&format!("2026-11-22T08:{minute:02}:00.000Z {level:5} x: y"));
        let mut filter = Filter::new(Some("2026-11-22T08:10:00Z".parse().unwrap()), Some(Level::Warn));
        let words = Entry::of("error: words without a time");
        assert!(!filter.wants(&words), "older than anything");
        assert!(!filter.wants(&line(9, "ERROR")) && !filter.wants(&words), "as old as the line before it");
        assert!(filter.wants(&line(10, "WARN")) && filter.wants(&words) && !filter.wants(&line(11, "INFO")));
        assert!(filter.is_enough(Some(&line(9, "INFO"))) && !filter.is_enough(Some(&line(10, "INFO"))) && !filter.is_enough(None));
        assert!(Filter::new(None, None).wants(&words));
    }

    #[test]
    fn times_are_spans_dates_and_moments() {
        assert_eq!(since("2026-11-21").unwrap(), "2026-11-21T00:00:00Z".parse().unwrap());
        assert_eq!(since("2026-11-21T08:00:00+01:00").unwrap(), "2026-11-21T07:00:00Z".parse().unwrap());
        let (hour, day) = (since("1h").unwrap(), since("1d").unwrap());
        assert!(day < hour && hour < Timestamp::now());
        for wrong in ["", "yesterday", "2026-13-01", "5", "-2h"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
