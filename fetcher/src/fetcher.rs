//! The story of a request, top to bottom.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use unskewed_connectors::clock::Clock;
use unskewed_connectors::kv::{Get, KvStore, Timed};
use unskewed_planner::definition::{Definition, Dialect};
use unskewed_planner::serving::{METADATA_DATASET, batch_dataset};

use crate::error::FetchError;
use crate::external::{Keys, Registry};
use crate::group::{Asked, Group, Row};
use crate::join::{Collected, Join};
use crate::known::Known;
use crate::listing;
use crate::log::ResponseLog;
use crate::observed;
use crate::request::{Features, Request, Response};
use crate::value::Value;

/// How a fetcher behaves.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Which fork of the reference wrote the definitions.
    pub dialect: Dialect,
    /// What was looked after longer ago than this is looked after within a request.
    pub max_age: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dialect: Dialect::Airbnb,
            max_age: Duration::from_secs(30),
        }
    }
}

/// Answers requests.
pub struct Fetcher {
    store: Arc<dyn KvStore>,
    clock: Arc<dyn Clock>,
    externals: Registry,
    log: Option<Arc<dyn ResponseLog>>,
    settings: Settings,
    groups: Known<Group>,
    joins: Known<Join>,
}

/// What one group-by was asked, by whom.
struct Question {
    /// The number of the request.
    request: usize,
    /// The part of the request's join; nothing for a request to a group-by.
    part: Option<usize>,
    keys: Keys,
    at_millis: i64,
}

/// What one external source is asked, by whom.
#[derive(Default)]
struct Wanted {
    /// Each once.
    keys: Vec<Keys>,
    askers: Vec<Asker>,
}

/// Who asks an external source: a request, by a part of its join, for keys among those wanted.
struct Asker {
    request: usize,
    part: usize,
    keys: usize,
}

/// The keys' bytes of a logged request, and what it collected before derivations.
type Sampled = (Vec<u8>, BTreeMap<String, Value>);

impl Fetcher {
    /// A fetcher over a store.
    pub fn new(
        store: Arc<dyn KvStore>,
        clock: Arc<dyn Clock>,
        externals: Registry,
        settings: Settings,
    ) -> Self {
        Self {
            groups: Known::new(Arc::clone(&clock), settings.max_age),
            joins: Known::new(Arc::clone(&clock), settings.max_age),
            log: None,
            store,
            clock,
            externals,
            settings,
        }
    }

    /// The same fetcher, whose answers of joins that state a sample percent are logged.
    #[must_use]
    pub fn logging(self, log: Arc<dyn ResponseLog>) -> Self {
        Self {
            log: Some(log),
            ..self
        }
    }

    /// Answers requests to group-bys, in their order.
    pub fn fetch_group_by(&self, requests: &[Request]) -> Vec<Response> {
        let (now, begun) = (self.clock.now_millis(), self.clock.monotonic());
        let mut questions: BTreeMap<&str, Vec<Question>> = BTreeMap::new();
        for (number, request) in requests.iter().enumerate() {
            questions.entry(&request.name).or_default().push(Question {
                request: number,
                part: None,
                keys: request.keys.clone(),
                at_millis: request.at_millis.unwrap_or(now),
            });
        }
        let mut outcomes: Vec<Option<Result<Option<Features>, FetchError>>> =
            requests.iter().map(|_| None).collect();
        self.ask_groups(&questions, |question, answer| {
            let features = |(group, row): (&Group, Row)| group.features(row);
            outcomes[question.request] = Some(answer.map(|found| found.map(features)));
        });
        let outcome = |outcome: Option<_>| outcome.unwrap_or(Ok(None));
        let outcomes = outcomes.into_iter();
        let responses: Vec<Response> = outcomes
            .map(|found| Response {
                outcome: outcome(found),
            })
            .collect();
        self.tell("group_by", requests, &responses, begun);
        responses
    }

    /// Counts and measures a call.
    fn tell(&self, kind: &'static str, asked: &[Request], told: &[Response], begun: Duration) {
        let mut by_name: BTreeMap<&str, Vec<&Response>> = BTreeMap::new();
        for (request, response) in asked.iter().zip(told) {
            by_name.entry(&request.name).or_default().push(response);
        }
        for (name, responses) in by_name {
            observed::answered(kind, name, &responses);
        }
        observed::overall(kind, self.clock.monotonic().saturating_sub(begun));
    }

    /// Answers requests to joins, in their order.
    pub async fn fetch_join(&self, requests: &[Request]) -> Vec<Response> {
        let (now, begun) = (self.clock.now_millis(), self.clock.monotonic());
        let joins: Vec<Result<Arc<Join>, FetchError>> = requests
            .iter()
            .map(|request| self.join(&request.name))
            .collect();
        let mut collected: Vec<Collected> = requests.iter().map(|_| Collected::default()).collect();
        let mut questions: BTreeMap<&str, Vec<Question>> = BTreeMap::new();
        for (number, (request, join)) in requests.iter().zip(&joins).enumerate() {
            let Ok(join) = join else { continue };
            for (part, served) in join.served.parts.iter().enumerate() {
                match join.keys_of(&served.full_prefix, &served.keys, &request.keys) {
                    Ok(keys) => questions
                        .entry(&served.group_by)
                        .or_default()
                        .push(Question {
                            request: number,
                            part: Some(part),
                            keys,
                            at_millis: request.at_millis.unwrap_or(now),
                        }),
                    Err(error) => {
                        let prefix = served.full_prefix.clone();
                        collected[number].failures.insert(prefix, error);
                    }
                }
            }
        }
        self.ask_groups(&questions, |question, answer| {
            let (Ok(join), Some(part)) = (&joins[question.request], question.part) else {
                return;
            };
            let prefix = &join.served.parts[part].full_prefix;
            let collected = &mut collected[question.request];
            match answer {
                Ok(None) => {}
                Ok(Some((group, row))) => group.add_to(prefix, row, collected),
                Err(error) => drop(collected.failures.insert(prefix.clone(), error)),
            }
        });
        self.ask_externals(requests, &joins, &mut collected).await;
        let responses = self.finish(requests, &joins, collected, now);
        self.tell("join", requests, &responses, begun);
        responses
    }

    /// Asks every group-by once, all of them with one call to the store.
    fn ask_groups(
        &self,
        questions: &BTreeMap<&str, Vec<Question>>,
        mut tell: impl FnMut(&Question, Result<Option<(&Group, Row)>, FetchError>),
    ) {
        let mut asked: Vec<(Arc<Group>, Vec<Asked<'_>>, &[Question])> = Vec::new();
        for (name, questions) in questions {
            match self.group(name) {
                Ok(group) => {
                    let of = questions.iter().map(|q| (&q.keys, q.at_millis));
                    let encoded = group.ask(&of.collect::<Vec<_>>());
                    asked.push((group, encoded, questions));
                }
                Err(error) => {
                    for question in questions {
                        tell(question, Err(error.clone()));
                    }
                }
            }
        }
        let gets: Vec<Get<'_>> = asked
            .iter()
            .flat_map(|(group, asked, _)| asked.iter().flat_map(|one| group.gets(one)))
            .collect();
        let mut found = self.read(&gets).map(Vec::into_iter);
        for (group, asked, questions) in &asked {
            let rows = match &mut found {
                Ok(found) => group.answer(asked, found),
                Err(error) => asked.iter().map(|_| Err(error.clone())).collect(),
            };
            for (question, row) in questions.iter().zip(rows) {
                tell(question, row.map(|row| Some((&**group, row?))));
            }
        }
    }

    /// Reads rows of the store, all with one call.
    fn read(&self, gets: &[Get<'_>]) -> Result<Vec<Option<Timed>>, FetchError> {
        if gets.is_empty() {
            return Ok(Vec::new());
        }
        let begun = self.clock.monotonic();
        let found = self.store.multi_get(gets);
        let found = found.map_err(|error| FetchError::store(&error))?;
        let bytes = found.iter().flatten().map(|row| row.bytes.len()).sum();
        let took = self.clock.monotonic().saturating_sub(begun);
        observed::store_read(gets.len(), bytes, took);
        Ok(found)
    }

    /// Asks external sources, each once.
    async fn ask_externals(
        &self,
        requests: &[Request],
        joins: &[Result<Arc<Join>, FetchError>],
        collected: &mut [Collected],
    ) {
        let mut wanted: BTreeMap<&str, Wanted> = BTreeMap::new();
        for (number, (request, join)) in requests.iter().zip(joins).enumerate() {
            let Ok(join) = join else { continue };
            for (part, external) in join.served.externals.iter().enumerate() {
                if external.contextual {
                    join.add_contextual(external, &request.keys, &mut collected[number]);
                    continue;
                }
                match join.keys_of(&external.full_prefix, &external.keys, &request.keys) {
                    Ok(keys) => {
                        let wanted = wanted.entry(&external.source).or_default();
                        let at = wanted.keys.iter().position(|known| *known == keys);
                        let at = at.unwrap_or_else(|| {
                            wanted.keys.push(keys);
                            wanted.keys.len() - 1
                        });
                        wanted.askers.push(Asker {
                            request: number,
                            part,
                            keys: at,
                        });
                    }
                    Err(error) => {
                        let prefix = external.full_prefix.clone();
                        collected[number].failures.insert(prefix, error);
                    }
                }
            }
        }
        for (source, wanted) in wanted {
            let answers = self.externals.ask(source, &wanted.keys).await;
            for asker in wanted.askers {
                let Ok(join) = &joins[asker.request] else {
                    continue;
                };
                let collected = &mut collected[asker.request];
                join.add_external(asker.part, &answers[asker.keys], collected);
            }
        }
    }

    /// Derives, join by join, and puts answers in the order of the requests.
    fn finish(
        &self,
        requests: &[Request],
        joins: &[Result<Arc<Join>, FetchError>],
        collected: Vec<Collected>,
        now: i64,
    ) -> Vec<Response> {
        let mut by_join: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (number, request) in requests.iter().enumerate() {
            by_join.entry(&request.name).or_default().push(number);
        }
        let mut collected: Vec<Option<Collected>> = collected.into_iter().map(Some).collect();
        let mut responses: Vec<Option<Response>> = requests.iter().map(|_| None).collect();
        for numbers in by_join.values() {
            let asked: Vec<(&BTreeMap<String, Value>, i64)> = numbers
                .iter()
                .map(|number| {
                    let request = &requests[*number];
                    (&request.keys, request.at_millis.unwrap_or(now))
                })
                .collect();
            let own = numbers
                .iter()
                .map(|number| collected[*number].take().unwrap_or_default());
            let outcomes: Vec<_> = match &joins[numbers[0]] {
                Ok(join) => {
                    let own: Vec<Collected> = own.collect();
                    let sampled = self.sampled(join, &asked, &own);
                    let features = join.finish(&asked, own);
                    self.log(join, &asked, sampled, &features);
                    features
                        .into_iter()
                        .map(|features| Ok(Some(features)))
                        .collect()
                }
                Err(error) => numbers.iter().map(|_| Err(error.clone())).collect(),
            };
            for (number, outcome) in numbers.iter().zip(outcomes) {
                responses[*number] = Some(Response { outcome });
            }
        }
        responses.into_iter().flatten().collect()
    }

    /// The schemas of a group-by's keys and answers.
    pub fn group_by_schema(&self, name: &str) -> Result<serde_json::Value, FetchError> {
        self.group(name).map(|group| group.schema())
    }

    /// The schemas of a join's keys and answers.
    pub fn join_schema(&self, name: &str) -> Result<serde_json::Value, FetchError> {
        self.join(name).map(|join| join.schema())
    }

    /// A join's features as an Avro datum of the value schema that [`Fetcher::join_schema`] tells; what is not among the
    /// features is null.
    pub fn join_datum(&self, name: &str, features: &Features) -> Result<Vec<u8>, FetchError> {
        self.join(name)?.datum(&features.values)
    }

    /// Names of the joins that are online, in order.
    pub fn joins(&self) -> Result<Vec<String>, FetchError> {
        listing::online_joins(self.store.as_ref())
    }

    /// Whether the store answers.
    pub fn check_store(&self) -> Result<(), FetchError> {
        let get = Get {
            dataset: METADATA_DATASET,
            generation: None,
            key: b"",
        };
        let read = self.store.multi_get(&[get]);
        read.map(drop).map_err(|error| FetchError::store(&error))
    }

    /// Looks after everything known, so that requests find it fresh; what could not be, by name. To be called now and
    /// then, more often than the greatest age.
    pub fn refresh(&self) -> Vec<(String, FetchError)> {
        let mut failed = self
            .groups
            .refresh(|name, known| self.load_group(name, Some(known)));
        failed.extend(
            self.joins
                .refresh(|name, known| self.load_join(name, Some(known))),
        );
        failed
    }

    /// Of the requests that are logged, the keys' bytes and what was collected.
    fn sampled(
        &self,
        join: &Join,
        asked: &[(&BTreeMap<String, Value>, i64)],
        collected: &[Collected],
    ) -> Vec<Option<Sampled>> {
        let sampled = |((keys, _), collected): (&(&BTreeMap<String, Value>, i64), &Collected)| {
            self.log.as_ref()?;
            let key_bytes = join.logged_keys(keys);
            let key_bytes = key_bytes.unwrap_or_else(|reason| {
                observed::not_logged(&join.served.name, &reason);
                None
            });
            Some((key_bytes?, collected.values.clone()))
        };
        asked.iter().zip(collected).map(sampled).collect()
    }

    fn log(
        &self,
        join: &Join,
        asked: &[(&BTreeMap<String, Value>, i64)],
        sampled: Vec<Option<Sampled>>,
        features: &[Features],
    ) {
        let Some(log) = &self.log else { return };
        let mut logged = Vec::new();
        for (((_, millis), sampled), features) in asked.iter().zip(sampled).zip(features) {
            let Some((key_bytes, collected)) = sampled else {
                continue;
            };
            match join.logged(key_bytes, *millis, &collected, &features.values) {
                Ok(request) => logged.push(request),
                Err(reason) => observed::not_logged(&join.served.name, &reason),
            }
        }
        if !logged.is_empty() {
            log.log(logged);
        }
    }

    /// What is known of a group-by.
    fn group(&self, name: &str) -> Result<Arc<Group>, FetchError> {
        self.groups.get(name, |known| self.load_group(name, known))
    }

    fn load_group(&self, name: &str, known: Option<&Arc<Group>>) -> Result<Arc<Group>, FetchError> {
        let batch = self.store.batch(&batch_dataset(name));
        let batch = batch.map_err(|error| FetchError::store(&error))?;
        let batch = batch.ok_or_else(|| FetchError::UnknownGroupBy { name: name.into() })?;
        match known {
            Some(known) if known.generation() == batch.generation => Ok(Arc::clone(known)),
            _ => Group::new(name, &batch, self.settings.dialect).map(Arc::new),
        }
    }

    /// What is known of a join.
    fn join(&self, name: &str) -> Result<Arc<Join>, FetchError> {
        self.joins.get(name, |known| self.load_join(name, known))
    }

    fn load_join(&self, name: &str, known: Option<&Arc<Join>>) -> Result<Arc<Join>, FetchError> {
        let path = if name.contains('/') {
            name.to_owned()
        } else {
            name.replacen('.', "/", 1)
        };
        let key = format!("joins/{path}");
        let get = Get {
            dataset: METADATA_DATASET,
            generation: None,
            key: key.as_bytes(),
        };
        let found = self
            .store
            .multi_get(&[get])
            .map_err(|error| FetchError::store(&error))?;
        let found = found.into_iter().next().flatten();
        let found = found.ok_or_else(|| FetchError::UnknownJoin { name: name.into() })?;
        let unusable = |reason: String| FetchError::Unusable {
            name: name.into(),
            reason,
        };
        let text = std::str::from_utf8(&found.bytes).map_err(|e| unusable(e.to_string()))?;
        let definition = Definition::load(text, self.settings.dialect);
        let definition = definition.map_err(|p| FetchError::unusable(name, &p))?;
        let Definition::Join(definition) = definition else {
            return Err(unusable("it is no join".into()));
        };
        let groups: Vec<Arc<Group>> = definition
            .parts()
            .iter()
            .filter_map(|part| self.group(part.group_by.name()).ok())
            .collect();
        if let Some(known) = known.filter(|known| known.is_made_of(&found.bytes, &groups)) {
            return Ok(Arc::clone(known));
        }
        let join = Join::new(&definition, found.bytes.clone(), groups)?;
        if let Some(log) = &self.log {
            log.log(vec![join.published(self.clock.now_millis())]);
        }
        Ok(Arc::new(join))
    }
}
