//! A progress bar on standard error, for people who are watching.

use std::io::IsTerminal as _;
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};

use super::args::ReportArgs;
use crate::job::{Progress, Stage};

/// A bar that is drawn where standard error is a terminal and quiet was not asked for; it is gone when the work is done.
#[derive(Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
    stage: Mutex<Option<Stage>>,
}

impl Bar {
    pub(super) fn new(args: &ReportArgs) -> Self {
        // A log and a bar on one terminal would overwrite each other.
        let watched = std::io::stderr().is_terminal() && !args.quiet && !tracing::event_enabled!(tracing::Level::INFO);
        let bar = if watched { ProgressBar::no_length() } else { ProgressBar::hidden() };
        // No colour by design, so that NO_COLOR has nothing to take away.
        if let Ok(style) = ProgressStyle::with_template("{msg:18} {wide_bar} {pos}/{len}  {elapsed}, {eta} left") {
            bar.set_style(style);
        }
        Self { bar, stage: Mutex::new(None) }
    }
}

impl Progress for Bar {
    fn update(&self, stage: Stage, done: u64, total: u64) {
        let Ok(mut current) = self.stage.lock() else { return };
        if *current != Some(stage) {
            *current = Some(stage);
            self.bar.reset();
            self.bar.set_message(stage.to_string());
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
