//! A recorded case: its steps, replayed in process through the library, and its tables compared.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use unskewed_connectors::clock::{Clock, ManualClock};
use unskewed_connectors::kv::{self, KvStore};
use unskewed_connectors::table::{Warehouse, WarehouseOptions};
use unskewed_engine::job::{self, Context, Job, Kind, NoWatcher, Options};
use unskewed_planner::definition::{Definition, Dialect};
use unskewed_planner::naming::TableSuffix;

use crate::cells::{Cell, Row, Table, difference, read_table};
use crate::upload;

/// The time of day.
const NOW_MILLIS: i64 = 1_709_900_000_000;

/// The tables a run left behind, in a folder that goes with it.
pub(crate) struct Run {
    folder: tempfile::TempDir,
    /// What was not as recorded.
    pub(crate) problems: Vec<String>,
}

impl Run {
    /// The warehouse's tables by name, archived ones by what they were called before.
    pub(crate) fn tables(&self) -> Vec<(String, Table)> {
        let mut tables = vec![];
        for database in list(&warehouse(&self.folder)) {
            for table in list(&database) {
                let name = table.file_name().unwrap().to_string_lossy().into_owned();
                tables.push((name, read_table(&table)));
            }
        }
        tables
    }
}

fn warehouse(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("warehouse")
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_dir());
    paths.sort();
    paths
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn strings(value: &Value) -> Vec<&str> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).collect()
}

/// What of a case is passed over.
#[derive(Default)]
pub(crate) struct Skipped {
    /// Cells of these columns; each must differ somewhere.
    pub(crate) columns: Vec<&'static str>,
}

/// Replays a case; stops at the first step that is not as recorded.
pub(crate) fn replay(case: &Path, workers: usize, skipped: &Skipped) -> Run {
    let mut needless: Vec<&str> = skipped.columns.clone();
    let mut run = Run {
        folder: tempfile::tempdir().unwrap(),
        problems: vec![],
    };
    let steps = json(&case.join("case.json"))["steps"].clone();
    let results = json(&case.join("results.json"));
    let schema = json(&case.join("schema.json"));
    for (index, step) in steps.as_array().unwrap().iter().enumerate() {
        let fallback = format!("step{}", index + 1);
        let name = step["id"].as_str().unwrap_or(&fallback);
        let mut results = results.as_array().unwrap().iter();
        let result = results.find(|result| result["step"] == name);
        match (step["job"].as_str(), step["action"].as_str()) {
            (Some(job), _) => {
                let outcome = run_job(case, &warehouse(&run.folder), step, job, workers);
                let failed = result.is_some_and(|result| result["status"] == "error");
                match (outcome, failed) {
                    (Ok(()), false) if job == "group-by-upload" => {
                        let problem = wrong_upload(case, (name, step), &schema, &run);
                        run.problems.extend(problem);
                    }
                    (Ok(()), false) => {
                        let skipped = (&skipped.columns[..], &mut needless);
                        compare(case, name, result.unwrap(), &schema, &mut run, skipped);
                    }
                    (Err(_), true) => {}
                    (Ok(()), true) => run.problems.push(format!("{name}: an error was expected")),
                    (Err(error), false) => run.problems.push(format!("{name}: {error}")),
                }
            }
            (None, Some("load")) => {
                let input = case.join(step["dir"].as_str().unwrap());
                for table in list(&input) {
                    let name = table.file_name().unwrap().to_string_lossy().into_owned();
                    copy(&table, &table_folder(&warehouse(&run.folder), &name));
                }
            }
            (None, Some("drop_partitions")) => {
                let table = step["table"].as_str().unwrap();
                for day in strings(&step["partitions"]) {
                    let folder = table_folder(&warehouse(&run.folder), table);
                    std::fs::remove_dir_all(folder.join(format!("ds={day}"))).unwrap();
                }
            }
            (None, Some("flush_log" | "log_schema_table")) => {
                lay(case, name, result, &schema, &run);
            }
            (None, Some("bulk_load")) => {
                let definition = upload::load(&case.join(step["conf"].as_str().unwrap()));
                let done = bulk_load(&definition, &run);
                run.problems.extend(done.err());
            }
            (None, Some("kv_dump")) => run.problems.extend(wrong_store(case, step, &steps, &run)),
            // These leave no table that a job of the case reads.
            (None, Some("stream" | "metadata_upload" | "fetch" | "sql")) => {}
            (_, action) => run.problems.push(format!("{name}: no rule for {action:?}")),
        }
        if !run.problems.is_empty() {
            return run;
        }
    }
    if !needless.is_empty() {
        run.problems
            .push(format!("passed over without need: {needless:?}"));
    }
    run
}

/// Lays the tables that the reference recorded for a step into the warehouse, with what they say of themselves.
fn lay(case: &Path, step: &str, result: Option<&Value>, schema: &Value, run: &Run) {
    for export in result
        .and_then(|result| result["exported"].as_array())
        .into_iter()
        .flatten()
    {
        let table = export["table"].as_str().unwrap();
        let folder = table_folder(&warehouse(&run.folder), table);
        copy(&case.join("expected").join(step).join(table), &folder);
        let record = serde_json::json!({
            "properties": schema[table]["tblproperties"],
            "partitionColumns": schema[table]["partition_columns"],
        });
        std::fs::write(folder.join("_properties.json"), record.to_string()).unwrap();
    }
}

/// Whether a statement of the case made a table, and no job: such a table has no properties of its own.
fn is_made_by_hand(schema: &Value) -> bool {
    let properties = schema["tblproperties"].as_object();
    let own = |name: &String| !name.starts_with("option.");
    properties.is_some_and(|properties| !properties.keys().any(own))
}

fn table_folder(warehouse: &Path, table: &str) -> PathBuf {
    let (database, name) = table.split_once('.').unwrap();
    warehouse.join(format!("{database}.db")).join(name)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// The run's key-value store.
fn store(run: &Run) -> Arc<dyn KvStore> {
    let address = format!("embedded:{}", run.folder.path().join("kv").display());
    kv::open(&address, Arc::new(ManualClock::at_millis(NOW_MILLIS))).unwrap()
}

fn bulk_load(definition: &Definition, run: &Run) -> Result<(), String> {
    let clock = ManualClock::at_millis(NOW_MILLIS);
    let warehouse = Warehouse::open(warehouse(&run.folder).to_str().unwrap()).unwrap();
    let context = Context {
        warehouse: &warehouse,
        clock: &clock,
        workers: 1,
        memory_bytes: None,
        watcher: &NoWatcher,
    };
    let loaded = job::bulk_load(definition, store(run).as_ref(), &context);
    loaded.map(drop).map_err(|error| describe(&error))
}

/// Holds an upload table against the recorded one.
fn wrong_upload(
    case: &Path,
    (name, step): (&str, &Value),
    schema: &Value,
    run: &Run,
) -> Option<String> {
    let definition = upload::load(&case.join(step["conf"].as_str().unwrap()));
    let table = TableSuffix::Upload.table(definition.meta_data()).unwrap();
    let want = case.join("expected").join(name).join(&table);
    let got = table_folder(&warehouse(&run.folder), &table);
    let properties = wrong_properties(&got, &schema[&table]["tblproperties"]);
    let warehouse = Warehouse::open(warehouse(&run.folder).to_str().unwrap()).unwrap();
    let difference = upload::difference(&definition, &warehouse, &want, &got);
    let problem = difference.or_else(|| properties.into_iter().next());
    problem.map(|problem| format!("{name}: {table}: {problem}"))
}

/// Holds the store against the dump of the reference's.
fn wrong_store(case: &Path, step: &Value, steps: &Value, run: &Run) -> Option<String> {
    let steps = steps.as_array().unwrap().iter();
    let loaded = steps.filter(|step| step["action"] == "bulk_load");
    loaded
        .filter_map(|load| {
            let definition = upload::load(&case.join(load["conf"].as_str().unwrap()));
            let table = TableSuffix::Upload.table(definition.meta_data()).unwrap();
            let table = table_folder(&warehouse(&run.folder), &table);
            let dump = case.join(step["file"].as_str().unwrap());
            upload::wrong_store(&dump, &definition, store(run).as_ref(), &table)
        })
        .next()
}

fn run_job(
    case: &Path,
    warehouse: &Path,
    step: &Value,
    job: &str,
    workers: usize,
) -> Result<(), String> {
    let kind = match job {
        "group-by-backfill" => Kind::GroupByBackfill,
        "group-by-upload" => Kind::GroupByUpload,
        "join" => Kind::Join,
        "join-left" => Kind::JoinLeft,
        "join-final" => Kind::JoinFinal,
        "label-join" => Kind::LabelJoin,
        "staging-query-backfill" => Kind::StagingQueryBackfill,
        "analyze" => Kind::Analyze,
        "compare-join-query" => Kind::CompareJoinQuery,
        "stats-summary" => Kind::StatsSummary,
        "log-summary" => Kind::LogSummary,
        "log-flattener" => Kind::LogFlattener,
        "consistency-metrics-compute" => Kind::Consistency,
        other => return Err(format!("no job {other}")),
    };
    let path = case.join(step["conf"].as_str().unwrap());
    let text = std::fs::read_to_string(path).unwrap();
    let definition = Definition::load(&text, Dialect::Airbnb);
    let definition = definition.map_err(|problems| format!("{problems:?}"))?;
    let options = options(case, &strings(&step["args"]));
    // The time of day goes into the names of archived tables.
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at_millis(NOW_MILLIS));
    let set = WarehouseOptions {
        clock: Some(Arc::clone(&clock)),
        ..WarehouseOptions::default()
    };
    let warehouse = Warehouse::open_with(warehouse.to_str().unwrap(), set);
    let warehouse = warehouse.map_err(|error| error.to_string())?;
    let context = Context {
        warehouse: &warehouse,
        clock: clock.as_ref(),
        workers,
        memory_bytes: None,
        watcher: &NoWatcher,
    };
    let job = Job {
        kind,
        definition,
        options,
    };
    job::run(&job, &context)
        .map(drop)
        .map_err(|error| describe(&error))
}

/// An error with its causes, or every problem of a definition.
fn describe(error: &job::Error) -> String {
    if let job::Error::Definition(problems) = error {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        return lines.join("\n");
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn options(case: &Path, words: &[&str]) -> Options {
    let mut options = Options::until("1970-01-01".parse().unwrap());
    let mut words = words.iter().copied().peekable();
    while let Some(word) = words.next() {
        match word {
            "--end-date" => options.end = words.next().unwrap().parse().unwrap(),
            "--step-days" => options.step_days = words.next().unwrap().parse().unwrap(),
            "--run-first-hole" => options.run_first_hole = true,
            "--use-cached-left" => options.use_cached_left = true,
            "--start-date" => {
                options.measure.start = Some(words.next().unwrap().parse().unwrap());
            }
            "--sample" => options.measure.sample = words.next().unwrap().parse().unwrap(),
            "--log-table" => options.measure.log_table = words.next().map(str::to_owned),
            "--schema-table" => options.measure.schema_table = words.next().map(str::to_owned),
            "--query-conf" => {
                let path = words
                    .next()
                    .unwrap()
                    .replace("$CASE", case.to_str().unwrap());
                let text = std::fs::read_to_string(path).unwrap();
                options.measure.query = Definition::load(&text, Dialect::Airbnb).ok();
            }
            "--export-schema" => options.measure.export_schema = true,
            "--skip-table-permission-check" => {}
            "--selected-join-parts" => {
                while let Some(part) = words.next_if(|word| !word.starts_with("--")) {
                    options.selected_parts.push(part.into());
                }
            }
            other => panic!("no rule for {other}"),
        }
    }
    options
}

/// Compares every table that the step wrote; takes out of `needless` what differs.
fn compare(
    case: &Path,
    step: &str,
    result: &Value,
    schema: &Value,
    run: &mut Run,
    (skipped, needless): (&[&str], &mut Vec<&str>),
) {
    let exported = result["exported"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for export in exported {
        let table = export["table"].as_str().unwrap();
        if is_made_by_hand(&schema[table]) {
            continue;
        }
        let mut want = read_table(&case.join("expected").join(step).join(table));
        assert_eq!(
            want.rows.len() as u64,
            export["rows"].as_u64().unwrap(),
            "{table} as recorded"
        );
        let got = if is_archived(table) {
            archived(&warehouse(&run.folder), table)
        } else {
            table_folder(&warehouse(&run.folder), table)
        };
        let mut written = read_table(&got);
        if stands_by_bytes(&want) && !stands_by_bytes(&written) {
            run.problems
                .push(format!("{step}: {table}: rows stand in another order"));
        }
        for table in [&mut want, &mut written] {
            without_clock(table);
        }
        needless.retain(|column| {
            let mut others: Vec<&str> = skipped.to_vec();
            others.retain(|other| other != column);
            let (want, written) = (want.without(&others), written.without(&others));
            !want.types.contains_key(*column) || difference(&want, &written).is_none()
        });
        (want, written) = (want.without(skipped), written.without(skipped));
        if let Some(difference) = difference(&want, &written) {
            run.problems.push(format!("{step}: {table}: {difference}"));
        }
        if !want.rows.is_empty() {
            let properties = &schema[table]["tblproperties"];
            run.problems.extend(wrong_properties(&got, properties));
        }
    }
}

/// The schemas beside stored statistics carry the time of the run, and their sketches the values in the order in which
/// they came.
fn without_clock(table: &mut Table) {
    for row in &mut table.rows {
        if row.contains_key("key_json")
            && let Some(Cell::Bytes(bytes)) = row.get_mut("value_bytes")
        {
            bytes.sort_unstable();
        }
        if matches!(row.get("key_json"), Some(Cell::Text(name)) if name.ends_with("Schema")) {
            row.extend(["ts", "ds"].map(|column| (column.to_owned(), Cell::Null)));
        }
    }
}

/// Whether a table holds keys and values of statistics as bytes, a day's in their order: readers may take the last row
/// of a key.
fn stands_by_bytes(table: &Table) -> bool {
    let stored = table.types.contains_key("key_json");
    let pair = |row: &Row| match (&row["key_bytes"], &row["value_bytes"]) {
        (Cell::Bytes(key), Cell::Bytes(value)) => (key.clone(), value.clone()),
        other => panic!("a row without key or value: {other:?}"),
    };
    let day = |row: &Row| format!("{:?}", row["ds"]);
    stored && table.rows.is_sorted_by_key(|row| (day(row), pair(row)))
}

/// Archived tables carry the time of day in their names.
fn is_archived(table: &str) -> bool {
    table
        .rsplit_once('_')
        .is_some_and(|(_, end)| end.len() == 14 && end.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Our table of the same original name, whatever its time.
fn archived(warehouse: &Path, table: &str) -> PathBuf {
    let (original, _) = table.rsplit_once('_').unwrap();
    let folder = table_folder(warehouse, original);
    let prefix = format!("{}_", folder.file_name().unwrap().to_string_lossy());
    let siblings = list(folder.parent().unwrap());
    let ours = siblings.into_iter().find(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(&prefix) && is_archived(&name)
    });
    ours.unwrap_or(folder.with_extension("absent"))
}

/// Properties users and tools look for must be as recorded.
fn wrong_properties(folder: &Path, want: &Value) -> Vec<String> {
    let file = folder.join("_properties.json");
    let Ok(bytes) = std::fs::read(&file) else {
        return vec![format!("{} is missing", file.display())];
    };
    let got: Value = serde_json::from_slice(&bytes).unwrap();
    let text = got.to_string();
    let names = [
        "chronon_generated",
        "chronon_table_type",
        "chronon_archived",
    ];
    names
        .iter()
        .filter_map(|name| {
            let value = want[*name].as_str()?;
            let pair = format!("{:?}:{:?}", name, value);
            (!text.contains(&pair))
                .then(|| format!("{}: {pair} is missing in {text}", file.display()))
        })
        .collect()
}
