//! Models of a join: their answers stand in the table row by row, and whatever a service does wrong is an error or a
//! counted null, never a silent one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use unskewed_engine::job::{ErrorKind, Kind, Options, Outcome, Result};
use unskewed_tests::model_service::{ModelService, Reply, outputs};
use unskewed_tests::random_join::{DAYS, END, Random, SUM_COLUMN, feature_join, fill, named};
use unskewed_tests::tables::code::TEMPORAL;
use unskewed_tests::tables::{longs, partitions, read, read_texts, run, run_with, write};

/// Codes of types in compiled definitions.
const LONG: u8 = 4;
const STRING: u8 = 7;
const OUTPUT: &str = "team_join_v1";
const SOURCE: &str = "team_join_v1_pre_mt";
const SCORE: &str = "m_points";

fn fields(fields: &[(&str, u8)]) -> Value {
    let field = |(name, kind): &(&str, u8)| json!({"name": name, "dataType": {"kind": kind}});
    let fields: Vec<Value> = fields.iter().map(field).collect();
    json!({"kind": 13, "name": "fields", "params": fields})
}

/// A join whose model takes a feature and the row's id and gives a score and a word.
fn modelled(url: &str, parameters: &[(&str, &str)]) -> Value {
    let mut all = json!({"url": url, "version": "7", "pause_millis": "1"});
    for (name, value) in parameters {
        all[*name] = json!(value);
    }
    let mut join = feature_join(TEMPORAL);
    join["modelTransforms"] = json!({"transforms": [{
        "model": {
            "metaData": {"name": "team.fraud"},
            "inferenceSpec": {"modelBackend": "http", "modelBackendParams": all},
            "inputSchema": fields(&[("id", LONG), ("spent", LONG)]),
            "outputSchema": fields(&[("score", LONG), ("word", STRING)]),
        },
        "inputMappings": {"spent": SUM_COLUMN},
        "outputMappings": {"score": "points"},
        "prefix": "m",
    }], "passthroughFields": [SUM_COLUMN]});
    join
}

/// What the model says: twice what was spent and the id, null where nothing was spent.
fn score(spent: Option<i64>, id: i64) -> Option<i64> {
    Some(spent? * 2 + id)
}

fn answer(input: &Value) -> Value {
    let id = input["id"].as_i64().unwrap();
    json!({"score": score(input["spent"].as_i64(), id), "word": format!("row {id}")})
}

fn wanted(warehouse: &Path) -> BTreeMap<i64, Option<i64>> {
    let spent = read(warehouse, SOURCE, "id", SUM_COLUMN).into_iter();
    spent.map(|(id, spent)| (id, score(spent, id))).collect()
}

fn transform(warehouse: &Path, definition: &Value, options: Options) -> Result<Outcome> {
    run_with(warehouse, Kind::ModelTransformBatch, definition, options, 1)
}

fn until(end: &str) -> Options {
    Options::until(end.parse().unwrap())
}

/// A warehouse where the join has run.
fn joined(seed: u64, definition: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &mut Random(seed));
    run(folder.path(), Kind::Join, definition, END, 2);
    assert!(
        partitions(folder.path(), OUTPUT).is_empty(),
        "models come later"
    );
    folder
}

/// Every row gets the answer to its own inputs whatever the sizes of requests; rows, what is passed through and what
/// the service is told are as the definition says.
#[test]
fn answers_stand_in_their_rows() {
    for (seed, rows, concurrency) in [(1, 1, 3), (2, 2, 1), (3, 5, 4), (4, 256, 4)] {
        let service = ModelService::of_rows(answer);
        let sizes = [rows.to_string(), concurrency.to_string()];
        let sizes = [("batch_rows", &*sizes[0]), ("concurrency", &*sizes[1])];
        let definition = modelled(&service.url(), &sizes);
        let folder = joined(seed, &definition);
        let warehouse = folder.path();
        let options = Options {
            model_context: Some(json!({"run": "nightly"})),
            ..until(END)
        };
        let done = transform(warehouse, &definition, options).unwrap();
        let want = wanted(warehouse);
        assert!(want.values().any(Option::is_some) && want.values().any(Option::is_none));
        assert_eq!(read(warehouse, OUTPUT, "id", SCORE), want, "seed {seed}");
        assert_eq!((done.rows_out, done.bad_rows), (want.len() as u64, 0));
        assert_eq!(
            read(warehouse, OUTPUT, "id", SUM_COLUMN),
            read(warehouse, SOURCE, "id", SUM_COLUMN)
        );
        let words = read_texts(warehouse, OUTPUT, "id", "m_word");
        assert!(
            words
                .iter()
                .all(|(id, word)| word.as_ref() == Some(&format!("row {id}")))
        );
        let asked = service.asked();
        let sizes = asked
            .iter()
            .map(|asked| asked.body["inputs"].as_array().unwrap().len());
        assert!(sizes.clone().all(|size| size <= rows), "{rows}");
        assert_eq!(sizes.sum::<usize>(), want.len());
        assert!(service.under_way_max() <= concurrency);
        for asked in &asked {
            assert_eq!(asked.body["model"], "team.fraud");
            assert_eq!(asked.body["parameters"], json!({"version": "7"}));
            assert_eq!(asked.body["context"], json!({"run": "nightly"}));
            assert!(asked.head.starts_with("POST /score "), "{}", asked.head);
        }
        let again = transform(warehouse, &definition, until(END)).unwrap();
        assert_eq!(again, Outcome::default(), "nothing is missing any more");
        assert_eq!(service.asked().len(), asked.len());
    }
}

/// A service that stumbles is asked again; one that goes on stumbling is out of reach, which is worth another try, and
/// leaves nothing of the day behind.
#[test]
fn a_service_that_stumbles_is_asked_again() {
    let stumbles = [
        (Reply::Status(500), "status 500"),
        (Reply::Status(429), "status 429"),
        (Reply::Close, "closed"),
        (Reply::Half, "end of file"),
        (Reply::Silence, "no answer within 500 ms"),
    ];
    for (stumble, problem) in stumbles {
        let patience = match stumble {
            Reply::Silence => "500",
            _ => "10000",
        };
        let told = stumble.clone();
        let service = ModelService::start(move |number, body| match number % 3 {
            2 => Reply::Json(outputs(body, &answer)),
            _ => told.clone(),
        });
        let parameters = [
            ("attempts", "3"),
            ("concurrency", "1"),
            ("timeout_millis", patience),
        ];
        let definition = modelled(&service.url(), &parameters);
        let folder = joined(5, &definition);
        transform(folder.path(), &definition, until(DAYS[1])).unwrap();
        let two: BTreeMap<_, _> = wanted(folder.path())
            .into_iter()
            .filter(|(id, _)| *id < 200)
            .collect();
        assert_eq!(read(folder.path(), OUTPUT, "id", SCORE), two, "{stumble:?}");
        assert_eq!(service.asked().len(), 6, "{stumble:?}");
        let parameters = [
            ("attempts", "2"),
            ("concurrency", "1"),
            ("timeout_millis", patience),
        ];
        let definition = modelled(&service.url(), &parameters);
        let error = transform(folder.path(), &definition, until(END)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
        let text = error.to_string();
        assert!(
            text.contains("team.fraud") && text.contains("2 times"),
            "{text}"
        );
        assert!(text.contains(problem), "{stumble:?}: {text}");
        assert_eq!(read(folder.path(), OUTPUT, "id", SCORE), two, "{stumble:?}");
    }
}

/// A service whose answer cannot be right is not believed, and not asked again.
#[test]
fn a_service_that_lies_is_not_believed() {
    let short = |body: &Value| {
        let mut answers = outputs(body, &answer);
        answers["outputs"].as_array_mut().unwrap().pop();
        answers
    };
    type Lie = Box<dyn Fn(&Value) -> Reply + Send + Sync>;
    let lies: [(Lie, &str); 5] = [
        (Box::new(move |body| Reply::Json(short(body))), "inputs"),
        (
            Box::new(|_| Reply::Text("<html>welcome</html>".into())),
            "no JSON",
        ),
        (Box::new(|_| Reply::Json(json!([]))), "no list \"outputs\""),
        (Box::new(|_| Reply::Status(404)), "status 404"),
        (Box::new(|_| Reply::Status(302)), "status 302"),
    ];
    for (lie, problem) in lies {
        let service = ModelService::start(move |_, body| lie(body));
        let definition = modelled(&service.url(), &[("concurrency", "1")]);
        let folder = joined(6, &definition);
        let error = transform(folder.path(), &definition, until(END)).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("team.fraud") && text.contains(problem),
            "{text}"
        );
        assert_eq!(error.kind(), ErrorKind::Failed, "{text}");
        assert_eq!(service.asked().len(), 1, "{problem}");
        assert!(partitions(folder.path(), OUTPUT).is_empty());
    }
}

/// The reference turns the fault of a model into a null. Here the row counts as bad, is named, and can fail the job.
#[test]
fn a_model_that_fails_rows_is_told() {
    let service = ModelService::of_rows(|input| match input["id"].as_i64().unwrap() % 3 {
        0 => Value::Null,
        1 => json!({"score": 1.5, "word": "a"}),
        _ => answer(input),
    });
    let definition = modelled(&service.url(), &[]);
    let folder = joined(8, &definition);
    let options = Options {
        max_bad_rows: Some(3),
        ..until(END)
    };
    let error = transform(folder.path(), &definition, options).unwrap_err();
    assert!(
        error.to_string().contains("more than the 3 allowed"),
        "{error}"
    );
    let done = transform(folder.path(), &definition, until(END)).unwrap();
    let want = wanted(folder.path());
    let found = read(folder.path(), OUTPUT, "id", SCORE);
    let words = read_texts(folder.path(), OUTPUT, "id", "m_word");
    let fails = |id: i64| id % 3 != 2;
    for (id, score) in &found {
        assert_eq!(*score, want[id].filter(|_| !fails(*id)));
        assert_eq!(
            words[id].is_none(),
            fails(*id),
            "all outputs of a row fail together"
        );
    }
    assert_eq!(found.len(), want.len());
    let bad = want.keys().filter(|id| fails(**id)).count() as u64;
    assert!(done.bad_rows <= bad && done.bad_rows > 0);
    let told = done.bad_samples.join("\n");
    assert!(told.contains("model team.fraud, a row of ds="), "{told}");
    assert!(
        told.contains("it gave no outputs") && told.contains("1.5, which is no bigint"),
        "{told}"
    );
}

/// The days before a fault stay, and the next run goes on after them.
#[test]
fn days_that_are_done_stay() {
    let service = ModelService::start(|_, body| {
        let of_day = |input: &Value| input["id"].as_i64().unwrap() / 100;
        let late = body["inputs"]
            .as_array()
            .unwrap()
            .iter()
            .any(|input| of_day(input) >= 2);
        match late {
            true => Reply::Status(403),
            false => Reply::Json(outputs(body, &answer)),
        }
    });
    let definition = modelled(&service.url(), &[]);
    let folder = joined(9, &definition);
    transform(folder.path(), &definition, until(END)).unwrap_err();
    assert_eq!(partitions(folder.path(), OUTPUT).len(), 2);
    let better = ModelService::of_rows(answer);
    let definition = modelled(&better.url(), &[]);
    let keep = Options {
        unset_semantic_hash: true,
        ..until(END)
    };
    let done = transform(folder.path(), &definition, keep).unwrap();
    assert_eq!(done.partitions_written, 3);
    assert_eq!(
        read(folder.path(), OUTPUT, "id", SCORE),
        wanted(folder.path())
    );
}

/// The table follows the rows and the models: days whose rows changed are made again, all of them when a model did;
/// rows of another definition are refused.
#[test]
fn the_table_follows_rows_and_models() {
    let service = ModelService::of_rows(answer);
    let definition = modelled(&service.url(), &[]);
    let folder = joined(10, &definition);
    let warehouse = folder.path();
    transform(warehouse, &definition, until(END)).unwrap();
    for table in [SOURCE, "team_join_v1_bootstrap"] {
        let day = format!("feat.db/{table}/ds={}", DAYS[1]);
        std::fs::remove_dir_all(warehouse.join(day)).unwrap();
    }
    let left = vec![
        ("user", unskewed_tests::tables::texts(&[Some("u1")])),
        ("id", longs(&[Some(777)])),
        (
            "ts",
            longs(&[Some(unskewed_tests::tables::START + 86_400_000)]),
        ),
    ];
    write(warehouse, "left", DAYS[1], left);
    run(warehouse, Kind::Join, &definition, END, 1);
    let done = transform(warehouse, &definition, until(END)).unwrap();
    assert_eq!((done.partitions_written, done.rows_out), (1, 1));
    assert_eq!(read(warehouse, OUTPUT, "id", SCORE), wanted(warehouse));
    let slower = modelled(&service.url(), &[("timeout_millis", "9999")]);
    assert_eq!(
        transform(warehouse, &slower, until(END)).unwrap(),
        Outcome::default()
    );
    let newer = modelled(&service.url(), &[("version", "8")]);
    let done = transform(warehouse, &newer, until(END)).unwrap();
    assert_eq!(done.partitions_written, 5);
    let mut other = newer.clone();
    other["derivations"] = json!([
        {"name": "*", "expression": "*"}, {"name": "more", "expression": "id + 1"},
    ]);
    let error = transform(warehouse, &other, until(END)).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(SOURCE) && text.contains("the derivations changed"),
        "{text}"
    );
    assert_eq!(read(warehouse, OUTPUT, "id", SCORE), wanted(warehouse));
}

/// Rows whose outputs were bootstrapped keep them, and are not asked about.
#[test]
fn bootstrapped_outputs_are_not_asked_for() {
    let service = ModelService::of_rows(answer);
    let mut definition = named(modelled(&service.url(), &[]), "team.join.v1");
    definition["rowIds"] = json!(["id"]);
    definition["bootstrapParts"] = json!([{"table": "feat.known"}]);
    let folder = tempfile::tempdir().unwrap();
    let warehouse = folder.path();
    let day_of = fill(warehouse, &mut Random(11));
    for ds in DAYS {
        let own = day_of
            .iter()
            .filter(|(id, day)| **day == ds && **id % 2 == 0);
        let ids: Vec<Option<i64>> = own.map(|(id, _)| Some(*id)).collect();
        let scores: Vec<Option<i64>> = ids.iter().map(|id| id.map(|id| -id)).collect();
        let words: Vec<Option<&str>> = ids
            .iter()
            .map(|id| (id.unwrap() % 4 == 0).then_some("known"))
            .collect();
        let columns = vec![
            ("id", longs(&ids)),
            (SCORE, longs(&scores)),
            ("m_word", unskewed_tests::tables::texts(&words)),
        ];
        write(warehouse, "known", ds, columns);
    }
    run(warehouse, Kind::Join, &definition, END, 2);
    transform(warehouse, &definition, until(END)).unwrap();
    let scores = read(warehouse, OUTPUT, "id", SCORE);
    let words = read_texts(warehouse, OUTPUT, "id", "m_word");
    let want = wanted(warehouse);
    for id in day_of.keys() {
        let (score, word) = match id % 4 {
            0 => (Some(-id), "known".to_owned()),
            2 => (Some(-id), format!("row {id}")),
            _ => (want[id], format!("row {id}")),
        };
        assert_eq!((scores[id], &words[id]), (score, &Some(word)), "{id}");
    }
    let asked = service.asked();
    let asked = asked
        .iter()
        .flat_map(|asked| asked.body["inputs"].as_array().unwrap().clone());
    let asked: Vec<i64> = asked.map(|input| input["id"].as_i64().unwrap()).collect();
    let unknown: Vec<i64> = day_of.keys().copied().filter(|id| id % 4 != 0).collect();
    assert_eq!(asked.len(), unknown.len());
    assert!(asked.iter().all(|id| unknown.contains(id)));
}

/// Without the join's rows there is nothing to apply models to; a wrong backend is a problem of the definition.
#[test]
fn what_is_missing_is_said() {
    let definition = modelled("http://127.0.0.1:1/score", &[]);
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &mut Random(12));
    let error = transform(folder.path(), &definition, until(END)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("table feat.{SOURCE} is not there yet; join writes it")
    );
    let mut wrong = modelled("https://127.0.0.1:1/score", &[("attempts", "0")]);
    let transforms = wrong["modelTransforms"]["transforms"]
        .as_array_mut()
        .unwrap();
    let mut second = transforms[0].clone();
    second["prefix"] = json!("n");
    second["model"]["inferenceSpec"]["modelBackend"] = json!("htpp");
    transforms.push(second);
    let error = transform(folder.path(), &wrong, until(END)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Definition);
    assert_eq!(error.to_string(), "the definition has 2 problems");
    let nobody = transform(folder.path(), &feature_join(TEMPORAL), until(END)).unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::Definition);
}
