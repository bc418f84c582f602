//! The single-purpose program: partition by key, sort a partition, sweep it once.
//!
//! ```text
//! files ──read──► buckets by key hash ──sort by (key, time)──► sweep ──► rows by day ──► files
//!        threads take files              threads take buckets            threads take days
//! ```
//! Promises the answers of [`crate::naive`]. Sums are differences of prefix sums, which is exact
//! only because the workload's amounts are quarters; that is a liberty of a single-purpose program.
//! Hot path: nothing is allocated per event.

mod bucket;
mod sweep;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, anyhow};

use crate::input::{self, Event, Query};
use crate::output::{self, Answer};
use crate::window::WINDOWS;
use bucket::{Buckets, COUNT, Sorted};

/// Reads `perf.events` and `perf.queries` of a warehouse and writes the answers to a folder.
pub fn run(warehouse: &Path, table: &Path, threads: usize) -> Result<usize> {
    let events = input::partitions(&warehouse.join("perf.db/events"))?;
    let queries = input::partitions(&warehouse.join("perf.db/queries"))?;
    let (event_buckets, query_buckets) = read(&events, &queries, threads)?;
    let answered = answer(&event_buckets, &query_buckets, queries.len(), threads);
    drop((event_buckets, query_buckets));
    let rows = answered.iter().flatten().map(Vec::len).sum();
    write(table, &queries, answered, threads)?;
    Ok(rows)
}

/// Runs `body(thread)` on each thread and gives the results in the threads' order.
fn on_threads<T: Send>(threads: usize, body: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let body = &body;
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|index| scope.spawn(move || body(index)))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
            .collect()
    })
}

/// What each reader scattered.
type Scattered = (Vec<Buckets<Event>>, Vec<Buckets<Query>>);
type Days = [(String, Vec<PathBuf>)];

/// Every thread reads a run of consecutive days, so that the order of equal times is kept.
fn read(events: &Days, queries: &Days, threads: usize) -> Result<Scattered> {
    let share = |days: usize, thread: usize| days * thread / threads..days * (thread + 1) / threads;
    let parts = on_threads(threads, |thread| {
        let (mut own_events, mut own_queries) = (Buckets::new(), Buckets::new());
        for (_, files) in &events[share(events.len(), thread)] {
            for file in files {
                input::read_events(file, |event| own_events.push(event.user, event))?;
            }
        }
        for day in share(queries.len(), thread) {
            for file in &queries[day].1 {
                let day = u32::try_from(day)?;
                input::read_queries(file, day, |query| own_queries.push(query.user, query))?;
            }
        }
        Ok((own_events, own_queries))
    })?;
    Ok(parts.into_iter().unzip())
}

/// Answers bucket by bucket, the fullest first; by thread, then by day.
fn answer(
    events: &[Buckets<Event>],
    queries: &[Buckets<Query>],
    days: usize,
    threads: usize,
) -> Vec<Vec<Vec<Answer>>> {
    let mut order: Vec<usize> = (0..COUNT).collect();
    let size = |bucket: usize| events.iter().map(|part| part.len(bucket)).sum::<usize>();
    order.sort_by_key(|bucket| std::cmp::Reverse(size(*bucket)));
    let next = AtomicUsize::new(0);
    on_threads(threads, |_| {
        let mut answers: Vec<Vec<Answer>> = vec![Vec::new(); days];
        let mut sorted = Sorted::default();
        let mut sweep = sweep::Sweep::default();
        while let Some(bucket) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let own_queries: Vec<Query> = queries
                .iter()
                .flat_map(|part| part.rows(*bucket))
                .copied()
                .collect();
            if own_queries.is_empty() {
                continue;
            }
            sorted.fill(
                events.iter().flat_map(|part| part.rows(*bucket)),
                &own_queries,
            );
            for key in 0..sorted.keys() {
                let (times, amounts, asking) = sorted.key(key);
                sweep.run(
                    times,
                    amounts,
                    asking.iter().map(|index| own_queries[*index].ts),
                );
                for (place, index) in asking.iter().enumerate() {
                    let query = own_queries[*index];
                    let features = sweep.features(place);
                    answers[query.day as usize].push(Answer { query, features });
                }
            }
        }
        Ok(answers)
    })
    .expect("answering fails only by a panic, which is passed on")
}

fn write(table: &Path, days: &Days, answered: Vec<Vec<Vec<Answer>>>, threads: usize) -> Result<()> {
    let mut by_day: Vec<Vec<Answer>> = vec![Vec::new(); days.len()];
    for part in answered {
        for (day, rows) in part.into_iter().enumerate() {
            if by_day[day].is_empty() {
                by_day[day] = rows;
            } else {
                by_day[day].extend(rows);
            }
        }
    }
    let work: Vec<std::sync::Mutex<Vec<Answer>>> =
        by_day.into_iter().map(std::sync::Mutex::new).collect();
    let next = AtomicUsize::new(0);
    on_threads(threads, |_| {
        loop {
            let day = next.fetch_add(1, Ordering::Relaxed);
            let Some(rows) = work.get(day) else {
                return Ok(());
            };
            let rows = std::mem::take(&mut *rows.lock().expect("no writer panics with the lock"));
            output::write_day(table, &days[day].0, rows)?;
        }
    })?;
    Ok(())
}

/// Answers rows that are in memory, in the order of the queries: the part that tests compare.
pub fn answer_in_memory(
    events: &[Event],
    queries: &[Query],
    threads: usize,
) -> Vec<[crate::window::Features; WINDOWS.len()]> {
    let (mut event_buckets, mut query_buckets) = (Buckets::new(), Buckets::new());
    for event in events {
        event_buckets.push(event.user, *event);
    }
    for (index, query) in queries.iter().enumerate() {
        let request_id = i64::try_from(index).expect("fewer rows than 2^63");
        query_buckets.push(
            query.user,
            Query {
                request_id,
                day: 0,
                ..*query
            },
        );
    }
    let mut answers: Vec<Answer> = answer(&[event_buckets], &[query_buckets], 1, threads)
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    answers.sort_by_key(|answer| answer.query.request_id);
    answers.into_iter().map(|answer| answer.features).collect()
}
