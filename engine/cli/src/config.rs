//! Configuration in layers: default, then the TOML file, then `UNSKEWED__…` variables, then flags; the later wins.
//!
//! Promises: [`RawConfig`] is what was written and where; [`Config`] is checked and typed. An unknown key is an error
//! that names the nearest known one, a wrong value an error that names where it stands. All problems at once.

use std::collections::BTreeMap;
use std::path::Path;

use unskewed_planner::definition::Dialect;
use unskewed_planner::diagnostic::nearest;

/// Every key with what it means; flags have the same names with dashes.
pub(crate) const KEYS: [(&str, &str); 11] = [
    ("warehouse", "folder or object-store URL of the tables"),
    ("kv", "key-value store: embedded:DIR or tikv://HOST:PORT,…"),
    ("workers", "worker threads, a whole number above 0"),
    ("memory", "memory to stay under, such as 8GiB"),
    ("dialect", "whose compiled definitions: airbnb or zipline"),
    ("log", "how log lines look: text or json"),
    (
        "quiet",
        "only warnings, errors and the summary: true or false",
    ),
    ("verbose", "how much to tell: 0, 1 or 2"),
    ("progress", "show progress: true or false"),
    ("max_bad_rows", "bad rows a job may meet before it fails"),
    (
        "intermediate_tables",
        "write the left and part tables of a join: true or false",
    ),
];

/// The prefix of environment variables.
pub(crate) const PREFIX: &str = "UNSKEWED__";

/// A value as written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    text: String,
    origin: String,
}

/// The layers as written, already laid over each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawConfig {
    values: BTreeMap<&'static str, Written>,
    problems: Vec<String>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// What the command works with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) warehouse: String,
    pub(crate) kv: String,
    pub(crate) workers: usize,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) dialect: Dialect,
    pub(crate) log: LogFormat,
    pub(crate) quiet: bool,
    pub(crate) verbose: u8,
    pub(crate) progress: bool,
    pub(crate) max_bad_rows: Option<u64>,
    pub(crate) intermediate_tables: bool,
}

impl RawConfig {
    /// Lays a value over what is there.
    pub(crate) fn set(&mut self, key: &str, text: impl Into<String>, origin: impl Into<String>) {
        let (text, origin) = (text.into(), origin.into());
        match KEYS.iter().find(|(name, _)| *name == key) {
            Some((name, _)) => {
                self.values.insert(name, Written { text, origin });
            }
            None => {
                let known = KEYS.iter().map(|(name, _)| *name);
                let hint = match nearest(key, known) {
                    Some(name) => format!("did you mean {name:?}?"),
                    None => {
                        let names: Vec<_> = KEYS.iter().map(|(name, _)| *name).collect();
                        format!("known are {}", names.join(", "))
                    }
                };
                self.problems
                    .push(format!("{origin}: unknown key {key:?}; {hint}"));
            }
        }
    }

    /// Lays a TOML file over what is there.
    pub(crate) fn set_file(&mut self, path: &Path) {
        let origin = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                return self
                    .problems
                    .push(format!("{origin}: cannot be read: {error}"));
            }
        };
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => return self.problems.push(format!("{origin}: is no TOML: {error}")),
        };
        for (key, value) in table {
            match value {
                toml::Value::String(text) => self.set(&key, text, origin.as_str()),
                toml::Value::Integer(number) => self.set(&key, number.to_string(), origin.as_str()),
                toml::Value::Boolean(truth) => self.set(&key, truth.to_string(), origin.as_str()),
                other => {
                    let kind = other.type_str();
                    self.problems
                        .push(format!("{origin}: {key} cannot be a {kind}"));
                }
            }
        }
    }

    /// Lays variables over what is there; those of other programs are passed over.
    pub(crate) fn set_environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) {
        let ours = variables.into_iter().filter_map(|(name, value)| {
            let key = name.strip_prefix(PREFIX)?.to_lowercase();
            Some((key, name, value))
        });
        let sorted: BTreeMap<_, _> = ours
            .map(|(key, name, value)| (key, (name, value)))
            .collect();
        for (key, (name, value)) in sorted {
            if key != "config" {
                self.set(&key, value, name);
            }
        }
    }

    /// The checked configuration, or every problem.
    pub(crate) fn check(self, cores: usize) -> Result<Config, Vec<String>> {
        let mut reader = Reader {
            values: self.values,
            problems: self.problems,
        };
        let config = Config {
            warehouse: reader
                .text("warehouse")
                .unwrap_or_else(|| "./warehouse".into()),
            kv: reader.text("kv").unwrap_or_else(|| "embedded:./kv".into()),
            workers: reader
                .read("workers", |text| text.parse().ok().filter(|n| *n > 0))
                .unwrap_or(cores.max(1)),
            memory_bytes: reader.read("memory", parse_bytes),
            dialect: reader
                .read("dialect", Dialect::from_name)
                .unwrap_or(Dialect::Airbnb),
            log: reader.read("log", parse_log).unwrap_or(LogFormat::Text),
            quiet: reader.read("quiet", parse_truth).unwrap_or(false),
            verbose: reader
                .read("verbose", |text| text.parse().ok())
                .unwrap_or(0),
            progress: reader.read("progress", parse_truth).unwrap_or(true),
            max_bad_rows: reader.read("max_bad_rows", |text| text.parse().ok()),
            intermediate_tables: reader
                .read("intermediate_tables", parse_truth)
                .unwrap_or(true),
        };
        let mut problems = reader.problems;
        let kv_known = ["embedded:", "tikv://"];
        if !kv_known.iter().any(|scheme| config.kv.starts_with(scheme)) {
            let about = "kv must be embedded:DIR or tikv://HOST:PORT,…";
            problems.push(format!("{about}, found {:?}", config.kv));
        }
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(problems)
        }
    }
}

struct Reader {
    values: BTreeMap<&'static str, Written>,
    problems: Vec<String>,
}

impl Reader {
    fn text(&self, key: &str) -> Option<String> {
        self.values.get(key).map(|written| written.text.clone())
    }

    fn read<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let written = self.values.get(key)?;
        let value = parse(written.text.trim());
        if value.is_none() {
            let about = KEYS.iter().find(|(name, _)| *name == key);
            let about = about.map_or("", |(_, about)| about);
            let Written { text, origin } = written;
            self.problems.push(format!(
                "{origin}: {key} cannot be {text:?}; it is: {about}"
            ));
        }
        value
    }
}

fn parse_log(text: &str) -> Option<LogFormat> {
    match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}

fn parse_truth(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// A number of bytes: `4GiB`, `512m`, `1.5G`, `800000`. Decimal and binary units are both binary, as memory is sold.
fn parse_bytes(text: &str) -> Option<u64> {
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..digits_end].parse().ok()?;
    let shift = match text[digits_end..].trim().to_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    let bytes = number * f64::from(2_i32).powi(shift);
    (bytes >= 1.0 && bytes < 2_f64.powi(63)).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        owned.collect()
    }

    /// Each layer beats the one before it, and an unset key keeps its default.
    #[test]
    fn later_layers_win() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("unskewed.toml");
        std::fs::write(
            &file,
            "workers = 3\nmemory = \"2GiB\"\nwarehouse = \"file\"",
        )
        .unwrap();
        let mut raw = RawConfig::default();
        raw.set_file(&file);
        raw.set_environment(variables(&[
            ("UNSKEWED__WORKERS", "5"),
            ("UNSKEWED__WAREHOUSE", "environment"),
            ("UNSKEWED__CONFIG", "itself"),
            ("HOME", "/"),
        ]));
        raw.set("warehouse", "flag", "--warehouse");
        let config = raw.check(8).unwrap();
        assert_eq!(config.workers, 5);
        assert_eq!(config.memory_bytes, Some(2 << 30));
        assert_eq!(config.warehouse, "flag");
        assert_eq!(config.dialect, Dialect::Airbnb);
        assert!(config.progress);
        assert_eq!(RawConfig::default().check(8).unwrap().workers, 8);
    }

    /// Unknown keys and wrong values are all reported, with their place and the nearest name.
    #[test]
    fn every_problem_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("unskewed.toml");
        std::fs::write(&file, "wrkers = 3\nlog = \"xml\"\nkv = [1]").unwrap();
        let mut raw = RawConfig::default();
        raw.set_file(&file);
        raw.set_environment(variables(&[
            ("UNSKEWED__MEMORY", "lots"),
            ("UNSKEWED__DB", "x"),
        ]));
        raw.set("workers", "0", "--workers");
        let problems = raw.check(1).unwrap_err();
        let text = problems.join("\n");
        assert_eq!(problems.len(), 6, "{text}");
        for part in [
            "unknown key \"wrkers\"; did you mean \"workers\"?",
            "log cannot be \"xml\"",
            "kv cannot be a array",
            "UNSKEWED__MEMORY: memory cannot be \"lots\"",
            "UNSKEWED__DB: unknown key \"db\"",
            "--workers: workers cannot be \"0\"",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let mut raw = RawConfig::default();
        raw.set_file(Path::new("/nowhere/at/all.toml"));
        assert!(raw.check(1).unwrap_err()[0].contains("cannot be read"));
    }

    /// Sizes with and without units.
    #[test]
    fn sizes() {
        assert_eq!(parse_bytes("800"), Some(800));
        assert_eq!(parse_bytes("1.5k"), Some(1536));
        assert_eq!(parse_bytes("4 GiB"), Some(4 << 30));
        assert_eq!(parse_bytes("4 gibberish"), None);
        assert_eq!(parse_bytes(""), None);
        assert_eq!(parse_bytes("0"), None);
    }
}
