//! `config`: the settings, read by the daemon's program as the daemon would read them; a daemon need not run, and one that runs goes on.

use std::fmt::Write as _;

use m365_cached_proto::v1::{Fault, Kind};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::offline;
use crate::output::{Paint, View};

/// The daemon would not work with these settings.
const UNUSABLE: u8 = 7;

/// What to do with the settings.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  m365-cachectl config show                            every key, its value and where it came from
  m365-cachectl config set log.filter debug            the file is changed, its comments stay
  m365-cachectl config set cache.exclude_folders junkemail,drafts
  m365-cachectl config unset log.filter                the default holds again
  m365-cachectl config check                           exit code 7 when the daemon could not work with it

Settings come from the file, over them the environment (`graph.http2` is M365_CACHED_GRAPH_HTTP2), over both the daemon's own flags. What is
shown is what a daemon would have that starts from here; one that runs has read its own environment, and the file when it started or was last told
to (`m365-cachectl reload`). Behind each key stands what has it take a change: `reload`, or `restart`.

No setting takes a secret. The master key is named by where it is kept: `keys.source` and `keys.file`; so is a proxy's password: `network.proxy_auth`.")]
pub(crate) enum Verb {
    /// Every key, its value and where it came from
    #[command(after_help = "\
Examples:
  m365-cachectl config show --changed
  m365-cachectl config show graph.http2")]
    Show {
        /// Only this key
        key: Option<String>,
        /// Only what is not a default
        #[arg(long, conflicts_with = "key")]
        changed: bool,
    },
    /// Print one value
    #[command(after_help = "\
Example:
  m365-cachectl config get cache.max_bytes")]
    Get {
        /// Such as `graph.http2`
        key: String,
    },
    /// Read everything as the daemon would; says what is wrong, out of date or unsafe
    #[command(after_help = "\
Examples:
  m365-cachectl config check
  m365-cachectl config check --json")]
    Check,
    /// Put a value into the file; refused when the daemon could not work with it
    #[command(after_help = "\
A value may be bare or spelled as in the file: `debug`, `\"debug\"`, `a,b`, `[\"a\", \"b\"]`. Comments and order of the file stay.

Examples:
  m365-cachectl config set graph.http2 false
  m365-cachectl config set 'cache.accounts.\"ada@contoso.com\".enabled' false
  m365-cachectl config set warming.operations.email_list.parameters '{\"limit\": 20}'")]
    Set {
        /// Such as `graph.http2`
        key: String,
        /// Its new value
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Take a key out of the file, so that its default holds again
    #[command(after_help = "\
Example:
  m365-cachectl config unset log.filter")]
    Unset {
        /// Such as `graph.http2`
        key: String,
    },
    /// Print where the file is
    #[command(after_help = "\
Example:
  m365-cachectl config path")]
    Path,
    /// Write a file in which every key stands commented out, with its meaning and its default or an example; never over one that is there
    #[command(after_help = "\
Example:
  m365-cachectl config init")]
    Init,
}

/// `{"file":"/…/config.toml","exists":true,"settings":[…]}`
#[derive(Debug, Serialize, Deserialize)]
struct Settings {
    file: String,
    exists: bool,
    settings: Vec<Setting>,
}

/// `value` and `default` are spelled as in the file, `null` when there is none; `origin` is `default`, `file`, `environment` or `flag`, with
/// `line` or `variable` beside it; `takes` is what puts a change into effect, `reload` or `restart`.
#[derive(Debug, Serialize, Deserialize)]
struct Setting {
    key: String,
    value: Option<String>,
    origin: String,
    line: Option<u64>,
    variable: Option<String>,
    default: Option<String>,
    meaning: Option<String>,
    takes: String,
}

/// `{"file":"/…","exists":true,"valid":false,"problems":[{"where":"file, line 3","message":"…"}],"warnings":[{"code":"…","message":"…","hint":"…"}]}`
#[derive(Debug, Serialize, Deserialize)]
struct Checked {
    file: String,
    exists: bool,
    valid: bool,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Problem {
    #[serde(rename = "where")]
    at: Option<String>,
    message: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Warning {
    code: String,
    message: String,
    hint: String,
}

/// `{"file":"/…","key":"graph.http2","was":"true","is":"false","changed":true,"overridden_by":null,"takes":"restart"}`; `overridden_by` is the variable
/// of the environment that goes over the file, `takes` what has a running daemon take it. `accounts` has it take it, and says in `taken` whether one
/// was running.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Changed {
    file: String,
    pub(super) key: String,
    pub(super) was: Option<String>,
    pub(super) is: Option<String>,
    pub(super) changed: bool,
    pub(super) overridden_by: Option<String>,
    /// None for a key that there is no more.
    takes: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) taken: Option<bool>,
}

/// `{"file":"/…","keys":74}`
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Written {
    file: String,
    pub(super) keys: u64,
}

/// `{"key":"graph.http2","value":"true"}`
#[derive(Debug, Serialize)]
struct Value {
    key: String,
    value: Option<String>,
}

/// `{"file":"/…","exists":true}`
#[derive(Debug, Serialize)]
struct Place {
    file: String,
    exists: bool,
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Fault> {
    match verb {
        Verb::Show { key, changed } => {
            let words: Vec<&str> = ["config", "show"].into_iter().chain(key.as_deref()).collect();
            let mut settings: Settings = offline::look(context, &words).await?;
            settings.settings.retain(|setting| !changed || setting.origin != "default");
            context.output.show(&settings);
        }
        Verb::Get { key } => {
            let value = value(context, &key).await?;
            context.output.show(&Value { key, value });
        }
        Verb::Check => {
            let checked: Checked = offline::look(context, &["config", "check"]).await?;
            let code = if checked.valid { 0 } else { UNUSABLE };
            context.output.show(&checked);
            return Ok(code);
        }
        Verb::Set { key, value } => {
            context.output.show(&change(context, &key, Some(&value)).await?);
        }
        Verb::Unset { key } => {
            context.output.show(&change(context, &key, None).await?);
        }
        Verb::Path => {
            let file = context.profile.config_file();
            let path = file.to_str().ok_or_else(|| {
                Fault::new(Kind::Config, "no_text", "the path of the configuration is not text", "Choose another folder with --profile.")
            })?;
            context.output.show(&Place { file: path.to_owned(), exists: file.exists() });
        }
        Verb::Init => {
            context.output.show(&init(context).await?);
        }
    }
    Ok(0)
}

/// Puts a value into the file, or takes the key out of it.
pub(super) async fn change(context: &Context, key: &str, value: Option<&str>) -> Result<Changed, Fault> {
    match value {
        Some(value) => offline::look(context, &["config", "set", "--", key, value]).await,
        None => offline::look(context, &["config", "unset", "--", key]).await,
    }
}

/// Writes a file in which every key stands commented out.
pub(super) async fn init(context: &Context) -> Result<Written, Fault> {
    offline::look(context, &["config", "init"]).await
}

/// What holds for one key; `None` when it is not set.
async fn value(context: &Context, key: &str) -> Result<Option<String>, Fault> {
    Ok(held(context, key).await?.map(|held| held.value))
}

/// A value that holds, and the variable of this environment that it comes from when it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// Spelled as in the file.
    pub(super) value: String,
    pub(super) variable: Option<String>,
}

/// What holds for one key, and whether the environment says so; `None` when it is not set.
pub(super) async fn held(context: &Context, key: &str) -> Result<Option<Held>, Fault> {
    let settings: Settings = offline::look(context, &["config", "show", key]).await?;
    let setting = settings.settings.into_iter().next();
    Ok(setting.and_then(|setting| setting.value.map(|value| Held { value, variable: setting.variable })))
}

/// Every key that has a value, those of families as they are set.
pub(super) async fn keys(context: &Context) -> Result<Vec<String>, Fault> {
    let settings: Settings = offline::look(context, &["config", "show"]).await?;
    Ok(settings.settings.into_iter().map(|setting| setting.key).collect())
}

impl Setting {
    fn origin(&self) -> String {
        match (&self.line, &self.variable) {
            (Some(line), _) => format!("{}, line {line}", self.origin),
            (_, Some(variable)) => format!("{}, {variable}", self.origin),
            _ => self.origin.clone(),
        }
    }
}

impl View for Settings {
    fn text(&self, paint: Paint) -> String {
        let mut text = format!("# {}{}\n", self.file, if self.exists { "" } else { " (there is none)" });
        for setting in &self.settings {
            let value = setting.value.clone().unwrap_or_else(|| "(not set)".into());
            if let [alone] = self.settings.as_slice() {
                let _ = writeln!(text, "# {}", alone.meaning.as_deref().unwrap_or_default());
                if let Some(default) = alone.default.as_ref().filter(|_| alone.origin != "default") {
                    let _ = writeln!(text, "# default: {default}");
                }
            }
            let value = if setting.origin == "default" { value } else { paint.strong(&value) };
            let _ = writeln!(text, "{} = {value}  # {}; {}", setting.key, setting.origin(), setting.takes);
        }
        text
    }
}

impl View for Checked {
    fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            let at = problem.at.as_ref().filter(|at| *at != "default").map_or_else(String::new, |at| format!("{at}: "));
            let _ = writeln!(text, "{} {at}{}", paint.bad("error:"), problem.message);
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "{} {}\n{} {}", paint.warn("warning:"), warning.message, paint.strong("hint:"), warning.hint);
        }
        let state = match (self.valid, self.warnings.is_empty()) {
            (false, _) => paint.bad("the daemon cannot work with this"),
            (true, false) => paint.warn("the daemon works with this"),
            (true, true) => paint.good("all is well"),
        };
        let none = if self.exists { "" } else { " (there is no file: defaults)" };
        let _ = writeln!(text, "{state}: {}{none}", self.file);
        text
    }
}

impl View for Changed {
    fn text(&self, paint: Paint) -> String {
        let (was, is) = (self.was.as_deref().unwrap_or("not set"), self.is.as_deref().unwrap_or("not set"));
        if !self.changed {
            return format!("{} is {is} in {} already\n", self.key, self.file);
        }
        let mut text = format!("{} is now {} in {} (it was {was})\n", self.key, paint.strong(is), self.file);
        match &self.overridden_by {
            Some(variable) => {
                let _ = writeln!(text, "{} the variable {variable} of this environment goes over it", paint.warn("warning:"));
            }
            None if self.taken == Some(true) => text.push_str("the running daemon has taken it\n"),
            None if self.taken == Some(false) => text.push_str("no daemon is running; the next one takes it when it starts\n"),
            None => {
                let verb = self.takes.as_deref().unwrap_or("restart");
                let _ = writeln!(text, "a running daemon takes it with `m365-cachectl {verb}`");
            }
        }
        text
    }
}

impl View for Written {
    fn text(&self, _paint: Paint) -> String {
        format!("{}: {} keys, all commented out\n", self.file, self.keys)
    }
}

impl View for Value {
    fn text(&self, _paint: Paint) -> String {
        self.value.as_ref().map_or_else(String::new, |value| format!("{value}\n"))
    }
}

impl View for Place {
    fn text(&self, _paint: Paint) -> String {
        format!("{}\n", self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
        serde_json::from_str(text).unwrap()
    }

    const HTTP2: &str = r#"{"key":"graph.http2","value":"false","origin":"file","line":3,"variable":null,"default":"true","meaning":"Newer.","takes":"restart"}"#;
    const TENANT: &str =
        r#"{"key":"tenant","value":null,"origin":"default","line":null,"variable":null,"default":null,"meaning":"Who.","takes":"restart"}"#;

    #[test]
    fn settings_read_well() {
        let both: Settings = read(&format!(r#"{{"file":"/c","exists":true,"settings":[{HTTP2},{TENANT}]}}"#));
        assert_eq!(both.text(Paint::OFF), "# /c\ngraph.http2 = false  # file, line 3; restart\ntenant = (not set)  # default; restart\n");
        let one: Settings = read(&format!(r#"{{"file":"/c","exists":false,"settings":[{HTTP2}]}}"#));
        assert_eq!(one.text(Paint::OFF), "# /c (there is none)\n# Newer.\n# default: true\ngraph.http2 = false  # file, line 3; restart\n");
    }

    #[test]
    fn a_check_reads_well() {
        let wrong: Checked = read(
            r#"{"file":"/c","exists":true,"valid":false,"problems":[{"where":"file, line 2","message":"there is no setting `x`"}],"warnings":[]}"#,
        );
        assert_eq!(wrong.text(Paint::OFF), "error: file, line 2: there is no setting `x`\nthe daemon cannot work with this: /c\n");
        let warned: Checked =
            read(r#"{"file":"/c","exists":false,"valid":true,"problems":[],"warnings":[{"code":"c","message":"M.","hint":"H."}]}"#);
        let expected = "warning: M.\nhint: H.\nthe daemon works with this: /c (there is no file: defaults)\n";
        assert_eq!(warned.text(Paint::OFF), expected);
    }

    #[test]
    fn changes_read_well() {
        let mut changed: Changed =
            read(r#"{"file":"/c","key":"graph.http2","was":null,"is":"false","changed":true,"overridden_by":null,"takes":"restart"}"#);
        let expected = "graph.http2 is now false in /c (it was not set)\na running daemon takes it with `m365-cachectl restart`\n";
        assert_eq!(changed.text(Paint::OFF), expected);
        changed.takes = Some("reload".into());
        assert!(changed.text(Paint::OFF).ends_with("with `m365-cachectl reload`\n"));
        changed.taken = Some(true);
        assert!(changed.text(Paint::OFF).ends_with("the running daemon has taken it\n"));
        changed.overridden_by = Some("M365_CACHED_GRAPH_HTTP2".into());
        assert!(changed.text(Paint::OFF).contains("goes over it"));
        changed.changed = false;
        assert_eq!(changed.text(Paint::OFF), "graph.http2 is false in /c already\n");
    }
}
