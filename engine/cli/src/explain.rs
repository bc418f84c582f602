//! `unskewed explain`: the plan of definitions, as text, as a picture or for programs.

use unskewed_connectors::table::Warehouse;
use unskewed_engine::job;
use unskewed_planner::definition::{Definition, StagingQuery};
use unskewed_planner::outline::Run;
use unskewed_planner::time::Partition;

use crate::args::{ExplainArgs, PlanFormat};
use crate::config::Config;
use crate::report::Failure;

/// Prints the plan of definitions.
pub(crate) fn explain(
    args: &ExplainArgs,
    definitions: &[Definition],
    config: &Config,
    today: Partition,
) -> Result<(), Failure> {
    let open = Warehouse::open(&config.warehouse).map_err(job::Error::Table);
    if let [Definition::StagingQuery(query)] = definitions {
        return explain_query(args, query, open, today);
    }
    let run = Run {
        start: args.start_partition_override,
        end: args.end_date.unwrap_or(today),
        intermediate_tables: config.intermediate_tables,
    };
    let outline = open.and_then(|warehouse| job::plan(definitions, &run, &warehouse));
    let outline = outline.map_err(Failure::job)?;
    match args.format {
        PlanFormat::Text => print!("{}", outline.text()),
        PlanFormat::Dot => print!("{}", outline.dot()),
        PlanFormat::Json => println!("{:#}", outline.json()),
    }
    Ok(())
}

/// Prints the tree of a staging query, with its macros as in a run over all days.
fn explain_query(
    args: &ExplainArgs,
    query: &StagingQuery,
    warehouse: Result<Warehouse, job::Error>,
    today: Partition,
) -> Result<(), Failure> {
    if args.format != PlanFormat::Text {
        return Err(Failure::usage("the plan of a staging query is text only"));
    }
    let end = args.end_date.unwrap_or(today);
    let start = args.start_partition_override;
    let tree = warehouse.and_then(|warehouse| job::explain_query(query, start, end, &warehouse));
    print!("{}", tree.map_err(Failure::job)?);
    Ok(())
}
