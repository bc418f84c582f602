//! The service over a real socket on loopback: what is answered, refused and bounded.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use unskewed_connectors::clock::{Clock, SystemClock};
use unskewed_connectors::kv::{KvStore, Memory};
use unskewed_connectors::spawn::{self, Joined};
use unskewed_fetcher::external::Registry;
use unskewed_fetcher::{Fetcher, Settings};
use unskewed_rest::{App, Limits, Metrics, Server, Tokens};

/// A server, stopped when dropped.
struct Running {
    address: SocketAddr,
    stop: Option<futures::channel::oneshot::Sender<()>>,
    thread: Option<Joined<()>>,
}

impl Running {
    fn start(limits: Limits, tokens: Tokens) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let store: Arc<dyn KvStore> = Arc::new(Memory::new(Arc::clone(&clock)));
        let fetcher = Fetcher::new(
            store,
            Arc::clone(&clock),
            Registry::default(),
            Settings::default(),
        );
        let app = App::new(
            Arc::new(fetcher),
            limits,
            Metrics::unattached(),
            clock,
            serde_json::json!({"kv": "memory:"}),
        );
        let settings = unskewed_rest::Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            tls: None,
            tokens,
            drain: Duration::from_secs(5),
            threads: 1,
        };
        let server = Server::bind(settings, app).unwrap();
        let address = server.address();
        let (stop, stopped) = futures::channel::oneshot::channel();
        let thread = spawn::spawn("server", move || {
            server
                .run(async move { stopped.await.unwrap_or(()) })
                .unwrap();
        })
        .unwrap();
        Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Sends bytes and reads what comes back until the end: status and text.
    fn send(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
        (status.unwrap_or(0), answer)
    }

    fn ask(&self, method: &str, path: &str, more: &str, body: &str) -> (u16, String) {
        let length = body.len();
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}Content-Length: {length}\r\n\r\n{body}"
        ))
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

/// What is wrong with a request is said, with the status that fits, and the server goes on.
#[test]
fn refusals() {
    let server = Running::start(Limits::default(), Tokens::default());
    let cases = [
        ("GET", "/ping", "", 200, "Pong!"),
        ("GET", "/health", "", 200, "alive"),
        ("GET", "/ready", "", 200, "ready"),
        ("GET", "/config", "", 200, "memory:"),
        ("GET", "/metrics", "", 200, ""),
        ("GET", "/nothing", "", 404, "there is nothing at /nothing"),
        ("GET", "/v1/features/join/a%2Fb", "", 405, "asked with POST"),
        ("POST", "/v1/features/join/a%2Fb", "", 400, "no JSON"),
        (
            "POST",
            "/v1/features/join/a%2Fb",
            "{}",
            400,
            "a list of objects",
        ),
        ("POST", "/v1/features/join/a%2Fb", "[1]", 400, "row 0"),
        (
            "POST",
            "/v1/features/join/a%2Fb",
            "[{\"u\": 1}]",
            404,
            "no join",
        ),
        ("POST", "/v1/features/join/%ff", "[]", 400, "UTF-8"),
        ("POST", "/v1/features/join/a%2Fb", "[]", 200, "results"),
        (
            "POST",
            "/v1/fetch/groupby/a.b",
            "[{\"u\": 1}]",
            200,
            "Failure",
        ),
        (
            "POST",
            "/v1/fetch/join/a%2Fb?at_millis=x",
            "[]",
            400,
            "at_millis=T",
        ),
        ("GET", "/v1/join/a%2Fb/schema", "", 404, "no join"),
        ("GET", "/v1/joins", "", 200, "{\"joinNames\":[]}"),
        ("POST", "/v2/fetch/join/a%2Fb", "[{}]", 404, "no join"),
        ("POST", "/v2/fetch/join/a%2Fb", "[]", 200, "results"),
        ("POST", "/v2/fetch/groupby/a.b", "[]", 404, "nothing at"),
    ];
    for (method, path, body, status, text) in cases {
        let (got, answer) = server.ask(method, path, "", body);
        assert_eq!(got, status, "{method} {path} {body}: {answer}");
        assert!(answer.contains(text), "{method} {path} {body}: {answer}");
    }
    let (status, _) = server.send("nonsense\r\n\r\n");
    assert_eq!(status, 400);
    assert_eq!(server.ask("GET", "/ping", "", "").0, 200);
}

/// Bodies, rows and times are bounded.
#[test]
fn limits() {
    let limits = Limits {
        body_bytes: 64,
        rows: 2,
        time: Duration::from_millis(300),
        in_flight: 8,
    };
    let server = Running::start(limits, Tokens::default());
    let long = format!("[{{\"u\": \"{}\"}}]", "x".repeat(100));
    let (status, answer) = server.ask("POST", "/v1/features/join/j", "", &long);
    assert_eq!(status, 413, "{answer}");
    let (status, answer) = server.ask("POST", "/v1/features/join/j", "", "[{},{},{}]");
    assert!(
        status == 413 && answer.contains("3 rows, allowed are 2"),
        "{answer}"
    );
    // A body that never comes: the request ends all the same.
    let (status, answer) = server.send(
        "POST /v1/features/join/j HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n[",
    );
    assert_eq!(status, 504, "{answer}");
    // A head that never ends.
    let (_, answer) = server.send("GET /ping HTTP/1.1\r\nHost: x\r\n");
    assert!(!answer.contains("Pong!"), "{answer}");
}

/// Without the token nothing but probes is answered.
#[test]
fn tokens() {
    let server = Running::start(Limits::default(), Tokens::parse("sesame"));
    assert_eq!(server.ask("GET", "/ping", "", "").0, 200);
    let (status, answer) = server.ask("GET", "/config", "", "");
    assert!(
        status == 401 && answer.to_lowercase().contains("www-authenticate: bearer"),
        "{answer}"
    );
    let right = "Authorization: Bearer sesame\r\n";
    assert_eq!(server.ask("GET", "/config", right, "").0, 200);
    let wrong = "Authorization: Bearer sesamo\r\n";
    assert_eq!(server.ask("GET", "/config", wrong, "").0, 401);
}
