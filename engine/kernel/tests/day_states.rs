//! States as they are stored, of a day and of a batch, against what the reference stored for the same rows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray};
use unskewed_kernel::evaluate::batch_states::BatchStates;
use unskewed_kernel::evaluate::day_states::DayStates;
use unskewed_kernel::evaluate::point_in_time::PointInTime;
use unskewed_kernel::naive::generate::{Random, Recipe, sample};
use unskewed_kernel::naive::value::Value;
use unskewed_kernel::run::{Evaluator, Queries, Run};
use unskewed_kernel::window::Resolution;
use unskewed_planner::aggregation::{AggregatePart, Arguments, Operation, PartSpec};
use unskewed_planner::schema::{DataType, Field, Schema};
use unskewed_planner::time::{DAY_MILLIS, Window};

fn part(input: &str, operation: Operation, k: Option<u32>, schema: &Schema) -> AggregatePart {
    let spec = PartSpec {
        input: input.into(),
        operation,
        arguments: Arguments {
            k: k.or(operation.default_k()),
            percentiles: vec![0.5],
        },
        window: Window::Days(3),
        bucket: None,
        element_wise: false,
    };
    spec.typed(schema).expect("the operation takes the column")
}

/// A user's day of the recorded case `gb_is_incremental`: every state has the recorded form and value.
#[test]
fn recorded_day() {
    let day = 1_708_905_600_000;
    let rows = [
        (1_708_921_000_000, Some(9), None),
        (1_708_922_000_000, Some(-14), Some("teal")),
        (1_708_991_859_324, Some(1_099_511_627_780), Some("red")),
        (1_708_991_999_999, Some(4), Some("teal")),
    ];
    let ts: Vec<i64> = rows.iter().map(|row| row.0).collect();
    let amounts = Int64Array::from_iter(rows.iter().map(|row| row.1));
    let categories = StringArray::from_iter(rows.iter().map(|row| row.2));
    let schema = Schema::new(vec![
        Field::new("amount", DataType::Long),
        Field::new("category", DataType::String),
    ]);
    let parts = [
        part("amount", Operation::Sum, None, &schema),
        part("amount", Operation::Count, None, &schema),
        part("amount", Operation::Average, None, &schema),
        part("amount", Operation::Last, None, &schema),
        part("amount", Operation::LastK, Some(2), &schema),
        part("amount", Operation::Max, None, &schema),
        part("amount", Operation::UniqueCount, None, &schema),
        part("category", Operation::Histogram, None, &schema),
    ];
    let mut evaluator = DayStates::new(&parts, &schema).expect("the parts fit the schema");
    let (offsets, queries) = ([0, 4], [day, day + DAY_MILLIS]);
    let run = Run {
        offsets: &offsets,
        ts: &ts,
        positions: &[],
        columns: &[Arc::new(amounts), Arc::new(categories)],
    };
    let queries = Queries {
        offsets: &[0, 2],
        ts: &queries,
    };
    let found = evaluator.evaluate(run, queries).expect("the run is whole");
    let names: Vec<_> = evaluator.output().iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names[0], "amount_sum");
    assert_eq!(names[4], "amount_last2");
    let whole = Value::Whole;
    let pair = |time, amount| Value::Struct(vec![whole(time), whole(amount)]);
    let entry = |name: &str, count| (Value::Text(name.into()), whole(count));
    let expected = [
        whole(1_099_511_627_779),
        whole(4),
        Value::Struct(vec![Value::double(1_099_511_627_779.0), whole(4)]),
        pair(1_708_991_999_999, 4),
        Value::List(vec![
            pair(1_708_991_859_324, 1_099_511_627_780),
            pair(1_708_991_999_999, 4),
        ]),
        whole(1_099_511_627_780),
        Value::List([1_099_511_627_780, 4, 9, -14].map(whole).into()),
        Value::Map(vec![entry("red", 1), entry("teal", 2)]),
    ];
    for ((part, column), expected) in parts.iter().zip(&found.columns).zip(expected) {
        assert_eq!(column.data_type(), &part.state_type.to_arrow());
        assert_eq!(
            Value::read(column, 0),
            Value::Null,
            "nothing before the day"
        );
        assert_eq!(Value::read(column, 1), expected, "{}", part.output_name);
    }
}

/// Every operation over every type has a stored form of its state type, bucketed, mapped and element-wise too.
#[test]
fn every_state_has_a_form() {
    let mut random = Random::new(7);
    let recipe = Recipe {
        key_count: 4,
        rows_max: 40,
        queries_max: 4,
        span_days: 3,
        daily: true,
        specials: true,
    };
    let sample = sample(&mut random, recipe);
    let mut parts = Vec::new();
    for operation in Operation::ALL {
        for field in &sample.schema.fields {
            for bucket in [None, Some("bucket")] {
                let k = operation.needs_k().then_some(3).or(operation.default_k());
                let spec = PartSpec {
                    input: field.name.clone(),
                    operation,
                    arguments: Arguments {
                        k,
                        percentiles: vec![0.5],
                    },
                    window: Window::Unbounded,
                    bucket: bucket.map(str::to_owned),
                    element_wise: bucket.is_none() && field.name == "tensor",
                };
                parts.extend(spec.typed(&sample.schema).ok());
            }
        }
    }
    let mut evaluator = DayStates::new(&parts, &sample.schema).expect("the parts fit the schema");
    let found = evaluator.evaluate(sample.run(), sample.queries());
    let found = found.expect("the run is whole");
    let mut present = 0;
    for (part, column) in parts.iter().zip(&found.columns) {
        assert_eq!(column.data_type(), &part.state_type.to_arrow());
        assert_eq!(column.len(), sample.query_ts.len());
        present += Value::column(column)
            .iter()
            .filter(|v| **v != Value::Null)
            .count();
    }
    assert!(present > parts.len(), "{present} of {} parts", parts.len());
}

/// Floats of a day are added as they stand in the file, not by time: in finished values, daily states, and the hops and
/// the collapsed states of a batch alike. Only one of the orders keeps the one.
#[test]
fn floats_are_added_by_position() {
    let day = 1_708_905_600_000;
    let schema = Schema::new(vec![Field::new("amount", DataType::Double)]);
    let parts = [
        part("amount", Operation::Sum, None, &schema),
        part("amount", Operation::Average, None, &schema),
    ];
    let amounts: ArrayRef = Arc::new(Float64Array::from(vec![1e16, 1.0, -1e16]));
    let by_time = [1, 2, 3].map(|minute| day + minute * 60_000);
    let (offsets, ends) = ([0, 3], [day + DAY_MILLIS]);
    let queries = Queries {
        offsets: &[0, 1],
        ts: &ends,
    };
    for (positions, sum) in [([5, 6, 7], 0.0), ([5, 7, 6], 1.0)] {
        let run = Run {
            offsets: &offsets,
            ts: &by_time,
            positions: &positions,
            columns: std::slice::from_ref(&amounts),
        };
        let mut finished = PointInTime::new(&parts, &schema, Resolution::Daily).expect("they fit");
        let mut daily = DayStates::new(&parts, &schema).expect("they fit");
        assert!(finished.needs().positions && daily.needs().positions);
        let found = finished.evaluate(run, queries).expect("the run is whole");
        assert_eq!(Value::read(&found.columns[0], 0), Value::double(sum));
        assert_eq!(Value::read(&found.columns[1], 0), Value::double(sum / 3.0));
        let found = daily.evaluate(run, queries).expect("the run is whole");
        assert_eq!(Value::read(&found.columns[0], 0), Value::double(sum));
        let bases: Vec<usize> = (0..parts.len()).collect();
        let mut batch = BatchStates::new(&parts, &bases, &schema, None).expect("they fit");
        assert!(batch.needs().positions);
        // Before the end of the day the rows are collapsed; two days on they are the window's tail.
        let found = batch.evaluate(run, queries).expect("the run is whole");
        let collapsed = found.columns[0].as_struct().column(0);
        assert_eq!(Value::read(collapsed, 0), Value::double(sum));
        let ends = [day + 3 * DAY_MILLIS];
        let later = Queries {
            ts: &ends,
            ..queries
        };
        let found = batch.evaluate(run, later).expect("the run is whole");
        let hops = found.columns[1].as_list::<i32>().value(0);
        let hours = hops.as_list::<i32>().value(1);
        let state = hours.as_struct().column(0);
        assert_eq!(Value::read(state, 0), Value::double(sum));
    }
}
