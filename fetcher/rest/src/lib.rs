//! HTTP face of the fetcher: features for keys, as JSON.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/features/{join,groupby}/NAME`, `POST /v1/fetch/{join,groupby}/NAME` | a row for each object of keys in the body's list, in order |
//! | `POST /v2/fetch/join/NAME` | the same, each row's values as an Avro datum in Base64 |
//! | `GET /v1/joins`, `GET /v1/{join,groupby}/NAME/schema` | names of joins that are online; schemas of keys and values |
//! | `GET /ping` | `"Pong!"` |
//! | `GET /health`, `GET /ready` | whether the process lives; whether the store answers |
//! | `GET /config` | what it was started with, secrets left out |
//! | `GET /metrics` | Prometheus' text format |
//!
//! Promises: whatever is sent, the process lives and says what was wrong; a request takes no more body, rows and time
//! than it is allowed; a token is never logged. Knows no feature: it calls [`unskewed_fetcher`].

mod access;
mod answer;
mod app;
mod external;
mod limits;
mod observed;
mod route;
mod server;
mod tls;

pub use access::Tokens;
pub use app::App;
pub use external::{HttpSource, InvalidAddress, Patience};
pub use limits::Limits;
pub use observed::Metrics;
pub use server::{Server, ServerError, Settings, told_to_stop};
pub use tls::TlsFiles;
