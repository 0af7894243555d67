//! What clap has to say about a command line, in this program's own form: one line for an error.

use std::process::ExitCode;

use clap::error::ErrorKind;

use super::exit;
use super::output::to_stdout;

/// Answers a command line that is not run: help and version go to standard output, anything else is a usage error.
pub(super) fn answer(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let text = error.render();
            // Colours only where a terminal will show them.
            let styled = std::io::IsTerminal::is_terminal(&std::io::stdout()) && std::env::var_os("NO_COLOR").is_none();
            let written = to_stdout(|out| if styled { write!(out, "{}", text.ansi()) } else { write!(out, "{text}") });
            written.map_or_else(|error| exit::failed(&error), |()| ExitCode::SUCCESS)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => exit::failed_with("a command is needed: see hesper --help"),
        _ => exit::failed_with(&message(error)),
    }
}

/// The error in one line.
pub(super) fn message(error: &clap::Error) -> String {
    one_line(&error.render().to_string())
}

/// The message and the tips of clap's paragraphs; the usage summary is what `--help` is for.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let told: Vec<_> = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information")).collect();
    let text = told.join(" ").replace(" tip: ", "; ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_become_one_line() {
        let text = "error: unexpected argument '--modle' found\n\n  tip: a similar argument exists: '--model'\n\nUsage: hesper spectrum \
                    --model <FILE>\n\nFor more information, try '--help'.\n";
        assert_eq!(one_line(text), "unexpected argument '--modle' found; a similar argument exists: '--model'");
        assert_eq!(
            one_line("error: the following required arguments were not provided:\n  --vector <F>\n"),
            "the following required arguments were not provided: --vector <F>"
        );
    }
}
