//! Failures and the summary line: what goes wrong with which exit code, and the last line of a job.

use std::fmt::Write as _;
use std::time::Duration;

use unskewed_engine::job::{self, ErrorKind, Outcome};
use unskewed_planner::diagnostic::{Diagnostic, any_error};

/// What stopped the command, and whose matter it is.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    exit_code: u8,
}

impl Failure {
    /// Wrong usage or configuration.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        let text = format!("error: {}", text.into());
        Self { text, exit_code: 2 }
    }

    /// Anything that failed on the way.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        let text = format!("error: {}", text.into());
        Self { text, exit_code: 1 }
    }

    /// What a job that measures found wrong.
    pub(crate) fn found(problems: &[String]) -> Self {
        let lines: Vec<String> = problems.iter().map(|p| format!("error: {p}")).collect();
        let text = lines.join("\n");
        Self { text, exit_code: 1 }
    }

    /// Something later versions will do.
    pub(crate) fn not_yet(what: impl Into<String>) -> Self {
        let what = what.into();
        Self::usage(format!(
            "{what} is not there yet; `unskewed --help` lists the jobs of this version"
        ))
    }

    /// A wrong definition: every problem.
    pub(crate) fn definition(problems: &[Diagnostic]) -> Self {
        let errors = problems.iter().filter(|p| p.is_error()).count();
        let mut text = String::new();
        for problem in problems {
            let _ = writeln!(text, "{problem}");
        }
        let plural = if errors == 1 { "" } else { "s" };
        debug_assert!(
            any_error(problems),
            "a definition without errors is no failure"
        );
        let _ = write!(
            text,
            "{errors} error{plural} in the definition; nothing was written"
        );
        Self { text, exit_code: 2 }
    }

    /// A job's own error, causes included.
    pub(crate) fn job(error: job::Error) -> Self {
        let exit_code = match error.kind() {
            ErrorKind::Definition => 2,
            ErrorKind::Unreachable => 3,
            ErrorKind::Failed => 1,
        };
        if let job::Error::Definition(problems) = error {
            return Self::definition(&problems);
        }
        let mut text = format!("error: {error}");
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            let line = inner.to_string();
            if !text.ends_with(&line) {
                let _ = write!(text, "\n  caused by: {line}");
            }
            cause = inner.source();
        }
        if let Some(hint) = error.hint() {
            let _ = write!(text, "\n   = help: {hint}");
        }
        Self { text, exit_code }
    }

    /// The same failure, its file named first.
    pub(crate) fn in_file(mut self, file: &str) -> Self {
        self.text = format!("in {file}:\n{}", self.text);
        self
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

/// The last line of a job.
pub(crate) fn summary(outcome: &Outcome, took: Duration, peak_bytes: Option<u64>) -> String {
    let peak = match peak_bytes {
        Some(bytes) => format!("{} MiB", bytes.div_ceil(1 << 20)),
        None => "unknown".into(),
    };
    format!(
        "summary: rows in {}, rows out {}, bad rows {}, partitions written {}, seconds {:.2}, peak memory {peak}",
        outcome.rows_in,
        outcome.rows_out,
        outcome.bad_rows,
        outcome.partitions_written,
        took.as_secs_f64(),
    )
}

/// The summary as one JSON object.
pub(crate) fn summary_json(outcome: &Outcome, took: Duration, peak_bytes: Option<u64>) -> String {
    serde_json::json!({
        "summary": {
            "rows_in": outcome.rows_in,
            "rows_out": outcome.rows_out,
            "bad_rows": outcome.bad_rows,
            "partitions_written": outcome.partitions_written,
            "seconds": took.as_secs_f64(),
            "peak_memory_bytes": peak_bytes,
        }
    })
    .to_string()
}

/// The most memory this process ever held, where the system says so (Linux).
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The summary names every number of the contract.
    #[test]
    fn summary_line() {
        let outcome = Outcome {
            rows_in: 10,
            rows_out: 4,
            bad_rows: 1,
            partitions_written: 2,
            ..Outcome::default()
        };
        let line = summary(&outcome, Duration::from_millis(1_250), Some(5 << 20));
        assert_eq!(
            line,
            "summary: rows in 10, rows out 4, bad rows 1, partitions written 2, seconds 1.25, peak memory 5 MiB"
        );
        let json = summary_json(&outcome, Duration::from_millis(500), None);
        assert!(json.contains("\"rows_in\":10"), "{json}");
    }

    /// All problems of a definition are printed, and counted.
    #[test]
    fn definition_failure() {
        let problems = vec![
            Diagnostic::error("a.b", "first"),
            Diagnostic::error("c", "second").hint("do that"),
            Diagnostic::warning("d", "third"),
        ];
        let failure = Failure::definition(&problems);
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.text().contains("--> a.b") && failure.text().contains("do that"));
        assert!(
            failure
                .text()
                .ends_with("2 errors in the definition; nothing was written")
        );
    }
}
