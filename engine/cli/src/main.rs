//! The `unskewed` command: flags and configuration to one engine call.
//!
//! Promises: exit code 0 done, 1 the job failed, 2 wrong usage or
//! definition, 3 an outside system could not be reached; errors on stderr with what, where and what to do; the last
//! line of a job on stdout is its summary. Never decides anything about data.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks on these"
)]

mod args;
mod config;
mod explain;
mod fetch;
mod findings;
mod info;
mod metadata_export;
mod page;
mod progress;
mod report;
mod run_mode;
mod serve;
mod store;
mod stream;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use unskewed_connectors::clock::{Clock, SystemClock};
use unskewed_connectors::table::Warehouse;
use unskewed_engine::job::{
    self, Context, Event, Job, Kind, MeasureOptions, Options, Outcome, Watcher,
};
use unskewed_planner::definition::{Definition, Dialect, Teams};
use unskewed_planner::time::Partition;

use args::{Cli, Command, FindingsFormat, Global, JobArgs, JobOptions, RunArgs, Shown};
use config::{Config, LogFormat, RawConfig};
use progress::Progress;
use report::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut command = Cli::command();
    command.build();
    let (words, handed_on) = run_mode::split(&command, std::env::args().collect());
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is no reason to fail over `--help`.
            error.print().ok();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = match cli.command {
        Command::Run(args) => run(&args, &cli.global, &handed_on),
        command => execute(command, &cli.global, &Variables::new()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.text());
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Settings that a run adds to the environment's.
type Variables = BTreeMap<String, String>;

/// One subcommand.
fn execute(command: Command, global: &Global, added: &Variables) -> Result<(), Failure> {
    match command {
        Command::BulkLoad(args) => store::bulk_load(&args, &session(&args, global, added)?),
        Command::MetadataUpload(args) => {
            store::metadata_upload(&args, &session(&args, global, added)?)
        }
        Command::GroupByStreaming(args) => stream::run(&args, &session(&args.job, global, added)?),
        Command::Fetch(args) => fetch::run(&args, &Session::start(configuration(global, added)?)),
        Command::Serve(args) => serve::run(&args, &Session::start(configuration(global, added)?)),
        Command::Run(_) => Err(Failure::usage("a run starts no other run")),
        Command::Explain(args) => {
            let config = configuration(global, added)?;
            let load = |path: &PathBuf| load(path, config.dialect);
            let definitions = args.conf.iter().map(load).collect::<Result<Vec<_>, _>>()?;
            explain::explain(&args, &definitions, &config, today())
        }
        Command::Info(args) => {
            let config = configuration(global, added)?;
            print!("{}", info::text(&load(&args.conf_path, config.dialect)?));
            Ok(())
        }
        Command::MetadataExport(args) => {
            let session = Session::start(configuration(global, added)?);
            session.accept(&args.options.ignored(), &args.options.not_yet())?;
            let outcome = metadata_export::run(&args, &session.config, &session.progress, today())?;
            session.finish(&outcome, FindingsFormat::Text);
            Ok(())
        }
        Command::Other(words) => Err(unknown_job(&words)),
        job => {
            let dialect = configuration(global, added)?.dialect;
            Asked::of(&job, dialect)?.run(global, added)
        }
    }
}

/// A subcommand that is not there: one of a later version, or a slip.
fn unknown_job(words: &[String]) -> Failure {
    const LATER: [&str; 1] = ["cluster"];
    const NOW: [&str; 24] = [
        "group-by-streaming",
        "fetch",
        "serve",
        "group-by-backfill",
        "group-by-upload",
        "bulk-load",
        "metadata-upload",
        "join",
        "join-left",
        "join-final",
        "label-join",
        "model-transform-batch",
        "analyze",
        "stats-summary",
        "log-summary",
        "drift",
        "log-flattener",
        "consistency-metrics-compute",
        "metadata-export",
        "compare-join-query",
        "staging-query-backfill",
        "info",
        "run",
        "explain",
    ];
    let word = words.first().map_or("", String::as_str);
    if LATER.contains(&word) {
        return Failure::not_yet(word);
    }
    match unskewed_planner::diagnostic::nearest(word, NOW) {
        Some(near) => Failure::usage(format!("unknown command {word:?}; did you mean {near:?}?")),
        None => {
            let known = NOW.join(", ");
            Failure::usage(format!("unknown command {word:?}; known are {known}"))
        }
    }
}

/// The run of a command with these options.
fn session(args: &JobArgs, global: &Global, added: &Variables) -> Result<Session, Failure> {
    let local = args.options.local_warehouse_location.as_deref();
    let session = Session::start(configuration(&with_warehouse(global, local), added)?);
    session.accept(&args.options.ignored(), &args.options.not_yet())?;
    Ok(session)
}

/// A job as it was typed.
struct Asked<'a> {
    kind: Kind,
    args: &'a JobArgs,
    measure: MeasureOptions,
    model_context: Option<serde_json::Value>,
    shown: Shown,
}

impl<'a> Asked<'a> {
    /// The job of a subcommand that is one.
    fn of(command: &'a Command, dialect: Dialect) -> Result<Self, Failure> {
        let plain = |kind, args| Ok(Self::new(kind, args));
        let measuring = |kind, args, options, shown: &Shown| {
            Ok(Self::new(kind, args).measuring(options, shown))
        };
        match command {
            Command::GroupByBackfill(args) => plain(Kind::GroupByBackfill, args),
            Command::GroupByUpload(args) => plain(Kind::GroupByUpload, args),
            Command::Join(args) => plain(Kind::Join, args),
            Command::JoinLeft(args) => plain(Kind::JoinLeft, args),
            Command::JoinFinal(args) => plain(Kind::JoinFinal, args),
            Command::LabelJoin(args) => plain(Kind::LabelJoin, args),
            Command::ModelTransformBatch(args) => {
                args.check().map_err(Failure::usage)?;
                let model_context = args.job_context_json.clone();
                Ok(Self {
                    model_context,
                    ..Self::new(Kind::ModelTransformBatch, &args.job)
                })
            }
            Command::StagingQueryBackfill(args) => plain(Kind::StagingQueryBackfill, args),
            Command::Analyze(args) => {
                measuring(Kind::Analyze, &args.job, args.options(), &args.shown)
            }
            Command::StatsSummary(args) => {
                measuring(Kind::StatsSummary, &args.job, args.options(), &args.shown)
            }
            Command::LogSummary(args) => {
                measuring(Kind::LogSummary, &args.job, args.options(), &args.shown)
            }
            Command::Drift(args) => {
                let options = args.options().map_err(Failure::usage)?;
                measuring(Kind::Drift, &args.job, options, &args.shown)
            }
            Command::LogFlattener(args) => {
                let shown = Shown::default();
                measuring(Kind::LogFlattener, &args.job, args.options(), &shown)
            }
            Command::ConsistencyMetricsCompute(args) => {
                let options = MeasureOptions::default();
                measuring(Kind::Consistency, &args.job, options, &args.shown)
            }
            Command::CompareJoinQuery(args) => {
                let query = args.query_conf.as_deref();
                let query = query.map(|path| load(path, dialect)).transpose()?;
                measuring(
                    Kind::CompareJoinQuery,
                    &args.job,
                    args.options(query),
                    &args.shown,
                )
            }
            _ => Err(Failure::usage("this is no job on a definition")),
        }
    }

    fn new(kind: Kind, args: &'a JobArgs) -> Self {
        let (measure, shown) = (MeasureOptions::default(), Shown::default());
        Self {
            kind,
            args,
            measure,
            model_context: None,
            shown,
        }
    }

    /// The same job with what only jobs that measure are told.
    fn measuring(self, measure: MeasureOptions, shown: &Shown) -> Self {
        let shown = shown.clone();
        Self {
            measure,
            shown,
            ..self
        }
    }

    fn run(self, global: &Global, added: &Variables) -> Result<(), Failure> {
        let args = self.args;
        let session = session(args, global, added)?;
        let definition = session.load(&args.conf_path)?;
        let start = args.options.start_partition_override;
        let end = args.end_date.unwrap_or_else(today);
        if let Some(start) = start.filter(|start| *start > end) {
            let text = format!("--start-partition-override {start} is after the last day, {end}");
            return Err(Failure::usage(text));
        }
        let options = Options {
            measure: self.measure,
            model_context: self.model_context,
            ..session.options(&args.options, start, end)
        };
        let job = Job {
            kind: self.kind,
            definition,
            options,
        };
        let outcome = session.run(&job)?;
        session.show(&outcome, &self.shown)
    }
}

/// The command lines of a mode of run.py, one after the other.
fn run(args: &RunArgs, global: &Global, handed_on: &[String]) -> Result<(), Failure> {
    let repository = run_mode::repository(args, std::env::var("CHRONON_REPO_PATH").ok());
    let path = run_mode::definition_path(&args.conf, &repository);
    let config = configuration(global, &Variables::new())?;
    let definition = load(&path, config.dialect)?;
    let teams = teams(&repository)?;
    let variables = run_mode::variables(&definition, teams.as_ref(), &args.mode, &args.env)?;
    let lines = run_mode::command_lines(args, &definition, &path, handed_on, today())?;
    let ignored = args.launcher.ignored();
    if !ignored.is_empty() {
        Progress::new(&config).on(&Event::Note(&only_spark(&ignored)));
    }
    for words in lines {
        let line = words.join(" ");
        let cli = Cli::try_parse_from(words)
            .map_err(|error| Failure::usage(format!("in {line:?}: {error}")))?;
        execute(cli.command, global, &variables)?;
    }
    Ok(())
}

fn only_spark(options: &[&str]) -> String {
    format!(
        "{} only matters to Spark and is ignored",
        options.join(", ")
    )
}

/// The reference's own name of the warehouse counts where ours is not given.
fn with_warehouse(global: &Global, local: Option<&str>) -> Global {
    let mut global = global.clone();
    if global.warehouse.is_none() {
        global.warehouse = local.map(str::to_owned);
    }
    global
}

/// The layers over each other: file, what a definition adds, environment, flags.
fn configuration(global: &Global, added: &Variables) -> Result<Config, Failure> {
    let mut raw = RawConfig::default();
    let variable = format!("{}CONFIG", config::PREFIX);
    let file = global.config.clone();
    if let Some(path) = file.or_else(|| std::env::var_os(variable).map(Into::into)) {
        raw.set_file(&path);
    }
    raw.set_environment(added.clone());
    raw.set_environment(std::env::vars());
    let flags = [
        ("warehouse", global.warehouse.clone()),
        ("kv", global.kv.clone()),
        ("workers", global.workers.clone()),
        ("memory", global.memory.clone()),
        ("dialect", global.dialect.clone()),
        ("log", global.log.clone()),
        ("quiet", global.quiet.then(|| "true".into())),
        (
            "verbose",
            (global.verbose > 0).then(|| global.verbose.to_string()),
        ),
        ("progress", global.no_progress.then(|| "false".into())),
        ("max_bad_rows", global.max_bad_rows.clone()),
        (
            "intermediate_tables",
            global.no_intermediate_tables.then(|| "false".into()),
        ),
    ];
    for (key, value) in flags {
        if let Some(value) = value {
            raw.set(key, value, format!("--{}", key.replace('_', "-")));
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    raw.check(cores)
        .map_err(|problems| Failure::usage(problems.join("\nerror: ")))
}

fn today() -> Partition {
    Partition::of_millis(SystemClock::new().now_millis())
}

fn load(path: &Path, dialect: Dialect) -> Result<Definition, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!(
            "definition {} cannot be read: {error}",
            path.display()
        ))
    })?;
    Definition::load(&text, dialect).map_err(|problems| {
        let failure = Failure::definition(&problems);
        failure.in_file(&path.display().to_string())
    })
}

fn teams(repository: &Path) -> Result<Option<Teams>, Failure> {
    let path = repository.join("teams.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        return Ok(None);
    };
    let teams = Teams::load(&text)
        .map_err(|problems| Failure::definition(&problems).in_file(&path.display().to_string()))?;
    Ok(Some(teams))
}

/// One run of the command.
struct Session {
    config: Config,
    clock: SystemClock,
    progress: Progress,
}

impl Session {
    fn start(config: Config) -> Self {
        let clock = SystemClock::new();
        log_to_stderr(&config);
        let progress = Progress::new(&config);
        Self {
            config,
            clock,
            progress,
        }
    }

    /// Another of the same configuration, for a thread of its own.
    fn beside(&self) -> Self {
        Self {
            config: self.config.clone(),
            clock: SystemClock::new(),
            progress: Progress::new(&self.config),
        }
    }

    fn load(&self, path: &Path) -> Result<Definition, Failure> {
        load(path, self.config.dialect)
    }

    /// Says once what is ignored; refuses what would change the result.
    fn accept(&self, ignored: &[&str], not_yet: &[&str]) -> Result<(), Failure> {
        if !not_yet.is_empty() {
            return Err(Failure::not_yet(not_yet.join(", ")));
        }
        if !ignored.is_empty() {
            self.progress.on(&Event::Note(&only_spark(ignored)));
        }
        Ok(())
    }

    fn options(&self, given: &JobOptions, start: Option<Partition>, end: Partition) -> Options {
        let defaults = Options::until(end);
        Options {
            start_override: start,
            step_days: given.step_days.unwrap_or(defaults.step_days),
            run_first_hole: given.run_first_hole,
            unset_semantic_hash: given.unset_semantic_hash,
            unique_parts: given.unique_join_parts,
            selected_parts: given.selected_join_parts.clone(),
            use_cached_left: given.use_cached_left,
            intermediate_tables: self.config.intermediate_tables,
            max_bad_rows: self.config.max_bad_rows,
            ..defaults
        }
    }

    fn warehouse(&self) -> Result<Warehouse, Failure> {
        let opened = Warehouse::open(&self.config.warehouse);
        opened.map_err(|error| Failure::job(job::Error::Table(error)))
    }

    fn context<'a>(&'a self, warehouse: &'a Warehouse) -> Context<'a> {
        Context {
            warehouse,
            clock: &self.clock,
            workers: self.config.workers,
            memory_bytes: self.config.memory_bytes,
            watcher: &self.progress,
        }
    }

    fn run(&self, job: &Job) -> Result<Outcome, Failure> {
        let warehouse = self.warehouse()?;
        let outcome = job::run(job, &self.context(&warehouse));
        self.progress.finish();
        outcome.map_err(Failure::job)
    }

    /// Tells what a job found and did; what it found wrong is a failure.
    fn show(&self, outcome: &Outcome, shown: &Shown) -> Result<(), Failure> {
        let Some(findings) = &outcome.findings else {
            self.finish(outcome, shown.format);
            return Ok(());
        };
        print!("{}", findings::render(findings, shown.format));
        if let Some(path) = &shown.report {
            std::fs::write(path, page::render(findings)).map_err(|error| {
                Failure::failed(format!("{} cannot be written: {error}", path.display()))
            })?;
        }
        self.finish(outcome, shown.format);
        match findings.problems.as_slice() {
            [] => Ok(()),
            problems => Err(Failure::found(problems)),
        }
    }

    /// The last line: on stdout, unless that is one object for programs.
    fn finish(&self, outcome: &Outcome, format: FindingsFormat) {
        for sample in &outcome.bad_samples {
            self.progress.say("warning", &format!("bad row: {sample}"));
        }
        let took = self.clock.monotonic();
        let peak = report::peak_memory_bytes();
        let line = match self.config.log {
            LogFormat::Text => report::summary(outcome, took, peak),
            LogFormat::Json => report::summary_json(outcome, took, peak),
        };
        match format {
            FindingsFormat::Text => println!("{line}"),
            FindingsFormat::Json => eprintln!("{line}"),
        }
    }
}

fn log_to_stderr(config: &Config) {
    let level = match (config.quiet, config.verbose) {
        (true, _) => tracing::Level::ERROR,
        (false, 0) => tracing::Level::WARN,
        (false, 1) => tracing::Level::INFO,
        (false, _) => tracing::Level::DEBUG,
    };
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level);
    // A second subscriber in one process is only possible in tests; the first keeps working.
    let begun = match config.log {
        LogFormat::Text => builder.without_time().try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    begun.ok();
}
