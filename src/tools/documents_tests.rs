//! The pages under `packaging/manual` that are made of the rows, and whether they are up to date. `UPDATE=1 cargo test` writes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::PathBuf,
};

use serde_json::Value;

use super::{Asks, CONSENTS, Effect, Param, Tool, all, find, original_tests::ORIGINAL};
use crate::ids::ToolProfile;

/// What is different on purpose, beyond what the rows show: by tool or family, `*` for all. Each is a fault of the original (its numbers
/// stand in the design notes) or something that no setting brings back.
const DIFFERENCES: &[(&str, &str)] = &[
    ("*", "An argument that a tool does not have is refused, with the nearest that it has; the original passed some on."),
    ("*", "An error is a JSON object `error` with `code`, `message` and `hint`. Values are not repeated in it."),
    ("*", "Answers have the members that tools use, not every property of Graph."),
    (
        "*",
        "Ids of 16 characters and more are shown as short handles (`m512345678`), and taken as handles or as ids; with `ids = \"graph\"` and with `compat` they are shown as Microsoft has them.",
    ),
    ("*", "Answers that show what other people wrote say so in `_untrusted`, up to the word that `_end` repeats; not with `compat`."),
    (
        "*",
        "Times are ISO 8601 by the clock of the account's owner, with its offset; without a known zone in UTC, with `Z`. With `compat` they are as Graph gives them.",
    ),
    (
        "*",
        "The account is looked up first: nothing cached is given for an account that is signed out. Its id and its username name one cache.",
    ),
    ("*", "A write is sent once. When no answer came the error says `outcome_unknown`; the original repeated some writes."),
    ("*", "Bodies of messages and events are text; `body_format` `html` gives what a reader would see of the HTML."),
    ("account_authenticate", "`_flow_cache` is a handle. The secret device code stays in the daemon."),
    ("account_complete_auth", "Answers within seconds: `pending` until the user has entered the code."),
    ("account_list", "`account_type` is told by the tenant, not by the domain of the name."),
    ("email_list", "Bodies are cut to 500 characters, and say so; `body_max_length` gives more."),
    ("email_reply", "Keeps the message that is answered, quoted below; the original's body took its place."),
    ("email_reply_all", "As `email_reply`."),
    ("email_forward", "`cc` is sent where Graph looks for it."),
    ("email_move", "Goes to any folder, by name or id; the original found neither Sent Items nor Deleted Items nor Junk Email."),
    ("email_archive", "As `email_move`."),
    ("email_add_category", "Adds to the categories that are there; the original replaced them, as `email_update` does."),
    ("email_get_attachment", "As `file_get`, for the file that is written. Attachments of up to 150 MiB, and attached messages as `.eml`."),
    (
        "emailfolders_list",
        "The default of `limit` is 40: the original's 100 folders, with two long ids each, cost a model some 19,000 tokens. With `compat` it is 100.",
    ),
    ("emailfolders_get", "Has no `sizeInBytes`: Graph v1.0 does not have it."),
    ("emailfolders_move", "Uses Graph's `move`."),
    ("emailfolders_mark_all_as_read", "In batches of 20, up to 1,000 messages a call. What failed is listed; the original swallowed it."),
    ("emailfolders_empty", "As `emailfolders_mark_all_as_read`."),
    ("emailrules_create", "Takes the conditions that Graph has; six that it does not have are refused. Sizes are kilobytes."),
    ("emailrules_update", "As `emailrules_create`."),
    ("emailrules_move_top", "Renumbers the other rules where it has to, so that no two have one number."),
    ("emailrules_move_bottom", "As `emailrules_move_top`."),
    ("emailrules_move_up", "Changes places with its neighbour; the original lowered its number by one. At the top it is an error."),
    ("emailrules_move_down", "As `emailrules_move_up`; at the end it is an error."),
    (
        "calendar_list_events",
        "Each occurrence of a series stands by itself, and running events are included. Times are given in UTC and in the mailbox's zone.",
    ),
    (
        "calendar_list_events",
        "The default of `limit` is 35: the original's 50 cost a model some 11,000 tokens; with `compat` it is 50. With `include_details` bodies are cut to 500 characters, and say so.",
    ),
    (
        "calendar_list_events",
        "`location` has none of the members that Exchange fills in by itself (`uniqueId`, a `locationType` that says `default`); `calendar_get_event` has them.",
    ),
    ("calendar_delete_event", "Cancels, declines or deletes, by whose meeting it is."),
    ("calendar_create_event", "Times without an offset are taken in `timezone`. It is created once, also when a reply is lost."),
    ("calendar_update_event", "Times without an offset are taken in `timezone`, or in the mailbox's zone; the original took UTC."),
    ("calendar_check_availability", "Has `availability` in words beside Graph's digits, and `everyone_free`; not for personal accounts."),
    ("calendar_get_free_busy", "As `calendar_check_availability`."),
    ("contact_list", "Names, addresses, phone numbers, job and company of each contact; `contact_get` has all."),
    ("contact_update", "Answers with the fields of `contact_list`, as do the other writes of contacts."),
    ("contact_export", "Values are escaped as vCard 3.0 asks."),
    ("file_list", "`download_url` is null: such an address opens the file without a sign-in, and expires. `file_download_url` gives one."),
    ("file_copy", "Waits until the copy is done; a long one goes on with `status` `running`."),
    ("file_share", "The default of `scope` is `organization`; the original made anonymous links."),
    (
        "file_get",
        "Local paths lie in the allowed folders: neither the working directory nor the folder for temporary files is one by itself.",
    ),
    (
        "file_create",
        "As `file_get`, for the file that is read. A name that is taken is an error unless `conflict` says otherwise; the original replaced the file.",
    ),
    ("file_update", "As `file_get`, for the file that is read."),
    ("folder_list", "Counts `limit` in folders; the original counted files too, and left them out afterwards."),
    ("folder_get_tree", "A branch that cannot be read is an error; the original left it empty, and kept that."),
    ("folder_delete", "Deletes folders only, and not the top of the drive."),
    ("folder_rename", "As `folder_delete`."),
    ("folder_move", "As `folder_delete`."),
    ("search_files", "As `file_list`; and `web_url`, `drive_id` and `summary` where Microsoft tells them."),
    ("search_emails", "Graph's `$search`, for personal accounts too; the original looked there among the newest messages."),
    (
        "search_emails",
        "Shows `bodyPreview` in place of the body, which `email_get` has. The default of `limit` is 25 in place of 50, which it is with `compat`.",
    ),
    (
        "search_events",
        "The window of days is applied, also for personal accounts. The default of `limit` is 25 in place of 50, which it is with `compat`.",
    ),
    ("search_events", "`location` is as in `calendar_list_events`."),
    ("search_contacts", "Finds any part of names, companies, e-mail addresses and phone numbers."),
    (
        "search_unified",
        "The default of `limit` is 10 of each type in place of 50, which it is with `compat`. A type that could not be searched is named under `errors`; the original left it empty.",
    ),
    (
        "cache_get_stats",
        "Counts are those of a `period`, and outlive restarts. `miss_count` and `hit_rate` are filled; the largest twelve rows of a table are shown, the rest as `other`.",
    ),
    (
        "cache_task_get_status",
        "`result` says where the answer is, in place of the answer itself; `started_at` is known while a task runs. Times are ISO 8601; with `compat` they are Unix times.",
    ),
    ("cache_task_list", "As `cache_task_get_status`."),
    ("cache_invalidate", "The pattern may name arguments, `tool:account:argument=value`; the original's could match whole tools only."),
    ("server_get_version", "`package` is `m365-cached`."),
];

fn page(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packaging/manual").join(name)
}

/// The page has to be as it is made; `UPDATE=1` makes it so.
fn hold(name: &str, made: &str) {
    let page = page(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(page.parent().unwrap()).unwrap();
        fs::write(&page, made).unwrap();
    }
    let found = fs::read_to_string(&page).unwrap_or_default();
    assert!(found == made, "packaging/manual/{name} is out of date: `UPDATE=1 cargo test -p m365-cached documents`");
}

fn head(title: &str, text: &str) -> String {
    format!(
        "# {title}\n\n<!-- Made of the rows by src/tools/documents_tests.rs. Do not edit: UPDATE=1 cargo test -p m365-cached documents -->\n\n{text}\n"
    )
}

/// The rows by family.
fn families() -> Vec<(&'static str, Vec<&'static Tool>)> {
    let mut families: Vec<(&str, Vec<&Tool>)> = Vec::new();
    for tool in all() {
        match families.iter_mut().find(|(family, _)| *family == tool.category()) {
            Some((_, tools)) => tools.push(tool),
            None => families.push((tool.category(), vec![tool])),
        }
    }
    families
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn parameters(params: &[Param]) -> String {
    let one = |param: &Param| match param.default {
        None => format!("**{}**", param.name),
        Some("null") => param.name.to_owned(),
        Some(default) => format!("{}={}", param.name, cell(default)),
    };
    params.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_table_of_tools() {
    let count = all().count();
    let mut text = head(
        "Tools",
        &format!(
            "{count} tools. `m365-cachectl tools NAME` shows one with the limits of its arguments.\n\nKept: seconds for which an answer is fresh, and until which it may stand while it is renewed. In the last column required arguments are **bold**."
        ),
    );
    for (family, tools) in families() {
        let _ = write!(text, "\n## {family}\n\n| Tool | | Asks | Kept | What it does | Arguments |\n|---|---|---|---|---|---|\n");
        for tool in tools {
            let kept = match tool.effect {
                Effect::Read { ttl: Ok(ttl), .. } => format!("{}/{}", ttl.fresh.as_secs(), ttl.stale.as_secs()),
                Effect::Read { ttl: Err(why), .. } => format!("never: {why}"),
                Effect::Write { .. } | Effect::Local => String::new(),
            };
            let asks = if matches!(tool.asks, Asks::Never) { "" } else { tool.asks.word() };
            let (sign, title, params) = (tool.risk.indicator(), cell(tool.title), parameters(tool.params));
            let _ = writeln!(text, "| `{}` | {sign} {} | {asks} | {kept} | {title} | {params} |", tool.name, tool.risk.level());
        }
    }
    hold("tools.md", &text);
}

/// The scenes of the page of writes and reads: the snapshot's test file, and what stands over its table.
const SCENES: [(&str, &str); 6] = [
    ("matrix_tests", "Marking and moving mail"),
    ("matrix_email_tests", "Writing, sending and deleting mail"),
    ("matrix_folders_tests", "Mail folders and inbox rules"),
    ("matrix_calendar_tests", "Calendars"),
    ("matrix_contact_tests", "Contacts"),
    ("matrix_files_tests", "Files and folders"),
];

/// Writes to this machine: what is kept of Microsoft 365 stays true.
const LOCAL_WRITES: [&str; 1] = ["email_get_attachment"];

/// From the snapshots of the tests that compute it: what each write makes untrue, in small mailboxes and drives.
#[test]
fn the_page_of_profiles() {
    let mut text = head(
        "Profiles of tools",
        "A client puts the list of tools before its model in every conversation. A profile says which are on it: `tools.profile` in `config.toml` (or \
         `M365_CACHED_TOOLS_PROFILE`) for every client, `m365-mcp --tools PROFILE` in a client's launch line for that one; never who connects. Without \
         either it is `essential`, and with `compat` `full`.\n\n\
         Tools that are not on the list can be called all the same. `read-only` is the exception: whatever changes something is neither listed nor \
         done, and a launch line does not loosen it once it is configured (`profiles::read_only_refuses_what_changes_something`).\n\n\
         `full` has every argument and every limit. The other lists are short: seldom needed arguments (below) and lengths of texts are left out, and \
         taken and checked all the same.\n\n\
         Tokens are those of OpenAI's `o200k_base`, of name, description and schema as compact JSON, which is what hosts put before their models; other \
         vocabularies differ by some per cent. `m365-cachectl tools --profile PROFILE --tokens` counts them tool by tool; \
         `tokens::the_essential_tools_cost` holds `essential` to 6,000.",
    );
    text.push_str("\n| Profile | Tools | Tokens |\n|---|---|---|\n");
    let cost = |tool: &Tool, profile| {
        super::tokens(tool.name).map_or(0, |(whole, short)| if profile == ToolProfile::Full { whole } else { short })
    };
    for (name, profile) in ToolProfile::NAMES {
        let tools: Vec<&Tool> = all().filter(|tool| tool.is_in(profile)).collect();
        let tokens: u32 = tools.iter().map(|tool| cost(tool, profile)).sum();
        let _ = writeln!(text, "| `{name}` | {} | {tokens} |", tools.len());
    }
    text.push_str("\n## Tools by profile\n\n`full` has all; `read-only` those marked \u{1f4d6}.\n\n| Tool | | Profiles | Tokens, short | whole |\n|---|---|---|---|---|\n");
    let named = |tool: &Tool| {
        let names = ToolProfile::NAMES.iter().filter(|(_, profile)| tool.profiles.contains(profile));
        names.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    };
    for tool in all() {
        let (whole, short) = super::tokens(tool.name).unwrap_or_default();
        let _ = writeln!(text, "| `{}` | {} | {} | {short} | {whole} |", tool.name, tool.risk.indicator(), named(tool));
    }
    text.push_str("\n## Arguments that short lists leave out\n\n| Argument | Tools |\n|---|---|\n");
    let mut rare: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for tool in all() {
        for param in tool.params.iter().filter(|param| param.rare) {
            rare.entry(param.name).or_default().push(tool.name);
        }
    }
    for (param, tools) in rare {
        let tools: Vec<String> = tools.iter().map(|tool| format!("`{tool}`")).collect();
        let _ = writeln!(text, "| `{param}` | {} |", tools.join(", "));
    }
    hold("profiles.md", &text);
}

#[test]
fn the_matrix_of_writes_and_reads() {
    let mut text = head(
        "What a write makes untrue",
        "Each write of a small mailbox or drive, and the kept answers that are asked anew after it; all others stay. Searches of the \
         service that no table names are always asked anew. A write of which nobody knows where it took effect touches everything of its service.",
    );
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/tools/snapshots");
    let mut snapshots: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    snapshots.retain(|path| path.file_name().unwrap().to_str().unwrap().contains("__matrix"));
    assert_eq!(snapshots.len(), SCENES.len(), "a scene is not on the page: {snapshots:?}");
    let mut shown = BTreeSet::new();
    for (file, title) in SCENES {
        let of_file = |path: &&PathBuf| path.file_name().unwrap().to_str().unwrap().contains(&format!("__{file}__"));
        let snapshot = snapshots.iter().find(of_file).unwrap_or_else(|| panic!("{file} has no snapshot"));
        let found = fs::read_to_string(snapshot).unwrap();
        let json = found.splitn(3, "---").nth(2).unwrap();
        let matrix: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{}: {error}", snapshot.display()));
        let _ = write!(text, "\n## {title}\n\n| Tool | Write | Asked anew |\n|---|---|---|\n");
        for (write, reads) in matrix.as_object().unwrap() {
            let (tool, what) = write.split_once(": ").unwrap();
            shown.insert(tool.to_owned());
            let reads: Vec<&str> = reads.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let reads = if reads.is_empty() { "nothing".to_owned() } else { reads.join(", ") };
            let _ = writeln!(text, "| `{tool}` | {} | {} |", cell(what), cell(&reads));
        }
    }
    let writes = all().filter(|tool| matches!(tool.effect, Effect::Write { .. }) && !LOCAL_WRITES.contains(&tool.name));
    assert_eq!(shown, writes.map(|tool| tool.name.to_owned()).collect(), "every write is in a scene");
    hold("writes-and-reads.md", &text);
}

#[test]
fn the_page_of_compatibility() {
    let mut text = head(
        "Compatibility with m365-mcp",
        "The tools, their arguments and the order of these are those of robin-collins/m365-mcp 0.2.3; what is ours comes after, and is optional.\n\n\
         `compat = \"m365-mcp\"` in `config.toml`, or `M365_CACHED_COMPAT=m365-mcp`, gives the original's shapes as well: lists bare, `_cache_status` and \
         `_cached_at` in each item, `miss` or `fresh` for a fetched answer as the tool had it, and no question where the original asked none. Without it a list is an object with \
         `complete` and, where there is more, `next_cursor`; `_cache_status` (fresh, stale, stale_if_error, miss, bypass) and `_cached_at` stand once, in front.\n\n\
         The environment's names of the original are read below our own; `m365-cachectl status` says by what each is replaced.",
    );
    let original =
        |tool: &Tool| ORIGINAL.iter().find(|(name, _)| *name == tool.name).map(|(_, params)| params.split_whitespace().collect::<Vec<_>>());
    text.push_str("\n## Arguments beyond the original's\n\n| Tool | Arguments |\n|---|---|\n");
    for tool in all() {
        let Some(known) = original(tool) else { continue };
        let ours: Vec<&str> = tool.params.iter().map(|param| param.name).filter(|name| !known.contains(name)).collect();
        if !ours.is_empty() {
            let _ = writeln!(text, "| `{}` | {} |", tool.name, ours.join(", "));
        }
    }
    text.push_str("\n## Tools beyond the original's\n\n");
    for tool in all().filter(|tool| original(tool).is_none()) {
        let _ = writeln!(text, "- `{}`: {}", tool.name, tool.title);
    }
    text.push_str(
        "\n## Asked where the original did not ask\n\nWith `confirm_token`, or by a question of the client; never with `compat`.\n\n",
    );
    for tool in all().filter(|tool| tool.params.iter().any(|param| param.name == CONSENTS[1])) {
        let _ = writeln!(
            text,
            "- `{}`: {}",
            tool.name,
            if matches!(tool.asks, Asks::Always) { "always" } else { "when it reaches others or destroys" }
        );
    }
    text.push_str("\n## Different on purpose\n\n| Tool | Difference |\n|---|---|\n");
    for (tool, difference) in DIFFERENCES {
        let tool = if *tool == "*" { "all".to_owned() } else { format!("`{tool}`") };
        let _ = writeln!(text, "| {tool} | {} |", cell(difference));
    }
    hold("compatibility.md", &text);
}

#[test]
fn differences_are_of_tools_that_exist() {
    for (tool, difference) in DIFFERENCES {
        assert!(*tool == "*" || find(tool).is_ok(), "{tool}");
        assert!(difference.ends_with('.'), "{difference}");
    }
}
