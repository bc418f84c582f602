//! A model behind HTTP on the loopback, whose answers a test decides: good ones, and every way of lying.
//!
//! Anything unexpected panics: only tests call this.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use unskewed_connectors::spawn::{Joined, spawn};

/// Nobody waits longer than this for the other side.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is said to a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// 200 and this JSON.
    Json(Value),
    /// 200 and this text.
    Text(String),
    /// A status without a body.
    Status(u16),
    /// The connection is closed without a word.
    Close,
    /// The connection is closed amid the answer.
    Half,
    /// Nothing, until the other side goes away.
    Silence,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its first line and headers.
    pub head: String,
    /// Its body.
    pub body: Value,
}

/// Decides on a request's reply by its number and body.
type Answer = dyn Fn(usize, &Value) -> Reply + Send + Sync;

struct State {
    answer: Box<Answer>,
    asked: Mutex<Vec<Asked>>,
    under_way: AtomicUsize,
    under_way_max: AtomicUsize,
    ended: AtomicBool,
}

/// The service; it ends when it is dropped.
pub struct ModelService {
    address: SocketAddr,
    state: Arc<State>,
    listener: Option<Joined<()>>,
}

impl ModelService {
    /// A service that answers with what is told for a request's number, from 0, and its body.
    pub fn start(answer: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            answer: Box::new(answer),
            asked: Mutex::default(),
            under_way: AtomicUsize::new(0),
            under_way_max: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
        });
        let own = Arc::clone(&state);
        let listener = spawn("model-service", move || listen(&listener, &own)).unwrap();
        Self {
            address,
            state,
            listener: Some(listener),
        }
    }

    /// A service that answers each input with what is told for it.
    pub fn of_rows(row: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Self {
        Self::start(move |_, body| Reply::Json(outputs(body, &row)))
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/score", self.address)
    }

    /// The requests so far, in the order in which they came.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    /// The most requests that were under way at a time.
    pub fn under_way_max(&self) -> usize {
        self.state.under_way_max.load(Ordering::SeqCst)
    }
}

impl Drop for ModelService {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        // Wakes the listener; it may be gone already.
        TcpStream::connect(self.address).ok();
        drop(self.listener.take());
    }
}

/// The answer to a request that answers each of its inputs.
pub fn outputs(body: &Value, row: &dyn Fn(&Value) -> Value) -> Value {
    let inputs = body["inputs"].as_array().unwrap();
    let outputs: Vec<Value> = inputs.iter().map(row).collect();
    serde_json::json!({"outputs": outputs})
}

fn listen(listener: &TcpListener, state: &Arc<State>) {
    let mut connections = vec![];
    while let Ok((stream, _)) = listener.accept() {
        if state.ended.load(Ordering::SeqCst) {
            break;
        }
        let own = Arc::clone(state);
        connections.push(spawn("model-connection", move || serve(&stream, &own)).unwrap());
    }
}

/// Answers the requests of a connection, one after the other.
fn serve(stream: &TcpStream, state: &State) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(asked) = request(&mut reader) {
        let under_way = state.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        state.under_way_max.fetch_max(under_way, Ordering::SeqCst);
        let number = {
            let mut all = state.asked.lock().unwrap();
            all.push(asked.clone());
            all.len() - 1
        };
        let reply = (state.answer)(number, &asked.body);
        state.under_way.fetch_sub(1, Ordering::SeqCst);
        let ok = |body: &str| {
            format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let text = match reply {
            Reply::Json(answer) => ok(&answer.to_string()),
            Reply::Text(text) => ok(&text),
            Reply::Status(status) => format!("HTTP/1.1 {status} Told\r\ncontent-length: 0\r\n\r\n"),
            Reply::Close => return,
            Reply::Half => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"outputs\"".into(),
            Reply::Silence => {
                // Ends with the other side, or with patience.
                reader.read_exact(&mut [0]).ok();
                return;
            }
        };
        let half = text.contains("content-length: 100\r");
        if (&*stream).write_all(text.as_bytes()).is_err() || half {
            return;
        }
    }
}

fn request(reader: &mut BufReader<&TcpStream>) -> Option<Asked> {
    let mut head = String::new();
    loop {
        let before = head.len();
        match reader.read_line(&mut head) {
            Ok(0) | Err(_) => return None,
            Ok(_) if head[before..].trim().is_empty() => break,
            Ok(_) => {}
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error} in {head}"));
    Some(Asked { head, body })
}
