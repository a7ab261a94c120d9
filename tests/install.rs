//! `m365-cachectl install`: clients' files of every form are changed as shown, and are afterwards what they were before.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use m365_cached_checks::support::{
    bins::{Bins, For, bins},
    ctl::{self, Said},
    home::Home,
    process,
};
use serde_json::{Value, json};

/// A home of a person with some clients. No daemon belongs to it: none is needed.
struct House {
    bins: &'static Bins,
    home: Home,
}

impl House {
    fn new() -> Self {
        let mut home = Home::new(1).unwrap();
        // The profile of the system's places: an empty variable counts as none.
        home.variables.push(("M365_CACHED_DIR".into(), String::new()));
        home.variables.push(("PATH".into(), "/usr/bin:/bin".into()));
        Self { bins: bins(For::Tests).unwrap(), home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, words: &[&str]) -> Said {
        ctl::run(self.bins, &self.home, words).unwrap()
    }

    fn rows(&self, words: &[&str]) -> Vec<Value> {
        let words: Vec<&str> = ["--json"].into_iter().chain(words.iter().copied()).collect();
        self.run(&words).json().unwrap()["clients"].as_array().unwrap().clone()
    }

    fn shim(&self) -> &str {
        self.bins.shim.to_str().unwrap()
    }

    /// What a text says, with the paths of this machine replaced.
    fn plain(&self, text: &str) -> String {
        text.replace(self.shim(), "/opt/m365/m365-mcp").replace(self.home.path().to_str().unwrap(), "/home/ada")
    }
}

/// A file of each client, as people have them, and what a person wrote there that must stay.
const FILES: [(&str, &str, &str); 5] = [
    ("claude-code", ".claude.json", "{\n  \"numStartups\": 7,\n  \"projects\": {\n    \"/src\": {\"mcpServers\": {}}\n  }\n}"),
    ("claude-desktop", ".config/Claude/claude_desktop_config.json", "{\"mcpServers\":{}}"),
    (
        "vscode",
        ".config/Code/User/mcp.json",
        "// servers\r\n{\r\n\t\"servers\": {\r\n\t\t\"other\": { \"url\": \"https://example.com\" }, // theirs\r\n\t},\r\n\t\"inputs\": []\r\n}\r\n",
    ),
    ("cursor", ".cursor/mcp.json", "{\n    \"mcpServers\": {\n        \"other\": {\n            \"command\": \"x\"\n        }\n    }\n}\n"),
    ("codex", ".codex/config.toml", "model = \"o\" # best\n\n[mcp_servers.other]\ncommand = \"x\"\n\n[tui]\ntheme = 'dark'"),
];

fn parsed(file: &Path) -> Value {
    let text = fs::read_to_string(file).unwrap();
    if file.extension().is_some_and(|ending| ending == "toml") {
        return serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
    }
    // Remarks and closing commas, as far as these files have them.
    let text: String = text.lines().map(|line| line.split("// ").next().unwrap()).collect();
    serde_json::from_str(&text.replace("}, \t}", "}}").replace(",\t}", "}").replace(", \t}", "}"))
        .unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn every_client_is_set_up_and_set_back() {
    let house = House::new();
    for (client, name, text) in FILES {
        let file = house.write(name, text);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let row = house.rows(&["install", client, "--yes"]).remove(0);
        assert_eq!((&row["state"], &row["file"]), (&json!("installed"), &json!(file)), "{row}");
        let section = ["servers", "mcp_servers", "mcpServers"].into_iter().find(|name| !parsed(&file)[name].is_null()).unwrap();
        let entry = parsed(&file)[section]["m365"].clone();
        assert_eq!(entry["command"], house.shim(), "{client}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        let backup = PathBuf::from(row["backup"].as_str().unwrap());
        assert_eq!(fs::read_to_string(&backup).unwrap(), text);
        assert_eq!(backup.parent(), file.parent());

        let changed = fs::read_to_string(&file).unwrap();
        let again = house.rows(&["install", client, "--yes"]).remove(0);
        assert_eq!((&again["state"], &again["backup"], &again["diff"]), (&json!("unchanged"), &Value::Null, &json!("")), "{again}");
        assert_eq!(fs::read_to_string(&file).unwrap(), changed);

        let row = house.rows(&["uninstall", client, "--yes"]).remove(0);
        assert_eq!(row["state"], "uninstalled", "{row}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "{client}");
        assert_eq!(house.rows(&["uninstall", client, "--yes"])[0]["state"], "not_installed");
    }
    assert!(process::of_profile(house.home.path()).unwrap().is_empty(), "it needs no daemon");
}

#[test]
fn what_is_printed_is_what_a_new_file_holds() {
    let house = House::new();
    let mut all = String::new();
    for (client, name, _) in FILES {
        let said = house.run(&["install", client, "--print"]).ok().unwrap();
        assert!(!house.path(name).exists());
        all += &format!("# {client}\n{}{}\n", house.plain(&said.stderr), house.plain(&said.stdout));
        house.run(&["install", client, "--yes"]).ok().unwrap();
        assert_eq!(fs::read_to_string(house.path(name)).unwrap(), said.stdout);
    }
    insta::assert_snapshot!("install_print", all);
}

#[test]
fn what_is_shown_is_what_is_done() {
    let house = House::new();
    for (_, name, text) in FILES {
        house.write(name, text);
    }
    let dry = house.run(&["install", "--all", "--dry-run"]).ok().unwrap();
    insta::assert_snapshot!("install_dry_run", house.plain(&dry.stdout));
    for (_, name, text) in FILES {
        assert_eq!(fs::read_to_string(house.path(name)).unwrap(), text);
    }
    let planned = house.rows(&["install", "--all", "--dry-run"]);
    let done = house.rows(&["install", "--all", "--yes"]);
    for (planned, done) in planned.iter().zip(&done) {
        assert_eq!((&planned["diff"], &planned["file"]), (&done["diff"], &done["file"]));
        assert_eq!((&planned["state"], &done["state"]), (&json!("would_install"), &json!("installed")));
    }
    assert_eq!(done.len(), 5);
    let asked = house.run(&["uninstall", "--all"]);
    assert_eq!(asked.code, Some(2), "without a terminal nobody can agree");
    assert!(asked.stderr.contains("--yes"), "{}", asked.stderr);
}

#[test]
fn how_it_is_started_comes_along() {
    let mut house = House::new();
    let profile = house.path("work");
    let words = ["--profile", profile.to_str().unwrap(), "install", "cursor", "--yes", "--", "--policy", "mail"];
    house.run(&words).ok().unwrap();
    let file = house.path(".cursor/mcp.json");
    let expected = json!({"command": house.shim(), "args": ["--policy", "mail"], "env": {"M365_CACHED_DIR": profile}});
    assert_eq!(parsed(&file)["mcpServers"]["m365"], expected);
    // What is not said this time stays.
    assert_eq!(house.rows(&["install", "cursor", "--yes"])[0]["state"], "unchanged");
    house.home.variables.push(("M365_CACHED_DIR".into(), house.path("home").to_str().unwrap().to_owned()));
    assert_eq!(house.rows(&["install", "cursor", "--yes"])[0]["state"], "updated");
    assert_eq!(parsed(&file)["mcpServers"]["m365"]["env"], json!({"M365_CACHED_DIR": house.path("home")}));
    let said = house.run(&["install", "cursor", "--yes", "--", "--frobnicate"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.stderr.contains("--frobnicate"), "{}", said.stderr);
}

#[test]
fn projects_have_files_of_their_own() {
    let house = House::new();
    let project = house.path("project");
    fs::create_dir(&project).unwrap();
    let dir = project.to_str().unwrap();
    let clients =
        [("claude-code", ".mcp.json"), ("vscode", ".vscode/mcp.json"), ("cursor", ".cursor/mcp.json"), ("codex", ".codex/config.toml")];
    for (client, name) in clients {
        house.run(&["install", client, "--project", dir, "--yes"]).ok().unwrap();
        assert!(fs::read_to_string(project.join(name)).unwrap().contains(house.shim()), "{client}");
    }
    let listed = house.rows(&["install", "--list", "--project", dir]);
    assert_eq!(listed.iter().map(|row| &row["state"]).collect::<Vec<_>>(), [&json!("installed"); 4]);
    assert!(house.rows(&["install", "--list"]).iter().all(|row| row["state"] == "not_installed"));
    let said = house.run(&["install", "claude-desktop", "--project", dir, "--yes"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert_eq!(house.run(&["install", "cursor", "--project", "/nonexistent", "--yes"]).code, Some(2));
}

#[test]
fn one_broken_file_does_not_keep_the_others_from_being_served() {
    let house = House::new();
    let broken = house.write(".cursor/mcp.json", "{\n  \"mcpServers\": {\n    \"token\": \"secret\" 1\n}\n");
    house.write(".codex/config.toml", "");
    let said = house.run(&["--json", "install", "--all", "--yes"]);
    assert_eq!(said.code, Some(2));
    let rows = said.json().unwrap()["clients"].clone();
    let row = |client: &str| rows.as_array().unwrap().iter().find(|row| row["client"] == client).unwrap().clone();
    assert_eq!(row("codex")["state"], "installed");
    let error = row("cursor")["error"].clone();
    assert_eq!(error["code"], "client_file_unreadable");
    assert!(error["message"].as_str().unwrap().contains("line 3, column"), "{error}");
    assert!(!error["message"].as_str().unwrap().contains("secret"), "such files hold tokens: {error}");
    assert_eq!(fs::read_to_string(&broken).unwrap(), "{\n  \"mcpServers\": {\n    \"token\": \"secret\" 1\n}\n");
    let alone = house.run(&["--json", "install", "cursor", "--yes"]);
    assert_eq!((alone.code, &alone.json().unwrap()["error"]["code"]), (Some(2), &json!("client_file_unreadable")));
    let listed = house.rows(&["install", "--list"]);
    assert_eq!(listed.iter().find(|row| row["client"] == "cursor").unwrap()["state"], "unreadable");
}

#[test]
fn what_is_not_ours_is_not_taken_out() {
    let house = House::new();
    let text = "{\"mcpServers\": {\"m365\": {\"command\": \"uvx\", \"args\": [\"m365-mcp\"]}}}\n";
    let file = house.write(".cursor/mcp.json", text);
    let said = house.run(&["--json", "uninstall", "cursor", "--yes"]);
    assert_eq!((said.code, &said.json().unwrap()["error"]["code"]), (Some(2), &json!("not_ours")));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert_eq!(house.rows(&["install", "--list"])[3]["state"], "other_program");
    house.run(&["install", "cursor", "--name", "second", "--yes"]).ok().unwrap();
    assert_eq!(parsed(&file)["mcpServers"]["m365"]["command"], "uvx");
    house.run(&["install", "codex", "--name", "second", "--yes"]).ok().unwrap();
    let listed = house.rows(&["install", "--list"]);
    let entries = |client: &str| -> Vec<(&str, &str)> {
        let of = listed.iter().filter(|row| row["client"] == client);
        of.map(|row| (row["entry"].as_str().unwrap(), row["state"].as_str().unwrap())).collect()
    };
    assert_eq!(entries("cursor"), [("m365", "other_program"), ("second", "installed")], "what starts us by another name is told, too");
    assert_eq!(entries("codex"), [("m365", "not_installed"), ("second", "installed")]);
    house.run(&["uninstall", "cursor", "--name", "second", "--yes"]).ok().unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert_eq!(house.rows(&["install", "cursor", "--yes"])[0]["state"], "updated");
    fs::write(&file, "{\"mcpServers\": {\"m365\": {\"command\": \"/gone/m365-mcp\"}}}").unwrap();
    assert_eq!(house.rows(&["install", "--list"])[3]["state"], "gone");
}

/// The original's program is called `m365-mcp`, too: its entry is told as another program's, is not taken out, and goes as a whole where ours takes its place.
#[test]
fn a_program_of_the_same_name_is_not_taken_for_ours() {
    let house = House::new();
    let theirs = house.write("pipx/m365-mcp", "#!/bin/sh\necho 'error: unrecognized arguments: --version' >&2\nexit 2\n");
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o755)).unwrap();
    let entry = json!({"command": theirs, "args": ["--env-file", "/home/ada/.env"]});
    let text = json!({"mcpServers": {"m365": entry, "microsoft": entry}}).to_string();
    let file = house.write(".cursor/mcp.json", &text);
    let listed = house.rows(&["install", "--list"]);
    let cursor: Vec<&Value> = listed.iter().filter(|row| row["client"] == "cursor").collect();
    assert_eq!((cursor.len(), &cursor[0]["state"]), (1, &json!("other_program")), "{listed:?}");
    let said = house.run(&["--json", "uninstall", "--all", "--yes"]);
    assert_eq!((said.code, &said.json().unwrap()["error"]["code"]), (Some(2), &json!("not_ours")), "{said:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    let asked = house.run(&["--json", "install", "cursor"]);
    assert_eq!(asked.json().unwrap()["error"]["code"], "confirmation_required", "{asked:?}");
    assert_eq!(house.rows(&["install", "cursor", "--yes"])[0]["state"], "updated");
    assert_eq!(parsed(&file)["mcpServers"], json!({"m365": {"command": house.shim()}, "microsoft": entry}));
}

/// Whatever the entries are called.
#[test]
fn all_that_is_ours_goes_where_no_name_is_said() {
    let house = House::new();
    for (_, name, text) in FILES {
        house.write(name, text);
    }
    for client in ["claude-code", "codex"] {
        for name in ["m365", "microsoft"] {
            house.run(&["install", client, "--name", name, "--yes"]).ok().unwrap();
        }
    }
    let one = house.rows(&["uninstall", "--all", "--name", "microsoft", "--dry-run"]);
    assert_eq!(one.iter().filter(|row| row["state"] == "would_uninstall").count(), 2, "{one:?}");
    let gone = house.rows(&["uninstall", "--all", "--yes"]);
    let names: Vec<(&Value, &Value)> =
        gone.iter().filter(|row| row["state"] == "uninstalled").map(|row| (&row["client"], &row["entry"])).collect();
    let expected = [("claude-code", "m365"), ("claude-code", "microsoft"), ("codex", "m365"), ("codex", "microsoft")];
    assert_eq!(names, expected.map(|(client, name)| (json!(client), json!(name))).iter().map(|(a, b)| (a, b)).collect::<Vec<_>>());
    for (client, name, text) in FILES {
        assert_eq!(fs::read_to_string(house.path(name)).unwrap(), text, "{client}");
    }
}

/// What would only show itself in the client: a policy that the daemon does not have, and a profile that an earlier run has named.
#[test]
fn what_an_entry_leads_to_is_told() {
    let house = House::new();
    let policy = ["--json", "install", "cursor", "--yes", "--", "--policy", "Mail"];
    let said = house.run(&policy).ok().unwrap();
    assert!(said.json().unwrap()["warning"].as_str().unwrap().contains("`[policy.Mail]`"), "{said:?}");
    assert!(said.stderr.contains("there is no `[policy.Mail]`"), "{said:?}");
    house.run(&["config", "set", "policy.mail.read_only", "true"]).ok().unwrap();
    assert_eq!(house.run(&policy).ok().unwrap().json().unwrap()["warning"], Value::Null);
    let tools = house.run(&["--json", "install", "cursor", "--yes", "--", "--tools", "read-only"]).ok().unwrap();
    assert_eq!(tools.json().unwrap()["warning"], Value::Null, "the example of the help");

    let work = house.path("work");
    house.run(&["--profile", work.to_str().unwrap(), "install", "codex", "--yes"]).ok().unwrap();
    let again = house.rows(&["install", "codex", "--yes"]).remove(0);
    assert_eq!((&again["state"], &again["profile"]), (&json!("unchanged"), &json!(work)), "{again}");
    assert!(house.run(&["install", "codex", "--yes"]).stdout.contains("it leads to the profile `"));
}

#[test]
fn a_link_stays_one_and_a_file_that_cannot_be_written_stays() {
    let house = House::new();
    let real = house.write("dotfiles/cursor.json", "{}");
    fs::create_dir(house.path(".cursor")).unwrap();
    symlink("../dotfiles/cursor.json", house.path(".cursor/mcp.json")).unwrap();
    house.run(&["install", "cursor", "--yes"]).ok().unwrap();
    assert!(house.path(".cursor/mcp.json").is_symlink());
    assert!(fs::read_to_string(&real).unwrap().contains(house.shim()));
    // A folder in the place of the file.
    fs::create_dir_all(house.path(".codex/config.toml")).unwrap();
    let said = house.run(&["--json", "install", "codex", "--yes"]);
    assert_eq!((said.code, &said.json().unwrap()["error"]["code"]), (Some(2), &json!("client_file_not_written")));
}

#[test]
fn nothing_to_choose_is_said() {
    let house = House::new();
    for words in
        [vec!["install"], vec!["uninstall"], vec!["install", "emacs"], vec!["install", "--all"], vec!["install", "cursor", "--name", "a b"]]
    {
        let said = house.run(&words);
        assert_eq!(said.code, Some(2), "{words:?}: {said:?}");
    }
    let listed = house.run(&["install", "--list"]).ok().unwrap();
    assert_eq!(listed.stdout.lines().count(), 6, "{}", listed.stdout);
}
