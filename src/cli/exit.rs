//! The three ways to end: 0 done; 1 done, but the asked accuracy was not reached; 2 a usage, input or device error.

use std::io::Write as _;
use std::process::ExitCode;

/// How a command that ran to its end has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As asked.
    Done,
    /// The result is written and says that it is less accurate than asked.
    Inaccurate,
}

impl Outcome {
    /// [`Outcome::Done`] where everything asked for was reached.
    pub(super) const fn of(reached: bool) -> Self {
        if reached { Self::Done } else { Self::Inaccurate }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Inaccurate => Self::from(1),
        }
    }
}

/// Says `message` on one line of standard error, whatever line breaks a file name or a driver put into it.
pub(super) fn note(message: &str) {
    let words: Vec<_> = message.split_whitespace().collect();
    // Where standard error is closed there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "hesper: {}", words.join(" "));
}

/// Says on one line of standard error what went wrong.
pub(super) fn failed(error: &anyhow::Error) -> ExitCode {
    failed_with(&format!("{error:#}"))
}

/// The same in words.
pub(super) fn failed_with(message: &str) -> ExitCode {
    note(message);
    ExitCode::from(2)
}
