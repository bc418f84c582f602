//! The dataflow against its slow twin: the same plan over the same random tables gives the same rows in the same order
//! in the same partitions, on one, two and four workers; and a failure anywhere ends the run with that failure.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow_select::concat::concat_batches;
use unskewed_connectors::table::PartitionKey;
use unskewed_planner::aggregation::{AggregatePart, Arguments, Operation, PartSpec};
use unskewed_planner::expr::Expr;
use unskewed_planner::physical::{
    AnswerRule, Arrange, AsOf, Assemble, EvaluatorPlan, Facts, Matches, OutputTable, Project,
    Queries, QueryTime, Requirement, Resolution, Sink, Snapshots,
};
use unskewed_planner::schema::{DataType, Field};
use unskewed_planner::time::{DAY_MILLIS, HOUR_MILLIS, Partition, PartitionRange, Window};

use super::*;
use crate::naive;
use crate::testing::Random;

fn schema(fields: &[(&str, DataType)]) -> Schema {
    Schema::new(
        fields
            .iter()
            .map(|(n, t)| Field::new(*n, t.clone()))
            .collect(),
    )
}

fn day(number: i32) -> Partition {
    Partition {
        day: 19_700 + number,
    }
}

const DAYS: i32 = 6;

/// Random rows of one day: key, time (now and then null), value (now and then null).
fn rows(random: &mut Random, number: i32, null_times: bool) -> Vec<ArrayRef> {
    let count = random.below(60) as usize;
    let start = day(number).start_millis();
    let coarse = [HOUR_MILLIS, 1][random.below(2) as usize];
    let (mut keys, mut times, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        keys.push((random.below(10) > 0).then(|| random.below(7) as i64));
        let at = start + random.below((DAY_MILLIS / coarse) as u64) as i64 * coarse;
        times.push((!null_times || random.below(20) > 0).then_some(at));
        values.push((random.below(6) > 0).then(|| random.below(1_000) as f64 * 0.1));
    }
    vec![
        Arc::new(Int64Array::from(keys)),
        Arc::new(Int64Array::from(times)),
        Arc::new(Float64Array::from(values)),
    ]
}

fn fill(warehouse: &Warehouse, table: &str, random: &mut Random, null_times: bool) {
    let columns = schema(&[
        ("k", DataType::Long),
        ("ts", DataType::Long),
        ("v", DataType::Double),
    ]);
    let write = warehouse.table(table).unwrap().begin_write().unwrap();
    let mut staged = Vec::new();
    for number in 0..DAYS {
        let key = PartitionKey::new([("ds", day(number).to_string())]);
        for part in 0..1 + random.below(2) as u32 {
            let options = WriteOptions::default();
            let mut writer = write.writer(&columns, &key, part, &options).unwrap();
            let rows = rows(random, number, null_times);
            let arrow = Arc::new(columns.to_arrow());
            writer
                .write(&RecordBatch::try_new(arrow, rows).unwrap())
                .unwrap();
            staged.push(writer.finish().unwrap());
        }
    }
    write.commit(staged).unwrap();
}

fn part(operation: Operation, window: Window, source: &Schema) -> AggregatePart {
    let spec = PartSpec {
        input: "v".into(),
        operation,
        arguments: Arguments::default(),
        window,
        bucket: None,
        element_wise: false,
    };
    spec.typed(source).unwrap()
}

fn scan(plan: &mut DataflowPlan, table: &str, columns: &Schema) -> NodeId {
    let range = PartitionRange::new(day(0), day(DAYS));
    let days = Some(DayFilter {
        column: "ds".into(),
        range,
    });
    let scan = Scan {
        table: table.into(),
        days,
        skip: Vec::new(),
    };
    plan.add(table, columns.clone(), Operator::Scan(scan))
}

fn sink(plan: &mut DataflowPlan, input: NodeId, name: &str, partition: usize, sort: Vec<usize>) {
    let columns = plan.node(input).schema.clone();
    let table = OutputTable {
        name: name.into(),
        kind: "join",
        expands: false,
    };
    let days = PartitionRange::new(day(0), day(DAYS));
    let sink = Sink {
        under: Vec::new(),
        input,
        table,
        distinct: Vec::new(),
        sort,
        partition: Some(partition),
        days,
    };
    plan.add(name, columns, Operator::Sink(sink));
}

/// Left rows with windows and exact look-ups of right rows, and the right's values at each day's end.
#[expect(clippy::too_many_lines, reason = "one plan, written out")]
fn plan(left_requirements: Vec<Requirement>) -> DataflowPlan {
    use DataType::{Double, Long, String};
    let mut plan = DataflowPlan::default();
    let table = schema(&[("k", Long), ("ts", Long), ("v", Double), ("ds", String)]);
    let all: Vec<Expr> = table
        .fields
        .iter()
        .enumerate()
        .map(|(i, f)| Expr::column(i, f.data_type.clone()))
        .collect();
    let project = |plan: &mut DataflowPlan, input: NodeId, requirements| {
        let project = Project {
            input,
            filters: Vec::new(),
            generator: None,
            columns: all.clone(),
            output_filters: Vec::new(),
            requirements,
        };
        let label = format!("rows of {}", plan.node(input).label);
        plan.add(label, table.clone(), Operator::Project(project))
    };
    let left = scan(&mut plan, "db.left", &table);
    let left = project(&mut plan, left, left_requirements);
    let first = scan(&mut plan, "db.right", &table);
    let second = scan(&mut plan, "db.more", &table);
    let inputs = [first, second].map(|s| project(&mut plan, s, vec![Requirement::CountNull(1)]));
    let right = plan.add(
        "right",
        table.clone(),
        Operator::Union {
            inputs: inputs.to_vec(),
        },
    );
    let arrange = Arrange {
        input: right,
        keys: vec![0],
        time: 1,
        payload: vec![2, 0],
    };
    let payload = schema(&[("v", Double), ("k", Long)]);
    let right = plan.add("right", payload.clone(), Operator::Arrange(arrange));
    let queries = Queries {
        left,
        keys: vec![0],
        time: QueryTime::At(1),
        filters: Vec::new(),
    };
    let queries = plan.add("queries", Schema::default(), Operator::Queries(queries));
    let parts: Vec<AggregatePart> = [
        part(Operation::Sum, Window::Hours(7), &payload),
        part(Operation::Average, Window::Days(2), &payload),
        part(Operation::Last, Window::Unbounded, &payload),
    ]
    .into();
    let output = |parts: &[AggregatePart]| -> Vec<Field> {
        parts
            .iter()
            .map(|p| Field::new(&p.output_name, p.output_type.clone()))
            .collect()
    };
    let answers = Schema::new(output(&parts));
    let resolution = Resolution::FiveMinutes;
    let evaluator = EvaluatorPlan::PointInTime { parts, resolution };
    let answer = AnswerRule::Always;
    let windows = AsOf {
        right,
        queries,
        evaluator,
        answer,
    };
    let windows = plan.add("windows", answers.clone(), Operator::AsOf(windows));
    let evaluator = EvaluatorPlan::Lookup {
        columns: vec![0],
        matches: Matches::All,
    };
    let exact = AsOf {
        right,
        queries,
        evaluator,
        answer: AnswerRule::AnyRow,
    };
    let exact = plan.add("exact", schema(&[("v", Double)]), Operator::AsOf(exact));
    let mut fields = table.fields.clone();
    fields.extend(answers.fields);
    fields.push(Field::new("exact", Double));
    let columns = |fields: &[Field]| -> Vec<Expr> {
        fields
            .iter()
            .enumerate()
            .map(|(i, f)| Expr::column(i, f.data_type.clone()))
            .collect()
    };
    let assemble = Assemble {
        left,
        parts: vec![windows, exact],
        columns: columns(&fields),
    };
    let output_schema = Schema::new(
        fields
            .into_iter()
            .enumerate()
            .map(|(i, mut field)| {
                field.name = if i == 3 { "ds".into() } else { format!("c{i}") };
                field
            })
            .collect(),
    );
    let joined = plan.add("joined", output_schema, Operator::Assemble(assemble));
    sink(&mut plan, joined, "db.out", 3, vec![0, 1]);
    let daily = vec![part(Operation::Sum, Window::Days(2), &payload)];
    let mut fields = vec![
        Field::new("k", Long),
        Field::new("ds", String),
        Field::new("day_end", Long),
    ];
    fields.extend(output(&daily));
    let snapshots = Snapshots {
        right,
        days: PartitionRange::new(day(1), day(DAYS)).unwrap(),
        evaluator: EvaluatorPlan::PointInTime {
            parts: daily,
            resolution: Resolution::Daily,
        },
        keys: vec![1],
        answer: AnswerRule::AnyValue,
    };
    let snapshots = plan.add(
        "snapshots",
        Schema::new(fields),
        Operator::Snapshots(snapshots),
    );
    sink(&mut plan, snapshots, "db.days", 1, vec![0]);
    let facts = Facts {
        number: 0,
        input: left,
        time: Some(1),
        day: 3,
        keys: vec![0],
        small_rows_max: 1_000,
    };
    plan.add("facts", Schema::default(), Operator::Facts(facts));
    plan
}

/// What a reader sees of a table.
fn content(warehouse: &Warehouse, table: &str) -> Vec<(String, RecordBatch)> {
    let table = warehouse.table(table).unwrap();
    let schema = table.schema().unwrap();
    let read = |split: Split| {
        let mut reader = split.open(&schema, &[]).unwrap();
        let mut batches = Vec::new();
        while let Some(batch) = reader.next_batch().unwrap() {
            batches.push(batch);
        }
        let all = concat_batches(&Arc::new(schema.to_arrow()), &batches).unwrap();
        (split.partition.to_string(), all)
    };
    table
        .splits(&Selection::all())
        .unwrap()
        .into_iter()
        .map(read)
        .collect()
}

fn committed(warehouse: &Warehouse, output: RunOutput) -> Vec<Vec<(String, RecordBatch)>> {
    let mut tables = Vec::new();
    for sink in output.written {
        sink.write.commit(sink.staged).unwrap();
        tables.push(content(warehouse, &sink.table));
    }
    tables
}

fn filled(seed: u64) -> Warehouse {
    let warehouse = Warehouse::open("memory://").unwrap();
    let mut random = Random::new(seed);
    for (table, null_times) in [("db.left", false), ("db.right", true), ("db.more", true)] {
        fill(&warehouse, table, &mut random, null_times);
    }
    warehouse
}

#[test]
fn equals_the_slow_twin_on_any_number_of_workers() {
    for seed in 0..5 {
        let warehouse = filled(seed);
        let plan = plan(vec![Requirement::FailNull(1)]);
        let run_with = |workers| Run {
            plan: &plan,
            warehouse: &warehouse,
            workers,
            memory_bytes: None,
            left_facts: &[],
        };
        let twin = naive::run(&run_with(1)).unwrap();
        let (bad, rows_in) = (twin.bad_rows.clone(), twin.rows_in);
        let facts = twin.facts[&0].clone();
        let want = committed(&warehouse, twin);
        assert!(want[0].iter().map(|(_, b)| b.num_rows()).sum::<usize>() > 0);
        for workers in [1, 2, 4] {
            let output = run(&run_with(workers)).unwrap();
            assert_eq!(output.rows_in, rows_in);
            let found = output.facts[&0].clone();
            assert_eq!(
                (found.row_count, found.time_millis, &found.day),
                (facts.row_count, facts.time_millis, &facts.day)
            );
            let count = |b: &BTreeMap<String, BadRows>| b.values().map(|b| b.count).sum::<u64>();
            assert_eq!(count(&output.bad_rows), count(&bad));
            let got = committed(&warehouse, output);
            assert_eq!(got, want, "seed {seed}, {workers} workers");
        }
    }
}

/// A null where none may be fails the run, whatever the workers, and stages nothing.
#[test]
fn a_failure_on_one_worker_ends_the_run() {
    let warehouse = filled(3);
    let mut random = Random::new(9);
    fill(&warehouse, "db.left", &mut random, true);
    let plan = plan(vec![Requirement::FailNull(1)]);
    for workers in [1, 2, 4] {
        let (warehouse, plan) = (&warehouse, &plan);
        let error = run(&Run {
            plan,
            warehouse,
            workers,
            memory_bytes: None,
            left_facts: &[],
        })
        .unwrap_err();
        assert!(matches!(error, EngineError::NullValue { .. }), "{error}");
        assert!(!warehouse.table("db.out").unwrap().exists().unwrap());
    }
}

/// A plan whose nodes do not fit is an error, not a panic.
#[test]
fn a_malformed_plan_is_an_error() {
    let warehouse = filled(4);
    let mut plan = plan(Vec::new());
    for node in &mut plan.nodes {
        if let Operator::AsOf(as_of) = &mut node.operator {
            as_of.right = NodeId(0);
        }
    }
    let run = super::run(&Run {
        plan: &plan,
        warehouse: &warehouse,
        workers: 2,
        memory_bytes: None,
        left_facts: &[],
    });
    assert!(matches!(run, Err(EngineError::Plan { node: 0, .. })));
}
