//! The client of a schema registry that speaks as Confluent's does.
//!
//! Promises: asked once for each id. What is not there is `None`; a registry that does not answer, or answers with a
//! fault of its own, is asked again some times with growing pauses, and then is an error that may pass. The password
//! comes from an environment variable and stands in no message. No answer is read beyond a bound.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::error::{Error, Result, Retry};
use crate::spawn::IoPool;
use crate::stream::RegistryAddress;

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the registry is asked for one thing.
const ATTEMPTS: u32 = 4;
/// The first pause after an attempt; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(100);
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Schemas that refer to schemas beyond this are nobody's.
const REFERENCES_MAX: usize = 1000;

/// The client.
#[derive(Debug)]
pub(super) struct Registry {
    pool: IoPool,
    client: Client<HttpConnector, Empty<Bytes>>,
    url: String,
    login: Option<HeaderValue>,
}

/// What came of one attempt.
enum Attempt {
    Answered(Value),
    Absent,
    /// Asking again may help.
    Failed(String),
    Refused(String),
}

impl Registry {
    pub(super) fn open(address: &RegistryAddress) -> Result<Self> {
        let url = address.url.trim_end_matches('/').to_owned();
        let wrong = |problem: &str| {
            // The text may hold a password by mistake, so it is not repeated.
            Error::Registry {
                url: "address".into(),
                problem: format!("is wrong: {problem}"),
                retry: Retry::Never,
            }
        };
        let parsed: Uri = url
            .parse()
            .map_err(|_| wrong("it is no address such as http://localhost:8081"))?;
        if parsed.scheme_str() != Some("http") {
            return Err(wrong(
                "it does not begin with http://; for https, name a proxy beside this job",
            ));
        }
        if parsed
            .authority()
            .is_none_or(|host| host.as_str().contains('@'))
        {
            return Err(wrong(
                "name and password belong into registry_user and registry_password_variable",
            ));
        }
        Ok(Self {
            pool: IoPool::new("registry")?,
            client: Client::builder(TokioExecutor::new()).build_http(),
            login: login(address, &wrong)?,
            url,
        })
    }

    /// The schema of an id, after those it refers to.
    pub(super) fn schema(&self, id: u32) -> Result<Option<Vec<String>>> {
        let Some(answer) = self.get(&format!("/schemas/ids/{id}"))? else {
            return Ok(None);
        };
        self.with_references(&answer)
    }

    /// The latest schema of a subject, after those it refers to.
    pub(super) fn latest(&self, subject: &str) -> Result<Option<Vec<String>>> {
        let subject = encoded(subject);
        let Some(answer) = self.get(&format!("/subjects/{subject}/versions/latest"))? else {
            return Ok(None);
        };
        self.with_references(&answer)
    }

    /// Schemas come after those they refer to, each once.
    fn with_references(&self, answer: &Value) -> Result<Option<Vec<String>>> {
        // To visit, and whether what it refers to has been.
        let mut open = vec![(answer.clone(), false)];
        let mut seen: Vec<String> = vec![];
        let mut texts = vec![];
        while let Some((answer, is_visited)) = open.pop() {
            if is_visited {
                let text = answer.get("schema").and_then(Value::as_str);
                let text = text.ok_or_else(|| self.failed("answers without a schema"))?;
                texts.push(text.to_owned());
                continue;
            }
            let references = answer.get("references").and_then(Value::as_array);
            let references = references.cloned().unwrap_or_default();
            open.push((answer, true));
            for reference in references {
                let subject = reference.get("subject").and_then(Value::as_str);
                let version = reference.get("version").and_then(Value::as_i64);
                let (Some(subject), Some(version)) = (subject, version) else {
                    return Err(self.failed("answers with a reference that names no version"));
                };
                let path = format!("/subjects/{}/versions/{version}", encoded(subject));
                if seen.contains(&path) {
                    continue;
                }
                if seen.len() == REFERENCES_MAX {
                    return Err(self.failed("answers with too many references"));
                }
                let Some(found) = self.get(&path)? else {
                    return Ok(None);
                };
                seen.push(path);
                open.push((found, false));
            }
        }
        Ok(Some(texts))
    }

    fn failed(&self, problem: &str) -> Error {
        Error::Registry {
            url: self.url.clone(),
            problem: problem.into(),
            retry: Retry::Never,
        }
    }

    fn get(&self, path: &str) -> Result<Option<Value>> {
        let mut request = Request::get(format!("{}{path}", self.url)).header(
            ACCEPT,
            "application/vnd.schemaregistry.v1+json, application/json",
        );
        if let Some(login) = &self.login {
            request = request.header(AUTHORIZATION, login.clone());
        }
        let request = request
            .body(Empty::new())
            .map_err(|_| self.failed("cannot be asked: its address is wrong"))?;
        let client = self.client.clone();
        let asked = self.pool.wait(ask(client, request));
        match asked {
            Attempt::Answered(answer) => Ok(Some(answer)),
            Attempt::Absent => Ok(None),
            Attempt::Refused(problem) => Err(self.failed(&format!("refuses {path}: {problem}"))),
            Attempt::Failed(problem) => Err(Error::Registry {
                url: self.url.clone(),
                problem: format!("was asked for {path} {ATTEMPTS} times in vain: {problem}"),
                retry: Retry::Backoff,
            }),
        }
    }
}

/// The value of the header that says who asks.
fn login(address: &RegistryAddress, wrong: &impl Fn(&str) -> Error) -> Result<Option<HeaderValue>> {
    let (Some(user), Some(variable)) = (&address.user, &address.password_variable) else {
        return Ok(None);
    };
    let password = std::env::var(variable)
        .map_err(|_| wrong(&format!("no environment variable {variable} is set")))?;
    let login = STANDARD.encode(format!("{user}:{}", password.trim()));
    let mut value = HeaderValue::try_from(format!("Basic {login}"))
        .expect("base64 is text that a header can carry");
    value.set_sensitive(true);
    Ok(Some(value))
}

/// A subject as part of an address.
fn encoded(subject: &str) -> String {
    let mut path = String::with_capacity(subject.len());
    for byte in subject.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                path.push(char::from(byte));
            }
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

async fn ask(
    client: Client<HttpConnector, Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
) -> Attempt {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let attempt = tokio::time::timeout(ANSWER_TIMEOUT, attempt(&client, &request)).await;
        let attempt = attempt.unwrap_or_else(|_| Attempt::Failed("no answer in time".into()));
        if !matches!(attempt, Attempt::Failed(_)) || attempts == ATTEMPTS {
            return attempt;
        }
        tokio::time::sleep(PAUSE * 2_u32.pow(attempts - 1)).await;
    }
}

async fn attempt(
    client: &Client<HttpConnector, Empty<Bytes>>,
    request: &Request<Empty<Bytes>>,
) -> Attempt {
    let response = match client.request(request.clone()).await {
        Ok(response) => response,
        Err(error) => return Attempt::Failed(with_causes(&error)),
    };
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Attempt::Failed(with_causes(error.as_ref())),
    };
    if status.is_success() {
        return match serde_json::from_slice(&body) {
            Ok(answer) => Attempt::Answered(answer),
            Err(_) => Attempt::Refused("its answer is no JSON; is it a registry?".into()),
        };
    }
    if status == StatusCode::NOT_FOUND {
        // A registry says what it does not know in JSON; anything else is something else.
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        return match answer.is_some_and(|answer| answer.get("error_code").is_some()) {
            true => Attempt::Absent,
            false => Attempt::Refused("nothing is there; is it a registry?".into()),
        };
    }
    match status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        true => Attempt::Failed(format!("status {status}")),
        false => Attempt::Refused(format!("status {status}")),
    }
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

#[cfg(test)]
mod tests;
