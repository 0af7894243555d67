//! What the program does, on standard error, for those who ask with `-v`; what goes wrong without ending a job, for all.

use std::io;

use tracing::Level;
use tracing::level_filters::LevelFilter;

/// Writes warnings, and with `-v` what is chosen, with `-vv` each batch and each restart as well, to standard error.
pub(super) fn start(verbosity: u8) {
    let level = match verbosity {
        0 => Level::WARN,
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    // Those of the dependencies are theirs: a filter by target leaves them out.
    let own = tracing_subscriber::filter::Targets::new().with_target("hesper", LevelFilter::from_level(level));
    let start = Start { at: std::time::Instant::now(), shown: verbosity > 0 };
    let written = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false).with_target(false);
    use tracing_subscriber::layer::SubscriberExt as _;
    let subscriber = tracing_subscriber::registry().with(own).with(written.with_level(start.shown).with_timer(start));
    // Refused only where the process has one already, as a test may.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Seconds since the program's start, what a log of one command is read for; or the program's name, as before its other messages.
struct Start {
    at: std::time::Instant,
    shown: bool,
}

impl tracing_subscriber::fmt::time::FormatTime for Start {
    fn format_time(&self, writer: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        if self.shown { write!(writer, "{:9.3} s", self.at.elapsed().as_secs_f64()) } else { writer.write_str("hesper:") }
    }
}
