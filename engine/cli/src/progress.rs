//! How a job goes, for people: a bar on a terminal, plain lines otherwise, JSON lines when asked for.

use std::io::{IsTerminal, Write as _};
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use unskewed_engine::job::{Event, Watcher};

use crate::config::{Config, LogFormat};

/// Writes what happens to stderr.
pub(crate) struct Progress {
    quiet: bool,
    shown: bool,
    json: bool,
    bar: ProgressBar,
    rows: Mutex<u64>,
}

impl Progress {
    /// As the configuration says; a bar only on a terminal.
    pub(crate) fn new(config: &Config) -> Self {
        let json = config.log == LogFormat::Json;
        let terminal = std::io::stderr().is_terminal();
        let bar = if config.progress && !config.quiet && !json && terminal {
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        let template = "{bar:30} {pos}/{len} days  {per_sec}  {eta} left  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self {
            quiet: config.quiet,
            shown: config.progress,
            json,
            bar,
            rows: Mutex::new(0),
        }
    }

    /// A line for the user, whatever else is shown.
    pub(crate) fn say(&self, level: &str, text: &str) {
        if self.json {
            let line = serde_json::json!({"level": level, "message": text}).to_string();
            self.write(&line);
        } else if level == "note" {
            self.write(text);
        } else {
            self.write(&format!("{level}: {text}"));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn write(&self, line: &str) {
        // A closed stderr is no reason to stop computing.
        self.bar.suspend(|| {
            writeln!(std::io::stderr().lock(), "{line}").ok();
        });
    }

    fn step(&self, text: &str) {
        if !self.quiet && self.shown && self.bar.is_hidden() {
            self.say("note", text);
        }
    }
}

impl Watcher for Progress {
    fn on(&self, event: &Event<'_>) {
        match event {
            Event::Planned { table, steps } => {
                let days: usize = steps.iter().map(|step| step.days()).sum();
                self.bar.inc_length(days as u64);
                let text = match steps {
                    [] => format!("{table}: nothing to compute, no day is missing"),
                    [.., last] => format!(
                        "{table}: {days} days in {} steps, {} to {}",
                        steps.len(),
                        steps[0].start,
                        last.end
                    ),
                };
                self.step(&text);
            }
            Event::StepStarted { table, range } => {
                self.bar.set_message(format!("{table} {range}"));
            }
            Event::StepDone { table, range, rows } => {
                self.bar.inc(range.days() as u64);
                let mut total = self.rows.lock().unwrap_or_else(|held| held.into_inner());
                *total += rows;
                self.bar.set_message(format!("{total} rows"));
                self.step(&format!("{table}: {range} done, {rows} rows"));
            }
            Event::Note(text) => {
                if !self.quiet {
                    self.say("note", text);
                }
            }
            Event::Warning(text) => self.say("warning", text),
        }
    }
}
