//! `group-by-streaming` as users meet it: a file of events as the topic, kills, dead letters, and fetches that see what a
//! replay of the table would have shown.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const DAY: i64 = 86_400_000;
/// 2024-01-01.
const START: i64 = 1_704_067_200_000;
const EVENTS: i64 = 700;
/// The first event whose day is not in the batch.
const AFTER: i64 = 500;

struct Shop {
    folder: tempfile::TempDir,
}

/// An event by its number: user, amount, time.
fn event(number: i64) -> (String, i64, i64) {
    let at = START + number * 7 * DAY / EVENTS;
    (format!("u{}", number * number % 5), number % 97, at)
}

impl Shop {
    fn new() -> Self {
        let shop = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        shop.write("spend.json", GROUP_BY);
        let mut values = String::new();
        for number in 0..EVENTS {
            let (user, amount, at) = event(number);
            let comma = if number > 0 { "," } else { "" };
            write!(values, "{comma} ('{user}', {amount}L, {at}L)").unwrap();
        }
        let day = "CAST(CAST(timestamp_millis(ts) AS DATE) AS STRING)";
        let query = format!("SELECT *, {day} AS ds FROM VALUES{values} AS t(user, amount, ts)");
        let staging = serde_json::json!({
            "metaData": {"name": "shop.events", "team": "shop", "outputNamespace": "shop"},
            "query": query, "startPartition": "2024-01-01",
        });
        shop.write("events.json", &staging.to_string());
        shop.run(&[
            "staging-query-backfill",
            "--conf-path",
            "events.json",
            "--end-date",
            "2024-01-07",
        ]);
        shop.run(&[
            "group-by-upload",
            "--conf-path",
            "spend.json",
            "--end-date",
            "2024-01-05",
        ]);
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unskewed"));
        command
            .current_dir(self.folder.path())
            .args(["--warehouse", "warehouse"]);
        command.args(words).env_remove("UNSKEWED__CONFIG");
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        let output = self.command(words).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {errors}");
        output
    }

    /// What is fetched of every user at a time.
    fn fetched(&self, kv: &str, at_millis: i64) -> String {
        let keys: Vec<String> = (0..6)
            .map(|user| format!(r#"{{"user": "u{user}"}}"#))
            .collect();
        let (keys, at) = (format!("[{}]", keys.join(",")), at_millis.to_string());
        let words = [
            "--kv",
            kv,
            "fetch",
            "--type",
            "group-by",
            "--name",
            "shop.spend",
            "--key-json",
            &keys,
            "--at-millis",
            &at,
        ];
        String::from_utf8(self.run(&words).stdout).unwrap()
    }
}

const GROUP_BY: &str = r#"{
    "metaData": {"name": "shop.spend", "team": "shop", "outputNamespace": "shop", "online": 1},
    "sources": [{"events": {"table": "shop.shop_events", "topic": "kafka://events/format=json", "query": {
        "selects": {"user": "user", "amount": "amount"}, "timeColumn": "ts"}}}],
    "keyColumns": ["user"],
    "aggregations": [
        {"inputColumn": "amount", "operation": 7, "argMap": {}, "windows": [
            {"length": 1, "timeUnit": 0}, {"length": 1, "timeUnit": 1}, {"length": 2147483647, "timeUnit": 1}]},
        {"inputColumn": "amount", "operation": 13, "argMap": {"k": "3"}}
    ],
    "accuracy": 0
}"#;

const STREAM: [&str; 10] = [
    "--kv",
    "embedded:streamed",
    "group-by-streaming",
    "--conf-path",
    "spend.json",
    "--topic-parameter",
    "type=lines",
    "--topic-parameter",
    "path=events.jsonl",
    "--until-end",
];

/// Kills a command after a while; whether it was still at work.
fn killed_after(mut command: Command, pause: Duration) -> bool {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(pause);
    let was_running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    was_running
}

fn letters(folder: &Path) -> usize {
    let files = std::fs::read_dir(folder).unwrap();
    let lines = |file: PathBuf| std::fs::read_to_string(file).unwrap().lines().count();
    files.map(|file| lines(file.unwrap().path())).sum()
}

#[test]
fn a_stream_that_is_killed_goes_on() {
    let shop = Shop::new();
    for kv in ["embedded:streamed", "embedded:replayed"] {
        shop.run(&["--kv", kv, "bulk-load", "--conf-path", "spend.json"]);
    }
    let replay = [
        "--kv",
        "embedded:replayed",
        "group-by-streaming",
        "--conf-path",
        "spend.json",
        "--replay-from",
        "2024-01-06",
    ];
    shop.run(&replay);
    let mut lines = String::new();
    let mut killed = 0;
    for number in 0..EVENTS {
        let (user, amount, at) = event(number);
        writeln!(
            lines,
            r#"{{"user": "{user}", "amount": {amount}, "ts": {at}, "more": 1}}"#
        )
        .unwrap();
        if number % 100 == 50 {
            lines.push_str("{\"user\": \"u1\", \"amount\":\n");
            shop.write("events.jsonl", &lines);
            let pause = Duration::from_millis(20 + (number as u64 * 7) % 90);
            killed += usize::from(killed_after(shop.command(&STREAM), pause));
        }
    }
    shop.write("events.jsonl", &lines);
    let last = [&STREAM[..], &["--dead-letters", "dead"]].concat();
    let output = shop.run(&last);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.lines().last().unwrap().contains("bad rows"), "{said}");
    assert!(killed > 0, "every stream had ended before it was killed");
    let (_, _, after) = event(AFTER);
    for at in [
        after + 1,
        after + DAY / 2,
        START + 7 * DAY - 1,
        START + 7 * DAY + DAY / 2,
    ] {
        let (streamed, replayed) = (
            shop.fetched("embedded:streamed", at),
            shop.fetched("embedded:replayed", at),
        );
        assert_eq!(streamed, replayed, "at {at}");
        assert!(streamed.contains("amount_sum_1d"), "{streamed}");
    }
    assert!(
        shop.path("streamed-checkpoints/spend.json/manifest.json")
            .exists()
    );
    assert!(letters(&shop.path("dead")) <= 7);
}

/// Answers of a service by HTTP.
fn post(address: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A service streams into the store that it alone may open, and says what it streamed.
#[test]
fn a_service_streams_into_its_own_store() {
    let shop = Shop::new();
    shop.run(&[
        "--kv",
        "embedded:kv",
        "bulk-load",
        "--conf-path",
        "spend.json",
    ]);
    let lines: String = (AFTER..EVENTS)
        .map(|number| {
            let (user, _, at) = event(number);
            format!("{{\"user\": \"{user}\", \"amount\": 1, \"ts\": {at}}}\n")
        })
        .collect();
    shop.write("events.jsonl", &lines);
    let words = [
        "--kv",
        "embedded:kv",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--stream",
        "spend.json",
        "--topic-parameter",
        "type=lines",
        "--topic-parameter",
        "path=events.jsonl",
    ];
    let mut service = shop.command(&words).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(service.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let listening = said.find(|line| line.contains("listening on")).unwrap();
    let address = listening
        .rsplit("http://")
        .next()
        .unwrap()
        .trim()
        .to_owned();
    let at = START + 7 * DAY;
    let path = format!("/v1/features/groupby/shop.spend?at_millis={at}");
    // All of the last two days' events, one each, and none of the batch.
    let wanted = |number: &i64| event(*number).0 == "u1" && event(*number).2 >= at - DAY;
    let count = (AFTER..EVENTS).filter(wanted).count();
    let wanted = format!("\"amount_sum_1d\":{count}");
    let mut answer = String::new();
    for _ in 0..200 {
        answer = post(&address, &path, r#"[{"user": "u1"}]"#).replace(' ', "");
        if answer.contains(&wanted) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(answer.contains(&wanted), "{wanted} in {answer}");
    let told = Command::new("kill")
        .args(["-TERM", &service.id().to_string()])
        .status()
        .unwrap();
    assert!(told.success());
    assert!(service.wait().unwrap().success());
    assert!(
        shop.path("kv-checkpoints/spend.json/manifest.json")
            .exists()
    );
}

/// What is wrong is said before anything is read.
#[test]
fn wrong_streams_are_refused() {
    let shop = Shop::new();
    for (words, code, part) in [
        (
            &["--topic-parameter", "nonsense"][..],
            2,
            "takes NAME=VALUE",
        ),
        (&["--topic-parameter", "formt=json"], 1, "format"),
        (&["--topic-parameter", "format=xml"], 1, "xml"),
        (
            &[
                "--topic-parameter",
                "type=lines",
                "--topic-parameter",
                "path=absent.jsonl",
            ],
            1,
            "absent.jsonl",
        ),
        (
            &["--kafka-properties", "absent.properties"],
            2,
            "absent.properties",
        ),
    ] {
        let stream = [
            "--kv",
            "embedded:kv",
            "group-by-streaming",
            "--conf-path",
            "spend.json",
            "--until-end",
        ];
        let output = shop
            .command(&[&stream[..], words].concat())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(part), "{words:?}: {said}");
    }
    // A definition that cannot be streamed leaves no trace.
    let no_topic = GROUP_BY.replace("\"topic\": \"kafka://events/format=json\",", "");
    shop.write("plain.json", &no_topic);
    let words = [
        "--kv",
        "embedded:none",
        "group-by-streaming",
        "--conf-path",
        "plain.json",
    ];
    let output = shop.command(&words).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!shop.path("none").exists() && !shop.path("none-checkpoints").exists());
}
