//! A backend without a model: every output is the first input of its type, else null. For trying a pipeline, and for
//! tests.
//!
//! Its parameter `fail_every` makes every so many rows of a batch fail.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::FieldRef;
use arrow_select::nullif::nullif;

use super::{FailedRow, Inferred, ModelBackend, ModelCall, number};
use crate::error::{Error, Result};

/// The backend.
#[derive(Debug)]
pub(super) struct Double {
    fail_every: usize,
}

impl Double {
    pub(super) fn new(parameters: &BTreeMap<String, String>) -> Result<Self> {
        let fail_every = number(parameters, "fail_every", u32::MAX)? as usize;
        Ok(Self { fail_every })
    }
}

impl ModelBackend for Double {
    fn infer(&self, call: &ModelCall<'_>, inputs: &RecordBatch) -> Result<Inferred> {
        let rows = inputs.num_rows();
        let fails = |row: usize| (row + 1).is_multiple_of(self.fail_every);
        let failed = (0..rows).filter(|row| fails(*row)).map(|row| FailedRow {
            row,
            reason: "as its parameter fail_every says".into(),
        });
        let mask: BooleanArray = (0..rows).map(|row| Some(fails(row))).collect();
        let column = |field: &FieldRef| -> Result<ArrayRef> {
            let mut inputs = inputs.columns().iter();
            match inputs.find(|input| input.data_type() == field.data_type()) {
                Some(input) => nullif(input.as_ref(), &mask).map_err(|source| Error::ModelAnswer {
                    model: call.model.into(),
                    problem: source.to_string(),
                }),
                None => Ok(new_null_array(field.data_type(), rows)),
            }
        };
        let schema = Arc::new(call.outputs.to_arrow());
        let columns = schema.fields().iter().map(column);
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let outputs = RecordBatch::try_new_with_options(schema, columns, &options)
            .expect("each column has the rows and the type of its field");
        Ok(Inferred {
            outputs,
            failed: failed.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Array, Float64Array, Int64Array};
    use serde_json::Value;
    use unskewed_planner::schema::{DataType, Field, Schema};

    /// Outputs mirror inputs, and failing rows are null and told.
    #[test]
    fn mirrors_inputs_and_fails_as_told() {
        let parameters = BTreeMap::from([("fail_every".to_owned(), "2".to_owned())]);
        let outputs = Schema::new(vec![
            Field::new("score", DataType::Double),
            Field::new("word", DataType::String),
        ]);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let scores: ArrayRef = Arc::new(Float64Array::from(vec![0.5, 1.5, 2.5]));
        let inputs = RecordBatch::try_from_iter([("n", numbers), ("s", scores)]).unwrap();
        let call = ModelCall {
            model: "m",
            parameters: &parameters,
            context: &Value::Null,
            outputs: &outputs,
        };
        let double = Double::new(&parameters).unwrap();
        let found = double.infer(&call, &inputs).unwrap();
        let want: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.5), None, Some(2.5)]));
        assert_eq!(found.outputs.column(0), &want);
        assert_eq!(found.outputs.column(1).null_count(), 3);
        let failed: Vec<usize> = found.failed.iter().map(|failed| failed.row).collect();
        assert_eq!(failed, [1]);
        let zero = BTreeMap::from([("fail_every".to_owned(), "0".to_owned())]);
        let error = Double::new(&zero).unwrap_err().to_string();
        assert!(error.contains("fail_every"), "{error}");
    }

    /// A backend that is not there is told with those that are.
    #[test]
    fn unknown_backends() {
        let error = super::super::open("htp", &BTreeMap::new()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("did you mean \"http\"?"), "{text}");
    }
}
