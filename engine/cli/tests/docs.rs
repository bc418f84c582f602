//! The examples in `docs/jobs/*.md` are run as they stand, and print what the pages say they print.
//!
//! A block that opens with ```` ```sh case=NAME ```` is run by the shell, line after line, in a fresh folder that holds
//! the recorded case of that name, with its input tables in `./warehouse`; further blocks of the same page and case go
//! on in that folder. `tables=STEP,…` lays the tables that the case recorded for those steps into the warehouse first.
//! A block of another language with `case=NAME file=PATH` is written to that file of the case's folder first, and one of
//! JSON with `into=PATH` adds its fields to the object in that file.
//! A ```` ```text ```` block right after it holds lines that must be printed, in this order; `…` stands for anything, on
//! a line of its own for any lines.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A fenced block: what follows the fence, and its lines.
struct Block {
    line: usize,
    info: String,
    text: Vec<String>,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = vec![];
    let mut open = false;
    for (number, line) in page.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(info) if !open => {
                let (info, text) = (info.trim().to_owned(), vec![]);
                let line = number + 1;
                blocks.push(Block { line, info, text });
                open = true;
            }
            Some(_) => open = false,
            None if open => blocks.last_mut().unwrap().text.push(line.to_owned()),
            None => {}
        }
    }
    blocks
}

/// The value of `name=value` among a fence's words.
fn setting<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let mut words = info.split_whitespace();
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
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

/// Lays tables named `db.table` into a warehouse.
fn load(tables: &Path, warehouse: &Path) {
    for table in std::fs::read_dir(tables).unwrap() {
        let table = table.unwrap().path();
        let name = table.file_name().unwrap().to_string_lossy().into_owned();
        let (database, name) = name.split_once('.').unwrap();
        copy(&table, &warehouse.join(format!("{database}.db/{name}")));
    }
}

fn prepare(case: &str, folder: &Path) {
    let source = root().join("tests/conformance/cases").join(case);
    assert!(source.is_dir(), "there is no case {case}");
    copy(&source, folder);
    load(&source.join("input"), &folder.join("warehouse"));
}

/// Writes a block to the file it names, or adds it to that file's object.
fn lay(block: &Block, folder: &Path) {
    let text = block.text.join("\n");
    if let Some(file) = setting(&block.info, "file") {
        std::fs::write(folder.join(file), &text).unwrap();
    }
    if let Some(file) = setting(&block.info, "into") {
        let path = folder.join(file);
        let parse = |text: &str| -> serde_json::Map<String, serde_json::Value> {
            serde_json::from_str(text).unwrap()
        };
        let mut object = parse(&std::fs::read_to_string(&path).unwrap());
        object.extend(parse(&text));
        std::fs::write(path, serde_json::to_string_pretty(&object).unwrap()).unwrap();
    }
}

/// Whether a line is as the page says.
fn is_like(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.trim_end().split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = line.trim_end().strip_prefix(first) else {
        return false;
    };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else {
        return rest.is_empty();
    };
    for piece in middle {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The first line of the page that was not printed.
fn missing<'a>(expected: &'a [String], printed: &str) -> Option<&'a str> {
    let mut lines = printed.lines();
    let wanted = expected.iter().filter(|line| line.trim() != "…");
    wanted
        .map(String::as_str)
        .find(|pattern| !lines.any(|line| is_like(pattern, line)))
}

/// Runs a page's examples; how many there were.
fn run_page(path: &Path) -> usize {
    let page = std::fs::read_to_string(path).unwrap();
    let blocks = blocks(&page);
    let mut folders: BTreeMap<String, tempfile::TempDir> = BTreeMap::new();
    let mut count = 0;
    for (index, block) in blocks.iter().enumerate() {
        let place = format!("{}:{}", path.display(), block.line);
        let is_example = block.info.split_whitespace().next() == Some("sh");
        let Some(case) = setting(&block.info, "case") else {
            assert!(
                !is_example,
                "{place}: an example names its case: ```sh case=NAME"
            );
            continue;
        };
        let folder = folders.entry(case.into()).or_insert_with(|| {
            let folder = tempfile::tempdir().unwrap();
            prepare(case, folder.path());
            folder
        });
        if !is_example {
            lay(block, folder.path());
            continue;
        }
        for step in setting(&block.info, "tables")
            .into_iter()
            .flat_map(|t| t.split(','))
        {
            let tables = folder.path().join("expected").join(step);
            load(&tables, &folder.path().join("warehouse"));
        }
        let binary = Path::new(env!("CARGO_BIN_EXE_unskewed")).parent().unwrap();
        let search = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell
            .args(["-euc", &block.text.join("\n")])
            .current_dir(folder.path());
        shell.env("PATH", search).env_remove("UNSKEWED__CONFIG");
        let output = shell.output().unwrap();
        let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        let printed = printed.concat();
        assert!(output.status.success(), "{place}: {printed}");
        if let Some(next) = blocks.get(index + 1).filter(|next| next.info == "text")
            && let Some(line) = missing(&next.text, &printed)
        {
            panic!(
                "{place}: {line:?} is not printed, or not in this order; printed was:\n{printed}"
            );
        }
        count += 1;
    }
    count
}

/// Every page has an example, and every example does what the page says.
#[test]
fn the_examples_of_the_job_pages_hold() {
    let mut pages: Vec<PathBuf> = std::fs::read_dir(root().join("docs/jobs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    pages.sort();
    assert!(!pages.is_empty(), "no page: the rule would hold vacuously");
    for page in pages {
        assert!(
            run_page(&page) > 0,
            "{}: a page of a job has an example",
            page.display()
        );
    }
}

/// What a page leaves out with `…` may be anything; nothing else may.
#[test]
fn lines_are_compared_whole() {
    assert!(is_like(
        "rows in 3, … seconds …",
        "rows in 3, bad 0, seconds 1.25"
    ));
    assert!(!is_like("rows in 3", "rows in 30"));
    assert!(!is_like("rows in 3, …!", "rows in 3, bad 0"));
    let lines = ["a", "…", "c"].map(str::to_owned);
    assert_eq!(missing(&lines, "a\nb\nc"), None);
    assert_eq!(missing(&lines, "c\na"), Some("c"));
}
