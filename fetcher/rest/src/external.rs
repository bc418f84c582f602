//! External sources behind an HTTP service that speaks JSON.
//!
//! ```text
//! POST url   {"source": name, "requests": [{key: value, …}, …]}
//! 200        {"answers": [{field: value, …} or null, …], "errors": [null or text, …]}
//! ```
//! `answers` has one entry for each request, in order; null says that there is nothing of the keys. `errors` may be left
//! out; a text among them fails its own request.
//!
//! Promises: no call takes longer than it may, waiting for its turn included; at most so many requests are under way at
//! once, each of at most 256 rows; no answer is read beyond a bound; whatever comes back, each request gets its
//! values or a reason. Nothing is asked twice: that is for who waits longer than a fetch can. Never speaks TLS, which is
//! the business of a proxy beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Map, Value as Json, json};
use tokio::sync::Semaphore;
use unskewed_fetcher::Value;
use unskewed_fetcher::external::{Answer, Handler, Keys};

/// Keys in one request; more are asked for side by side.
const ROWS_MAX: usize = 256;
/// An answer may be as long as this.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// How a source is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a call may take.
    pub time: Duration,
    /// Requests under way at once.
    pub concurrency: usize,
}

/// An address that cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("external source {source_name}: {problem}")]
pub struct InvalidAddress {
    /// The source.
    pub source_name: String,
    /// Why. The address may hold a secret by mistake, so it is not repeated.
    pub problem: &'static str,
}

/// A source behind an HTTP service.
#[derive(Debug)]
pub struct HttpSource {
    name: String,
    url: Uri,
    client: Client<HttpConnector, Full<Bytes>>,
    places: Semaphore,
    time: Duration,
}

impl HttpSource {
    /// The source of a name at an address.
    pub fn new(name: &str, url: &str, patience: Patience) -> Result<Self, InvalidAddress> {
        let invalid = |problem| InvalidAddress {
            source_name: name.into(),
            problem,
        };
        let url: Uri = url
            .parse()
            .map_err(|_| invalid("it is no address such as http://localhost:8080/features"))?;
        if url.scheme_str() != Some("http") {
            let problem = "its address does not begin with http://; for https, name a proxy beside the service";
            return Err(invalid(problem));
        }
        let host = url.authority();
        if host.is_none_or(|host| host.as_str().contains('@')) {
            return Err(invalid("a name and password do not belong in its address"));
        }
        Ok(Self {
            name: name.into(),
            url,
            client: Client::builder(TokioExecutor::new()).build_http(),
            places: Semaphore::new(patience.concurrency.max(1)),
            time: patience.time,
        })
    }

    /// The answers to the rows of one request; or why there are none.
    async fn ask(&self, rows: &[Keys]) -> Result<Vec<Answer>, String> {
        let asked = async {
            let _place = self.places.acquire().await;
            self.post(self.body(rows)).await
        };
        let answer = tokio::time::timeout(self.time, asked).await;
        let late = |_| format!("no answer within {} ms", self.time.as_millis());
        read(&answer.map_err(late)??, rows.len())
    }

    fn body(&self, rows: &[Keys]) -> Bytes {
        let row = |keys: &Keys| {
            let named = keys.iter();
            let named = named.map(|(name, value)| (name.clone(), value.to_json()));
            Json::Object(named.collect::<Map<_, _>>())
        };
        let rows: Vec<Json> = rows.iter().map(row).collect();
        let body = json!({"source": self.name, "requests": rows});
        Bytes::from(body.to_string())
    }

    async fn post(&self, body: Bytes) -> Result<Bytes, String> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        let response = self.client.request(request).await;
        let response = response.map_err(|error| with_causes(&error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("status {status}"));
        }
        let answer = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
        match answer.await {
            Ok(answer) => Ok(answer.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(format!(
                "its answer is above {} MiB",
                ANSWER_BYTES_MAX >> 20
            )),
            Err(error) => Err(with_causes(error.as_ref())),
        }
    }
}

impl Handler for HttpSource {
    fn fetch<'a>(&'a self, requests: &'a [Keys]) -> BoxFuture<'a, Vec<Answer>> {
        let one = |rows: &'a [Keys]| async move {
            match self.ask(rows).await {
                Ok(answers) => answers,
                Err(reason) => vec![Err(reason); rows.len()],
            }
        };
        let all = join_all(requests.chunks(ROWS_MAX).map(one));
        Box::pin(async { all.await.concat() })
    }
}

/// The answers to so many rows that a body says.
fn read(body: &[u8], rows: usize) -> Result<Vec<Answer>, String> {
    let body = serde_json::from_slice(body).map_err(|error| format!("it is no JSON: {error}"));
    let mut body: Json = body?;
    let mut taken = |name: &str| body.get_mut(name).map(Json::take).unwrap_or_default();
    let (answers, errors) = (taken("answers"), taken("errors"));
    let Json::Array(answers) = answers else {
        return Err("its JSON has no list \"answers\"".into());
    };
    if answers.len() != rows {
        return Err(format!("{} answers to {rows} requests", answers.len()));
    }
    let errors = match errors {
        Json::Null => vec![Json::Null; rows],
        Json::Array(errors) if errors.len() == rows => errors,
        _ => return Err(format!("its \"errors\" are no list of {rows}")),
    };
    let answered = answers.into_iter().zip(errors);
    Ok(answered.map(|(answer, error)| one(answer, error)).collect())
}

fn one(answer: Json, error: Json) -> Answer {
    match (answer, error) {
        (_, Json::String(reason)) => Err(reason),
        (_, error) if !error.is_null() => Err(format!("its error is no text but {error}")),
        (Json::Null, _) => Ok(BTreeMap::new()),
        (Json::Object(values), _) => {
            let values = values.iter();
            Ok(values
                .map(|(name, value)| (name.clone(), Value::from_json(value)))
                .collect())
        }
        (other, _) => Err(format!(
            "its answer is no object but {}",
            Value::from_json(&other).kind()
        )),
    }
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
