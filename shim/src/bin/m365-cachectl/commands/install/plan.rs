//! What is to be done to one client's file: decided from its text, done in one step.

use std::path::{Path, PathBuf};

use m365_cached_proto::v1::{Fault, Kind};
use serde_json::{Map, Value};

use super::clients::{Client, Format};
use super::entry::{self, Change, Entry};
use super::file::{FileError, Held};
use super::ours::Starts;
use super::trouble::Trouble;
use super::{jsonc, toml};

/// A client that writes its file at the same moment makes us decide anew; so often.
const TRIES: usize = 5;

/// What is wanted of a client's file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wish<'a> {
    /// The entry; the profile to which one that is there leads stays unless another is named.
    There(&'a Entry),
    /// The entry, leading to our profile.
    Led(&'a Entry),
    Gone,
}

/// What it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Install,
    Update,
    Uninstall,
    /// It is as it should be.
    Nothing,
}

/// One file and what becomes of it.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) client: Client,
    pub(super) file: PathBuf,
    pub(super) step: Step,
    held: Held,
    new: String,
    pub(super) name: &'a str,
    wish: Wish<'a>,
}

impl<'a> Plan<'a> {
    /// Decides what it takes; writes nothing.
    pub(super) fn new(client: Client, file: PathBuf, name: &'a str, wish: Wish<'a>) -> Result<Self, Fault> {
        let held = Held::read(&file).map_err(|error| failed(&file, &error))?;
        let (step, new) = match wish {
            Wish::There(entry) => wanted(client, held.text(), name, entry, false),
            Wish::Led(entry) => wanted(client, held.text(), name, entry, true),
            Wish::Gone => unwanted(client, held.text(), name),
        }
        .map_err(|why| why.fault(client, &file, name))?;
        Ok(Self { client, file, step, held, new, name, wish })
    }

    /// Whether the entry is to be there.
    pub(super) fn is_wanted(&self) -> bool {
        !matches!(self.wish, Wish::Gone)
    }

    /// The folder of the profile to which an entry of ours that is there now leads; `None` also for the one in the system's places.
    pub(super) fn led(&self) -> Option<PathBuf> {
        self.leads(self.held.text())
    }

    /// As [`Plan::led`], once this is done.
    pub(super) fn will_lead(&self) -> Option<PathBuf> {
        self.leads(&self.new)
    }

    fn leads(&self, text: &str) -> Option<PathBuf> {
        let entry = found(self.client, text, self.name).ok().flatten()?;
        Starts::here(&entry).is_ours().then(|| entry::profile(&entry)).flatten()
    }

    /// The text as it is and as it will be.
    pub(super) fn texts(&self) -> (&str, &str) {
        (self.held.text(), &self.new)
    }

    /// Does it; where the file as it was lies now, when there was one.
    pub(super) fn carry_out(mut self) -> Result<Option<PathBuf>, Fault> {
        let mut left = TRIES;
        while self.step != Step::Nothing {
            match self.held.replace(&self.new) {
                Ok(backup) => return Ok(backup),
                // What was agreed to is our entry alone, whatever the rest has become.
                Err(FileError::Changed) if left > 1 => left -= 1,
                Err(error) => return Err(failed(&self.file, &error)),
            }
            self = Self::new(self.client, self.file, self.name, self.wish)?;
        }
        Ok(None)
    }
}

/// Why nothing is done.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Unreadable(Trouble),
    /// The entry of that name is somebody else's.
    Foreign,
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        Self::Unreadable(trouble)
    }
}

impl Refusal {
    fn fault(self, client: Client, file: &Path, name: &str) -> Fault {
        let (file, word) = (file.display(), client.facts().word);
        match self {
            Self::Unreadable(trouble) => Fault::new(
                Kind::User,
                "client_file_unreadable",
                format!("`{file}` stays as it is, since it cannot be read: {trouble}"),
                format!("Correct it there, or put in by hand what `m365-cachectl install {word} --print` shows."),
            ),
            Self::Foreign => Fault::new(
                Kind::User,
                "not_ours",
                format!("the entry `{name}` in `{file}` starts another program than the `m365-mcp` of m365-cached; it stays as it is"),
                "`--name` says which entry is meant.",
            ),
        }
    }
}

/// What the file of `client` says under `name`.
pub(super) fn found(client: Client, text: &str, name: &str) -> Result<Option<Value>, Trouble> {
    let section = client.facts().section;
    match client.facts().format {
        Format::Jsonc => jsonc::get(text, section, name),
        Format::Toml => toml::get(text, section, name),
    }
}

/// Every entry in `text`, the file of `client`, by name.
pub(super) fn entries(client: Client, text: &str) -> Result<Map<String, Value>, Trouble> {
    let section = client.facts().section;
    match client.facts().format {
        Format::Jsonc => jsonc::entries(text, section),
        Format::Toml => toml::entries(text, section),
    }
}

/// What a new file of `client` would hold.
pub(super) fn snippet(client: Client, name: &str, entry: &Entry) -> Result<String, Trouble> {
    put(client, "", name, &entry.members(client.facts().typed))
}

fn put(client: Client, text: &str, name: &str, members: &Map<String, Value>) -> Result<String, Trouble> {
    let section = client.facts().section;
    match client.facts().format {
        Format::Jsonc => jsonc::put(text, section, name, members),
        Format::Toml => toml::put(text, section, name, members),
    }
}

fn wanted(client: Client, text: &str, name: &str, entry: &Entry, led: bool) -> Result<(Step, String), Refusal> {
    let facts = client.facts();
    match found(client, text, name)? {
        None => Ok((Step::Install, put(client, text, name, &entry.members(facts.typed))?)),
        Some(there) if Starts::here(&there).is_ours() => {
            let changes = entry.changes(&there, facts.typed, led);
            let step = if changes.is_empty() { Step::Nothing } else { Step::Update };
            let text = changes.iter().try_fold(text.to_owned(), |text, change| changed(client, &text, name, change))?;
            Ok((step, text))
        }
        // Another program under our name, such as the one this one follows: the difference is shown, and the file kept.
        Some(_) => Ok((Step::Update, put(client, text, name, &entry.members(facts.typed))?)),
    }
}

fn changed(client: Client, text: &str, name: &str, change: &Change<'_>) -> Result<String, Trouble> {
    let section = client.facts().section;
    match (client.facts().format, change) {
        (Format::Jsonc, Change::Set(at, key, value)) => jsonc::set(text, section, name, at, key, value),
        (Format::Jsonc, Change::Unset(at, key)) => jsonc::unset(text, section, name, at, key),
        (Format::Toml, Change::Set(at, key, value)) => toml::set(text, section, name, at, key, value),
        (Format::Toml, Change::Unset(at, key)) => toml::unset(text, section, name, at, key),
    }
}

fn unwanted(client: Client, text: &str, name: &str) -> Result<(Step, String), Refusal> {
    let section = client.facts().section;
    match found(client, text, name)? {
        None => return Ok((Step::Nothing, text.to_owned())),
        Some(there) if !Starts::here(&there).is_ours() => return Err(Refusal::Foreign),
        Some(_) => {}
    }
    let without = match client.facts().format {
        Format::Jsonc => jsonc::remove(text, section, name)?,
        Format::Toml => toml::remove(text, section, name)?,
    };
    Ok(without.map_or((Step::Nothing, text.to_owned()), |without| (Step::Uninstall, without)))
}

fn failed(file: &Path, error: &FileError) -> Fault {
    let hint = match error {
        FileError::Changed => "Try again when the client is quiet, or quit it first.",
        FileError::NotText | FileError::TooLarge => "Look at it with an editor: this is no file of the client's as it should be.",
        FileError::Io(_) => "Look at its rights, its folder's, and the room on the disk.",
    };
    Fault::new(Kind::User, "client_file_not_written", format!("`{}` stays as it is: {error}", file.display()), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(command: &str, env: &[(&str, &str)]) -> Entry {
        let env = env.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        Entry { command: command.into(), args: Vec::new(), env }
    }

    #[test]
    fn a_second_run_finds_nothing_to_do() {
        for client in Client::ALL {
            let entry = entry("/opt/m365-mcp", &[("M365_CACHED_DIR", "/p")]);
            let (step, text) = wanted(client, "", "m365", &entry, false).unwrap();
            assert_eq!(step, Step::Install);
            assert_eq!(wanted(client, &text, "m365", &entry, false).unwrap(), (Step::Nothing, text.clone()));
            let moved = Entry { command: "/usr/bin/m365-mcp".into(), ..entry.clone() };
            let (step, updated) = wanted(client, &text, "m365", &moved, false).unwrap();
            assert_eq!((step, updated), (Step::Update, text.replace("/opt", "/usr/bin")), "{client:?}");
        }
    }

    #[test]
    fn what_people_added_to_the_entry_stays() {
        let text = "{\"mcpServers\": {\"m365\": {\"command\": \"/old/m365-mcp\", /* slow */ \"timeout\": 9}}}";
        let (step, new) = wanted(Client::Cursor, text, "m365", &entry("/new/m365-mcp", &[("A", "b")]), false).unwrap();
        assert_eq!(step, Step::Update);
        assert_eq!(
            new,
            "{\"mcpServers\": {\"m365\": {\"command\": \"/new/m365-mcp\", /* slow */ \"timeout\": 9, \"env\": {\"A\": \"b\"}}}}"
        );
        let text = "[mcp_servers.m365]\ncommand = \"/old/m365-mcp\" # where\ntool_timeout_sec = 9\n\n[mcp_servers.m365.env]\nB = \"c\"\n";
        let (_, new) = wanted(Client::Codex, text, "m365", &entry("/new/m365-mcp", &[("A", "b")]), false).unwrap();
        assert_eq!(new, text.replace("/old", "/new") + "A = \"b\"\n");
    }

    #[test]
    fn an_entry_is_led_to_another_profile_by_what_says_so_alone() {
        let plain = entry("/new/m365-mcp", &[]);
        for client in Client::ALL {
            let text = put(client, "", "m365", &plain.members(client.facts().typed)).unwrap();
            let led = put(client, "", "m365", &entry("/new/m365-mcp", &[("M365_CACHED_DIR", "/p")]).members(client.facts().typed)).unwrap();
            assert_eq!(wanted(client, &led, "m365", &plain, false).unwrap(), (Step::Nothing, led.clone()), "{client:?}");
            assert_eq!(wanted(client, &led, "m365", &plain, true).unwrap(), (Step::Update, text), "{client:?}");
        }
        let text = "{\"mcpServers\": {\"m365\": {\"command\": \"/new/m365-mcp\", \"env\": {\"M365_CACHED_DIR\": \"/p\", /* mine */ \"A\": \"b\"}}}}";
        let expected = "{\"mcpServers\": {\"m365\": {\"command\": \"/new/m365-mcp\", \"env\": {/* mine */ \"A\": \"b\"}}}}";
        assert_eq!(wanted(Client::Cursor, text, "m365", &plain, true).unwrap(), (Step::Update, expected.to_owned()));
        let text = "[mcp_servers.m365]\ncommand = \"/new/m365-mcp\"\nargs = [\"--profile\", \"/p\"] # there\ntool_timeout_sec = 9\n";
        let expected = "[mcp_servers.m365]\ncommand = \"/new/m365-mcp\"\ntool_timeout_sec = 9\n";
        assert_eq!(wanted(Client::Codex, text, "m365", &plain, true).unwrap(), (Step::Update, expected.to_owned()));
    }

    #[test]
    fn another_program_is_replaced_by_name_and_never_removed() {
        let text = "{\"mcpServers\": {\"m365\": {\"command\": \"uvx\", \"args\": [\"m365-mcp\"]}}}";
        let (step, new) = wanted(Client::Cursor, text, "m365", &entry("/m365-mcp", &[]), false).unwrap();
        assert_eq!((step, new.as_str()), (Step::Update, "{\"mcpServers\": {\"m365\": {\"command\": \"/m365-mcp\"}}}"));
        assert_eq!(unwanted(Client::Cursor, text, "m365"), Err(Refusal::Foreign));
        assert_eq!(unwanted(Client::Cursor, text, "other").unwrap(), (Step::Nothing, text.to_owned()));
    }
}
