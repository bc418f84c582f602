//! Answers: a status and a body of JSON or text.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;

/// The answer to a request.
pub(crate) type Answer = Response<Full<Bytes>>;

/// JSON with this status.
pub(crate) fn json(status: StatusCode, body: &Value) -> Answer {
    with_type(status, "application/json", body.to_string())
}

/// Text with this status.
pub(crate) fn text(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    with_type(status, content_type, body)
}

/// What was wrong with the whole request.
pub(crate) fn errors(status: StatusCode, problem: impl Into<String>) -> Answer {
    let problem: String = problem.into();
    json(status, &serde_json::json!({"errors": [problem]}))
}

fn with_type(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
