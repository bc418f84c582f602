//! Models behind an HTTP service that speaks JSON.
//!
//! ```text
//! POST url   {"model": name, "parameters": {…}, "context": …, "inputs": [{field: value, …}, …]}
//! 200        {"outputs": [{field: value, …} or null, …], "errors": [null or text, …]}
//! ```
//! `outputs` has one entry for each input, in order; `errors` may be left out. Other answers fail the call: 429, 5xx,
//! timeouts and broken connections after some attempts with growing, jittered pauses, the rest at once.
//!
//! Promises: at most `concurrency` requests are under way, each of at most `batch_rows` rows, and no answer is read
//! beyond a bound. A token comes from an environment variable and stands in no message. Never speaks TLS: that is the
//! business of a proxy beside it.

mod protocol;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use self::protocol::Protocol;
use super::{FailedRow, Inferred, ModelBackend, ModelCall, number};
use crate::error::{Error, Result};
use crate::spawn::IoPool;

/// The parameters that are this backend's own; the others are the model's.
const OWN: [&str; 7] = [
    "url",
    "timeout_millis",
    "attempts",
    "pause_millis",
    "batch_rows",
    "concurrency",
    "token_variable",
];
/// An answer may be as long as this.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Pauses do not grow beyond so many times the first.
const PAUSE_GROWTH_MAX: u32 = 64;

/// The backend.
#[derive(Debug)]
pub(super) struct Http {
    pool: IoPool,
    service: Arc<Service>,
    batch_rows: usize,
    concurrency: usize,
}

/// The service, and how it is asked.
#[derive(Debug)]
struct Service {
    client: Client<HttpConnector, Full<Bytes>>,
    url: Uri,
    token: Option<HeaderValue>,
    timeout: Duration,
    attempts: u32,
    pause: Duration,
}

/// What came of one attempt.
enum Attempt {
    Answered(Bytes),
    /// Asking again may help.
    Failed(String),
    Refused(String),
}

impl Http {
    pub(super) fn new(parameters: &BTreeMap<String, String>) -> Result<Self> {
        let number = |name, default| number(parameters, name, default);
        let millis = |name, default| number(name, default).map(|n| Duration::from_millis(n.into()));
        Ok(Self {
            batch_rows: number("batch_rows", 256)? as usize,
            concurrency: number("concurrency", 4)? as usize,
            service: Arc::new(Service {
                url: url(parameters)?,
                token: token(parameters)?,
                timeout: millis("timeout_millis", 10_000)?,
                attempts: number("attempts", 4)?,
                pause: millis("pause_millis", 200)?,
                client: Client::builder(TokioExecutor::new()).build_http(),
            }),
            pool: IoPool::new("model")?,
        })
    }
}

fn url(parameters: &BTreeMap<String, String>) -> Result<Uri> {
    let wrong = |problem: &str| {
        Err(Error::ModelParameter {
            parameter: "url",
            problem: problem.into(),
        })
    };
    let Some(text) = parameters.get("url") else {
        return wrong("it is missing: where is the model served?");
    };
    // The text may hold a secret by mistake, so no message repeats it.
    let Ok(url) = text.parse::<Uri>() else {
        return wrong("it is no address such as http://localhost:8080/score");
    };
    if url.scheme_str() != Some("http") {
        return wrong("it does not begin with http://; for https, name a proxy beside this job");
    }
    if url
        .authority()
        .is_none_or(|host| host.as_str().contains('@'))
    {
        return wrong("a name and password do not belong there; see token_variable");
    }
    Ok(url)
}

/// The value of the header that carries the token which an environment variable holds.
fn token(parameters: &BTreeMap<String, String>) -> Result<Option<HeaderValue>> {
    let Some(variable) = parameters.get("token_variable") else {
        return Ok(None);
    };
    let wrong = |problem: String| Error::ModelParameter {
        parameter: "token_variable",
        problem,
    };
    let token = std::env::var(variable)
        .map_err(|_| wrong(format!("no environment variable {variable} is set")))?;
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
        .map_err(|_| wrong(format!("{variable} holds no token that a header can carry")))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

impl ModelBackend for Http {
    fn infer(&self, call: &ModelCall<'_>, inputs: &RecordBatch) -> Result<Inferred> {
        let (rows, batch_rows) = (inputs.num_rows(), self.batch_rows);
        let protocol = Arc::new(Protocol::of(call, &OWN));
        let model: Arc<str> = call.model.into();
        let (own, service, inputs) = (
            Arc::clone(&protocol),
            Arc::clone(&self.service),
            inputs.clone(),
        );
        let starts = (0..rows).step_by(batch_rows);
        let asked = stream::iter(starts).map(move |start| {
            let batch = inputs.slice(start, batch_rows.min(rows - start));
            let (service, protocol) = (Arc::clone(&service), Arc::clone(&own));
            let model = Arc::clone(&model);
            async move { service.infer(&model, &protocol, &batch).await }
        });
        let answers = asked.buffered(self.concurrency).try_collect::<Vec<_>>();
        let answers = self.pool.wait(answers)?;
        let (mut failed, mut start) = (vec![], 0);
        for answer in &answers {
            failed.extend(answer.failed.iter().map(|failed| FailedRow {
                row: start + failed.row,
                reason: failed.reason.clone(),
            }));
            start += answer.outputs.num_rows();
        }
        let outputs = answers.iter().map(|answer| &answer.outputs);
        let outputs = concat_batches(protocol.outputs(), outputs)
            .expect("all batches have the columns of the protocol");
        Ok(Inferred { outputs, failed })
    }
}

impl Service {
    /// The answers to the rows of one request.
    async fn infer(
        &self,
        model: &str,
        protocol: &Protocol,
        rows: &RecordBatch,
    ) -> Result<Inferred> {
        let in_vain = |problem: String| Error::ModelAnswer {
            model: model.into(),
            problem: format!("{problem} ({})", self.shown()),
        };
        let body = Bytes::from(protocol.body(rows).map_err(in_vain)?);
        let mut attempts = 0;
        let answer = loop {
            attempts += 1;
            let problem = match self.attempt(body.clone()).await {
                Attempt::Answered(answer) => break answer,
                Attempt::Refused(problem) => return Err(in_vain(problem)),
                Attempt::Failed(problem) => problem,
            };
            tracing::debug!(model, attempts, problem, "a request to a model failed");
            if attempts >= self.attempts {
                return Err(Error::ModelUnreachable {
                    model: model.into(),
                    problem: format!("{problem}, {attempts} times ({})", self.shown()),
                });
            }
            tokio::time::sleep(jittered(self.pause, attempts)).await;
        };
        protocol.read(&answer, rows.num_rows()).map_err(in_vain)
    }

    async fn attempt(&self, body: Bytes) -> Attempt {
        match tokio::time::timeout(self.timeout, self.post(body)).await {
            Ok(attempt) => attempt,
            Err(_) => Attempt::Failed(format!("no answer within {} ms", self.timeout.as_millis())),
        }
    }

    async fn post(&self, body: Bytes) -> Attempt {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        let request = request
            .body(Full::new(body))
            .expect("address and headers were checked");
        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) => return Attempt::Failed(with_causes(&error)),
        };
        let status = response.status();
        let answer = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let answer = match answer.collect().await {
            Ok(answer) => answer.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let limit = ANSWER_BYTES_MAX >> 20;
                let problem = format!("its answer is above {limit} MiB; lower batch_rows");
                return Attempt::Refused(problem);
            }
            Err(error) => return Attempt::Failed(with_causes(error.as_ref())),
        };
        if status.is_success() {
            Attempt::Answered(answer)
        } else if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            Attempt::Failed(format!("status {status}"))
        } else {
            let text = String::from_utf8_lossy(&answer);
            let text: String = text.trim().chars().take(200).collect();
            Attempt::Refused(format!("status {status}: {text}"))
        }
    }

    /// The address without what follows its path: that may be nobody's business.
    fn shown(&self) -> String {
        let host = self.url.authority().map_or("", |host| host.as_str());
        format!("http://{host}{}", self.url.path())
    }
}

/// The pause after so many attempts: twice as long each time, and between half and one and a half of that, so that
/// many callers do not come back together.
fn jittered(first: Duration, attempts: u32) -> Duration {
    let growth = 2_u32.saturating_pow(attempts - 1).min(PAUSE_GROWTH_MAX);
    let random = RandomState::new().hash_one(attempts) >> 32;
    #[expect(clippy::cast_precision_loss, reason = "32 bits fit")]
    let share = random as f64 / f64::from(u32::MAX);
    (first * growth).mul_f64(0.5 + share)
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(parameters: &[(&str, &str)]) -> String {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let parameters = parameters.iter().map(pair).collect();
        Http::new(&parameters).unwrap_err().to_string()
    }

    /// Wrong parameters are told by name, and nothing that may be secret is repeated.
    #[test]
    fn wrong_parameters() {
        assert!(problem(&[]).contains("url is wrong: it is missing"));
        assert!(problem(&[("url", "https://host/")]).contains("proxy"));
        let secret = problem(&[("url", "http://me:secret@host/")]);
        assert!(secret.contains("token_variable"), "{secret}");
        assert!(!secret.contains("secret"), "{secret}");
        let here = ("url", "http://localhost:1/");
        for name in [
            "timeout_millis",
            "attempts",
            "pause_millis",
            "batch_rows",
            "concurrency",
        ] {
            for value in ["0", "-1", "many", "4294967296"] {
                let text = problem(&[here, (name, value)]);
                assert!(text.contains(name) && text.contains(value), "{text}");
            }
        }
        let unset = problem(&[here, ("token_variable", "UNSKEWED_NO_SUCH_TOKEN")]);
        assert!(unset.contains("UNSKEWED_NO_SUCH_TOKEN"), "{unset}");
    }

    /// Pauses grow up to a bound, and differ.
    #[test]
    fn pauses() {
        let first = Duration::from_millis(100);
        for (attempts, growth) in [(1, 1), (2, 2), (5, 16), (60, PAUSE_GROWTH_MAX)] {
            let pause = jittered(first, attempts);
            let whole = first * growth;
            assert!(pause >= whole / 2 && pause <= whole * 3 / 2, "{pause:?}");
        }
        let differ = (0..8).any(|_| jittered(first, 1) != jittered(first, 1));
        assert!(differ);
    }
}
