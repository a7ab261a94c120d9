//! `man`: the manual pages of this program, made of the command line itself.

use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use m365_cached_proto::v1::{Fault, Kind};
use serde::Serialize;

use crate::cli::Cli;
use crate::output::{Output, Paint, View};

/// Where the pages go.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  m365-cachectl man | man -l -
  m365-cachectl man ~/.local/share/man/man1

With --json and a folder: `folder` and `pages`, their names. Pages that are there are replaced.")]
pub(crate) struct Args {
    /// A folder, which is made; a page for each verb goes there, such as `m365-cachectl-login.1`
    folder: Option<PathBuf>,
}

/// `{"folder":"/…/man1","pages":["m365-cachectl.1",…]}`
#[derive(Debug, Serialize)]
struct Written {
    folder: String,
    pages: Vec<String>,
}

/// A page: the name of its file, and its text in roff.
struct Page {
    name: String,
    text: Vec<u8>,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), Fault> {
    let command = whole();
    match &args.folder {
        None => {
            let first = page(&command).map_err(|error| unwritten("the manual page", &error))?;
            output.raw(&first.text).map_err(|error| unwritten("the manual page", &error))
        }
        Some(folder) => {
            let pages = write(&command, folder).map_err(|error| unwritten(&format!("pages into `{}`", folder.display()), &error))?;
            output.show(&Written { folder: folder.display().to_string(), pages });
            Ok(())
        }
    }
}

/// Something that could not be written where it was wanted.
pub(super) fn unwritten(what: &str, error: &io::Error) -> Fault {
    Fault::new(
        Kind::User,
        "cannot_write",
        format!("writing {what} failed: {error}"),
        "Name a folder that you may write to, on a disk with room.",
    )
}

/// The command line with the names that its pages have: `m365-cachectl-keys-rotate`.
fn whole() -> clap::Command {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}

fn page(command: &clap::Command) -> io::Result<Page> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    Ok(Page { name: format!("{name}.1"), text })
}

/// Writes the page of `command` and of everything below it; their names, in order.
fn write(command: &clap::Command, folder: &Path) -> io::Result<Vec<String>> {
    std::fs::create_dir_all(folder)?;
    let page = page(command)?;
    std::fs::write(folder.join(&page.name), &page.text)?;
    let mut names = vec![page.name];
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        names.extend(write(verb, folder)?);
    }
    Ok(names)
}

impl View for Written {
    fn text(&self, _paint: Paint) -> String {
        format!("{} pages in {}\n", self.pages.len(), self.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page_with_its_flags_and_examples() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("man1");
        let pages = write(&whole(), &folder).unwrap();
        for verb in Cli::command().get_subcommands() {
            assert!(pages.contains(&format!("m365-cachectl-{}.1", verb.get_name())), "{pages:?}");
        }
        assert!(pages.contains(&"m365-cachectl-keys-rotate.1".to_owned()) && !pages.iter().any(|page| page.contains("help")));
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(read("m365-cachectl.1").contains("Exit codes"));
        assert!(read("m365-cachectl-keys-rotate.1").contains("reencrypt"));
        assert_eq!(write(&whole(), &folder).unwrap(), pages, "once more");
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let fault = run(&Args { folder: Some(file) }, &Output::of_this_process(false)).unwrap_err();
        assert_eq!((fault.kind(), fault.code.as_str()), (Kind::User, "cannot_write"));
    }
}
