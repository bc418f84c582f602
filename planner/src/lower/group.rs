//! A group-by: how its sources become an arrangement, what is evaluated on it, and its own table.

use crate::aggregation::AggregatePart;
use crate::diagnostic::Diagnostic;
use crate::expr::{self, Expr};
use crate::logical::{FeatureGroup, PartMethod, RowSource};
use crate::naming::{MUTATION_TIME_COLUMN, PARTITION_COLUMN, REVERSAL_COLUMN, TIME_COLUMN};
use crate::physical::{
    AnswerRule, DataflowPlan, DayFilter, EvaluatorPlan, NodeId, Operator, OutputTable, Project,
    Requirement, Resolution, Sink, Snapshots,
};
use crate::resolve::BackfillGroup;
use crate::schema::{DataType, Field, Schema};
use crate::time::PartitionRange;

use super::left::{columns_only, source_days};
use super::remap;
use super::right::{Payload, Reading, RightKey, RightUse, Rights, rendered, scan, union};

/// Name of the payload column that tells mutations from snapshot rows.
const IS_MUTATION: &str = "is_mutation";

/// How a group-by is read.
pub(super) struct Shape {
    pub(super) method: PartMethod,
    /// Query days of the sources proper.
    pub(super) snapshots: PartitionRange,
    /// Query days of the mutations.
    pub(super) mutations: PartitionRange,
    /// Conditions on key columns.
    pub(super) key_filters: Vec<Expr>,
    /// Requirements on key columns.
    pub(super) requirements: Vec<Requirement>,
    /// Whether key columns are needed in the payload.
    pub(super) key_payload: bool,
    /// Whether unfinished states are asked for, and so which keys have rows.
    pub(super) states: bool,
}

/// The millisecond after the row's day, over the table's columns.
pub(super) fn end_of_day(source: &RowSource) -> Expr {
    let name = &source.partition.name;
    let index = source
        .table_schema
        .index_of(name)
        .expect("resolution found the partition column");
    end_of_day_column(index)
}

/// The millisecond after the day in a string column.
pub(super) fn end_of_day_column(index: usize) -> Expr {
    let schema = Schema::new(vec![Field::new(PARTITION_COLUMN, DataType::String)]);
    let text = "(CAST(CAST(CAST(ds AS DATE) AS TIMESTAMP) AS BIGINT) + 86400) * 1000";
    let bound = expr::parse(text).and_then(|ast| expr::bind(&ast, &schema));
    let bound = bound.expect("the text is constant and its functions are in the catalogue");
    remap::moved(&bound, &|_| index).cast(&DataType::Long)
}

/// Finds or makes the right side of a group-by.
pub(super) fn intern(
    group: &FeatureGroup,
    shape: &Shape,
    rights: &mut Rights,
) -> Result<RightUse, Vec<Diagnostic>> {
    let mut inputs: Vec<(RowSource, Option<DayFilter>, bool)> = Vec::new();
    for source in &group.sources {
        let (source, days) = source_days(source, shape.snapshots, group.max_window)?;
        inputs.push((source, days, false));
    }
    let mutated = shape.method == PartMethod::TemporalEntities;
    if mutated {
        for source in &group.mutations {
            let (source, days) = source_days(source, shape.mutations, group.max_window)?;
            inputs.push((source, days, true));
        }
    }
    let readings = inputs
        .iter()
        .map(|(source, days, is_mutation)| {
            let time = match (shape.method, is_mutation) {
                (PartMethod::TemporalEvents | PartMethod::SnapshotEvents, _) => {
                    rendered(source, TIME_COLUMN)
                }
                (_, true) => rendered(source, MUTATION_TIME_COLUMN),
                (_, false) => end_of_day(source),
            };
            let mut reading = Reading::of(source, days.clone(), &group.keys, time);
            if *is_mutation {
                reading.filters.push(on_its_own_day(source));
            }
            reading
        })
        .collect();
    let key = RightKey {
        readings,
        key_fields: group.keys.clone(),
        key_filters: shape.key_filters.clone(),
        requirements: shape.requirements.clone(),
        rows_count: rows_count(group, shape),
    };
    let wanted = payload(group, shape, &inputs);
    Ok(rights.intern(key, wanted, &group.clean_name))
}

/// Mutations count on the day of their partition only.
fn on_its_own_day(source: &RowSource) -> Expr {
    let end = end_of_day(source);
    let time = rendered(source, MUTATION_TIME_COLUMN);
    between_day(time, end)
}

/// `end − one day ≤ time < end`, in the catalogue's words.
fn between_day(time: Expr, end: Expr) -> Expr {
    let columns = [time, end];
    let schema = Schema::new(vec![
        Field::new("t", DataType::Long),
        Field::new("e", DataType::Long),
    ]);
    let bound =
        expr::parse("t >= e - 86400000L AND t < e").and_then(|ast| expr::bind(&ast, &schema));
    let bound = bound.expect("the text is constant and its functions are in the catalogue");
    remap::replace(&bound, &|index| columns[index].clone())
}

fn is_key(group: &FeatureGroup, name: &str) -> bool {
    group.keys.iter().any(|key| key.name == name)
}

/// Whether the days read decide more than the values of inputs: which keys there are, or a key's own column.
fn rows_count(group: &FeatureGroup, shape: &Shape) -> bool {
    let events = matches!(
        shape.method,
        PartMethod::TemporalEvents | PartMethod::SnapshotEvents
    );
    let reads_key = |part: &AggregatePart| {
        is_key(group, &part.input) || part.bucket.as_ref().is_some_and(|name| is_key(group, name))
    };
    !events || shape.states || (shape.key_payload && group.parts.iter().any(reads_key))
}

fn payload(
    group: &FeatureGroup,
    shape: &Shape,
    inputs: &[(RowSource, Option<DayFilter>, bool)],
) -> Vec<Payload> {
    let mut names: Vec<&str> = Vec::new();
    if shape.key_payload {
        names.extend(group.keys.iter().map(|key| key.name.as_str()));
    }
    for part in &group.parts {
        names.push(&part.input);
        names.extend(part.bucket.as_deref());
    }
    let entities = matches!(
        shape.method,
        PartMethod::SnapshotEntities | PartMethod::TemporalEntities
    );
    let mutated = shape.method == PartMethod::TemporalEntities;
    if entities && (group.needs_time() || mutated || shape.states) {
        names.push(TIME_COLUMN);
    }
    let mut payload: Vec<Payload> = Vec::new();
    for name in names {
        if payload.iter().any(|column| column.name == name) {
            continue;
        }
        let field = group
            .rendered
            .field(name)
            .expect("resolution found the column");
        payload.push(Payload {
            name: name.into(),
            data_type: field.data_type.clone(),
            values: inputs
                .iter()
                .map(|(source, ..)| rendered(source, &field.name))
                .collect(),
            is_key: shape.key_payload && is_key(group, name),
        });
    }
    if mutated {
        let flag =
            |value: bool| Expr::literal(crate::expr::Literal::Boolean(value), DataType::Boolean);
        payload.push(Payload {
            name: IS_MUTATION.into(),
            data_type: DataType::Boolean,
            values: inputs
                .iter()
                .map(|(_, _, mutation)| flag(*mutation))
                .collect(),
            is_key: false,
        });
        let is_before = |(source, _, mutation): &(RowSource, Option<DayFilter>, bool)| {
            if *mutation {
                rendered(source, REVERSAL_COLUMN)
            } else {
                flag(false)
            }
        };
        payload.push(Payload {
            name: REVERSAL_COLUMN.into(),
            data_type: DataType::Boolean,
            values: inputs.iter().map(is_before).collect(),
            is_key: false,
        });
    }
    payload
}

/// How values are computed from the shared arrangement, and which queries have any.
pub(super) fn evaluator(
    group: &FeatureGroup,
    method: PartMethod,
    right: &RightUse,
    arrange: NodeId,
    plan: &DataflowPlan,
) -> (EvaluatorPlan, AnswerRule) {
    let parts = right.parts(&group.parts);
    let schema = &plan.node(arrange).schema;
    let position = |wanted: &str| {
        let name = right.name(wanted);
        let found = schema.fields.iter().position(|field| field.name == name);
        found.expect("the payload holds what was wanted")
    };
    match method {
        PartMethod::TemporalEvents => {
            let resolution = Resolution::FiveMinutes;
            (
                EvaluatorPlan::PointInTime { parts, resolution },
                AnswerRule::Always,
            )
        }
        PartMethod::SnapshotEvents => {
            let resolution = Resolution::Daily;
            (
                EvaluatorPlan::PointInTime { parts, resolution },
                AnswerRule::AnyValue,
            )
        }
        PartMethod::SnapshotEntities => {
            let time = group.needs_time().then(|| position(TIME_COLUMN));
            (
                EvaluatorPlan::SnapshotRows { parts, time },
                AnswerRule::AnyRow,
            )
        }
        PartMethod::TemporalEntities => {
            let evaluator = EvaluatorPlan::MutatedSnapshot {
                is_mutation: position(IS_MUTATION),
                is_before: position(REVERSAL_COLUMN),
                time: position(TIME_COLUMN),
                parts,
            };
            (evaluator, AnswerRule::Always)
        }
    }
}

/// Values of every key at each day's end: keys, `ds`, the day's end, values.
pub(super) fn snapshots(
    group: &FeatureGroup,
    method: PartMethod,
    right: &RightUse,
    arrange: NodeId,
    days: PartitionRange,
    plan: &mut DataflowPlan,
) -> NodeId {
    let (evaluator, answer) = evaluator(group, method, right, arrange, plan);
    let values = group.values.clone();
    snapshots_of(
        group,
        right,
        arrange,
        (evaluator, answer, values),
        days,
        plan,
    )
}

pub(super) fn snapshots_of(
    group: &FeatureGroup,
    right: &RightUse,
    arrange: NodeId,
    (evaluator, answer, values): (EvaluatorPlan, AnswerRule, Vec<Field>),
    days: PartitionRange,
    plan: &mut DataflowPlan,
) -> NodeId {
    let payload = &plan.node(arrange).schema;
    let keys: Vec<usize> = group
        .keys
        .iter()
        .map(|key| {
            let name = right.name(&key.name);
            let found = payload.fields.iter().position(|field| field.name == name);
            found.expect("the payload holds the keys")
        })
        .collect();
    let mut fields = group.keys.clone();
    fields.push(Field::new(PARTITION_COLUMN, DataType::String));
    fields.push(Field::new("day_end", DataType::Long));
    fields.extend(values);
    let snapshots = Snapshots {
        right: arrange,
        days,
        evaluator,
        keys,
        answer,
    };
    let label = format!("group-by {}", group.clean_name);
    plan.add(label, Schema::new(fields), Operator::Snapshots(snapshots))
}

/// A group-by's own table, before emission.
pub(super) enum PreparedGroup {
    /// Aggregated.
    Aggregated(RightUse),
    /// Rows as they are.
    PassedThrough(Vec<(RowSource, Option<DayFilter>)>),
}

pub(super) fn own_method(group: &FeatureGroup) -> PartMethod {
    match group.model {
        crate::definition::DataModel::Events => PartMethod::SnapshotEvents,
        crate::definition::DataModel::Entities => PartMethod::SnapshotEntities,
    }
}

/// Settles what a group-by's own backfill reads.
pub(super) fn prepare(
    backfill: &BackfillGroup,
    days: PartitionRange,
    states: bool,
    rights: &mut Rights,
) -> Result<PreparedGroup, Vec<Diagnostic>> {
    let group = &backfill.group;
    if group.passes_through() {
        let source = |source| source_days(source, days, group.max_window);
        let sources = group.sources.iter().map(source).collect::<Result<_, _>>()?;
        return Ok(PreparedGroup::PassedThrough(sources));
    }
    let shape = Shape {
        method: own_method(group),
        snapshots: days,
        mutations: days,
        key_filters: Vec::new(),
        requirements: Vec::new(),
        key_payload: true,
        states,
    };
    intern(group, &shape, rights).map(PreparedGroup::Aggregated)
}

/// Adds the nodes of a group-by's own table.
pub(super) fn emit(
    backfill: &BackfillGroup,
    days: PartitionRange,
    prepared: &PreparedGroup,
    rights: &Rights,
    plan: &mut DataflowPlan,
) {
    let group = &backfill.group;
    let label = format!("group-by {}", group.clean_name);
    let head = group.keys.len() + 1;
    let (rows, skipped) = match prepared {
        PreparedGroup::Aggregated(right) => {
            let arrange = rights.arrange(right, plan);
            let rows = snapshots(group, own_method(group), right, arrange, days, plan);
            (rows, Some(head))
        }
        PreparedGroup::PassedThrough(sources) => (pass_through(group, sources, plan), None),
    };
    let schema = plan.node(rows).schema.clone();
    // The day's end stands between `ds` and the values of snapshots, and in no table.
    let column = |index: usize| {
        let at = match skipped {
            Some(head) if index >= head => index + 1,
            _ => index,
        };
        Expr::column(at, schema.fields[at].data_type.clone())
    };
    let columns = backfill
        .output
        .iter()
        .map(|(_, value)| remap::replace(value, &column))
        .collect();
    let output = Schema::new(
        backfill
            .output
            .iter()
            .map(|(field, _)| field.clone())
            .collect(),
    );
    let project = Operator::Project(columns_only(rows, columns));
    let input = plan.add(label.clone(), output.clone(), project);
    emit_sink(group, input, (&backfill.table, "group_by"), days, plan);
}

fn emit_sink(
    group: &FeatureGroup,
    input: NodeId,
    (table, kind): (&str, &'static str),
    days: PartitionRange,
    plan: &mut DataflowPlan,
) {
    let schema = plan.node(input).schema.clone();
    let position = |name: &str| schema.fields.iter().position(|field| field.name == name);
    let sink = Sink {
        under: Vec::new(),
        input,
        table: OutputTable {
            name: table.into(),
            kind,
            expands: false,
        },
        distinct: Vec::new(),
        sort: group
            .keys
            .iter()
            .filter_map(|key| position(&key.name))
            .collect(),
        partition: Some(position(PARTITION_COLUMN).expect("derivations keep the day")),
        days: Some(days),
    };
    plan.add(
        format!("table {table}"),
        schema.clone(),
        Operator::Sink(sink),
    );
}

pub(super) fn pass_through(
    group: &FeatureGroup,
    sources: &[(RowSource, Option<DayFilter>)],
    plan: &mut DataflowPlan,
) -> NodeId {
    let keys = group.keys.iter();
    let keys: Vec<usize> = keys
        .filter_map(|key| group.rendered.index_of(&key.name))
        .collect();
    let inputs: Vec<NodeId> = sources
        .iter()
        .map(|(source, days)| {
            let project = Project {
                input: scan(plan, &source.table.table, &source.table_schema, days),
                filters: source.filters.clone(),
                generator: source.generator.clone(),
                columns: source
                    .columns
                    .iter()
                    .map(|(_, value)| value.clone())
                    .collect(),
                output_filters: Vec::new(),
                requirements: vec![Requirement::AnyNotNull(keys.clone())],
            };
            let label = format!("source {}", source.table.table);
            plan.add(label, group.rendered.clone(), Operator::Project(project))
        })
        .collect();
    union(plan, inputs, &group.clean_name)
}

/// Adds the nodes of an incremental group-by's daily states: keys, `ts`, one state per part without its window, `ds`.
pub(super) fn emit_states(
    backfill: &BackfillGroup,
    table: &str,
    days: PartitionRange,
    right: &RightUse,
    rights: &Rights,
    plan: &mut DataflowPlan,
) {
    let group = &backfill.group;
    let arrange = rights.arrange(right, plan);
    let mut parts = right.parts(&group.parts);
    let mut names: Vec<String> = Vec::new();
    parts.retain(|part| {
        let first = !names.contains(&part.incremental_name);
        names.push(part.incremental_name.clone());
        first
    });
    let states: Vec<Field> = parts
        .iter()
        .map(|part| Field::new(&part.incremental_name, part.state_type.clone()))
        .collect();
    let evaluator = (
        EvaluatorPlan::DayStates { parts },
        AnswerRule::AnyRow,
        states,
    );
    let rows = snapshots_of(group, right, arrange, evaluator, days, plan);
    let schema = plan.node(rows).schema.clone();
    let head = group.keys.len();
    let mut fields = schema.fields.clone();
    let mut columns = super::left::all_columns(&schema);
    // The states' `ts` is the day's first millisecond; it stands where the day's end did.
    let one_column = Schema::new(vec![Field::new("e", DataType::Long)]);
    let start = expr::parse("e - 86400000L").and_then(|ast| expr::bind(&ast, &one_column));
    let start = start.expect("the text is constant and its functions are in the catalogue");
    columns[head + 1] = remap::moved(&start, &|_| head + 1);
    fields[head + 1] = Field::new(TIME_COLUMN, DataType::Long);
    let label = format!("daily states of {}", group.clean_name);
    let project = Operator::Project(columns_only(rows, columns));
    let input = plan.add(label, Schema::new(fields), project);
    emit_sink(group, input, (table, "group_by_incremental"), days, plan);
}
