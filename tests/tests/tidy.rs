//! The rules of the house, as one test each: who may import whom, which words stand where, and the
//! shape of files. They read manifests and sources only and need no network.
//!
//! A failure lists every place at once and ends with how to mend it. A rule is changed here, in the
//! same commit as the page that states it (`ARCHITECTURE.md` or `docs/design/0001-…`).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Which packages of ours a package may depend on. `None`: any (nothing of ours depends on it).
const EDGES: &[(&str, Option<&[&str]>)] = &[
    ("unskewed-planner", Some(&[])),
    ("unskewed-kernel", Some(&["unskewed-planner"])),
    ("unskewed-connectors", Some(&["unskewed-planner"])),
    (
        "unskewed-engine",
        Some(&["unskewed-planner", "unskewed-kernel", "unskewed-connectors"]),
    ),
    (
        "unskewed-fetcher",
        Some(&["unskewed-planner", "unskewed-kernel", "unskewed-connectors"]),
    ),
    (
        "unskewed-rest",
        Some(&["unskewed-connectors", "unskewed-fetcher"]),
    ),
    (
        "unskewed",
        Some(&[
            "unskewed-planner",
            "unskewed-engine",
            "unskewed-connectors",
            "unskewed-fetcher",
            "unskewed-rest",
        ]),
    ),
    ("unskewed-tests", None),
    ("unskewed-benches", None),
];

/// Outside crates that are the business of a few packages only.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("timely", &["unskewed-engine"]),
    ("differential-dataflow", &["unskewed-engine"]),
    (
        "parquet",
        &["unskewed-connectors", "unskewed-tests", "unskewed-benches"],
    ),
    ("object_store", &["unskewed-connectors"]),
    ("rdkafka", &["unskewed-connectors"]),
    (
        "tokio",
        &["unskewed-connectors", "unskewed-engine", "unskewed-rest"],
    ),
    ("clap", &["unskewed"]),
    (
        "anyhow",
        &["unskewed", "unskewed-tests", "unskewed-benches"],
    ),
];

/// Words of code (not of comments or strings) and the only places where they may stand. A place is
/// a path or the beginning of one, relative to the root.
const WORDS: &[(&str, &[&str], &str)] = &[
    (
        "timely",
        &["engine/src/"],
        "only the engine knows the dataflow runtime",
    ),
    (
        "differential_dataflow",
        &["engine/src/"],
        "only the engine knows the dataflow runtime",
    ),
    (
        "parquet",
        &["connectors/src/"],
        "go through `connectors::table`",
    ),
    (
        "object_store",
        &["connectors/src/"],
        "go through `connectors::table`",
    ),
    (
        "tokio",
        &["connectors/src/", "engine/src/bridge", "fetcher/rest/src/"],
        "asynchronous code lives in bridges",
    ),
    (
        "SystemTime",
        &["connectors/src/clock.rs"],
        "take a `connectors::clock::Clock`",
    ),
    (
        "Instant",
        &["connectors/src/clock.rs"],
        "take a `connectors::clock::Clock`",
    ),
    (
        "HashMap",
        &["engine/kernel/src/hash.rs", "engine/kernel/src/hash/"],
        "use a BTreeMap",
    ),
    (
        "HashSet",
        &["engine/kernel/src/hash.rs", "engine/kernel/src/hash/"],
        "use a BTreeSet",
    ),
];

/// Paths of the standard library that the two pure crates may not touch.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "std::process",
];
const PURE: &[&str] = &["planner/src/", "engine/kernel/src/"];

const FILE_LINES_MAX: usize = 800;
/// Code is held to 100 by rustfmt; this bounds comments and strings, which it leaves alone.
const LINE_CHARACTERS_MAX: usize = 124;

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("the tests package lies in the workspace")
        .to_path_buf()
}

/// Every file of the repository with one of the endings, relative to the root, sorted.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    const SKIPPED: &[&str] = &[
        "target",
        ".git",
        ".venv",
        "warehouse",
        "input",
        "cases",
        "corpus",
        "kv",
        "data",
    ];
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository is readable") {
            let entry = entry.expect("a folder of the repository is readable");
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry
                .file_type()
                .expect("a folder of the repository is readable");
            if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
                folders.push(path);
            } else if kind.is_file() && endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(
                    path.strip_prefix(&root)
                        .expect("found below the root")
                        .to_path_buf(),
                );
            }
        }
    }
    found.sort();
    assert!(
        !found.is_empty(),
        "no file ending in {endings:?}: the rule would hold vacuously"
    );
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("{} is not readable text: {error}", path.display()))
}

/// Fails with all problems and the one sentence that says how to mend them.
fn conclude(problems: &[String], fix: &str) {
    let mut message = String::new();
    for problem in problems {
        let _ = writeln!(message, "  {problem}");
    }
    assert!(
        problems.is_empty(),
        "{} problem(s):\n{message}To fix: {fix}",
        problems.len()
    );
}

/// Code without comments and without the contents of string literals; line structure is kept.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let bytes: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < bytes.len() {
        let next = bytes.get(at + 1).copied();
        match bytes[at] {
            '/' if next == Some('/') => {
                while at < bytes.len() && bytes[at] != '\n' {
                    at += 1;
                }
            }
            '/' if next == Some('*') => {
                let mut depth = 0_usize;
                while at < bytes.len() {
                    let pair = (bytes[at], bytes.get(at + 1).copied());
                    if pair == ('/', Some('*')) {
                        (depth, at) = (depth + 1, at + 2);
                    } else if pair == ('*', Some('/')) {
                        (depth, at) = (depth - 1, at + 2);
                        if depth == 0 {
                            break;
                        }
                    } else {
                        code.extend((bytes[at] == '\n').then_some('\n'));
                        at += 1;
                    }
                }
            }
            'r' if raw_string_hashes(&bytes, at).is_some() => {
                let hashes = raw_string_hashes(&bytes, at).expect("just seen");
                let closing: Vec<char> = std::iter::once('"')
                    .chain(std::iter::repeat_n('#', hashes))
                    .collect();
                at += hashes + 2;
                while at < bytes.len() && !bytes[at..].starts_with(&closing) {
                    code.extend((bytes[at] == '\n').then_some('\n'));
                    at += 1;
                }
                at += closing.len();
            }
            '"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != '"' {
                    code.extend((bytes[at] == '\n').then_some('\n'));
                    at += if bytes[at] == '\\' { 2 } else { 1 };
                }
                at += 1;
            }
            '\'' if next == Some('\\') => {
                at += 3;
                while at < bytes.len() && bytes[at] != '\'' {
                    at += 1;
                }
                at += 1;
            }
            '\'' if bytes.get(at + 2) == Some(&'\'') => at += 3,
            character => {
                code.push(character);
                at += 1;
            }
        }
    }
    code
}

/// The part of a file before its module of tests, which may use what the code may not.
fn without_tests(code: &str) -> &str {
    let end = code
        .match_indices("#[cfg(test)]")
        .find(|(at, marker)| code[at + marker.len()..].trim_start().starts_with("mod "));
    end.map_or(code, |(at, _)| &code[..at])
}

/// If a raw string starts at `at`, the number of its hashes.
fn raw_string_hashes(text: &[char], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).map(|index| text[index]);
    if before.is_some_and(|character| character.is_alphanumeric() || character == '_')
        && before != Some('b')
    {
        return None;
    }
    let hashes = text[at + 1..]
        .iter()
        .take_while(|character| **character == '#')
        .count();
    (text.get(at + 1 + hashes) == Some(&'"')).then_some(hashes)
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(is_part)
            && !line[at + word.len()..].chars().next().is_some_and(is_part)
    })
}

fn packages() -> Vec<serde_json::Value> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| String::from("cargo"));
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--offline",
            "--no-deps",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    match metadata["packages"].take() {
        serde_json::Value::Array(packages) => packages,
        other => panic!("cargo metadata has no list of packages but {other}"),
    }
}

/// Shows that crates depend on each other only along the arrows of `ARCHITECTURE.md`, by asking
/// cargo for every normal and build dependency.
#[test]
fn dependencies_follow_the_arrows() {
    let mut problems = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().expect("a package has a name");
        let Some((_, allowed)) = EDGES.iter().find(|(known, _)| *known == name) else {
            problems.push(format!(
                "{name} is not in the table EDGES of tests/tests/tidy.rs"
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("a list") {
            let other = dependency["name"]
                .as_str()
                .expect("a dependency has a name");
            if dependency["kind"] == "dev" {
                continue;
            }
            let ours = EDGES.iter().any(|(known, _)| *known == other);
            if ours && allowed.is_some_and(|allowed| !allowed.contains(&other)) {
                problems.push(format!("{name} depends on {other}"));
            }
            if let Some((_, homes)) = OUTSIDE.iter().find(|(crate_name, _)| *crate_name == other)
                && !homes.contains(&name)
            {
                problems.push(format!("{name} depends on {other}; only {homes:?} may"));
            }
        }
    }
    conclude(
        &problems,
        "move the code to the crate that may know both sides, or write a design note that changes \
         the arrows and change EDGES or OUTSIDE with it",
    );
}

/// Shows that names of runtimes, formats and clocks stand only where they belong.
#[test]
fn words_stand_in_their_folders() {
    let mut problems = Vec::new();
    for path in files(&[".rs"]) {
        let name = path.to_string_lossy().replace('\\', "/");
        let is_test =
            name.ends_with("tests.rs") || name.starts_with("tests/") || name.contains("/tests/");
        if !name.contains("/src/") || is_test || name.starts_with("benches/") {
            continue;
        }
        for (number, line) in without_tests(&code_only(&read(&path))).lines().enumerate() {
            for (word, homes, instead) in WORDS {
                if has_word(line, word) && !homes.iter().any(|home| name.starts_with(home)) {
                    problems.push(format!("{name}:{}: `{word}`: {instead}", number + 1));
                }
            }
            if PURE.iter().any(|pure| name.starts_with(pure))
                && let Some(impure) = IMPURE.iter().find(|impure| line.contains(*impure))
            {
                problems.push(format!("{name}:{}: `{impure}` in a pure crate", number + 1));
            }
        }
    }
    conclude(
        &problems,
        "use what the line names, or move the code to the folder the word belongs to",
    );
}

/// Shows that each source file says what it is for before anything else.
#[test]
fn sources_open_with_their_purpose() {
    let problems: Vec<String> = files(&[".rs"])
        .into_iter()
        .filter(|path| {
            let text = read(path);
            let first = text
                .lines()
                .find(|line| !line.is_empty() && !line.starts_with("#!"));
            !first.is_some_and(|line| line.starts_with("//! "))
        })
        .map(|path| path.display().to_string())
        .collect();
    conclude(
        &problems,
        "begin the file with `//!`: what it is for, promises, and never does",
    );
}

/// Shows that files and lines stay readable.
#[test]
fn files_and_lines_are_short() {
    let mut problems = Vec::new();
    for path in files(&[".rs"]) {
        let text = read(&path);
        let count = text.lines().count();
        if count > FILE_LINES_MAX {
            problems.push(format!(
                "{}: {count} lines, at most {FILE_LINES_MAX}",
                path.display()
            ));
        }
        for (number, line) in text.lines().enumerate() {
            let width = line.chars().count();
            // An address, a long literal, a row of a table cannot be broken without harm.
            let is_row = line.trim_start_matches(['/', '!', ' ']).starts_with('|');
            let is_long_word = line
                .split_whitespace()
                .any(|word| word.chars().count() >= 60);
            if width > LINE_CHARACTERS_MAX && !is_row && !is_long_word {
                problems.push(format!(
                    "{}:{}: {width} characters",
                    path.display(),
                    number + 1
                ));
            }
        }
    }
    conclude(
        &problems,
        "`cargo fmt`; break comments and strings near 100 characters; split a long file into \
         `name.rs` and `name/`",
    );
}

/// Shows that a module is found under its own name.
#[test]
fn no_module_is_called_mod() {
    let problems: Vec<String> = files(&[".rs"])
        .into_iter()
        .filter(|path| path.ends_with("mod.rs"))
        .map(|path| path.display().to_string())
        .collect();
    conclude(&problems, "rename `name/mod.rs` to `name.rs`");
}

/// Targets of Markdown links outside code, with the line each stands in.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        for (at, _) in prose.match_indices("](") {
            let rest = &prose[at + 2..];
            if let Some(end) = rest.find(')') {
                found.push((number + 1, rest[..end].to_owned()));
            }
        }
    }
    found
}

/// Shows that every relative link of a page leads somewhere.
#[test]
fn links_of_pages_resolve() {
    let mut problems = Vec::new();
    for path in files(&[".md"]) {
        for (number, target) in links(&read(&path)) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let page = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap_or(Path::new("")).join(file)
            };
            let there = root().join(&page);
            let resolves = there.exists()
                && (anchor.is_empty()
                    || there.is_file() && anchors(&read(&page)).iter().any(|a| a == anchor));
            if !resolves {
                problems.push(format!("{}:{number}: {target}", path.display()));
            }
        }
    }
    conclude(
        &problems,
        "correct the path or the anchor (a heading in lower case, with dashes)",
    );
}

/// The anchors that a forge gives the headings of a page.
fn anchors(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_')
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

/// Shows that nothing points at one person's machine, and that nothing is left half said.
#[test]
fn the_project_stands_alone() {
    // Written in pieces so that this file passes its own rule.
    let forbidden = [
        ["/wo", "rk/"].concat(),
        ["../sha", "red"].concat(),
        ["/sha", "red/"].concat(),
        ["/ro", "ot/"].concat(),
        ["/ho", "me/"].concat(),
        ["pythonhos", "ted"].concat(),
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
    ];
    let endings = [
        ".rs", ".md", ".toml", ".py", ".sh", ".yml", "Makefile", ".json", ".txt", ".plan",
    ];
    let mut problems = Vec::new();
    for path in files(&endings) {
        for (number, line) in read(&path).lines().enumerate() {
            let found = forbidden.iter().find(|word| {
                let upper = word.chars().all(char::is_uppercase);
                if upper {
                    has_word(line, word)
                } else {
                    line.contains(word.as_str())
                }
            });
            if let Some(word) = found {
                problems.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    conclude(
        &problems,
        "say it without the place, or do what is left to do",
    );
}

/// Shows that each example and bench folder says how it is run.
#[test]
fn runnable_folders_say_how_they_run() {
    let mut problems = Vec::new();
    for parent in ["examples", "benches"] {
        let folder = root().join(parent);
        if !folder.join("README.md").exists() {
            problems.push(format!("{parent}/README.md is missing"));
            continue;
        }
        let text = read(&Path::new(parent).join("README.md"));
        for entry in fs::read_dir(&folder).expect("the folder exists").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_named = text.contains(&format!("{name}/")) || name.starts_with(['.', '_']);
            if entry.path().is_dir() && !is_named {
                problems.push(format!("{parent}/README.md does not name {name}/"));
            }
        }
    }
    conclude(
        &problems,
        "add a line to that README: what the folder shows and how it is run",
    );
}

/// Shows that each deviation from the reference names tests, and that the tests are there.
#[test]
fn deviations_are_held_by_tests() {
    let page = Path::new("docs/semantics.md");
    let text = read(page);
    let sources: String = files(&[".rs"]).iter().map(|path| read(path)).collect();
    let mut problems = Vec::new();
    let mut rows = 0;
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("| D"))
    {
        rows += 1;
        let last = line.trim_end_matches('|').rsplit('|').next().unwrap_or("");
        let named: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            problems.push(format!("{}:{}: names no test", page.display(), number + 1));
        }
        for test in named {
            let is_case = root().join("tests/conformance/cases").join(test).is_dir();
            if !sources.contains(&format!("fn {test}(")) && !is_case {
                problems.push(format!(
                    "{}:{}: no test `{test}`",
                    page.display(),
                    number + 1
                ));
            }
        }
    }
    assert!(
        rows > 0,
        "the table of deviations has no row that begins with `| D`"
    );
    conclude(
        &problems,
        "name the test function or conformance case that would fail without it",
    );
}

/// Shows that the reader of sources sees code and nothing else.
#[test]
fn code_is_told_from_comments_and_strings() {
    let text = "let a = \"tokio\"; // tokio\nlet b = r#\"tokio \" \"#; /* tokio /* */ tokio */ 'x';\n\
                let c = b'\\''; let d: &'static str; parquet_like; use parquet::x;";
    let code = code_only(text);
    assert!(!has_word(&code, "tokio"), "{code}");
    assert!(
        has_word(&code, "parquet") && has_word(&code, "static"),
        "{code}"
    );
    assert_eq!(code.lines().count(), text.lines().count());
    assert_eq!(links("[a](b) `[c](d)` [e](f#g)").len(), 2);
}
