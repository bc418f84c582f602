//! `unskewed run`: the modes and options of run.py as jobs.
//!
//! Promises: a mode and a kind of definition give the job that run.py would start, in the same ranges of days; what
//! `teams.json` and the definition add is resolved in run.py's order. A mode of later versions is an honest error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Parser;
use unskewed_engine::job::Kind;
use unskewed_planner::definition::{Definition, Teams, custom_json};
use unskewed_planner::time::{Partition, PartitionRange};

use crate::args::{JobOptions, RunArgs};
use crate::config::PREFIX;
use crate::report::Failure;

/// Modes run.py knows that this version cannot run.
const LATER_MODES: [&str; 15] = [
    "upload",
    "streaming",
    "local-streaming",
    "metadata-upload",
    "metadata-export",
    "fetch",
    "analyze",
    "consistency-metrics-compute",
    "compare",
    "stats-summary",
    "log-summary",
    "log-flattener",
    "label-join",
    "model-transform-batch",
    "info",
];

/// A job with its days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) kind: Kind,
    pub(crate) start_override: Option<Partition>,
    pub(crate) end: Partition,
}

/// The job of a mode for this kind of definition.
pub(crate) fn kind_of(mode: &str, definition: &Definition) -> Result<Kind, Failure> {
    let wrong = |what: &str| Failure::usage(format!("mode {mode} cannot run a {what}"));
    match (mode, definition) {
        ("backfill", Definition::GroupBy(_)) => Ok(Kind::GroupByBackfill),
        ("backfill", Definition::Join(_)) => Ok(Kind::Join),
        ("backfill-left", Definition::Join(_)) => Ok(Kind::JoinLeft),
        ("backfill-final", Definition::Join(_)) => Ok(Kind::JoinFinal),
        ("backfill", Definition::StagingQuery(_)) => {
            Err(Failure::not_yet("backfill of a staging query"))
        }
        ("backfill-left" | "backfill-final", Definition::GroupBy(_)) => Err(wrong("group-by")),
        ("backfill-left" | "backfill-final", Definition::StagingQuery(_)) => {
            Err(wrong("staging query"))
        }
        (mode, _) if LATER_MODES.contains(&mode) => Err(Failure::not_yet(format!("mode {mode}"))),
        (mode, _) => {
            let known = ["backfill", "backfill-left", "backfill-final"];
            let near = unskewed_planner::diagnostic::nearest(mode, known);
            let hint = near.map_or_else(
                || format!("known are {}", known.join(", ")),
                |near| format!("did you mean {near:?}?"),
            );
            Err(Failure::usage(format!("unknown mode {mode:?}; {hint}")))
        }
    }
}

/// The runs that the days are cut into.
pub(crate) fn plan(args: &RunArgs, kind: Kind, today: Partition) -> Result<Vec<Planned>, Failure> {
    let end = args.end_ds.or(args.ds).unwrap_or(today);
    let start = args.start_ds.or(args.options.start_partition_override);
    if args.parallelism == 1 {
        return Ok(vec![Planned {
            kind,
            start_override: start,
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
    let planned = |range: PartitionRange| Planned {
        kind,
        start_override: Some(range.start),
        end: range.end,
    };
    let chunks = chunks(range, args.parallelism)?;
    Ok(chunks.into_iter().map(planned).collect())
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

/// Additional arguments a definition carries in its `customJson`, for the modes that take them.
pub(crate) fn additional_options(definition: &Definition) -> Result<JobOptions, Failure> {
    #[derive(Parser)]
    #[command(no_binary_name = true, args_override_self = true)]
    struct Additional {
        #[command(flatten)]
        options: JobOptions,
    }
    let custom =
        custom_json(definition.meta_data()).map_err(|problem| Failure::definition(&[problem]))?;
    let Some(arguments) = custom.get("additional_args").and_then(|v| v.as_array()) else {
        return Ok(JobOptions::default());
    };
    // Each entry may hold an option and its value in one string, as run.py splices them into a command line.
    let words = arguments.iter().filter_map(|word| word.as_str());
    let words = words.flat_map(str::split_whitespace);
    match Additional::try_parse_from(words) {
        Ok(additional) => Ok(additional.options),
        Err(error) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            let about = format!("customJson.additional_args of the definition: {first}");
            Err(Failure::usage(about))
        }
    }
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
        use crate::args::{Cli, Command};
        let words = format!("unskewed run --conf c {words}");
        match Cli::try_parse_from(words.split_whitespace()).map(|cli| cli.command) {
            Ok(Command::Run(args)) => *args,
            other => panic!("{other:?}"),
        }
    }

    fn days(plans: &[Planned]) -> Vec<String> {
        let text = |p: &Planned| {
            let start = p.start_override.map(|d| d.to_string()).unwrap_or_default();
            format!("{start}..{}", p.end)
        };
        plans.iter().map(text).collect()
    }

    /// Modes map to jobs by the kind of definition; the others say what is wrong.
    #[test]
    fn modes() {
        let join = join();
        assert_eq!(kind_of("backfill", &join).unwrap(), Kind::Join);
        assert_eq!(kind_of("backfill-left", &join).unwrap(), Kind::JoinLeft);
        assert_eq!(kind_of("backfill-final", &join).unwrap(), Kind::JoinFinal);
        for (mode, part) in [
            ("upload", "not there yet"),
            ("backfil", "did you mean"),
            ("x", "known are"),
        ] {
            let failure = kind_of(mode, &join).unwrap_err();
            assert!(failure.text().contains(part), "{}", failure.text());
            assert_eq!(failure.exit_code(), 2);
        }
    }

    /// The days as run.py cuts them: the last run takes what is left over.
    #[test]
    fn ranges_of_days() {
        let today: Partition = "2024-03-09".parse().unwrap();
        let plan = |words: &str| plan(&run_args(words), Kind::Join, today);
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

    /// What the definition adds to a run.
    #[test]
    fn additions_of_the_definition() {
        let added = additional_options(&join()).unwrap();
        assert_eq!(added.step_days, Some(7));
        assert!(added.run_first_hole);
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
