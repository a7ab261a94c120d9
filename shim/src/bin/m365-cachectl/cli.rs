//! The command line: every verb, and the help a person reads. The flags of a verb stand in the file of its name under `commands/`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand};
use m365_cached_proto::TOOL_PROFILES;

use crate::commands::{
    accounts, audit, backup, bench, call, clients, completions, config, doctor, health, import, install, invalidate, keys, login, logs,
    man, pause, permissions, reload, repair, service, setup, stats, tasks, tools, top, version, warm,
};

/// What stands below the list of verbs.
const AFTER_HELP: &str = "\
Examples:
  m365-cachectl setup                     from nothing to a cached answer; `--demo` without an account
  m365-cachectl install claude-code       set up a client
  m365-cachectl login                     sign in
  m365-cachectl doctor                    something does not work
  m365-cachectl top                       watch it

Output:
  Text goes to stdout; `error:` and `hint:` lines go to stderr. Colours only on a terminal, without NO_COLOR.
  With --json stdout carries one JSON object on one line, and an error is
  {\"error\":{\"kind\":…,\"code\":…,\"message\":…,\"hint\":…}} there. `code` is stable; `hint` may be null.
  `setup`, `login`, `logs`, `top`, `audit` and `service logs` print a line for each step, event or
  record, and none where there is none. What every verb prints is on the manual's page `json.md`.

Exit codes:
  0  done
  1  internal    our own mistake
  2  user        the request is wrong: an unknown verb, tool or argument
  3  sign_in     somebody has to sign in
  4  offline     Microsoft cannot be reached
  5  throttled   Microsoft asked us to slow down
  6  denied      Microsoft refused: rights, policy, a missing object
  7  config      the daemon's configuration, key or store needs attention (also: `status` of a locked daemon)
  8  no daemon   none runs, for a verb that starts none (`status`, `health`, `clients`), or none could start
  130, 143, 129  ended by Ctrl-C, `kill` or a closed terminal; what was half done is taken back";

/// Look after m365-cached: sign in, see what it does, call its tools
#[derive(Debug, Parser)]
#[command(name = "m365-cachectl", version, after_help = AFTER_HELP, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Every file of the profile lies under DIR; as the variable M365_CACHED_DIR
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) profile: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One verb each; its flags and its doing are the file of its name under `commands/`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lead from nothing to a cached answer: settings, key, service, sign-in, clients, a real call; `--demo` without a Microsoft account
    Setup(Box<setup::Args>),
    /// Say whether the daemon runs and how it is; starts nothing
    #[command(after_help = "\
Examples:
  m365-cachectl status
  m365-cachectl status --json | jq .state")]
    Status,
    /// Sign in to a Microsoft account
    Login(login::Args),
    /// Forget the tokens and the data of an account
    #[command(after_help = "\
Examples:
  m365-cachectl logout ada@contoso.com
  m365-cachectl logout ada@contoso.com --yes --json")]
    Logout {
        /// Id, username or alias, as `accounts` shows them
        account: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// List the accounts, give one a short name, say which one is meant where none is named
    Accounts(accounts::Args),
    /// Call a tool and print its answer
    Call(call::Args),
    /// List the tools, or show one with its arguments
    Tools(tools::Args),
    /// Show what the cache has done and holds
    Stats(stats::Args),
    /// Watch what the daemon does, live: calls, hit rate, times, budget, clients; starts nothing
    Top(top::Args),
    /// List the clients that are attached, with what they have called; starts nothing
    #[command(after_help = clients::HELP)]
    Clients,
    /// Show what the daemon has logged, whoever started it
    Logs(logs::Args),
    /// Measure what a call costs on this machine
    Bench(bench::Args),
    /// Delete entries from the cache
    Invalidate(invalidate::Args),
    /// List the background tasks, show one or cancel it
    Tasks(tasks::Args),
    /// Fetch the usual answers ahead of use, now
    Warm(warm::Args),
    /// Look after the master key: how it stands, a new one, a copy for the day it is lost
    #[command(subcommand)]
    Keys(keys::Verb),
    /// Write the database and its keys to one encrypted file, while the daemon works
    Backup(backup::BackupArgs),
    /// Put a backup in the place of the data
    Restore(backup::RestoreArgs),
    /// Look at the database, save what opens of a damaged one, put the rest aside
    Repair(repair::RepairArgs),
    /// Put data and keys aside and start afresh
    Reset(repair::ResetArgs),
    /// Take over the cache that m365-mcp left: sealed, compared, and removed only on request
    Import(import::Args),
    /// Show what was done, by whom and when; verify or export the audit trail
    Audit(Box<audit::Args>),
    /// Write everything that is held on an account into a file
    #[command(after_help = "\
Example:
  m365-cachectl export ada@contoso.com ~/ada.json")]
    Export {
        /// Id, username or alias, as `accounts` shows them
        account: String,
        /// A new file (0600), or a folder to put one into; one that is there is never overwritten
        #[arg(value_name = "FILE|DIR")]
        path: PathBuf,
    },
    /// Destroy everything that is held on an account, and say what is left
    #[command(after_help = "\
Examples:
  m365-cachectl erase ada@contoso.com
  m365-cachectl erase ada@contoso.com --yes --json")]
    Erase {
        /// Id, username or alias; the id alone of an account that has signed out
        account: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Say which safeguards are configured and hold now
    #[command(after_help = "\
Examples:
  m365-cachectl compliance
  m365-cachectl compliance --json")]
    Compliance,
    /// Show the settings with where each came from, check them, change one
    #[command(subcommand)]
    Config(config::Verb),
    /// Say which permissions Microsoft is asked for, which tools use them, and where an administrator agrees; starts nothing
    Permissions(permissions::Args),
    /// Look at every link from the files to Microsoft and say what is wrong and what to type
    Doctor(doctor::Args),
    /// Set up a client of this machine, such as Claude Code, VS Code or Cursor, to start m365-mcp
    Install(Box<install::Install>),
    /// Take what `install` wrote out of a client's file again
    Uninstall(install::Uninstall),
    /// Have the system's service manager look after the daemon
    #[command(subcommand)]
    Service(service::Verb),
    /// Say by the exit code whether the daemon lives and tools can be called, for monitors; starts nothing
    Health(health::Args),
    /// Keep the daemon from asking Microsoft; what is stored is served
    Pause(pause::Args),
    /// Let the daemon ask Microsoft again
    #[command(after_help = "\
Example:
  m365-cachectl resume")]
    Resume,
    /// Have the running daemon read its settings again, without a restart
    #[command(after_help = reload::HELP)]
    Reload,
    /// Let the daemon finish what is running and end
    #[command(after_help = "\
Example:
  m365-cachectl stop")]
    Stop,
    /// Let the daemon finish and end, and start the installed one in its place; clients do not notice
    #[command(after_help = "\
Example:
  m365-cachectl restart")]
    Restart,
    /// Say which versions are installed and which one runs; starts nothing
    #[command(after_help = version::HELP)]
    Version,
    /// Print completions for a shell
    Completions(completions::Args),
    /// Print the manual page, or write a page for every verb into a folder
    Man(man::Args),
}

impl Cli {
    /// Tells the two meanings of `--profile` apart: the name of a profile of tools, where tools are listed, and a folder everywhere else.
    /// Clap keeps one of the two when both are given, so `words`, the command line, is looked at for them.
    ///
    /// # Errors
    /// When it is neither: a slip in the name of a profile of tools would else start a daemon in a new folder.
    pub(crate) fn settle(&mut self, words: &[OsString]) -> Result<(), clap::Error> {
        let Command::Tools(tools) = &mut self.command else { return Ok(()) };
        let mut given = Vec::new();
        for (at, word) in words.iter().enumerate() {
            if word == "--profile" {
                given.extend(words.get(at + 1).cloned());
            } else if let Some(value) = word.to_str().and_then(|word| word.strip_prefix("--profile=")) {
                given.push(value.into());
            }
        }
        let named = |word: &OsString| word.to_str().is_some_and(|word| TOOL_PROFILES.contains(&word));
        if let Some(at) = given.iter().rposition(named) {
            tools.profile = given.remove(at).into_string().ok();
            self.profile = given.pop().map(PathBuf::from);
        }
        match &self.profile {
            Some(neither) if neither.components().count() == 1 && !neither.exists() => {
                let message = format!(
                    "`{}` is neither a profile of tools ({}) nor a folder that is there",
                    neither.display(),
                    TOOL_PROFILES.join(", ")
                );
                Err(Self::command().error(clap::error::ErrorKind::InvalidValue, message))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(path: &[&str]) -> String {
        let mut command = Cli::command().term_width(110);
        command.build();
        let command = path.iter().fold(&mut command, |command, name| command.find_subcommand_mut(name).unwrap());
        command.render_long_help().to_string()
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    /// What stands in a block of shell or in one that is indented, a command each, without remarks.
    fn commands(text: &str) -> Vec<String> {
        let blocks = text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
        let indented = text.lines().filter_map(|line| line.strip_prefix("    "));
        let lines = blocks.flat_map(str::lines).chain(indented);
        let lines = lines.map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned());
        lines.filter(|line| line.starts_with("m365-cachectl ")).collect()
    }

    #[test]
    fn every_command_of_the_manual_is_understood() {
        let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let pages = std::fs::read_dir(root.join("packaging/manual")).unwrap().map(|page| page.unwrap().path());
        let mut seen = 0;
        for page in pages.chain([root.join("README.md")]) {
            // Beside the pages lie pictures.
            if page.is_dir() {
                continue;
            }
            for command in commands(&std::fs::read_to_string(&page).unwrap()) {
                let words = command.split(['>', '|']).next().unwrap().split_whitespace().map(|word| word.trim_matches(['\'', '"']));
                let understood = Cli::try_parse_from(words);
                assert!(understood.is_ok(), "{}: {command}: {}", page.display(), understood.unwrap_err());
                seen += 1;
            }
        }
        assert!(seen > 15, "{seen}");
    }

    /// The words of a line as a shell reads them, up to a pipe, a redirection or a remark.
    fn shell_words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote, mut spaces) = (Vec::new(), None::<String>, None, 0);
        let mut letters = line.chars().peekable();
        while let Some(letter) = letters.next() {
            match (quote, letter) {
                (Some(open), close) if open == close => quote = None,
                (Some('"') | None, '\\') => word.get_or_insert_default().extend(letters.next()),
                (None, '\'' | '"') => {
                    quote = Some(letter);
                    word.get_or_insert_default();
                }
                (None, ' ') => {
                    words.extend(word.take());
                    spaces += 1;
                    // What stands far to the right is for the reader.
                    if spaces > 2 || letters.peek().is_some_and(|next| ['|', '>', '#'].contains(next)) {
                        return words;
                    }
                    continue;
                }
                (_, letter) => word.get_or_insert_default().push(letter),
            }
            spaces = 0;
        }
        words.extend(word);
        words
    }

    /// Every verb and every verb below one, with the words that lead to it.
    fn verbs(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        found.push((path.to_owned(), command.clone()));
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            verbs(verb, &format!("{path} {}", verb.get_name()), found);
        }
    }

    #[test]
    fn every_help_has_an_example_of_its_verb_and_every_example_is_understood() {
        let (mut all, mut seen) = (Vec::new(), 0);
        verbs(&Cli::command(), "m365-cachectl", &mut all);
        for (path, verb) in &all {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let mut lines = help.lines().skip_while(|line| !["Example:", "Examples:"].contains(line)).skip(1);
            let examples: Vec<&str> = lines.by_ref().map_while(|line| line.strip_prefix("  ")).collect();
            assert!(!examples.is_empty(), "`{path} --help` shows no example");
            for example in examples.iter().filter(|example| example.starts_with("m365-cachectl")) {
                let words = shell_words(example);
                let understood = Cli::try_parse_from(&words);
                assert!(understood.is_ok(), "{path}: {example}: {}", understood.unwrap_err());
                seen += 1;
            }
            let of_the_verb = |example: &&str| {
                let words: Vec<String> = shell_words(example).into_iter().filter(|word| !word.starts_with('-')).collect();
                path.split(' ').all(|word| words.iter().any(|said| said == word))
            };
            assert!(examples.iter().any(of_the_verb), "`{path} --help` shows no example of itself");
        }
        assert!(all.len() > 50 && seen > 100, "{} {seen}", all.len());
    }

    #[test]
    fn words_are_those_of_a_shell() {
        let words = |line| shell_words(line).join("|");
        assert_eq!(words("a 'b c' \"d \\\"e\\\"\" f=\"g h\""), "a|b c|d \"e\"|f=g h");
        assert_eq!([words("a b | c"), words("a b > c"), words("a b    until c"), words("a b  # c")], ["a|b"; 4].map(str::to_owned));
    }

    #[test]
    fn a_profile_of_tools_is_told_from_a_folder() {
        let read = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let mut cli = Cli::try_parse_from(&words).unwrap();
            cli.settle(&words).unwrap();
            let Command::Tools(tools) = cli.command else { return (cli.profile, None) };
            (cli.profile, tools.profile)
        };
        let (folder, name) = (|text: &str| Some(PathBuf::from(text)), |text: &str| Some(text.to_owned()));
        assert_eq!(read("c tools"), (None, None));
        assert_eq!(read("c tools --profile essential --tokens"), (None, name("essential")));
        assert_eq!(read("c tools --profile=read-only"), (None, name("read-only")));
        assert_eq!(read("c tools --profile /tmp/x email_list"), (folder("/tmp/x"), None));
        assert_eq!(read("c --profile /tmp/x tools --profile mail"), (folder("/tmp/x"), name("mail")));
        assert_eq!(read("c --profile ./mail tools"), (folder("./mail"), None));
        assert_eq!(read("c --profile mail status"), (folder("mail"), None));
        // A slip of the pen makes no new folder.
        let words = ["c", "tools", "--profile", "esential"].map(OsString::from);
        let refused = Cli::try_parse_from(&words).unwrap().settle(&words).unwrap_err().to_string();
        assert!(refused.contains("`esential` is neither a profile of tools (essential, mail"), "{refused}");
        assert!(Cli::try_parse_from(["c", "tools", "email_list", "--tokens"]).is_err());
    }

    #[test]
    fn help_reads_well() {
        insta::assert_snapshot!("help", help(&[]));
        insta::assert_snapshot!("help_call", help(&["call"]));
        insta::assert_snapshot!("help_login", help(&["login"]));
        insta::assert_snapshot!("help_tools", help(&["tools"]));
        insta::assert_snapshot!("help_stats", help(&["stats"]));
        insta::assert_snapshot!("help_warm", help(&["warm"]));
        insta::assert_snapshot!("help_keys_rotate", help(&["keys", "rotate"]));
        insta::assert_snapshot!("help_backup", help(&["backup"]));
        insta::assert_snapshot!("help_restore", help(&["restore"]));
        insta::assert_snapshot!("help_import", help(&["import"]));
        insta::assert_snapshot!("help_repair", help(&["repair"]));
        insta::assert_snapshot!("help_reset", help(&["reset"]));
        insta::assert_snapshot!("help_keys_import", help(&["keys", "import"]));
        insta::assert_snapshot!("help_audit", help(&["audit"]));
        insta::assert_snapshot!("help_install", help(&["install"]));
        insta::assert_snapshot!("help_uninstall", help(&["uninstall"]));
        insta::assert_snapshot!("help_health", help(&["health"]));
        insta::assert_snapshot!("help_reload", help(&["reload"]));
        for verb in ["install", "uninstall", "status", "logs"] {
            insta::assert_snapshot!(format!("help_service_{verb}"), help(&["service", verb]));
        }
        insta::assert_snapshot!("help_pause", help(&["pause"]));
        insta::assert_snapshot!("help_doctor", help(&["doctor"]));
        insta::assert_snapshot!("help_config", help(&["config"]));
        insta::assert_snapshot!("help_config_set", help(&["config", "set"]));
        insta::assert_snapshot!("help_version", help(&["version"]));
        insta::assert_snapshot!("help_setup", help(&["setup"]));
        insta::assert_snapshot!("help_permissions", help(&["permissions"]));
        insta::assert_snapshot!("help_accounts", help(&["accounts"]));
        insta::assert_snapshot!("help_accounts_alias", help(&["accounts", "alias"]));
        insta::assert_snapshot!("help_completions", help(&["completions"]));
        insta::assert_snapshot!("help_man", help(&["man"]));
    }
}
