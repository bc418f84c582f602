//! A join, ready to be answered: what is asked of which group-by, and what is made of the answers.
//!
//! Promises: features have the training table's names, and derivations its meaning. What a failed part leaves out is
//! exactly its own columns and what is derived of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::Schema as ArrowSchema;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use unskewed_kernel::eval::Program;
use unskewed_planner::avro::without_number;
use unskewed_planner::definition::Join as Definition;
use unskewed_planner::expr::Expr;
use unskewed_planner::naming::{PARTITION_COLUMN, TIME_COLUMN, feature_column};
use unskewed_planner::resolve::{
    DerivedColumn, RequestKey, ServedExternal, ServedJoin, resolve_served_join,
};
use unskewed_planner::schema::Field;
use unskewed_planner::time::Partition;

use crate::columns::{self, value_at};
use crate::error::{FetchError, with_causes};
use crate::group::Group;
use crate::log::{self, Logged, SCHEMA_PUBLISH_EVENT};
use crate::request::Features;
use crate::value::Value;

/// A join, ready.
pub(crate) struct Join {
    pub(crate) served: ServedJoin,
    /// The definition it was made from, as stored.
    pub(crate) text: Vec<u8>,
    /// The group-bys it was made with, as far as they were known.
    groups: Vec<Arc<Group>>,
    derived: Option<Vec<Derived>>,
    types: Arc<ArrowSchema>,
    /// How many percent of its keys are logged; none without.
    sample_percent: Option<f64>,
    schema_hash: String,
    /// The fields of a logged answer.
    logged: Vec<Field>,
}

/// A derived column.
struct Derived {
    name: String,
    /// How it is computed, or why it cannot be.
    program: Result<Program, String>,
    /// The column of the base that it is, where it is just another name of one.
    renames: Option<usize>,
    /// The parts that it reads.
    owners: BTreeSet<String>,
}

/// What a request has collected before derivations.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    /// Values by name.
    pub(crate) values: BTreeMap<String, Value>,
    /// Why parts are missing, by prefix.
    pub(crate) failures: BTreeMap<String, FetchError>,
}

impl Join {
    /// Makes a join ready, with the group-bys of its parts as far as they are known.
    pub(crate) fn new(
        definition: &Definition,
        text: Vec<u8>,
        groups: Vec<Arc<Group>>,
    ) -> Result<Self, FetchError> {
        let served = |name: &str| {
            let found = groups.iter().find(|group| group.served().name == name);
            found.map(|group| group.served())
        };
        let resolved = resolve_served_join(definition, &served);
        let served = resolved
            .map_err(|p| FetchError::unusable(definition.name(), &p))?
            .value;
        let derived = served.derived.as_ref().map(|columns| {
            let ready =
                |column: &DerivedColumn| derived(&served, &column.name, column.value.as_ref());
            columns.iter().map(ready).collect()
        });
        let logged = served.logged_values.schema().fields;
        let percent = definition.meta_data.sample_percent.as_ref();
        let percent = percent.and_then(serde_json::Number::as_f64);
        let mut join = Self {
            types: Arc::new(served.base.to_arrow()),
            sample_percent: percent.filter(|percent| *percent != 0.0),
            schema_hash: String::new(),
            logged,
            derived,
            text,
            groups,
            served,
        };
        join.schema_hash = schema_hash(&join.logging_schema());
        Ok(join)
    }

    /// What publishes the schema of its logged requests.
    pub(crate) fn published(&self, ts_millis: i64) -> Logged {
        Logged {
            join_name: SCHEMA_PUBLISH_EVENT.into(),
            key_bytes: self.schema_hash.clone().into_bytes(),
            value_bytes: self.logging_schema().into_bytes(),
            ts_millis,
            schema_hash: None,
        }
    }

    /// The datum of a request's keys, if its requests are logged; why there is none.
    pub(crate) fn logged_keys(
        &self,
        keys: &BTreeMap<String, Value>,
    ) -> Result<Option<Vec<u8>>, String> {
        let Some(percent) = self.sample_percent else {
            return Ok(None);
        };
        let nothing = Value::Null;
        let of = |field: &Field| keys.get(&field.name).unwrap_or(&nothing);
        let values: Vec<&Value> = self.served.keys.iter().map(of).collect();
        let datum = log::datum(&self.served.logged_keys, &self.served.keys, &values)?;
        Ok(log::is_sampled(&datum, percent).then_some(datum))
    }

    /// A request and its answer: what was collected, and what was made of it.
    pub(crate) fn logged(
        &self,
        key_bytes: Vec<u8>,
        ts_millis: i64,
        collected: &BTreeMap<String, Value>,
        answered: &BTreeMap<String, Value>,
    ) -> Result<Logged, String> {
        let value_bytes = self.encoded(|name| answered.get(name).or(collected.get(name)))?;
        Ok(Logged {
            join_name: self.served.name.replacen('.', "/", 1),
            key_bytes,
            value_bytes,
            ts_millis,
            schema_hash: Some(self.schema_hash.clone()),
        })
    }

    /// An answer as a datum of the value schema.
    pub(crate) fn datum(&self, answered: &BTreeMap<String, Value>) -> Result<Vec<u8>, FetchError> {
        let encoded = self.encoded(|name| answered.get(name));
        encoded.map_err(|reason| FetchError::Unencodable {
            name: self.served.name.clone(),
            reason,
        })
    }

    fn encoded<'a>(&self, of: impl Fn(&str) -> Option<&'a Value>) -> Result<Vec<u8>, String> {
        let nothing = Value::Null;
        let names = self.logged.iter().map(|field| without_number(&field.name));
        let values: Vec<&Value> = names.map(|name| of(name).unwrap_or(&nothing)).collect();
        log::datum(&self.served.logged_values, &self.logged, &values)
    }

    /// The schemas of keys and answers as Avro's texts, and where each value is from, as the reference's service says it.
    pub(crate) fn schema(&self) -> serde_json::Value {
        let values = self.served.values.iter();
        let value_infos: Vec<serde_json::Value> =
            values.filter_map(|field| self.value_info(field)).collect();
        serde_json::json!({
            "joinName": self.served.name,
            "keySchema": self.served.logged_keys.to_text(),
            "valueSchema": self.served.logged_values.to_text(),
            "schemaHash": self.schema_hash,
            "valueInfos": value_infos,
        })
    }

    /// Where a value before derivations is from.
    fn value_info(&self, field: &Field) -> Option<serde_json::Value> {
        let (group_name, prefix, keys) = self.served.origin(&field.name)?;
        let left_keys: Vec<&str> = keys.iter().map(|key| key.left.as_str()).collect();
        Some(serde_json::json!({
            "fullName": field.name,
            "groupName": group_name,
            "prefix": prefix,
            "leftKeys": left_keys,
            "schemaString": field.data_type.to_string(),
        }))
    }

    /// What a log must know to read logged requests: names and schemas, as one text.
    pub(crate) fn logging_schema(&self) -> String {
        serde_json::json!({
            "join_name": self.served.name,
            "key_schema": self.served.logged_keys.to_text(),
            "value_schema": self.served.logged_values.to_text(),
        })
        .to_string()
    }

    /// Whether it would be made the same again of this text and these group-bys.
    pub(crate) fn is_made_of(&self, text: &[u8], groups: &[Arc<Group>]) -> bool {
        let same = |(ours, theirs): (&Arc<Group>, &Arc<Group>)| Arc::ptr_eq(ours, theirs);
        self.text == text
            && self.groups.len() == groups.len()
            && self.groups.iter().zip(groups).all(same)
    }

    /// Takes what the request itself brings.
    pub(crate) fn add_contextual(
        &self,
        external: &ServedExternal,
        keys: &BTreeMap<String, Value>,
        collected: &mut Collected,
    ) {
        for pair in &external.keys {
            let value = keys.get(&pair.left).cloned().unwrap_or(Value::Null);
            let name = feature_column(&external.full_prefix, &pair.right);
            collected.values.insert(name, value);
        }
    }

    /// Takes what an external source answered.
    pub(crate) fn add_external(
        &self,
        part: usize,
        answer: &Result<BTreeMap<String, Value>, FetchError>,
        collected: &mut Collected,
    ) {
        let external = &self.served.externals[part];
        let prefix = &external.full_prefix;
        let typed = answer.as_ref().map_err(Clone::clone);
        match typed.and_then(|values| typed_as_declared(external, values)) {
            Ok(values) => {
                for (name, value) in values {
                    collected.values.insert(feature_column(prefix, name), value);
                }
            }
            Err(error) => {
                collected.failures.insert(prefix.clone(), error);
            }
        }
    }

    /// The keys of a part among the request's, or which are missing.
    pub(crate) fn keys_of(
        &self,
        name: &str,
        pairs: &[RequestKey],
        keys: &BTreeMap<String, Value>,
    ) -> Result<BTreeMap<String, Value>, FetchError> {
        let mut found = BTreeMap::new();
        let mut missing = Vec::new();
        for pair in pairs {
            match keys.get(&pair.left) {
                Some(value) => drop(found.insert(pair.right.clone(), value.clone())),
                None => missing.push(pair.left.as_str()),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        Err(FetchError::MissingKeys {
            name: name.into(),
            missing: missing.join(", "),
        })
    }

    /// The features of requests, given what each has collected.
    pub(crate) fn finish(
        &self,
        requests: &[(&BTreeMap<String, Value>, i64)],
        collected: Vec<Collected>,
    ) -> Vec<Features> {
        let Some(derived) = &self.derived else {
            return collected.into_iter().map(plain).collect();
        };
        let base: Vec<_> = requests
            .iter()
            .zip(&collected)
            .map(|((keys, millis), collected)| self.base_row(keys, *millis, collected))
            .collect();
        let rows = self.batch(&base);
        let mut all: Vec<Features> = collected
            .into_iter()
            .map(|collected| Features {
                values: BTreeMap::new(),
                failures: collected.failures,
            })
            .collect();
        for column in derived {
            let values = match (&rows, &column.program) {
                (Ok(rows), Ok(program)) => {
                    program.evaluate(rows).map_err(|error| with_causes(&error))
                }
                (Err(reason), _) | (_, Err(reason)) => Err(reason.clone()),
            };
            for (row, features) in all.iter_mut().enumerate() {
                let failed = |owner: &String| features.failures.contains_key(owner);
                if column.owners.iter().any(failed) {
                    continue;
                }
                let value = match &values {
                    Ok(values) => Ok(value_at(values, row)),
                    Err(reason) => self.alone(column, &base[row], reason),
                };
                match value {
                    Ok(value) => drop(features.values.insert(column.name.clone(), value)),
                    Err(reason) => {
                        let error = FetchError::Derivation { reason };
                        features.failures.insert(column.name.clone(), error);
                    }
                }
            }
        }
        all
    }

    /// A derived value of one request whose neighbours may be what failed.
    fn alone(&self, column: &Derived, base: &[Value], reason: &str) -> Result<Value, String> {
        if let Some(renamed) = column.renames {
            return Ok(base[renamed].clone());
        }
        let program = column.program.as_ref().map_err(Clone::clone)?;
        let rows = self.batch(&[base.to_vec()])?;
        match program.evaluate(&rows) {
            Ok(values) if values.len() == 1 => Ok(value_at(&values, 0)),
            Ok(_) => Err(reason.to_owned()),
            Err(error) => Err(with_causes(&error)),
        }
    }

    /// The values of a request in the order of the base.
    fn base_row(
        &self,
        keys: &BTreeMap<String, Value>,
        millis: i64,
        collected: &Collected,
    ) -> Vec<Value> {
        let fields = self.served.base.fields.iter();
        fields
            .map(|field| {
                if let Some(value) = collected.values.get(&field.name) {
                    return value.clone();
                }
                match (keys.get(&field.name), field.name.as_str()) {
                    (Some(value), _) => columns::cast(value, &field.data_type),
                    (None, TIME_COLUMN) => Value::Long(millis),
                    (None, PARTITION_COLUMN) => {
                        Value::String(Partition::of_millis(millis).to_string())
                    }
                    _ => Value::Null,
                }
            })
            .collect()
    }

    /// Rows of the base as columns.
    fn batch(&self, rows: &[Vec<Value>]) -> Result<RecordBatch, String> {
        let fields = self.served.base.fields.iter().enumerate();
        let columns = fields.map(|(index, field)| {
            let values: Vec<&Value> = rows.iter().map(|row| &row[index]).collect();
            columns::column(&values, &field.data_type)
                .map_err(|problem| format!("column {:?}: {problem}", field.name))
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>, String>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.types), columns, &options)
            .map_err(|error| with_causes(&error))
    }
}

fn derived(served: &ServedJoin, name: &str, value: Result<&Expr, &String>) -> Derived {
    let program = value.map_err(Clone::clone);
    let program = program.and_then(|v| Program::new(v).map_err(|error| with_causes(&error)));
    let expr = value.ok();
    let owners = expr.map(Expr::columns).unwrap_or_default().into_iter();
    Derived {
        name: name.into(),
        program,
        renames: expr.and_then(Expr::as_column),
        owners: owners
            .filter_map(|c| Some(served.owner(c)?.to_owned()))
            .collect(),
    }
}

/// Values of an external source as its schema declares them; what it does not declare stays as it is.
fn typed_as_declared<'a>(
    external: &ServedExternal,
    values: &'a BTreeMap<String, Value>,
) -> Result<Vec<(&'a str, Value)>, FetchError> {
    let typed = |(name, value): (&'a String, &Value)| {
        let declared = external.values.iter().find(|field| field.name == *name);
        let Some(field) = declared else {
            return Ok((name.as_str(), value.clone()));
        };
        let value = columns::cast(value, &field.data_type);
        match columns::column(&[&value], &field.data_type) {
            Ok(_) => Ok((name.as_str(), value)),
            Err(problem) => Err(FetchError::External {
                name: external.source.clone(),
                reason: format!("{name}: {problem}"),
            }),
        }
    };
    values.iter().map(typed).collect()
}

/// The short name of a logging schema: the first ten characters of its MD5 in Base64.
fn schema_hash(logging_schema: &str) -> String {
    let digest = Md5::digest(logging_schema.as_bytes());
    STANDARD.encode(digest).chars().take(10).collect()
}

/// Without derivations the values are the answer.
fn plain(mut collected: Collected) -> Features {
    for name in [TIME_COLUMN, PARTITION_COLUMN] {
        collected.values.remove(name);
    }
    Features {
        values: collected.values,
        failures: collected.failures,
    }
}
