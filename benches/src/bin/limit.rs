//! `limit WAREHOUSE OUTPUT [--threads N | --naive]`: answers the plain features of the workload.
//!
//! See [`unskewed_benches::limit`]. With `--naive` it answers by [`unskewed_benches::naive`].
//! Never measures itself: `benches/run.py` does, from outside.
#![allow(clippy::print_stdout, reason = "a command says what it did")]

use std::env;
use std::path::Path;

use anyhow::{Context, Result, bail};
use unskewed_benches::{input, limit, naive, output};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (warehouse, table, rows) = match words[..] {
        [warehouse, table] => (
            warehouse,
            table,
            limit::run(warehouse.as_ref(), table.as_ref(), 1)?,
        ),
        [warehouse, table, "--naive"] => (warehouse, table, run_naive(warehouse, table)?),
        [warehouse, table, "--threads", threads] => {
            let threads = threads.parse().context("--threads wants a number")?;
            (
                warehouse,
                table,
                limit::run(warehouse.as_ref(), table.as_ref(), threads)?,
            )
        }
        _ => bail!("usage: limit WAREHOUSE OUTPUT [--threads N | --naive]"),
    };
    println!("{rows} rows of {warehouse} answered in {table}");
    Ok(())
}

fn run_naive(warehouse: &str, table: &str) -> Result<usize> {
    let mut events = Vec::new();
    for (_, files) in input::partitions(&Path::new(warehouse).join("perf.db/events"))? {
        for file in files {
            input::read_events(&file, |event| events.push(event))?;
        }
    }
    let mut count = 0;
    let days = input::partitions(&Path::new(warehouse).join("perf.db/queries"))?;
    for (day, (name, files)) in (0_u32..).zip(days) {
        let mut queries = Vec::new();
        for file in files {
            input::read_queries(&file, day, |query| queries.push(query))?;
        }
        count += queries.len();
        let answers = naive::answer(&events, &queries);
        let rows = queries.into_iter().zip(answers);
        let rows = rows
            .map(|(query, features)| output::Answer { query, features })
            .collect();
        output::write_day(table.as_ref(), &name, rows)?;
    }
    Ok(count)
}
