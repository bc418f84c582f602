//! What is said to a model's service, and what is heard from it, as JSON.
//!
//! Promises: an answer is taken value by value as its declared type or not at all: no number is cut, no text is read as
//! a number. What is wrong with one row is that row's failure; what is wrong with the whole answer is an error.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_json::writer::{JsonArray, WriterBuilder};
use arrow_schema::{ArrowError, SchemaRef};
use serde_json::{Map, Value, json};
use unskewed_planner::schema::{DataType, Schema};

use crate::model::{FailedRow, Inferred, ModelCall};

/// A problem, in words.
type Problem = String;

/// What all requests of a call have in common.
#[derive(Debug)]
pub(super) struct Protocol {
    head: String,
    outputs: Schema,
    arrow: SchemaRef,
}

impl Protocol {
    /// The protocol of a call; `own` are the parameters that are the backend's and not the model's business.
    pub(super) fn of(call: &ModelCall<'_>, own: &[&str]) -> Self {
        let parameters = call.parameters.iter();
        let parameters = parameters.filter(|(name, _)| !own.contains(&name.as_str()));
        let parameters: Map<String, Value> = parameters
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        let mut head = json!({"model": call.model, "parameters": parameters});
        if !call.context.is_null() {
            head["context"] = call.context.clone();
        }
        let mut head = head.to_string();
        head.pop();
        head.push_str(",\"inputs\":");
        Self {
            head,
            outputs: call.outputs.clone(),
            arrow: Arc::new(call.outputs.to_arrow()),
        }
    }

    /// The columns of answers.
    pub(super) fn outputs(&self) -> &SchemaRef {
        &self.arrow
    }

    /// A request's body.
    pub(super) fn body(&self, inputs: &RecordBatch) -> Result<Vec<u8>, Problem> {
        let builder = WriterBuilder::new().with_explicit_nulls(true);
        let mut writer = builder.build::<_, JsonArray>(self.head.clone().into_bytes());
        let written = writer.write(inputs).and_then(|()| writer.finish());
        written.map_err(|error| format!("its inputs cannot be said in JSON: {error}"))?;
        let mut body = writer.into_inner();
        body.push(b'}');
        Ok(body)
    }

    /// The outputs in an answer to so many rows.
    pub(super) fn read(&self, answer: &[u8], rows: usize) -> Result<Inferred, Problem> {
        let answer: Value = serde_json::from_slice(answer)
            .map_err(|error| format!("its answer is no JSON: {error}"))?;
        let list = |name: &str| match answer.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(list)) if list.len() == rows => Ok(Some(list)),
            Some(Value::Array(list)) => {
                let found = list.len();
                Err(format!("its answer has {found} {name} for {rows} inputs"))
            }
            Some(_) => Err(format!("{name:?} in its answer is no list")),
        };
        let outputs = list("outputs")?.ok_or("its answer has no list \"outputs\"")?;
        let errors = list("errors")?;
        let mut failed = vec![];
        let mut values = Vec::with_capacity(rows);
        for (row, output) in outputs.iter().enumerate() {
            let told = errors.map_or(&Value::Null, |errors| &errors[row]);
            match self.row(output, told) {
                Ok(fields) => values.push(fields),
                Err(reason) => {
                    values.push(Map::new());
                    failed.push(FailedRow { row, reason });
                }
            }
        }
        self.columns(values, failed)
    }

    /// The values of a row, or why there are none.
    fn row(&self, output: &Value, told: &Value) -> Result<Map<String, Value>, Problem> {
        match told {
            Value::Null => {}
            Value::String(reason) => return Err(reason.clone()),
            other => return Err(other.to_string()),
        }
        let Some(output) = output.as_object() else {
            return Err(match output {
                Value::Null => "it gave no outputs".into(),
                other => format!("its outputs are {}, and no object", shown(other)),
            });
        };
        let mut fields = Map::new();
        for field in &self.outputs.fields {
            let Some(value) = output.get(&field.name) else {
                return Err(format!("output {:?} is missing", field.name));
            };
            if !fits(value, &field.data_type) {
                return Err(format!(
                    "output {:?} is {}, which is no {}",
                    field.name,
                    shown(value),
                    field.data_type
                ));
            }
            fields.insert(field.name.clone(), value.clone());
        }
        Ok(fields)
    }

    /// Rows of values as columns. Texts of dates and bytes show here whether they are any.
    fn columns(
        &self,
        mut values: Vec<Map<String, Value>>,
        mut failed: Vec<FailedRow>,
    ) -> Result<Inferred, Problem> {
        let decoded = self.decode(&values).or_else(|_| {
            for (row, fields) in values.iter_mut().enumerate() {
                if let Err(error) = self.decode(std::slice::from_ref(fields)) {
                    let reason = error.to_string();
                    failed.push(FailedRow { row, reason });
                    fields.clear();
                }
            }
            failed.sort_by_key(|failed| failed.row);
            self.decode(&values)
        });
        let outputs = decoded.map_err(|error| format!("its answer cannot be read: {error}"))?;
        Ok(Inferred { outputs, failed })
    }

    fn decode(&self, rows: &[Map<String, Value>]) -> Result<RecordBatch, ArrowError> {
        let builder = arrow_json::ReaderBuilder::new(Arc::clone(&self.arrow));
        let mut decoder = builder.with_batch_size(rows.len().max(1)).build_decoder()?;
        decoder.serialize(rows)?;
        let empty = || RecordBatch::new_empty(Arc::clone(&self.arrow));
        Ok(decoder.flush()?.unwrap_or_else(empty))
    }
}

/// A value for a message, in a few words.
fn shown(value: &Value) -> String {
    const CHARACTERS_MAX: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= CHARACTERS_MAX {
        return text;
    }
    text.chars().take(CHARACTERS_MAX).chain(['…']).collect()
}

/// Whether a value is one of the type, as far as JSON tells.
#[expect(
    clippy::cast_possible_truncation,
    reason = "whether a float holds the number is what is asked"
)]
fn fits(value: &Value, data_type: &DataType) -> bool {
    if value.is_null() {
        return true;
    }
    let number = || value.as_f64().filter(|number| number.is_finite());
    match data_type {
        DataType::Null => false,
        DataType::Boolean => value.is_boolean(),
        DataType::Byte => whole(value).is_some_and(|number| i8::try_from(number).is_ok()),
        DataType::Short => whole(value).is_some_and(|number| i16::try_from(number).is_ok()),
        DataType::Int => whole(value).is_some_and(|number| i32::try_from(number).is_ok()),
        DataType::Long => whole(value).is_some(),
        DataType::Float => number().is_some_and(|number| (number as f32).is_finite()),
        DataType::Double => number().is_some(),
        DataType::Array(element) => {
            let items = value.as_array();
            items.is_some_and(|items| items.iter().all(|item| fits(item, element)))
        }
        DataType::Map(_, inner) => {
            let entries = value.as_object();
            entries.is_some_and(|entries| entries.values().all(|entry| fits(entry, inner)))
        }
        DataType::Struct(fields) => value.as_object().is_some_and(|object| {
            fields.iter().all(|field| {
                let value = object.get(&field.name);
                value.is_some_and(|value| fits(value, &field.data_type))
            })
        }),
        _ => value.is_string(),
    }
}

/// A whole number, also one that is written with a fraction of nothing, as long as a double holds it exactly.
#[expect(
    clippy::cast_possible_truncation,
    reason = "only whole numbers within bounds are cast"
)]
fn whole(value: &Value) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let float = || {
        let number = value.as_f64()?;
        let exact = number.fract() == 0.0 && number.abs() <= EXACT_MAX;
        exact.then_some(number as i64)
    };
    match value.is_f64() {
        true => float(),
        false => value.as_i64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type};
    use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, StringArray};
    use unskewed_planner::schema::Field;

    fn protocol(fields: Vec<Field>) -> Protocol {
        let parameters = ["url", "version"].map(|name| (name.to_owned(), "v".to_owned()));
        let call = ModelCall {
            model: "m",
            parameters: &BTreeMap::from(parameters),
            context: &json!({"run": 7}),
            outputs: &Schema::new(fields),
        };
        Protocol::of(&call, &["url"])
    }

    fn scores() -> Protocol {
        protocol(vec![
            Field::new("score", DataType::Double),
            Field::new("rank", DataType::Long),
        ])
    }

    fn reasons(found: &Inferred) -> Vec<(usize, &str)> {
        let failed = found.failed.iter();
        failed
            .map(|failed| (failed.row, failed.reason.as_str()))
            .collect()
    }

    /// A request says model, parameters, context and every input, nulls too; nothing of the backend's own.
    #[test]
    fn requests() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MAX), None]));
        let words: ArrayRef = Arc::new(StringArray::from(vec![None, Some("\"ü")]));
        let tenths: ArrayRef = Arc::new(Float64Array::from(vec![0.1 + 0.2, f64::NAN]));
        let rows = [("n", numbers), ("w", words), ("x", tenths)];
        let rows = RecordBatch::try_from_iter_with_nullable(rows.map(|(n, c)| (n, c, true)));
        let body = scores().body(&rows.unwrap()).unwrap();
        let said: Value = serde_json::from_slice(&body).unwrap();
        let want = json!({
            "model": "m", "parameters": {"version": "v"}, "context": {"run": 7},
            "inputs": [
                {"n": i64::MAX, "w": null, "x": 0.1 + 0.2},
                {"n": null, "w": "\"ü", "x": null},
            ],
        });
        assert_eq!(said, want);
    }

    /// Values arrive bit for bit; nulls are answers.
    #[test]
    fn answers() {
        let answer = format!(
            r#"{{"outputs": [{{"score": 0.30000000000000004, "rank": {}}},
            {{"score": null, "rank": 3.0, "more": 1}}], "errors": [null, null]}}"#,
            i64::MIN
        );
        let found = scores().read(answer.as_bytes(), 2).unwrap();
        assert!(found.failed.is_empty(), "{:?}", found.failed);
        let scores = found.outputs.column(0).as_primitive::<Float64Type>();
        assert_eq!(scores.value(0).to_bits(), (0.1_f64 + 0.2).to_bits());
        assert!(scores.is_null(1));
        let ranks = found.outputs.column(1).as_primitive::<Int64Type>();
        assert_eq!(ranks.values(), &[i64::MIN, 3]);
    }

    /// A row that is not answered as declared fails by itself, and says why.
    #[test]
    fn rows_fail_by_themselves() {
        let answer = json!({
            "outputs": [
                {"score": 1.5, "rank": 1}, {"score": 1.5, "rank": 1.5}, {"score": "1", "rank": 1},
                {"score": 1.5}, null, 7, {"score": 1.5, "rank": 1}, {"score": 1, "rank": 1e300},
            ],
            "errors": [null, null, null, null, null, null, "too cold", null],
        });
        let found = scores().read(answer.to_string().as_bytes(), 8).unwrap();
        let want = [
            (1, "output \"rank\" is 1.5, which is no bigint"),
            (2, "output \"score\" is \"1\", which is no double"),
            (3, "output \"rank\" is missing"),
            (4, "it gave no outputs"),
            (5, "its outputs are 7, and no object"),
            (6, "too cold"),
            (7, "output \"rank\" is 1e+300, which is no bigint"),
        ];
        assert_eq!(reasons(&found), want);
        for column in found.outputs.columns() {
            assert_eq!(column.len(), 8);
            assert_eq!(column.null_count(), 7);
        }
    }

    /// Texts of dates are looked at one by one; nested values by what is inside.
    #[test]
    fn texts_and_nested_values() {
        let nested = DataType::array(DataType::Struct(vec![Field::new("p", DataType::Float)]));
        let fields = vec![
            Field::new("day", DataType::Date),
            Field::new("list", nested),
        ];
        let answer = json!({"outputs": [
            {"day": "2024-02-29", "list": [{"p": 0.5}, null]},
            {"day": "2024-02-30", "list": []},
            {"day": null, "list": [{"p": 1e39}]},
            {"day": 3, "list": []},
        ]});
        let found = protocol(fields)
            .read(answer.to_string().as_bytes(), 4)
            .unwrap();
        let rows: Vec<usize> = found.failed.iter().map(|failed| failed.row).collect();
        assert_eq!(rows, [1, 2, 3], "{:?}", found.failed);
        assert!(found.outputs.column(0).is_valid(0));
    }

    /// An answer that is none, or one to other rows, is no answer at all.
    #[test]
    fn wrong_answers() {
        let problem = |answer: &str| scores().read(answer.as_bytes(), 2).unwrap_err();
        assert!(problem("<html>").contains("no JSON"));
        assert!(problem("[]").contains("no list \"outputs\""));
        assert!(problem(r#"{"outputs": {}}"#).contains("\"outputs\" in its answer is no list"));
        let short = problem(r#"{"outputs": [{"score": 1, "rank": 1}]}"#);
        assert_eq!(short, "its answer has 1 outputs for 2 inputs");
        let errors = problem(r#"{"outputs": [null, null], "errors": ["x"]}"#);
        assert_eq!(errors, "its answer has 1 errors for 2 inputs");
    }
}
