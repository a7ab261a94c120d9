//! The clients that can be set up: where each keeps its list of servers, on which system, and in which form. The whole table.
//!
//! Sources: the clients' own documentation, collected under "Config files". What was looked at on a real machine of each kind is Linux alone; the paths of
//! macOS and Windows are as documented.
//!
//! Claude Code is set up by its file, as all others, though it has a command for it (`claude mcp add-json`): the change can be shown before it is made, it
//! works where only the extension of an editor is installed, and nothing depends on a program of somebody else. `--print` names the command.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

/// A client that can be set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Client {
    ClaudeCode,
    ClaudeDesktop,
    Vscode,
    Cursor,
    Codex,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Jsonc,
    Toml,
}

/// What is known of a client.
#[derive(Debug)]
pub(super) struct Facts {
    /// Its word on the command line.
    pub(super) word: &'static str,
    pub(super) title: &'static str,
    pub(super) format: Format,
    /// The member of the file that holds the servers.
    pub(super) section: &'static str,
    /// Whether its entries say `"type": "stdio"`.
    pub(super) typed: bool,
    /// Its program on PATH.
    program: Option<&'static str>,
    /// Its file in a project.
    project: Option<&'static str>,
    /// What the person does afterwards.
    pub(super) after: &'static str,
    /// What else there is to know.
    pub(super) note: Option<&'static str>,
}

/// Claude Desktop from the Microsoft Store keeps its files in here.
const STORE: &str = "Packages/Claude_pzs8sxrjxfjjc";

impl Client {
    pub(crate) const ALL: [Self; 5] = [Self::ClaudeCode, Self::ClaudeDesktop, Self::Vscode, Self::Cursor, Self::Codex];

    /// What people call it.
    pub(crate) fn title(self) -> &'static str {
        self.facts().title
    }

    pub(super) const fn facts(self) -> &'static Facts {
        match self {
            Self::ClaudeCode => &Facts {
                word: "claude-code",
                title: "Claude Code",
                format: Format::Jsonc,
                section: "mcpServers",
                typed: true,
                program: Some("claude"),
                project: Some(".mcp.json"),
                after: "start a new session; `/mcp` shows it",
                note: None,
            },
            Self::ClaudeDesktop => &Facts {
                word: "claude-desktop",
                title: "Claude Desktop",
                format: Format::Jsonc,
                section: "mcpServers",
                typed: false,
                program: None,
                project: None,
                after: "quit Claude Desktop and start it again",
                note: Some(
                    "Claude Desktop writes this file itself while it runs and may drop the entry: quit it first, or open the bundle `m365-cached.mcpb` with it",
                ),
            },
            Self::Vscode => &Facts {
                word: "vscode",
                title: "VS Code",
                format: Format::Jsonc,
                section: "servers",
                typed: true,
                program: Some("code"),
                project: Some(".vscode/mcp.json"),
                after: "VS Code asks whether to trust the server when it starts it",
                note: None,
            },
            Self::Cursor => &Facts {
                word: "cursor",
                title: "Cursor",
                format: Format::Jsonc,
                section: "mcpServers",
                typed: false,
                program: Some("cursor"),
                project: Some(".cursor/mcp.json"),
                after: "turn it on under Settings, MCP",
                note: None,
            },
            Self::Codex => &Facts {
                word: "codex",
                title: "Codex",
                format: Format::Toml,
                section: "mcp_servers",
                typed: false,
                program: Some("codex"),
                project: Some(".codex/config.toml"),
                after: "start a new session; `codex mcp list` shows it",
                note: None,
            },
        }
    }

    /// Its file in the project `dir`; `None` for a client that has none there.
    pub(super) fn project_file(self, dir: &Path) -> Option<PathBuf> {
        self.facts().project.map(|file| dir.join(file))
    }
}

/// The kinds of systems that keep such files in different places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    Linux,
    Mac,
    Windows,
}

impl System {
    pub(super) const fn here() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else if cfg!(target_os = "macos") {
            Self::Mac
        } else {
            Self::Linux
        }
    }
}

/// The machine and the user, as far as the places depend on them.
pub(super) struct Machine<'a> {
    pub(super) system: System,
    pub(super) env: &'a dyn Fn(&str) -> Option<OsString>,
    pub(super) home: PathBuf,
}

impl Machine<'_> {
    /// The file of `client` for all projects of the user.
    pub(super) fn file(&self, client: Client) -> PathBuf {
        let file = match client {
            Client::ClaudeCode => self.named("CLAUDE_CONFIG_DIR").unwrap_or_else(|| self.home.clone()).join(".claude.json"),
            Client::ClaudeDesktop => self.desktop().join("claude_desktop_config.json"),
            Client::Vscode => self.settings().join("Code/User/mcp.json"),
            Client::Cursor => self.home.join(".cursor/mcp.json"),
            Client::Codex => self.codex().join("config.toml"),
        };
        // On Windows this writes every separator as people see it elsewhere.
        file.components().collect()
    }

    /// What shows that `client` is on this machine: its file, its folder, or its program.
    pub(super) fn trace(&self, client: Client) -> Option<PathBuf> {
        let folder = match client {
            Client::ClaudeCode => self.home.join(".claude"),
            Client::ClaudeDesktop => self.desktop(),
            Client::Vscode => self.settings().join("Code"),
            Client::Cursor => self.home.join(".cursor"),
            Client::Codex => self.codex(),
        };
        let program = client.facts().program.and_then(|name| self.on_path(name));
        [self.file(client), folder].into_iter().find(|path| path.exists()).or(program)
    }

    fn on_path(&self, name: &str) -> Option<PathBuf> {
        let endings: &[&str] = if self.system == System::Windows { &[".exe", ".cmd"] } else { &[""] };
        let path = (self.env)("PATH").unwrap_or_default();
        let files = std::env::split_paths(&path).flat_map(|dir| endings.iter().map(move |ending| dir.join(format!("{name}{ending}"))));
        files.into_iter().find(|file| file.is_file())
    }

    fn desktop(&self) -> PathBuf {
        let store = self.named("LOCALAPPDATA").map(|dir| dir.join(STORE)).filter(|dir| self.system == System::Windows && dir.is_dir());
        store.map_or_else(|| self.settings(), |store| store.join("LocalCache/Roaming")).join("Claude")
    }

    fn codex(&self) -> PathBuf {
        self.named("CODEX_HOME").unwrap_or_else(|| self.home.join(".codex"))
    }

    /// Where applications keep the settings of a user.
    fn settings(&self) -> PathBuf {
        match self.system {
            System::Linux => self.named("XDG_CONFIG_HOME").unwrap_or_else(|| self.home.join(".config")),
            System::Mac => self.home.join("Library/Application Support"),
            System::Windows => self.named("APPDATA").unwrap_or_else(|| self.home.join("AppData/Roaming")),
        }
    }

    /// A folder that the environment names.
    fn named(&self, variable: &str) -> Option<PathBuf> {
        (self.env)(variable).map(PathBuf::from).filter(|dir| dir.is_absolute())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(system: System, home: &Path, env: &dyn Fn(&str) -> Option<OsString>) -> Vec<String> {
        let machine = Machine { system, env, home: home.to_owned() };
        let short = |path: PathBuf| path.to_str().unwrap().replace('\\', "/");
        Client::ALL.into_iter().map(|client| short(machine.file(client))).collect()
    }

    #[test]
    fn every_client_has_its_word() {
        for client in Client::ALL {
            assert_eq!(client.to_possible_value().unwrap().get_name(), client.facts().word);
        }
    }

    #[cfg(unix)]
    #[test]
    fn files_lie_where_each_system_has_them() {
        let home = tempfile::tempdir().unwrap();
        let none = |_: &str| None;
        let at = |ends: [&str; 5]| ends.map(|end| format!("{}/{end}", home.path().to_str().unwrap())).to_vec();
        let linux = [
            ".claude.json",
            ".config/Claude/claude_desktop_config.json",
            ".config/Code/User/mcp.json",
            ".cursor/mcp.json",
            ".codex/config.toml",
        ];
        assert_eq!(files(System::Linux, home.path(), &none), at(linux));
        let mac = "Library/Application Support";
        let mac = [&format!("{mac}/Claude/claude_desktop_config.json"), &format!("{mac}/Code/User/mcp.json")];
        assert_eq!(files(System::Mac, home.path(), &none), at([linux[0], mac[0], mac[1], linux[3], linux[4]]));
        let windows = ["AppData/Roaming/Claude/claude_desktop_config.json", "AppData/Roaming/Code/User/mcp.json"];
        assert_eq!(files(System::Windows, home.path(), &none), at([linux[0], windows[0], windows[1], linux[3], linux[4]]));
    }

    #[cfg(unix)]
    #[test]
    fn the_environment_moves_them() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().to_owned();
        let env = |name: &str| match name {
            "CLAUDE_CONFIG_DIR" => Some(dir.join("c").into_os_string()),
            "XDG_CONFIG_HOME" => Some("not/absolute".into()),
            "CODEX_HOME" => Some(dir.join("x").into_os_string()),
            "LOCALAPPDATA" => Some(dir.clone().into_os_string()),
            _ => None,
        };
        let found = files(System::Linux, &dir, &env);
        assert!(
            found[0].ends_with("/c/.claude.json") && found[1].contains("/.config/Claude/") && found[4].ends_with("/x/config.toml"),
            "{found:?}"
        );
        assert!(files(System::Windows, &dir, &env)[1].contains("/AppData/Roaming/Claude/"));
        std::fs::create_dir_all(dir.join(STORE)).unwrap();
        let store = &files(System::Windows, &dir, &env)[1];
        assert!(store.ends_with("/Packages/Claude_pzs8sxrjxfjjc/LocalCache/Roaming/Claude/claude_desktop_config.json"), "{store}");
        assert!(files(System::Linux, &dir, &env)[1].contains("/.config/Claude/"));
    }

    #[cfg(unix)]
    #[test]
    fn a_client_is_known_by_what_it_left_or_by_its_program() {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        let env = |name: &str| (name == "PATH").then(|| bin.clone().into_os_string());
        let machine = Machine { system: System::Linux, env: &env, home: home.path().to_owned() };
        assert!(Client::ALL.into_iter().all(|client| machine.trace(client).is_none()));
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::write(bin.join("codex"), "").unwrap();
        std::fs::create_dir(home.path().join(".cursor")).unwrap();
        assert_eq!(machine.trace(Client::Codex), Some(bin.join("codex")));
        assert_eq!(machine.trace(Client::Cursor), Some(home.path().join(".cursor")));
        assert_eq!(machine.trace(Client::Vscode), None);
    }
}
