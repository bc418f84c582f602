//! Features of external sources over HTTP: a service that lies, dawdles or breaks costs its own features and no others.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use unskewed_connectors::clock::{Clock, SystemClock};
use unskewed_connectors::kv::{KvStore, Memory, Put};
use unskewed_connectors::spawn::{Joined, spawn};
use unskewed_fetcher::external::Registry;
use unskewed_fetcher::{Fetcher, Settings};
use unskewed_planner::serving::METADATA_DATASET;
use unskewed_rest::{App, HttpSource, Limits, Metrics, Patience, Server, Tokens};
use unskewed_tests::model_service::{ModelService, Reply};

/// A service of features, stopped when dropped.
struct Running {
    address: std::net::SocketAddr,
    stop: Option<futures::channel::oneshot::Sender<()>>,
    thread: Option<Joined<()>>,
}

/// A join of two external sources, and what is derived of each.
fn join() -> String {
    let source = |name: &str, kind: u8| {
        json!({"source": {
            "metadata": {"name": name},
            "keySchema": {"kind": 13, "name": "k", "params": [{"name": "user", "dataType": {"kind": 7}}]},
            "valueSchema": {"kind": 13, "name": "v", "params": [{"name": "score", "dataType": {"kind": kind}}]},
        }})
    };
    json!({
        "metaData": {"name": "team.j", "online": 1, "team": "team", "outputNamespace": "feat"},
        "left": {"events": {"table": "feat.l", "query": {"selects": {"user": "user"}, "timeColumn": "ts"}}},
        "joinParts": [],
        "onlineExternalParts": [source("good", 6), source("bad", 6)],
        "derivations": [
            {"name": "*", "expression": "*"},
            {"name": "twice", "expression": "2 * ext_good_score"},
            {"name": "half", "expression": "ext_bad_score / 2"},
        ],
    })
    .to_string()
}

impl Running {
    /// Serves the join; `good` and `bad` are the addresses of its sources.
    fn start(good: &str, bad: &str, patience: Patience) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let store = Memory::new(Arc::clone(&clock));
        store.create(METADATA_DATASET).unwrap();
        let definition = join();
        let put = Put {
            dataset: METADATA_DATASET,
            key: b"joins/team/j",
            value: definition.as_bytes(),
            millis: 0,
            expires_millis: None,
        };
        store.multi_put(&[put]).unwrap();
        let mut externals = Registry::default();
        for (name, url) in [("good", good), ("bad", bad)] {
            externals.register(
                name,
                Arc::new(HttpSource::new(name, url, patience).unwrap()),
            );
        }
        let store: Arc<dyn KvStore> = Arc::new(store);
        let fetcher = Fetcher::new(store, Arc::clone(&clock), externals, Settings::default());
        let metrics = Metrics::unattached();
        let app = App::new(
            Arc::new(fetcher),
            Limits::default(),
            metrics,
            clock,
            json!({}),
        );
        let settings = unskewed_rest::Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            tls: None,
            tokens: Tokens::default(),
            drain: Duration::from_secs(5),
            threads: 2,
        };
        let server = Server::bind(settings, app).unwrap();
        let address = server.address();
        let (stop, stopped) = futures::channel::oneshot::channel();
        let serve = move || {
            server
                .run(async move { stopped.await.unwrap_or(()) })
                .unwrap();
        };
        Self {
            address,
            stop: Some(stop),
            thread: Some(spawn("server", serve).unwrap()),
        }
    }

    /// The features of each of these users.
    fn features(&self, users: &[&str]) -> Vec<Json> {
        let keys: Vec<Json> = users.iter().map(|user| json!({"user": user})).collect();
        let body = Json::Array(keys).to_string();
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let head = "POST /v1/features/join/team%2Fj HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let mut body: Json = serde_json::from_str(body).unwrap();
        let rows = body["results"].as_array_mut().unwrap();
        rows.iter_mut().map(|row| row["features"].take()).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn patience(millis: u64) -> Patience {
    Patience {
        time: Duration::from_millis(millis),
        concurrency: 2,
    }
}

/// Scores of users by the length of their names; of `nobody` there is nothing, and of `who` a reason.
fn scores(body: &Json) -> Reply {
    let users: Vec<&str> = body["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|request| request["user"].as_str().unwrap())
        .collect();
    let score = |user: &&str| match *user {
        "nobody" | "who" => Json::Null,
        user => json!({"score": user.len()}),
    };
    let answers: Vec<Json> = users.iter().map(score).collect();
    let error = |user: &&str| {
        if *user == "who" {
            "not known here".into()
        } else {
            Json::Null
        }
    };
    let errors: Vec<Json> = users.iter().map(error).collect();
    Reply::Json(json!({"answers": answers, "errors": errors}))
}

/// Equal keys are asked once, all in one request; nothing and a reason are told apart.
#[test]
fn sources_answer() {
    let good = ModelService::start(|_, body| scores(body));
    let server = Running::start(&good.url(), &good.url(), patience(20_000));
    let features = server.features(&["ann", "nobody", "who", "ann"]);
    let of_ann = json!({"ext_good_score": 3.0, "ext_bad_score": 3.0, "twice": 6.0, "half": 1.5});
    assert_eq!(features[0], of_ann);
    assert_eq!(features[3], of_ann);
    assert_eq!(features[1]["twice"], Json::Null);
    assert!(
        features[1].get("ext_good_exception").is_none(),
        "{}",
        features[1]
    );
    let told = features[2]["ext_good_exception"].as_str().unwrap();
    assert!(told.contains("not known here"), "{told}");
    let asked = good.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    let by = |name: &str| asked.iter().find(|one| one.body["source"] == name).unwrap();
    let users = json!([{"user": "ann"}, {"user": "nobody"}, {"user": "who"}]);
    assert_eq!(by("good").body["requests"], users);
}

/// Whatever the bad source does, the good one's features and what is derived of them are there, and the reason is told.
#[test]
fn a_source_that_lies_costs_its_own_features() {
    let lies: [(Reply, &str); 11] = [
        (Reply::Status(500), "500"),
        (Reply::Text("nonsense".into()), "no JSON"),
        (Reply::Text("[]".into()), "no list \"answers\""),
        (Reply::Json(json!({"answers": {}})), "no list \"answers\""),
        (
            Reply::Json(json!({"answers": []})),
            "0 answers to 1 requests",
        ),
        (
            Reply::Json(json!({"answers": [{}, {}]})),
            "2 answers to 1 requests",
        ),
        (
            Reply::Json(json!({"answers": [7]})),
            "no object but a whole number",
        ),
        (
            Reply::Json(json!({"answers": [{}], "errors": [1]})),
            "no text but 1",
        ),
        (
            Reply::Json(json!({"answers": [{"score": [1]}]})),
            "score: a list was given where double is wanted",
        ),
        (Reply::Close, "bad failed"),
        (Reply::Half, "bad failed"),
    ];
    let good = ModelService::start(|_, body| scores(body));
    for (lie, reason) in lies {
        let shown = format!("{lie:?}");
        let bad = ModelService::start(move |_, _| lie.clone());
        let server = Running::start(&good.url(), &bad.url(), patience(20_000));
        let features = server.features(&["ann"]).remove(0);
        assert_eq!(features["ext_good_score"], 3.0, "{shown}: {features}");
        assert_eq!(features["twice"], 6.0, "{shown}: {features}");
        let told = features["ext_bad_exception"].as_str().unwrap();
        assert!(told.contains(reason), "{shown}: {told}");
        assert_eq!(
            features.as_object().unwrap().len(),
            3,
            "{shown}: {features}"
        );
        assert_eq!(bad.asked().len(), 1, "{shown}: it is not asked again");
    }
}

/// A source that does not answer is waited for as long as allowed and no longer.
#[test]
fn a_source_that_dawdles_is_given_up() {
    let good = ModelService::start(|_, body| scores(body));
    let bad = ModelService::start(|_, _| Reply::Silence);
    let server = Running::start(&good.url(), &bad.url(), patience(2_000));
    let features = server.features(&["ann"]).remove(0);
    assert_eq!(features["twice"], 6.0, "{features}");
    let told = features["ext_bad_exception"].as_str().unwrap();
    assert!(told.contains("no answer within 2000 ms"), "{told}");
}

/// Many keys are asked for in several requests, of which few are under way at once.
#[test]
fn many_keys_are_asked_few_at_a_time() {
    let good = ModelService::start(|_, body| scores(body));
    let server = Running::start(&good.url(), &good.url(), patience(20_000));
    let users: Vec<String> = (0..2_000)
        .map(|number| "x".repeat(1 + number % 9) + &number.to_string())
        .collect();
    let named: Vec<&str> = users.iter().map(String::as_str).collect();
    let features = server.features(&named);
    for (user, features) in users.iter().zip(&features) {
        assert_eq!(
            features["twice"].as_f64(),
            Some(f64::from(2 * user.len() as u32)),
            "{user}"
        );
    }
    let of_one = good
        .asked()
        .iter()
        .filter(|one| one.body["source"] == "good")
        .count();
    assert_eq!(of_one, 8);
    assert!(
        good.under_way_max() <= 4,
        "two of each source: {}",
        good.under_way_max()
    );
}

/// What cannot be asked is refused before anything is served, and no message repeats it.
#[test]
fn addresses() {
    for (url, problem) in [
        ("nonsense at all", "no address"),
        ("https://localhost/", "proxy"),
        ("http://me:secret@localhost/", "password"),
    ] {
        let told = HttpSource::new("s", url, patience(1))
            .unwrap_err()
            .to_string();
        assert!(told.contains(problem) && !told.contains("secret"), "{told}");
    }
}
