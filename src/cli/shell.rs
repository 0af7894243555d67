//! What a shell and a manual know of the program: completions and a man page, made from the flags themselves.

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::exit::Outcome;
use super::output::to_stdout;

/// Completions for a shell, on standard output
///
/// bash: hesper completions bash > ~/.local/share/bash-completion/completions/hesper
#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// Whose
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Manual pages, on standard output: that of the program, or of one command
///
/// hesper man | man -l -
#[derive(Args, Debug)]
pub(super) struct ManArgs {
    /// Of this command
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

pub(super) fn completions<C: CommandFactory>(args: &CompletionsArgs) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut C::command(), "hesper", &mut script);
    to_stdout(|out| out.write_all(&script))?;
    Ok(Outcome::Done)
}

pub(super) fn man<C: CommandFactory>(args: &ManArgs) -> Result<Outcome> {
    let mut program = C::command();
    program.build();
    let page = match &args.command {
        None => program,
        Some(name) => {
            let command = program.find_subcommand(name).with_context(|| format!("there is no command '{name}': see hesper --help"))?;
            command.clone().display_name(format!("hesper-{name}"))
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    to_stdout(|out| out.write_all(&text))?;
    Ok(Outcome::Done)
}
