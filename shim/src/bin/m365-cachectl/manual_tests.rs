//! `packaging/manual/cachectl.md`, made of the command line itself. `UPDATE=1 cargo test -p m365-cached-shim --bin m365-cachectl manual` writes it.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command, CommandFactory as _};

use crate::cli::Cli;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/manual/cachectl.md");
const HEAD: &str = "\
# `m365-cachectl`

<!-- Made of the command line by shim/src/bin/m365-cachectl/manual_tests.rs. Do not edit: UPDATE=1 cargo test -p m365-cached-shim --bin m365-cachectl manual -->

Every verb with its words, as `m365-cachectl VERB --help` shows it. The same as manual pages: `m365-cachectl man FOLDER`.

";

/// A cell of a table in Markdown.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// `--period <PERIOD>`, `-n, --lines <N>`, `<ACCOUNT>`
fn spelled(arg: &Arg) -> String {
    let text = arg.to_string();
    match arg.get_short() {
        Some(short) if arg.get_long().is_some() => format!("-{short}, {text}"),
        _ => text,
    }
}

fn meaning(arg: &Arg) -> String {
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let words: Vec<String> = arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    // Of a switch these are `true` and `false`, which nobody types.
    if !words.is_empty() && arg.get_action().takes_values() {
        let _ = write!(text, ": {}", words.join(", "));
    }
    let defaults: Vec<String> = arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        let _ = write!(text, " (default {})", defaults.join(", "));
    }
    text
}

fn chapter(command: &Command, path: &str, depth: usize, page: &mut String) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let _ = write!(page, "{} `{path}`\n\n{about}.\n\n```text\n{usage}\n```\n\n", "#".repeat(depth));
    // What every verb takes stands at the top alone.
    let own: Vec<&Arg> = command.get_arguments().filter(|arg| !arg.is_hide_set() && (depth == 2 || !arg.is_global_set())).collect();
    let own: Vec<&Arg> = own.into_iter().filter(|arg| !["help", "version"].contains(&arg.get_id().as_str())).collect();
    if !own.is_empty() {
        page.push_str("| word | meaning |\n|---|---|\n");
        for arg in own {
            let _ = writeln!(page, "| `{}` | {} |", cell(&spelled(arg)), cell(&meaning(arg)));
        }
        page.push('\n');
    }
    if let Some(more) = command.get_after_help() {
        let _ = write!(page, "```text\n{}\n```\n\n", more.to_string().trim_end());
    }
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
        chapter(verb, &format!("{path} {}", verb.get_name()), (depth + 1).min(4), page);
    }
}

#[test]
fn the_manual_has_every_verb() {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut page = HEAD.to_owned();
    chapter(&command, "m365-cachectl", 2, &mut page);
    let made = format!("{}\n", page.trim_end());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(Path::new(PAGE), made).unwrap();
    } else {
        let text = std::fs::read_to_string(PAGE).unwrap_or_default();
        assert!(text == made, "`packaging/manual/cachectl.md` is out of date: its second line says what to type");
    }
}
