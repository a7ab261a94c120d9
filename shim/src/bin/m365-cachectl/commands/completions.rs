//! `completions`: what a shell needs to complete verbs and flags, made of the command line itself.

use clap::CommandFactory as _;
use clap_complete::Shell;
use m365_cached_proto::v1::Fault;

use super::man::unwritten;
use crate::cli::Cli;
use crate::output::Output;

/// For which shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  m365-cachectl completions bash > ~/.local/share/bash-completion/completions/m365-cachectl
  m365-cachectl completions zsh > ~/.zfunc/_m365-cachectl          # with `fpath+=~/.zfunc` before compinit
  m365-cachectl completions fish > ~/.config/fish/completions/m365-cachectl.fish
  m365-cachectl completions powershell >> $PROFILE

Packages bring them along.")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), Fault> {
    output.raw(&script(args.shell)).map_err(|error| unwritten("the completions", &error))
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "m365-cachectl", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_completes_every_verb() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for verb in Cli::command().get_subcommands() {
                assert!(script.contains(verb.get_name()), "{shell}: {}", verb.get_name());
            }
        }
    }
}
