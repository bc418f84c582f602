//! A group-by, ready to be answered: keys to bytes, stored rows to values.
//!
//! Promises: values are what the kernel makes of the stored bytes, as offline; bytes that cannot be read are an error
//! of their request.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions};
use unskewed_connectors::kv::{Batch, Generation, Get, Timed};
use unskewed_kernel::codec::avro;
use unskewed_kernel::eval::Program;
use unskewed_planner::avro::Record;
use unskewed_planner::definition::Dialect;
use unskewed_planner::naming::{PARTITION_COLUMN, TIME_COLUMN, feature_column};
use unskewed_planner::resolve::{ServedGroup, Stored, resolve_served_group};
use unskewed_planner::serving::{ServingInfo, batch_dataset, streaming_dataset};
use unskewed_planner::time::Partition;

use crate::columns::{self, value_at};
use crate::error::{FetchError, with_causes};
use crate::external::Keys;
use crate::join::Collected;
use crate::observed;
use crate::request::Features;
use crate::states::{Held, States};
use crate::value::Value;

/// A group-by, ready.
pub(crate) struct Group {
    served: ServedGroup,
    info: ServingInfo,
    generation: Generation,
    batch_end_millis: i64,
    batch_dataset: String,
    streaming_dataset: String,
    form: Form,
    derived: Option<Vec<(String, Program)>>,
}

/// How values are stored.
enum Form {
    /// As they are answered.
    Values(Record),
    /// As states to finish.
    States(States),
}

/// What the store has of a key: the batch's row and the stream's.
type Found = (Option<Timed>, Option<Timed>);

/// What is asked of it: the key's bytes, or why there are none; nothing where a key is null.
pub(crate) struct Asked<'a> {
    keys: &'a Keys,
    at_millis: i64,
    key: Result<Option<Vec<u8>>, FetchError>,
}

/// The values of a key, in the order of the group-by's.
pub(crate) type Row = Vec<Value>;

impl Group {
    /// Makes a group-by ready from its serving info.
    pub(crate) fn new(name: &str, batch: &Batch, dialect: Dialect) -> Result<Self, FetchError> {
        let unusable = |reason: String| FetchError::Unusable {
            name: name.into(),
            reason,
        };
        let text = std::str::from_utf8(&batch.info).map_err(|e| unusable(e.to_string()))?;
        let info = ServingInfo::from_text(text, dialect);
        let info = info.map_err(|error| FetchError::serving_info(name, &error))?;
        let served = resolve_served_group(&info);
        let served = served.map_err(|p| FetchError::unusable(name, &p))?.value;
        let program = |(field, value): &(unskewed_planner::schema::Field, _)| {
            let program = Program::new(value).map_err(|error| unusable(with_causes(&error)))?;
            Ok((field.name.clone(), program))
        };
        let derived = served.derived.as_ref();
        let derived = derived.map(|columns| columns.iter().map(program).collect());
        let form = match &served.stored {
            Stored::Values(record) => Form::Values(record.clone()),
            Stored::States(stored) => {
                let states = States::new(stored);
                Form::States(states.map_err(|error| unusable(with_causes(&error)))?)
            }
        };
        Ok(Self {
            form,
            derived: derived.transpose()?,
            generation: batch.generation,
            batch_end_millis: batch.end_millis,
            batch_dataset: batch_dataset(name),
            streaming_dataset: streaming_dataset(name),
            served,
            info,
        })
    }

    /// The schemas of keys, of answers and of what is aggregated, as Avro's texts.
    pub(crate) fn schema(&self) -> serde_json::Value {
        serde_json::json!({
            "groupByName": self.served.name,
            "keySchema": self.info.key_schema,
            "valueSchema": self.served.answer.to_text(),
            "inputSchema": self.info.input_schema,
            "selectedSchema": self.info.selected_schema,
        })
    }
}

impl Group {
    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    /// What is served.
    pub(crate) fn served(&self) -> &ServedGroup {
        &self.served
    }

    /// The bytes of keys.
    pub(crate) fn ask<'a>(&self, requests: &[(&'a Keys, i64)]) -> Vec<Asked<'a>> {
        let ask = |(keys, at_millis): &(&'a Keys, i64)| Asked {
            keys,
            at_millis: *at_millis,
            key: self.key(keys),
        };
        requests.iter().map(ask).collect()
    }

    fn key(&self, keys: &Keys) -> Result<Option<Vec<u8>>, FetchError> {
        let missing: Vec<&str> = self
            .served
            .keys
            .iter()
            .map(|key| key.name.as_str())
            .collect();
        let missing: Vec<&str> = missing
            .into_iter()
            .filter(|name| !keys.contains_key(*name))
            .collect();
        if !missing.is_empty() {
            return Err(FetchError::MissingKeys {
                name: self.served.name.clone(),
                missing: missing.join(", "),
            });
        }
        let mut columns = Vec::with_capacity(self.served.keys.len());
        for key in &self.served.keys {
            let value = &keys[&key.name];
            if value.is_null() {
                return Ok(None);
            }
            let column = columns::column(&[value], &key.data_type).or_else(|_| {
                columns::column(&[&columns::cast(value, &key.data_type)], &key.data_type)
            });
            columns.push(column.map_err(|problem| FetchError::Key {
                key: key.name.clone(),
                problem,
            })?);
        }
        let unreadable = |reason: String| FetchError::Undecodable {
            name: self.served.name.clone(),
            reason,
        };
        let encoded = avro::encode(&self.served.key, &columns);
        let encoded = encoded.map_err(|error| unreadable(with_causes(&error)))?;
        match encoded.bad.first() {
            Some(bad) => Err(unreadable(bad.reason.clone())),
            None => Ok(Some(encoded.datums.value(0).to_vec())),
        }
    }

    /// What is read of the store for one who asks.
    pub(crate) fn gets<'a>(&'a self, asked: &'a Asked<'_>) -> impl Iterator<Item = Get<'a>> {
        let key = asked.key.as_ref().ok().and_then(Option::as_ref);
        let batch = key.map(|key| Get {
            dataset: &self.batch_dataset,
            generation: Some(self.generation),
            key,
        });
        let stream = key.filter(|_| self.reads_stream()).map(|key| Get {
            dataset: &self.streaming_dataset,
            generation: None,
            key,
        });
        batch.into_iter().chain(stream)
    }

    /// The values of those who asked, from what [`Group::gets`] found, in order.
    pub(crate) fn answer(
        &self,
        asked: &[Asked<'_>],
        found: &mut impl Iterator<Item = Option<Timed>>,
    ) -> Vec<Result<Option<Row>, FetchError>> {
        let mut stored = |one: &Asked<'_>| {
            let asked = one.key.as_ref().map_err(Clone::clone)?;
            Ok(asked.as_ref().map(|_| {
                let batch = found.next().flatten();
                let stream = self.reads_stream().then(|| found.next().flatten());
                (batch, stream.flatten())
            }))
        };
        let stored: Vec<Result<Option<Found>, FetchError>> =
            asked.iter().map(&mut stored).collect();
        let rows = match &self.form {
            Form::Values(record) => {
                let stored = stored.into_iter();
                let batches =
                    stored.map(|found| found.map(|found| found.and_then(|(batch, _)| batch)));
                batches.map(|batch| self.values(record, batch?)).collect()
            }
            Form::States(states) => self.finish(states, asked, stored),
        };
        self.derive(asked, rows)
    }

    fn reads_stream(&self) -> bool {
        matches!(self.form, Form::States(_))
    }

    /// Values made of the states of a batch and what came after it.
    fn finish(
        &self,
        states: &States,
        asked: &[Asked<'_>],
        stored: Vec<Result<Option<Found>, FetchError>>,
    ) -> Vec<Result<Option<Row>, FetchError>> {
        let mut rows = Vec::with_capacity(asked.len());
        let (mut held, mut places) = (Vec::new(), Vec::new());
        for (number, (one, stored)) in asked.iter().zip(stored).enumerate() {
            rows.push(match stored {
                Err(error) => Err(error),
                Ok(None) => Ok(None),
                Ok(Some((batch, stream))) if one.at_millis >= self.batch_end_millis => {
                    places.push(number);
                    held.push(Held {
                        batch,
                        stream,
                        query_millis: one.at_millis,
                    });
                    Ok(None)
                }
                Ok(Some((None, None))) => Ok(None),
                Ok(Some(_)) => Err(FetchError::BeforeBatch {
                    name: self.served.name.clone(),
                    query_millis: one.at_millis,
                    batch_end_millis: self.batch_end_millis,
                }),
            });
        }
        let old = |held: &&Held| states.is_degraded(self.batch_end_millis, held.query_millis);
        let old = held.iter().filter(old).count();
        if old > 0 {
            observed::degraded(&self.served.name, old);
        }
        for (place, row) in places
            .into_iter()
            .zip(states.finish(&held, self.batch_end_millis))
        {
            rows[place] = row.map_err(|reason| FetchError::Undecodable {
                name: self.served.name.clone(),
                reason,
            });
        }
        rows
    }

    /// Values that are stored as they are answered.
    fn values(&self, record: &Record, stored: Option<Timed>) -> Result<Option<Row>, FetchError> {
        let Some(stored) = stored else {
            return Ok(None);
        };
        let unreadable = |reason: String| FetchError::Undecodable {
            name: self.served.name.clone(),
            reason,
        };
        let datum = BinaryArray::from_vec(vec![&stored.bytes]);
        let decoded = avro::decode(record, &datum);
        let decoded = decoded.map_err(|error| unreadable(with_causes(&error)))?;
        match decoded.bad.first() {
            Some(bad) => Err(unreadable(bad.reason.clone())),
            None => Ok(Some(
                decoded
                    .columns
                    .iter()
                    .map(|column| value_at(column, 0))
                    .collect(),
            )),
        }
    }

    /// Derived values in place of those they are made of. A key without values derives from nulls, as offline.
    fn derive(
        &self,
        asked: &[Asked<'_>],
        mut rows: Vec<Result<Option<Row>, FetchError>>,
    ) -> Vec<Result<Option<Row>, FetchError>> {
        let Some(derived) = &self.derived else {
            return rows;
        };
        for (one, row) in asked.iter().zip(&mut rows) {
            if let (Ok(Some(_)), Ok(values)) = (&one.key, &*row) {
                *row = self.derived_row(derived, one, values.as_deref()).map(Some);
            }
        }
        rows
    }

    fn derived_row(
        &self,
        derived: &[(String, Program)],
        asked: &Asked<'_>,
        values: Option<&[Value]>,
    ) -> Result<Row, FetchError> {
        let failed = |reason: String| FetchError::Derivation { reason };
        let batch = self.base_row(asked, values).map_err(failed)?;
        let value = |(name, program): &(String, Program)| match program.evaluate(&batch) {
            Ok(column) => Ok(value_at(&column, 0)),
            Err(error) => Err(failed(format!("{name}: {}", with_causes(&error)))),
        };
        derived.iter().map(value).collect()
    }

    /// Keys, times and values as one row of columns.
    fn base_row(&self, asked: &Asked<'_>, values: Option<&[Value]>) -> Result<RecordBatch, String> {
        let nothing = Value::Null;
        let mut columns: Vec<ArrayRef> = Vec::new();
        for field in &self.served.base.fields {
            let position = self
                .served
                .values
                .iter()
                .position(|value| value.name == field.name);
            let owned;
            let value = match (position, field.name.as_str()) {
                (Some(position), _) => values.map_or(&nothing, |values| &values[position]),
                (None, TIME_COLUMN) if !asked.keys.contains_key(TIME_COLUMN) => {
                    owned = Value::Long(asked.at_millis);
                    &owned
                }
                (None, PARTITION_COLUMN) if !asked.keys.contains_key(PARTITION_COLUMN) => {
                    owned = Value::String(Partition::of_millis(asked.at_millis).to_string());
                    &owned
                }
                (None, name) => {
                    let key = asked.keys.get(name).unwrap_or(&nothing);
                    owned = columns::cast(key, &field.data_type);
                    &owned
                }
            };
            let column = columns::column(&[value], &field.data_type);
            columns.push(column.map_err(|problem| format!("column {:?}: {problem}", field.name))?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let schema = Arc::new(self.served.base.to_arrow());
        RecordBatch::try_new_with_options(schema, columns, &options)
            .map_err(|error| with_causes(&error))
    }

    /// Names of what a row holds.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.served
            .outputs()
            .into_iter()
            .map(|field| field.name.as_str())
    }

    /// A row as the answer to a request of its own.
    pub(crate) fn features(&self, row: Row) -> Features {
        let values = self.names().map(str::to_owned).zip(row);
        Features {
            values: values.collect(),
            failures: BTreeMap::new(),
        }
    }

    /// A row as part of a join's answer.
    pub(crate) fn add_to(&self, prefix: &str, row: Row, collected: &mut Collected) {
        for (name, value) in self.names().zip(row) {
            collected.values.insert(feature_column(prefix, name), value);
        }
    }
}
