//! `unskewed run`: the modes and options of run.py as command lines of the jobs.
//!
//! Promises: a mode and a kind of definition give the job that run.py would start, in the same ranges of days; what
//! `teams.json` and the definition add is resolved in run.py's order. A mode that is not there is an honest error.

mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Parser;
use unskewed_planner::definition::{Definition, Teams, custom_json};
use unskewed_planner::time::{Partition, PartitionRange};

use crate::args::{Cli, RunArgs};
use crate::config::PREFIX;
use crate::report::Failure;

pub(crate) use words::split;

/// A mode of run.py, and the job it starts on each kind of definition; `None` where it starts none.
struct Mode {
    name: &'static str,
    group_by: Option<&'static str>,
    join: Option<&'static str>,
    staging_query: Option<&'static str>,
}

const fn mode(
    name: &'static str,
    group_by: Option<&'static str>,
    join: Option<&'static str>,
    staging_query: Option<&'static str>,
) -> Mode {
    Mode {
        name,
        group_by,
        join,
        staging_query,
    }
}

/// The modes there are. The words are those of `unskewed --help`, so a new job needs a line here and no more.
const MODES: [Mode; 18] = [
    mode(
        "backfill",
        Some("group-by-backfill"),
        Some("join"),
        Some("staging-query-backfill"),
    ),
    mode("backfill-left", None, Some("join-left"), None),
    mode("backfill-final", None, Some("join-final"), None),
    mode("upload", Some("group-by-upload"), None, None),
    mode(
        "metadata-upload",
        Some("metadata-upload"),
        Some("metadata-upload"),
        None,
    ),
    mode("label-join", None, Some("label-join"), None),
    mode(
        "model-transform-batch",
        None,
        Some("model-transform-batch"),
        None,
    ),
    mode("analyze", Some("analyze"), Some("analyze"), None),
    mode("stats-summary", None, Some("stats-summary"), None),
    mode("log-summary", None, Some("log-summary"), None),
    mode("log-flattener", None, Some("log-flattener"), None),
    mode(
        "consistency-metrics-compute",
        None,
        Some("consistency-metrics-compute"),
        None,
    ),
    mode(
        "metadata-export",
        Some("metadata-export"),
        Some("metadata-export"),
        Some("metadata-export"),
    ),
    mode("compare", None, Some("compare-join-query"), None),
    mode("streaming", Some("group-by-streaming"), None, None),
    mode("local-streaming", Some("group-by-streaming"), None, None),
    mode("fetch", Some("fetch"), Some("fetch"), None),
    mode("info", Some("info"), Some("info"), Some("info")),
];

/// Modes whose command line takes the definition's additional arguments, as in run.py.
const WITH_ADDITIONS: [&str; 5] = [
    "backfill",
    "backfill-left",
    "backfill-final",
    "upload",
    "model-transform-batch",
];

/// The job of a mode for this kind of definition, as it is typed.
pub(crate) fn job_of(name: &str, definition: &Definition) -> Result<&'static str, Failure> {
    let Some(mode) = MODES.iter().find(|mode| mode.name == name) else {
        return Err(unknown(name));
    };
    let (job, what) = match definition {
        Definition::GroupBy(_) => (mode.group_by, "group-by"),
        Definition::Join(_) => (mode.join, "join"),
        Definition::StagingQuery(_) => (mode.staging_query, "staging query"),
    };
    job.ok_or_else(|| Failure::usage(format!("mode {name} cannot run a {what}")))
}

fn unknown(name: &str) -> Failure {
    let known: Vec<&str> = MODES.iter().map(|mode| mode.name).collect();
    let near = unskewed_planner::diagnostic::nearest(name, known.iter().copied());
    let hint = near.map_or_else(
        || format!("known are {}", known.join(", ")),
        |near| format!("did you mean {near:?}?"),
    );
    Failure::usage(format!("unknown mode {name:?}; {hint}"))
}

/// One command line of the job for each run that the days are cut into; `handed_on` are options of the job's own.
pub(crate) fn command_lines(
    args: &RunArgs,
    definition: &Definition,
    path: &Path,
    handed_on: &[String],
    today: Partition,
) -> Result<Vec<Vec<String>>, Failure> {
    let job = job_of(&args.mode, definition)?;
    let path = path.display().to_string();
    let line = |days: &Days, more: &[String]| {
        let mut words: Vec<String> = vec!["unskewed".into(), job.into()];
        words.extend(["--conf-path".into(), path.clone()]);
        words.extend(["--end-date".into(), days.end.to_string()]);
        words.extend_from_slice(more);
        let start = days
            .start
            .map(|day| format!("--start-partition-override={day}"));
        words.extend(start);
        words
    };
    let mut more = vec![];
    if WITH_ADDITIONS.contains(&args.mode.as_str()) {
        more = additional_words(definition)?;
        let days = Days {
            start: None,
            end: today,
        };
        if let Err(error) = Cli::try_parse_from(line(&days, &more)) {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            let about = format!("customJson.additional_args of the definition: {first}");
            return Err(Failure::usage(about));
        }
    }
    more.extend_from_slice(handed_on);
    let runs = runs(args, today)?;
    Ok(runs.iter().map(|days| line(days, &more)).collect())
}

/// The days of one run; the definition says where they begin if nobody else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Days {
    start: Option<Partition>,
    end: Partition,
}

/// The runs that the days are cut into.
fn runs(args: &RunArgs, today: Partition) -> Result<Vec<Days>, Failure> {
    let end = args.end_ds.or(args.ds).unwrap_or(today);
    if args.parallelism == 1 {
        return Ok(vec![Days {
            start: args.start_ds,
            end,
        }]);
    }
    let Some(start) = args.start_ds.filter(|_| args.end_ds.is_some()) else {
        return Err(Failure::usage(
            "--parallelism needs --start-ds and --end-ds",
        ));
    };
    let Some(range) = PartitionRange::new(start, end) else {
        return Err(Failure::usage(format!(
            "--start-ds {start} is after --end-ds {end}"
        )));
    };
    let days = |range: PartitionRange| Days {
        start: Some(range.start),
        end: range.end,
    };
    let chunks = chunks(range, args.parallelism)?;
    Ok(chunks.into_iter().map(days).collect())
}

/// `count` slices of equally many days; the last takes what is left over.
fn chunks(range: PartitionRange, count: i32) -> Result<Vec<PartitionRange>, Failure> {
    let days = i32::try_from(range.days()).unwrap_or(i32::MAX);
    if count > days {
        let about = format!("--parallelism {count} is more than the {days} days of {range}");
        return Err(Failure::usage(about));
    }
    let size = days / count;
    let slice = |index: i32| PartitionRange {
        start: range.start.plus_days(index * size),
        end: if index == count - 1 {
            range.end
        } else {
            range.start.plus_days((index + 1) * size - 1)
        },
    };
    Ok((0..count).map(slice).collect())
}

/// Where the repository of definitions is.
pub(crate) fn repository(args: &RunArgs, variable: Option<String>) -> PathBuf {
    let given = args.repo.clone();
    given
        .or_else(|| variable.map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("."))
}

/// The definition's path: as written when it exists, else inside the repository.
pub(crate) fn definition_path(conf: &Path, repository: &Path) -> PathBuf {
    if conf.is_absolute() {
        return conf.to_path_buf();
    }
    let inside = repository.join(conf);
    if inside.exists() || !conf.exists() {
        inside
    } else {
        conf.to_path_buf()
    }
}

/// Additional arguments a definition carries in its `customJson`. Each may hold an option and its value in one string,
/// as run.py splices them into a command line.
fn additional_words(definition: &Definition) -> Result<Vec<String>, Failure> {
    let custom =
        custom_json(definition.meta_data()).map_err(|problem| Failure::definition(&[problem]))?;
    let arguments = custom.get("additional_args").and_then(|v| v.as_array());
    let words = arguments
        .into_iter()
        .flatten()
        .filter_map(|word| word.as_str());
    Ok(words
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect())
}

/// Variables that the definition and `teams.json` set for a mode, in run.py's order: the definition's own
/// `modeToEnvMap`, the team's environment, the team's and everybody's production settings, the common ones. Only ours
/// are kept; the process environment beats them all.
pub(crate) fn variables(
    definition: &Definition,
    teams: Option<&Teams>,
    mode: &str,
    environment: &str,
) -> Result<BTreeMap<String, String>, Failure> {
    let meta_data = definition.meta_data();
    let team = meta_data.team.as_deref().unwrap_or_default();
    let own = meta_data.mode_to_env_map.as_ref();
    let own = own.and_then(|map| map.get(mode));
    let look_up = |name: &str| -> Option<String> {
        let from_definition = own.and_then(|map| map.get(name)).cloned();
        let from_teams =
            || teams.and_then(|t| t.variable(team, environment, mode, name).map(str::to_owned));
        from_definition.or_else(from_teams)
    };
    for (name, supported) in [
        ("PARTITION_COLUMN", "ds"),
        ("PARTITION_FORMAT", "yyyy-MM-dd"),
    ] {
        if let Some(value) = look_up(name).filter(|value| value != supported) {
            let about =
                format!("{name} {value:?} of teams.json cannot be used; only {supported:?}");
            return Err(Failure::usage(about));
        }
    }
    let names = crate::config::KEYS
        .iter()
        .map(|(key, _)| format!("{PREFIX}{}", key.to_uppercase()));
    let found = names.filter_map(|name| look_up(&name).map(|value| (name, value)));
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use unskewed_planner::definition::Dialect;

    const JOIN: &str = r#"{"metaData": {"name": "team.j.v1", "team": "team", "outputNamespace": "db",
        "customJson": "{\"additional_args\": [\"--step-days 7\", \"--run-first-hole\"]}",
        "modeToEnvMap": {"backfill": {"UNSKEWED__WORKERS": "3"}}},
        "left": {"events": {"table": "db.t", "query": {"setups": []}}}, "joinParts": []}"#;

    fn join() -> Definition {
        Definition::load(JOIN, Dialect::Airbnb).unwrap_or_else(|e| panic!("{e:?}"))
    }

    fn run_args(words: &str) -> RunArgs {
        use crate::args::Command;
        let words = format!("unskewed run --conf c {words}");
        match Cli::try_parse_from(words.split_whitespace()).map(|cli| cli.command) {
            Ok(Command::Run(args)) => *args,
            other => panic!("{other:?}"),
        }
    }

    fn days(runs: &[Days]) -> Vec<String> {
        let text = |days: &Days| {
            let start = days.start.map(|d| d.to_string()).unwrap_or_default();
            format!("{start}..{}", days.end)
        };
        runs.iter().map(text).collect()
    }

    /// Modes map to jobs by the kind of definition; the others say what is wrong.
    #[test]
    fn modes() {
        let join = join();
        assert_eq!(job_of("backfill", &join).unwrap(), "join");
        assert_eq!(job_of("backfill-left", &join).unwrap(), "join-left");
        assert_eq!(job_of("backfill-final", &join).unwrap(), "join-final");
        for (mode, part) in [
            ("streaming", "cannot run a join"),
            ("backfil", "did you mean"),
            ("x", "known are"),
        ] {
            let failure = job_of(mode, &join).unwrap_err();
            assert!(failure.text().contains(part), "{}", failure.text());
            assert_eq!(failure.exit_code(), 2);
        }
    }

    /// Every job that a mode starts is a subcommand.
    #[test]
    fn modes_start_jobs() {
        use clap::CommandFactory;
        let command = Cli::command();
        for mode in &MODES {
            for job in [mode.group_by, mode.join, mode.staging_query]
                .into_iter()
                .flatten()
            {
                assert!(
                    command.find_subcommand(job).is_some(),
                    "{} starts {job}",
                    mode.name
                );
            }
        }
    }

    /// The days as run.py cuts them: the last run takes what is left over.
    #[test]
    fn ranges_of_days() {
        let today: Partition = "2024-03-09".parse().unwrap();
        let plan = |words: &str| runs(&run_args(words), today);
        assert_eq!(days(&plan("").unwrap()), ["..2024-03-09"]);
        assert_eq!(days(&plan("--ds 2024-03-01").unwrap()), ["..2024-03-01"]);
        let both = "--start-ds 2024-02-20 --end-ds 2024-03-01 --ds 2024-01-01";
        assert_eq!(days(&plan(both).unwrap()), ["2024-02-20..2024-03-01"]);
        let parallel = format!("{both} --parallelism 3");
        assert_eq!(
            days(&plan(&parallel).unwrap()),
            [
                "2024-02-20..2024-02-22",
                "2024-02-23..2024-02-25",
                "2024-02-26..2024-03-01"
            ]
        );
        assert!(plan("--parallelism 2 --ds 2024-03-01").is_err());
        assert!(plan(&format!("{both} --parallelism 12")).is_err());
        let backwards = "--start-ds 2024-03-02 --end-ds 2024-03-01 --parallelism 2";
        assert!(plan(backwards).is_err());
    }

    /// The command line: what the definition adds comes first, so that what is typed beats it.
    #[test]
    fn command_lines_of_a_run() {
        let today: Partition = "2024-03-09".parse().unwrap();
        let handed_on = vec!["--step-days".to_owned(), "3".into()];
        let args = run_args("--start-ds 2024-03-01");
        let lines = command_lines(&args, &join(), Path::new("j.v1"), &handed_on, today).unwrap();
        assert_eq!(
            lines[0].join(" "),
            "unskewed join --conf-path j.v1 --end-date 2024-03-09 --step-days 7 --run-first-hole \
             --step-days 3 --start-partition-override=2024-03-01"
        );
        assert!(Cli::try_parse_from(&lines[0]).is_ok());
        let wrong = JOIN.replace("--step-days 7", "--steps 7");
        let wrong = Definition::load(&wrong, Dialect::Airbnb).unwrap();
        let failure = command_lines(&args, &wrong, Path::new("j"), &[], today).unwrap_err();
        assert!(
            failure.text().contains("additional_args"),
            "{}",
            failure.text()
        );
    }

    /// What the definition and teams.json set for a run.
    #[test]
    fn variables_of_the_definition() {
        let found = variables(&join(), None, "backfill", "dev").unwrap();
        assert_eq!(
            found.get("UNSKEWED__WORKERS").map(String::as_str),
            Some("3")
        );
        assert!(
            variables(&join(), None, "backfill-left", "dev")
                .unwrap()
                .is_empty()
        );
        let teams = r#"{"team": {"namespace": "db", "production": {"backfill":
            {"UNSKEWED__WORKERS": "5", "UNSKEWED__MEMORY": "1G"}}},
            "default": {"common_env": {"PARTITION_COLUMN": "day"}}}"#;
        let teams = Teams::load(teams).unwrap();
        assert!(variables(&join(), Some(&teams), "backfill", "dev").is_err());
    }
}
