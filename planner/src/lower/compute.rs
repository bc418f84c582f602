//! Requests in two steps: first what each reads, so that equal readings merge; then the nodes.

use crate::diagnostic::Diagnostic;
use crate::expr::Expr;
use crate::logical::FeatureJoin;
use crate::naming::PARTITION_COLUMN;
use crate::physical::{Assemble, DataflowPlan, NodeId, Operator, OutputTable, Sink};
use crate::schema::Schema;

use super::group::{self, PreparedGroup};
use super::left::{self, LeftRows, PreparedLeft};
use super::part::{self, Answers, PreparedPart};
use super::right::Rights;
use super::{JoinRun, LeftOrigin, Request, upload};

/// A request whose readings are settled.
pub(super) enum Prepared {
    Left(PreparedLeft),
    Join(PreparedLeft, Vec<PreparedPart>),
    Group(PreparedGroup),
}

pub(super) fn prepare(
    request: &Request<'_>,
    rights: &mut Rights,
) -> Result<Prepared, Vec<Diagnostic>> {
    Ok(match request {
        Request::LeftFacts { join, days, .. } => Prepared::Left(left::prepare(join, *days)?),
        Request::Join(run) => {
            let left = left::prepare(run.join, run.days)?;
            let numbers = 0..run.join.parts.len();
            let parts = numbers.map(|number| part::prepare(run, number, rights));
            Prepared::Join(left, parts.collect::<Result<_, _>>()?)
        }
        Request::GroupBy { group, days } => {
            Prepared::Group(group::prepare(group, *days, false, rights)?)
        }
        Request::DailyStates { group, days, .. } => {
            Prepared::Group(group::prepare(group, *days, true, rights)?)
        }
        Request::Upload { upload, day } => Prepared::Group(upload::prepare(upload, *day, rights)?),
    })
}

pub(super) fn emit(
    request: &Request<'_>,
    prepared: &Prepared,
    rights: &Rights,
    plan: &mut DataflowPlan,
) {
    match (request, prepared) {
        (
            Request::LeftFacts {
                join,
                days,
                left: origin,
            },
            Prepared::Left(prepared),
        ) => {
            left::emit_facts(join, *origin, prepared, *days, plan);
        }
        (Request::Join(run), Prepared::Join(left, parts)) => {
            emit_join(run, left, parts, rights, plan);
        }
        (Request::GroupBy { group, days }, Prepared::Group(prepared)) => {
            group::emit(group, *days, prepared, rights, plan);
        }
        (
            Request::DailyStates { group, table, days },
            Prepared::Group(PreparedGroup::Aggregated(right)),
        ) => group::emit_states(group, table, *days, right, rights, plan),
        (Request::Upload { upload, day }, Prepared::Group(prepared)) => {
            upload::emit(upload, *day, prepared, rights, plan);
        }
        _ => {}
    }
}

fn emit_join(
    run: &JoinRun<'_>,
    prepared_left: &PreparedLeft,
    prepared_parts: &[PreparedPart],
    rights: &Rights,
    plan: &mut DataflowPlan,
) {
    let join = run.join;
    let left = left::emit(join, run.left, prepared_left, run.days, plan);
    if run.write_left && run.left == LeftOrigin::Source {
        left::emit_table(join, left, plan);
    }
    let answers: Vec<Option<Answers>> = prepared_parts
        .iter()
        .enumerate()
        .map(|(number, prepared)| part::emit(run, number, prepared, left.node, rights, plan))
        .collect();
    if !run.write_output {
        return;
    }
    let assembled = assemble(run, left, &answers, plan);
    let schema = join.output_schema();
    let columns = join.output.iter().map(|(_, value)| value.clone()).collect();
    let label = format!("output of {}", join.name);
    let project = Operator::Project(left::columns_only(assembled, columns));
    let input = plan.add(label, schema.clone(), project);
    emit_sink(run, input, &schema, plan);
}

fn emit_sink(run: &JoinRun<'_>, input: NodeId, schema: &Schema, plan: &mut DataflowPlan) {
    let join = run.join;
    let position = |name: &str| schema.fields.iter().position(|field| field.name == name);
    let left_name = |index: usize| &join.left.schema.fields[index].name;
    let by = join.left_keys().into_iter().chain(join.left.time);
    let sink = Sink {
        under: Vec::new(),
        input,
        table: OutputTable {
            name: join.tables.output.clone(),
            kind: "join",
            expands: true,
        },
        distinct: Vec::new(),
        sort: by.filter_map(|index| position(left_name(index))).collect(),
        partition: Some(position(PARTITION_COLUMN).expect("resolution keeps the day")),
        days: Some(run.days),
    };
    plan.add(
        format!("table {}", join.tables.output),
        schema.clone(),
        Operator::Sink(sink),
    );
}

/// The left's columns and all features, equal names coalesced.
fn assemble(
    run: &JoinRun<'_>,
    left: LeftRows,
    answers: &[Option<Answers>],
    plan: &mut DataflowPlan,
) -> NodeId {
    let join = run.join;
    let mut offsets = Vec::with_capacity(answers.len());
    let mut width = plan.node(left.node).schema.fields.len();
    for answer in answers {
        offsets.push(width);
        width += answer
            .as_ref()
            .map_or(0, |answer| plan.node(answer.node).schema.fields.len());
    }
    let columns = join
        .assembled
        .iter()
        .map(|column| {
            let data_type = &column.field.data_type;
            let on_left = column.left.map(|index| left_column(join, left, index));
            let features = column.features.iter().filter_map(|(part, feature)| {
                let answer = answers[*part].as_ref()?;
                let index = offsets[*part] + answer.features[*feature];
                Some(Expr::column(index, data_type.clone()))
            });
            let mut values: Vec<Expr> = on_left.into_iter().chain(features).collect();
            match values.len() {
                0 => Expr::null(data_type.clone()),
                1 => values.remove(0),
                _ => Expr::call("coalesce", values, data_type.clone()),
            }
        })
        .collect();
    let schema = Schema::new(
        join.assembled
            .iter()
            .map(|column| column.field.clone())
            .collect(),
    );
    let parts = answers.iter().flatten().map(|answer| answer.node).collect();
    let assemble = Assemble {
        left: left.node,
        parts,
        columns,
    };
    plan.add(
        format!("rows of {}", join.name),
        schema,
        Operator::Assemble(assemble),
    )
}

/// A column of the left table over the left node's columns.
fn left_column(join: &FeatureJoin, left: LeftRows, index: usize) -> Expr {
    let (field, value) = &join.bootstrap[index];
    if left.is_table {
        Expr::column(index, field.data_type.clone())
    } else {
        value.clone()
    }
}
