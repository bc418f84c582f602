//! What is known by name and refreshed behind the requests' back: definitions, serving infos, and what is compiled of
//! them.
//!
//! Promises: a request waits for a load only where nothing is known yet, or where what is known has not been looked
//! after for so long that it may be gone from the store; else it takes what there is. A failed refresh keeps what was
//! there. A thing is replaced whole.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use unskewed_connectors::clock::Clock;

use crate::error::FetchError;

/// Things by name.
pub(crate) struct Known<T> {
    things: RwLock<BTreeMap<String, Entry<T>>>,
    clock: Arc<dyn Clock>,
    max_age: Duration,
}

struct Entry<T> {
    thing: Arc<T>,
    checked: Duration,
}

impl<T> Known<T> {
    /// Nothing yet. What was last looked after longer than `max_age` ago is looked after within the request.
    pub(crate) fn new(clock: Arc<dyn Clock>, max_age: Duration) -> Self {
        Self {
            things: RwLock::default(),
            clock,
            max_age,
        }
    }

    /// The thing of a name, loaded if need be. `load` gets what is known, and gives it back if it is still right.
    pub(crate) fn get(
        &self,
        name: &str,
        load: impl FnOnce(Option<&Arc<T>>) -> Result<Arc<T>, FetchError>,
    ) -> Result<Arc<T>, FetchError> {
        let known = {
            let things = self.things.read().unwrap_or_else(PoisonError::into_inner);
            let entry = things.get(name);
            entry.map(|entry| (Arc::clone(&entry.thing), entry.checked))
        };
        let now = self.clock.monotonic();
        match known {
            Some((thing, checked)) if now.saturating_sub(checked) < self.max_age => Ok(thing),
            known => self.load(name, known.map(|(thing, _)| thing).as_ref(), load),
        }
    }

    /// Looks after everything that is known; what cannot be loaded stays as it was, and is told.
    pub(crate) fn refresh(
        &self,
        mut load: impl FnMut(&str, &Arc<T>) -> Result<Arc<T>, FetchError>,
    ) -> Vec<(String, FetchError)> {
        let known: Vec<(String, Arc<T>)> = {
            let things = self.things.read().unwrap_or_else(PoisonError::into_inner);
            let things = things.iter();
            things
                .map(|(name, entry)| (name.clone(), Arc::clone(&entry.thing)))
                .collect()
        };
        let mut failed = Vec::new();
        for (name, thing) in known {
            let loaded = self.load(&name, Some(&thing), |known| {
                load(&name, known.unwrap_or(&thing))
            });
            failed.extend(loaded.err().map(|error| (name, error)));
        }
        failed
    }

    fn load(
        &self,
        name: &str,
        known: Option<&Arc<T>>,
        load: impl FnOnce(Option<&Arc<T>>) -> Result<Arc<T>, FetchError>,
    ) -> Result<Arc<T>, FetchError> {
        // As of before the load: what changes meanwhile is seen by the next.
        let checked = self.clock.monotonic();
        let thing = load(known)?;
        let entry = Entry {
            thing: Arc::clone(&thing),
            checked,
        };
        let mut things = self.things.write().unwrap_or_else(PoisonError::into_inner);
        things.insert(name.to_owned(), entry);
        Ok(thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unskewed_connectors::clock::ManualClock;

    /// A thing is loaded once, again when it has grown old, and stays when a refresh fails.
    #[test]
    fn loads_when_needed() {
        let clock = Arc::new(ManualClock::at_millis(0));
        let known = Known::new(
            Arc::clone(&clock) as Arc<dyn Clock>,
            Duration::from_secs(30),
        );
        let failure = || FetchError::Store {
            reason: "gone".into(),
        };
        assert_eq!(
            known.get("a", |_| Err::<Arc<i32>, _>(failure())),
            Err(failure())
        );
        assert_eq!(known.get("a", |_| Ok(Arc::new(1))), Ok(Arc::new(1)));
        assert_eq!(known.get("a", |_| Ok(Arc::new(2))), Ok(Arc::new(1)));
        let failed = known.refresh(|_, _| Err(failure()));
        assert_eq!(failed, [("a".to_owned(), failure())]);
        assert_eq!(known.get("a", |_| Ok(Arc::new(2))), Ok(Arc::new(1)));
        assert!(known.refresh(|_, _| Ok(Arc::new(3))).is_empty());
        assert_eq!(known.get("a", |_| Ok(Arc::new(4))), Ok(Arc::new(3)));
        clock.advance(Duration::from_secs(31));
        assert_eq!(
            known.get("a", |old| Ok(Arc::new(**old.unwrap() + 2))),
            Ok(Arc::new(5))
        );
    }
}
