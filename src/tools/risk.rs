//! What follows from a row: category, safety level, confirmation and the hints clients act on. Nothing here is written down twice.

use serde_json::{Map, Value, json};

use super::{Args, Asks, Effect, Risk, Tool, tool::MAX_TOKENS};

/// What Claude Code reads of a tool: how many characters an answer may have before it is put into a file and a model sees only the path. Its own
/// limit is 50,000, which 100 messages pass; more than 500,000 it does not take. 200,000 are some 60,000 tokens, and asked for by a limit or a
/// budget: lists of default size stay below 30,000 characters.
const LONGEST: (&str, u64) = ("anthropic/maxResultSizeChars", 200_000);

impl Risk {
    /// The word in `_meta.safety_level`.
    pub fn level(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Moderate => "moderate",
            Self::Dangerous => "dangerous",
            Self::Critical => "critical",
        }
    }

    /// The sign that opens a description, so that a person skimming a list sees what a tool may do.
    pub fn indicator(self) -> &'static str {
        match self {
            Self::Safe => "📖",
            Self::Moderate => "✏️",
            Self::Dangerous | Self::Critical => "🔴",
        }
    }
}

/// MCP's tool annotations: hints to a client about when to ask its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Annotations {
    /// It changes nothing.
    pub read_only: bool,
    /// It may destroy.
    pub destructive: bool,
    /// Doing it twice does what doing it once does.
    pub idempotent: bool,
    /// It deals with things outside this machine.
    pub open_world: bool,
}

impl Asks {
    /// How often a person is asked: `never`, `sometimes` (by the arguments) or `always`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::When(_) => "sometimes",
            Self::Always => "always",
        }
    }
}

impl Tool {
    /// What it reads or changes, and how long its answers are kept, in words.
    pub fn effect_in_words(&self) -> String {
        match self.effect {
            Effect::Read { service, ttl: Ok(ttl) } => {
                format!("reads {}; fresh for {} s, stale until {} s", service.as_str(), ttl.fresh.as_secs(), ttl.stale.as_secs())
            }
            Effect::Read { service, ttl: Err(never) } => format!("reads {}; never kept: {never}", service.as_str()),
            Effect::Write { service } => format!("changes {}; what it touched is read anew", service.as_str()),
            Effect::Local => "asks Microsoft nothing of a mailbox or drive".into(),
        }
    }

    /// Whether a person has to agree to a call with these arguments before it is done.
    pub fn asks_for(&self, args: &Args) -> bool {
        match self.asks {
            Asks::Never => false,
            Asks::Always => true,
            Asks::When(needs) => needs(args),
        }
    }

    /// Whether a call with these arguments can reach other people: it sends or shares, or it is about events or rules and asks first, for
    /// events tell their attendees, and rules forward. Some tools see only at Microsoft that they do; those ask then.
    pub fn reaches_others(&self, args: &Args) -> bool {
        self.risk == Risk::Dangerous || matches!(self.category(), "calendar" | "emailrules") && self.asks_for(args)
    }

    /// The annotations, all four always stated because MCP's own defaults differ from what most rows mean.
    pub fn annotations(&self) -> Annotations {
        Annotations {
            read_only: self.risk == Risk::Safe,
            destructive: self.risk == Risk::Critical,
            idempotent: self.idempotent,
            open_world: self.effect != Effect::Local,
        }
    }

    /// The family, which is the first word of the name.
    pub fn category(&self) -> &'static str {
        self.name.split('_').next().unwrap_or(self.name)
    }

    /// What clients show and models read: the sign of its risk, then the help.
    pub fn description(&self) -> String {
        format!("{} {}", self.risk.indicator(), self.help)
    }

    /// The members of `_meta`.
    pub fn meta(&self) -> Map<String, Value> {
        let meta = json!({
            "category": self.category(),
            "safety_level": self.risk.level(),
            "requires_confirmation": !matches!(self.asks, Asks::Never),
        });
        let Value::Object(mut meta) = meta else { return Map::new() };
        // What has a budget may be long, and is as long as somebody asked for.
        if self.params.iter().any(|param| param.name == MAX_TOKENS.name) {
            meta.insert(LONGEST.0.into(), LONGEST.1.into());
        }
        meta
    }
}
