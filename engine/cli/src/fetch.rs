//! `fetch`: requests as JSON, answers as JSON, a line each.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value as Json};
use unskewed_connectors::clock::SystemClock;
use unskewed_fetcher::external::Registry;
use unskewed_fetcher::{Fetcher, Request, Response, Settings, Value};
use unskewed_planner::definition::Definition;

use crate::args::{FetchArgs, FetchType};
use crate::report::Failure;
use crate::{Session, store};

/// Requests answered with one call of the fetcher.
const REQUESTS_AT_ONCE: usize = 32;

/// A request as it was given.
struct Asked {
    given: Json,
    kind: FetchType,
    request: Request,
}

/// Answers requests.
pub(crate) fn run(args: &FetchArgs, session: &Session) -> Result<(), Failure> {
    let asked = match &args.requests {
        Some(path) => of_lines(path)?,
        None => of_options(args, session)?,
    };
    let settings = Settings {
        dialect: session.config.dialect,
        ..Settings::default()
    };
    let store = store::open(session)?;
    let clock = Arc::new(SystemClock::new());
    let fetcher = Fetcher::new(store, clock, Registry::default(), settings);
    let mut text = String::new();
    for asked in asked.chunks(REQUESTS_AT_ONCE) {
        for (asked, response) in asked.iter().zip(answer(&fetcher, asked)) {
            let line = line(&asked.given, &response);
            writeln!(text, "{line}").expect("text takes everything");
        }
    }
    write(args.responses.as_deref(), &text)
}

/// The answers, in order.
fn answer(fetcher: &Fetcher, asked: &[Asked]) -> Vec<Response> {
    let of = |kind: FetchType| {
        let own = asked.iter().filter(move |one| one.kind == kind);
        own.map(|one| one.request.clone()).collect::<Vec<_>>()
    };
    let joins = futures::executor::block_on(fetcher.fetch_join(&of(FetchType::Join)));
    let groups = fetcher.fetch_group_by(&of(FetchType::GroupBy));
    let (mut joins, mut groups) = (joins.into_iter(), groups.into_iter());
    let next = |one: &Asked| match one.kind {
        FetchType::Join => joins.next(),
        FetchType::GroupBy => groups.next(),
    };
    asked.iter().filter_map(next).collect()
}

fn line(given: &Json, response: &Response) -> Json {
    let mut line = Map::new();
    line.insert("request".into(), given.clone());
    match &response.outcome {
        Ok(Some(features)) => line.insert("values".into(), Json::Object(features.to_json())),
        Ok(None) => line.insert("values".into(), Json::Null),
        Err(error) => line.insert("error".into(), error.to_string().into()),
    };
    Json::Object(line)
}

/// The requests of a file, a line each.
fn of_lines(path: &Path) -> Result<Vec<Asked>, Failure> {
    let text = read(path)?;
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            of_line(line).map_err(|problem| {
                Failure::usage(format!(
                    "{}, line {}: {problem}",
                    path.display(),
                    number + 1
                ))
            })
        })
        .collect()
}

fn of_line(line: &str) -> Result<Asked, String> {
    let given: Json = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let kind = match given["type"].as_str() {
        Some("join") => FetchType::Join,
        Some("group_by" | "group-by") => FetchType::GroupBy,
        _ => return Err("\"type\" must be \"join\" or \"group_by\"".into()),
    };
    let name = given["name"]
        .as_str()
        .ok_or("it has no \"name\"")?
        .to_owned();
    let at_millis = match &given["ts"] {
        Json::Null => None,
        millis => Some(millis.as_i64().ok_or("\"ts\" must be milliseconds")?),
    };
    let request = Request {
        name,
        keys: keys(&given["keys"])?,
        at_millis,
    };
    Ok(Asked {
        given,
        kind,
        request,
    })
}

fn keys(json: &Json) -> Result<BTreeMap<String, Value>, String> {
    let keys = json
        .as_object()
        .ok_or("keys must be an object: {\"name\": value, …}")?;
    let keys = keys.iter();
    Ok(keys
        .map(|(name, value)| (name.clone(), Value::from_json(value)))
        .collect())
}

/// The requests that the options say.
fn of_options(args: &FetchArgs, session: &Session) -> Result<Vec<Asked>, Failure> {
    let (kind, name) = match &args.conf_path {
        None => (args.kind, args.name.clone().unwrap_or_default()),
        Some(path) => match session.load(path)? {
            Definition::Join(join) => (FetchType::Join, join.path_name()),
            Definition::GroupBy(group_by) => (FetchType::GroupBy, group_by.name().to_owned()),
            Definition::StagingQuery(_) => {
                return Err(Failure::usage("a staging query has no features to fetch"));
            }
        },
    };
    let given = match (&args.key_json, &args.key_json_file) {
        (Some(text), _) => match serde_json::from_str(text) {
            Ok(Json::Array(all)) => all,
            Ok(one) => vec![one],
            Err(error) => return Err(Failure::usage(format!("--key-json: {error}"))),
        },
        (None, Some(path)) => {
            let text = read(path)?;
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            let parsed = lines
                .map(serde_json::from_str)
                .collect::<Result<Vec<Json>, _>>();
            parsed.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?
        }
        (None, None) => {
            return Err(Failure::usage(
                "no keys: give --key-json, --key-json-file or --requests",
            ));
        }
    };
    let asked = |json: Json| {
        let keys = keys(&json).map_err(Failure::usage)?;
        let request = Request {
            name: name.clone(),
            keys,
            at_millis: args.at_millis,
        };
        let given = serde_json::json!({"name": name, "keys": json, "ts": args.at_millis});
        Ok(Asked {
            given,
            kind,
            request,
        })
    };
    given.into_iter().map(asked).collect()
}

fn read(path: &Path) -> Result<String, Failure> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    text.map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))
}

fn write(path: Option<&Path>, text: &str) -> Result<(), Failure> {
    let written = match path {
        Some(path) => std::fs::write(path, text),
        None => std::io::stdout().write_all(text.as_bytes()),
    };
    let to = path.map_or("standard output".into(), |path| path.display().to_string());
    written.map_err(|error| Failure::failed(format!("{to} cannot be written: {error}")))
}
