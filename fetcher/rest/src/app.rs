//! What a request gets, HTTP aside: from a route and a body to an answer.
//!
//! Promises: rows are answered in the order of their keys, each with its own status; a body that is no list of objects
//! of keys is refused whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use serde_json::{Map, Value as Json, json};
use unskewed_connectors::clock::Clock;
use unskewed_fetcher::{Features, FetchError, Fetcher, Request, Response, Value};

use crate::answer::{self, Answer};
use crate::limits::Limits;
use crate::observed::Metrics;
use crate::route::{Form, Kind, Route};

/// What answers requests.
pub struct App {
    fetcher: Arc<Fetcher>,
    limits: Limits,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    config: Json,
}

impl App {
    /// An app over a fetcher. `config` is what `GET /config` shows.
    pub fn new(
        fetcher: Arc<Fetcher>,
        limits: Limits,
        metrics: Metrics,
        clock: Arc<dyn Clock>,
        config: Json,
    ) -> Self {
        Self {
            fetcher,
            limits,
            metrics,
            clock,
            config,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Time since some moment before.
    pub(crate) fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// The answer to a request whose body is within bounds.
    pub(crate) async fn answer(&self, route: &Route, body: &[u8]) -> Answer {
        match route {
            Route::Ping => answer::json(StatusCode::OK, &"Pong!".into()),
            Route::Health => answer::json(StatusCode::OK, &json!({"status": "alive"})),
            Route::Ready => self.ready(),
            Route::Config => answer::json(StatusCode::OK, &self.config),
            Route::Metrics => {
                let text = self.metrics.render();
                answer::text(StatusCode::OK, "text/plain; version=0.0.4", text)
            }
            Route::Joins => self.joins(),
            Route::Schema { kind, name } => self.schema(*kind, name),
            Route::Features {
                kind,
                form,
                name,
                at_millis,
            } => {
                let responses = self.features(*kind, name, *at_millis, body).await;
                responses.map_or_else(
                    |refused| refused,
                    |answered| self.rows(*form, name, answered),
                )
            }
        }
    }

    fn joins(&self) -> Answer {
        match self.fetcher.joins() {
            Ok(names) => answer::json(StatusCode::OK, &json!({"joinNames": names})),
            Err(error) => failed(&error),
        }
    }

    fn ready(&self) -> Answer {
        match self.fetcher.check_store() {
            Ok(()) => answer::json(StatusCode::OK, &json!({"status": "ready"})),
            Err(error) => answer::errors(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }

    fn schema(&self, kind: Kind, name: &str) -> Answer {
        let schema = match kind {
            Kind::Join => self.fetcher.join_schema(name),
            Kind::GroupBy => self.fetcher.group_by_schema(name),
        };
        match schema {
            Ok(schema) => answer::json(StatusCode::OK, &schema),
            Err(error) => failed(&error),
        }
    }

    /// The objects of keys and what each gets; or the answer to a request that is refused or failed as a whole.
    async fn features(
        &self,
        kind: Kind,
        name: &str,
        at_millis: Option<i64>,
        body: &[u8],
    ) -> Result<Vec<(Json, Response)>, Answer> {
        let rows: Vec<Json> = match serde_json::from_slice(body) {
            Ok(Json::Array(rows)) => rows,
            Ok(_) => return Err(refused("the body must be a list of objects of keys")),
            Err(error) => return Err(refused(format!("the body is no JSON: {error}"))),
        };
        if rows.len() > self.limits.rows {
            let problem = format!("{} rows, allowed are {}", rows.len(), self.limits.rows);
            return Err(answer::errors(StatusCode::PAYLOAD_TOO_LARGE, problem));
        }
        let mut requests = Vec::with_capacity(rows.len());
        for (number, row) in rows.iter().enumerate() {
            let Json::Object(keys) = row else {
                return Err(refused(format!("row {number} is no object of keys")));
            };
            let keys = keys
                .iter()
                .map(|(name, value)| (name.clone(), Value::from_json(value)));
            requests.push(Request {
                name: name.to_owned(),
                keys: keys.collect::<BTreeMap<_, _>>(),
                at_millis,
            });
        }
        let responses = match kind {
            Kind::Join => self.fetcher.fetch_join(&requests).await,
            Kind::GroupBy => self.fetcher.fetch_group_by(&requests),
        };
        // What is wrong with a join's definition is wrong with the whole request.
        if let (Kind::Join, Some(Err(error))) = (kind, responses.first().map(|r| &r.outcome)) {
            return Err(failed(error));
        }
        Ok(rows.into_iter().zip(responses).collect())
    }

    fn rows(&self, form: Form, name: &str, answered: Vec<(Json, Response)>) -> Answer {
        let row = |(keys, response): (Json, Response)| {
            let told = match (response.outcome, form) {
                (Ok(None), _) => Ok(Map::new()),
                (Ok(Some(features)), Form::Named) => Ok(named(&features)),
                (Ok(Some(features)), Form::Datum) => self.datum(name, features),
                (Err(error), _) => Err(error),
            };
            let mut row = Map::new();
            let status = if told.is_ok() { "Success" } else { "Failure" };
            row.insert("status".into(), status.into());
            row.insert("entityKeys".into(), keys);
            match told {
                Ok(told) => row.extend(told),
                Err(error) => drop(row.insert("error".into(), error.to_string().into())),
            }
            Json::Object(row)
        };
        let results: Vec<Json> = answered.into_iter().map(row).collect();
        answer::json(StatusCode::OK, &json!({"results": results}))
    }

    /// Values as one datum, and beside it what failed.
    fn datum(&self, name: &str, features: Features) -> Result<Map<String, Json>, FetchError> {
        let datum = self.fetcher.join_datum(name, &features)?;
        let errors = Features {
            failures: features.failures,
            values: BTreeMap::new(),
        };
        let mut told = Map::new();
        told.insert("featureAvroString".into(), STANDARD.encode(datum).into());
        told.insert("featuresErrors".into(), Json::Object(errors.to_json()));
        Ok(told)
    }
}

/// Values and what failed, by name.
fn named(features: &Features) -> Map<String, Json> {
    Map::from_iter([("features".to_owned(), Json::Object(features.to_json()))])
}

fn refused(problem: impl Into<String>) -> Answer {
    answer::errors(StatusCode::BAD_REQUEST, problem)
}

fn failed(error: &FetchError) -> Answer {
    let status = match error {
        FetchError::UnknownJoin { .. } | FetchError::UnknownGroupBy { .. } => StatusCode::NOT_FOUND,
        FetchError::Store { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    answer::errors(status, error.to_string())
}
