//! What the program does, on standard error, for those who ask with `-v`.

use std::io;

use tracing::Level;
use tracing::level_filters::LevelFilter;

/// Writes events from `-v` (what is chosen) and `-vv` (each batch and each restart) on to standard error.
pub(super) fn start(verbosity: u8) {
    let level = match verbosity {
        0 => return,
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    // Those of the dependencies are theirs: a filter by target leaves them out.
    let own = tracing_subscriber::filter::Targets::new().with_target("hesper", LevelFilter::from_level(level));
    let written = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false).with_target(false).with_timer(Elapsed::start());
    use tracing_subscriber::layer::SubscriberExt as _;
    let subscriber = tracing_subscriber::registry().with(own).with(written);
    // Refused only where the process has one already, as a test may.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Seconds since the program's start: what a log of one command is read for.
struct Elapsed(std::time::Instant);

impl Elapsed {
    fn start() -> Self {
        Self(std::time::Instant::now())
    }
}

impl tracing_subscriber::fmt::time::FormatTime for Elapsed {
    fn format_time(&self, writer: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:9.3} s", self.0.elapsed().as_secs_f64())
    }
}
