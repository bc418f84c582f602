//! The command as users meet it: exit codes, where errors go, the last line.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn case(name: &str) -> PathBuf {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/cases");
    cases.join(name)
}

fn unskewed(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unskewed"));
    command.arg("--warehouse").arg(folder).args(words);
    command.env_remove("UNSKEWED__CONFIG").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
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

/// A job fills its table and says so on stdout's last line; a second run has nothing to do.
#[test]
fn a_job_ends_with_a_summary() {
    let warehouse = tempfile::tempdir().unwrap();
    let case = case("gb_days_absent");
    for table in std::fs::read_dir(case.join("input")).unwrap() {
        let table = table.unwrap().path();
        let name = table.file_name().unwrap().to_string_lossy().into_owned();
        let (database, name) = name.split_once('.').unwrap();
        copy(
            &table,
            &warehouse.path().join(format!("{database}.db/{name}")),
        );
    }
    let conf = case.join("compiled/group_bys/alpha/g.v1");
    let conf = conf.to_str().unwrap();
    let words = [
        "group-by-backfill",
        "--conf-path",
        conf,
        "--end-date",
        "2024-03-06",
    ];
    let first = unskewed(warehouse.path(), &words);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    let last = text(&first.stdout).lines().last().unwrap().to_owned();
    assert!(
        last.starts_with("summary: rows in ") && last.contains("rows out 17"),
        "{last}"
    );
    let run = [
        "run",
        "--mode",
        "backfill",
        "--conf",
        conf,
        "--ds",
        "2024-03-06",
    ];
    let second = unskewed(warehouse.path(), &run);
    assert_eq!(second.status.code(), Some(0), "{}", text(&second.stderr));
    let last = text(&second.stdout);
    assert!(
        last.contains("rows out 0") && last.contains("partitions written 0"),
        "{last}"
    );
    let plan = unskewed(
        warehouse.path(),
        &["explain", conf, "--end-date", "2024-03-06"],
    );
    assert!(
        text(&plan.stdout).contains("snapshots"),
        "{}",
        text(&plan.stderr)
    );
}

/// Wrong usage, wrong definitions and what is not there yet: exit 2, the reason on stderr, nothing written.
#[test]
fn wrong_input_is_refused() {
    let warehouse = tempfile::tempdir().unwrap();
    let broken = warehouse.path().join("broken.v1");
    std::fs::write(
        &broken,
        r#"{"metaData": {"name": "a.b"}, "sources": [], "keyColums": ["k"]}"#,
    )
    .unwrap();
    let broken = broken.to_str().unwrap();
    let missing = case("gb_days_absent").join("compiled/group_bys/alpha/g.v1");
    let missing = missing.to_str().unwrap();
    for (words, part) in [
        (&["joyn"][..], "did you mean \"join\"?"),
        (
            &["group-by-streaming", "--conf-path", "x"][..],
            "cannot be read",
        ),
        (
            &["join", "--conf-path", "/nowhere/j.v1"][..],
            "cannot be read",
        ),
        (
            &["group-by-backfill", "--conf-path", broken][..],
            "keyColums",
        ),
        (&["join", "--conf-path", missing][..], "join runs on a join"),
        (
            &["group-by-backfill", "--conf-path", missing][..],
            "src.events",
        ),
        (
            &["--workers", "none", "join", "--conf-path", "x"][..],
            "--workers",
        ),
        (
            &["run", "--mode", "streaming", "--conf", missing][..],
            "src.events",
        ),
    ] {
        let output = unskewed(warehouse.path(), words);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {errors}");
        assert!(errors.contains(part), "{part:?} in {errors}");
        assert!(
            output.stdout.is_empty(),
            "{words:?}: {}",
            text(&output.stdout)
        );
    }
    let left: Vec<_> = std::fs::read_dir(warehouse.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "only the definition: {left:?}");
}
