//! Sources of features outside of the store: whoever answers for them is registered by the source's name.
//!
//! Promises: equal requests of one call are asked once; a source that fails costs its own features.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::error::FetchError;
use crate::value::Value;

/// The keys of a request to an external source, by its own names.
pub type Keys = BTreeMap<String, Value>;

/// The values of an answer, by the source's own names; or why there are none.
pub type Answer = Result<BTreeMap<String, Value>, String>;

/// Answers for an external source.
///
/// # Contract
/// One answer for each request, in their order. It bounds its own time.
pub trait Handler: Send + Sync {
    /// Answers requests.
    fn fetch<'a>(&'a self, requests: &'a [Keys]) -> BoxFuture<'a, Vec<Answer>>;
}

/// Handlers by the names of their sources.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<String, Arc<dyn Handler>>);

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Registry {
    /// Registers a handler; the one before it of the same name is forgotten.
    pub fn register(&mut self, source: impl Into<String>, handler: Arc<dyn Handler>) {
        self.0.insert(source.into(), handler);
    }

    /// Asks a source; one outcome for each of the requests.
    pub(crate) async fn ask(
        &self,
        source: &str,
        requests: &[Keys],
    ) -> Vec<Result<BTreeMap<String, Value>, FetchError>> {
        let Some(handler) = self.0.get(source) else {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let error = FetchError::Unregistered {
                name: source.into(),
                known: known.join(", "),
            };
            return requests.iter().map(|_| Err(error.clone())).collect();
        };
        let failed = |reason: String| FetchError::External {
            name: source.into(),
            reason,
        };
        let answers = handler.fetch(requests).await;
        if answers.len() != requests.len() {
            let reason = format!("{} answers to {} requests", answers.len(), requests.len());
            return requests
                .iter()
                .map(|_| Err(failed(reason.clone())))
                .collect();
        }
        let answers = answers.into_iter();
        answers.map(|answer| answer.map_err(failed)).collect()
    }
}
