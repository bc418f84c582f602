//! Reports open in a real browser: its tables say what the job says, and no script fails.
//!
//! Needs Chromium (on Debian: `apt-get install chromium`); without one the test says so and passes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a skipped test says why")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

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

/// The case's folder with its input in a warehouse beside it.
fn prepare(case: &str, folder: &Path) {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/cases");
    copy(&cases.join(case), folder);
    lay_tables(&folder.join("input"), folder);
}

/// Copies tables named `database.table` into the folder's warehouse.
fn lay_tables(tables: &Path, folder: &Path) {
    for table in std::fs::read_dir(tables).unwrap() {
        let table = table.unwrap().path();
        let name = table.file_name().unwrap().to_string_lossy().into_owned();
        let (database, name) = name.split_once('.').unwrap();
        copy(
            &table,
            &folder.join(format!("warehouse/{database}.db/{name}")),
        );
    }
}

fn unskewed(folder: &Path, words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unskewed"));
    command.current_dir(folder).args(words.split_whitespace());
    let output = command.env_remove("UNSKEWED__CONFIG").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}: {errors}");
    output
}

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut places = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    places.find(|place| place.is_file())
}

/// The page after its scripts ran, and what the browser complained of.
fn opened(browser: &Path, page: &Path) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.arg("90").arg(browser).args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        "--v=0",
        "--virtual-time-budget=2000",
        "--dump-dom",
    ]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    let output = command
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (dom, log) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "the browser failed: {log}");
    (dom, log)
}

/// The cells of a table, row by row, as text without markup.
fn table(dom: &str, id: &str) -> Vec<Vec<String>> {
    let start = dom
        .find(&format!("<table id=\"{id}\""))
        .unwrap_or_else(|| panic!("no table {id}"));
    let whole = &dom[start..start + dom[start..].find("</table>").unwrap()];
    let body = &whole[whole.find("<tbody>").unwrap()..];
    let cell = |cell: &str| {
        let text = &cell[cell.find('>').unwrap() + 1..];
        text[..text.find("</td>").unwrap()].to_owned()
    };
    let rows = body.split("<tr").skip(1);
    rows.map(|row| row.split("<td").skip(1).map(cell).collect())
        .collect()
}

fn check_page(browser: &Path, page: &Path, tables: &[&str], found: &Value) {
    let (dom, log) = opened(browser, page);
    assert!(
        dom.contains("data-ready=\"true\""),
        "the script did not end: {log}"
    );
    for sign in ["Uncaught", "SyntaxError", "ReferenceError", "TypeError"] {
        assert!(!log.contains(sign), "{log}");
    }
    for id in tables {
        let rows = table(&dom, id);
        let expected = found[*id].as_array().unwrap();
        assert_eq!(rows.len(), expected.len(), "rows of {id}");
        for (row, expected) in rows.iter().zip(expected) {
            let first = expected.as_object().unwrap().values().next().unwrap();
            assert_eq!(row[0], first.as_str().unwrap(), "first cell of {id}");
            assert_eq!(
                row.len(),
                expected.as_object().unwrap().len(),
                "cells of {id}"
            );
        }
    }
    assert!(dom.contains("<svg"), "nothing is drawn");
}

/// Runs a job for its findings and its page, and holds one against the other.
fn check_report(browser: &Path, folder: &Path, words: &str, tables: &[&str]) {
    let page = folder.join("page.html");
    let words = format!("{words} --format json --report {}", page.display());
    let output = unskewed(folder, &words);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    check_page(browser, &page, tables, &found);
}

/// The browser; a test says so where there is none.
fn browser_or_skip() -> Option<PathBuf> {
    let found = browser();
    if found.is_none() {
        println!("skipped: no Chromium; on Debian: apt-get install chromium");
    }
    found
}

/// Shows that the pages of an analysis, of statistics and of drift open and say what the jobs say to programs.
#[test]
fn reports_open_in_a_browser() {
    let Some(browser) = browser_or_skip() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    prepare("stats_summary", folder.path());
    let job = "--conf-path compiled/joins/alpha/j.v1 --end-date 2024-03-03";
    unskewed(folder.path(), &format!("join {job}"));
    for (words, tables) in [
        (
            format!("analyze {job} --enable-hitter --sample 1"),
            &["left_days", "output_schema", "validations"][..],
        ),
        (
            format!("stats-summary {job} --sample 1"),
            &["features", "days"][..],
        ),
        (format!("drift {job}"), &["drift"][..]),
    ] {
        check_report(&browser, folder.path(), &words, tables);
    }
}

/// Shows the same of the pages of comparisons: with a query, and of what was served with what is backfilled.
#[test]
fn comparisons_open_in_a_browser() {
    let Some(browser) = browser_or_skip() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    prepare("compare_join_query", folder.path());
    let job = "--conf-path compiled/joins/alpha/j.v1 --end-date 2024-03-02";
    unskewed(folder.path(), &format!("join {job}"));
    let words = "--start-date 2024-02-29 --query-conf compiled/staging_queries/alpha/sq.v1";
    let words = format!("compare-join-query {job} {words}");
    check_report(&browser, folder.path(), &words, &["columns", "days"]);

    let folder = tempfile::tempdir().unwrap();
    prepare("fetch_log_flatten_consistency", folder.path());
    for step in ["flush_log", "log_schema_table"] {
        lay_tables(&folder.path().join("expected").join(step), folder.path());
    }
    let tables =
        "--log-table online_logs.mock_log_table --schema-table online_logs.mock_schema_table";
    unskewed(folder.path(), &format!("log-flattener {job} {tables}"));
    let words = format!("consistency-metrics-compute {job}");
    check_report(&browser, folder.path(), &words, &["columns"]);
}
