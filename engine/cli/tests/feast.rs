//! Feast's SDK is a client: its Chronon stores get from `serve` and from the warehouse what the training table has.
//!
//! Needs Feast (`make feast` installs it into `.venv/feast` and runs this); without it the test says so and passes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a skipped test says why")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python that has Feast.
fn python(root: &Path) -> Option<PathBuf> {
    let python = root.join(".venv/feast/bin/python");
    let mut command = Command::new(&python);
    let imported = command.args(["-c", "import feast"]).output().ok()?;
    imported.status.success().then_some(python)
}

/// Online features of a join and of a group-by, and the join's historical ones, are those of the training table.
#[test]
fn feast_is_a_client() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Some(python) = python(&root) else {
        println!("skipped: Feast is not installed; `make feast` installs it and runs this");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("timeout")
        .arg("300")
        .arg(python)
        .arg(root.join("engine/cli/tests/feast/shop.py"))
        .arg(env!("CARGO_BIN_EXE_unskewed"))
        .arg(root.join("examples/shop"))
        .arg(folder.path())
        .env_remove("UNSKEWED__CONFIG")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{errors}");
    println!("{told}");
}
