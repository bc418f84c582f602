//! The server of `tests/servers/tikv`, started and ended by a test: TiKV's and PD's protocol on loopback, with faults on
//! demand. It is built with `go` once; where there is none, a test says so and passes.
//!
//! With `UNSKEWED_TEST_TIKV=pd:2379` tests that need no faults ask that cluster in place of it.

#![allow(clippy::print_stderr, reason = "a test that cannot run says so")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::{env, fs};

use tempfile::TempDir;
use unskewed_connectors::spawn::{Joined, spawn};

/// A running server.
pub(crate) struct Server {
    folder: TempDir,
    /// PD, the admin port, then the stores.
    ports: Vec<u16>,
    options: Vec<String>,
    running: Option<Running>,
}

struct Running {
    child: Child,
    _log: Joined<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Server {
    /// Starts a server of an API version (`v1`, `v1ttl`, `v2`) with some stores; `None` without `go`.
    pub(crate) fn start(api: &str, stores: usize, options: &[&str]) -> Option<Self> {
        program()?;
        let mut options: Vec<String> = options.iter().map(|&option| option.into()).collect();
        options.push(format!("-api={api}"));
        let mut server = Self {
            folder: tempfile::tempdir().unwrap(),
            ports: free_ports(2 + stores),
            options,
            running: None,
        };
        server.restart();
        Some(server)
    }

    /// Starts it again over the same data.
    pub(crate) fn restart(&mut self) {
        let program = program().expect("it was there before");
        let at = |port: &u16| format!("127.0.0.1:{port}");
        let stores: Vec<String> = self.ports[2..].iter().map(at).collect();
        let mut child = Command::new(program)
            .args([
                "-max-seconds",
                "300",
                "-sync=false",
                "-pd",
                &at(&self.ports[0]),
            ])
            .args(["-admin", &at(&self.ports[1]), "-stores", &stores.join(",")])
            .arg("-data")
            .arg(self.folder.path())
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It is ready when it says so; afterwards its log is read so that it never waits for a reader.
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("TEST server: ") {
            let read = log.read_line(&mut said).unwrap();
            assert!(read > 0, "the server ended: {said}");
        }
        let drain = move || {
            std::io::copy(&mut log, &mut std::io::sink()).ok();
        };
        self.running = Some(Running {
            child,
            _log: spawn("server log", drain).unwrap(),
        });
    }

    /// Ends it without warning.
    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    /// The address of the store in it.
    pub(crate) fn address(&self, rest: &str) -> String {
        format!("tikv://127.0.0.1:{}{rest}", self.ports[0])
    }

    /// The numbers of its stores.
    pub(crate) fn stores(&self) -> Vec<u64> {
        let stores = self.admin("/stores");
        let numbers = stores
            .lines()
            .filter_map(|line| line.strip_prefix("store "));
        numbers
            .map(|line| line.split(' ').next().unwrap().parse().unwrap())
            .collect()
    }

    /// Asks the admin port; what it answers.
    pub(crate) fn admin(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[1])).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: test\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{path}: {answer}");
        body.trim().into()
    }

    /// How often a request was made.
    pub(crate) fn count(&self, request: &str) -> u64 {
        let counts: serde_json::Value = serde_json::from_str(&self.admin("/counts")).unwrap();
        counts[request].as_u64().unwrap_or(0)
    }
}

/// A cluster named by the environment, with a prefix nobody has used.
pub(crate) fn cluster() -> Option<String> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let address = env::var("UNSKEWED_TEST_TIKV").ok()?;
    let folder = tempfile::tempdir().unwrap();
    let random = folder
        .path()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let sign = if address.contains('?') { '&' } else { '?' };
    Some(format!("tikv://{address}{sign}prefix=test{random}{number}"))
}

/// The program, built if it is not there or older than its source.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    if Command::new("go").arg("version").output().is_err() {
        eprintln!("go is not installed: nothing is tested against TiKV's protocol");
        return None;
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/servers/tikv");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tikv-test-server");
    let changed = |path: &Path| fs::metadata(path).and_then(|file| file.modified());
    let files = fs::read_dir(&sources)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_source = |path: &PathBuf| {
        path.extension()
            .is_some_and(|end| end == "go" || end == "sum")
    };
    let newest = files
        .filter(is_source)
        .map(|path| changed(&path).unwrap())
        .max();
    if changed(&program).is_ok_and(|built| Some(built) >= newest) {
        return Some(program);
    }
    let new = program.with_extension(std::process::id().to_string());
    let built = Command::new("go")
        .args(["build", "-trimpath", "-buildvcs=false", "-o"])
        .arg(&new)
        .arg(".")
        .current_dir(&sources)
        .env("GOTOOLCHAIN", "local")
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&built.stderr);
    // Its modules come from outside, and an older `go` does not take them.
    let outside = [
        "dial tcp",
        "lookup ",
        "i/o timeout",
        "requires go >= ",
        "toolchain not available",
    ];
    if outside.iter().any(|words| log.contains(words)) {
        eprintln!("the test server cannot be built here, so TiKV's protocol is not tested: {log}");
        return None;
    }
    assert!(
        built.status.success(),
        "the test server does not build: {log}"
    );
    fs::rename(&new, &program).unwrap();
    Some(program)
}

/// Ports nobody listens on, outside of those that systems give to connections.
fn free_ports(count: usize) -> Vec<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % 97).unwrap();
    let mut found = Vec::new();
    while found.len() < count {
        let port = 20_000 + (process * 120 + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            found.push(port);
        }
    }
    found
}
