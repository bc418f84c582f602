//! What an upload stores: one row of Avro bytes for each key.
//!
//! Finished values are as of the end of the batch's last day; states of a batch are those at that instant. Which days
//! are read follows the specification's §5.3: events of TEMPORAL group-bys also from the day after, which may hold late
//! ones; everything else from the days a backfill of the last day reads.

use crate::definition::DataModel;
use crate::diagnostic::Diagnostic;
use crate::expr::{Expr, Literal};
use crate::logical::PartMethod;
use crate::naming::{PARTITION_COLUMN, TIME_COLUMN};
use crate::physical::{
    AnswerRule, DataflowPlan, Datum, Encode, EvaluatorPlan, NodeId, Operator, OutputTable, Sink,
};
use crate::resolve::UploadGroup;
use crate::schema::{DataType, Field, Schema};
use crate::time::{Partition, PartitionRange};

use crate::serving::EDGE_COLUMN;

use super::group::{self, PreparedGroup, Shape};
use super::left::{columns_only, source_days};
use super::right::{RightUse, Rights};

/// The columns of datums: keys, values, and what belongs behind values.
fn datum_fields(upload: &UploadGroup) -> Vec<Field> {
    let names = ["key_bytes", "value_bytes"].into_iter();
    let names = names.chain(upload.edge.as_ref().map(|_| EDGE_COLUMN));
    names
        .map(|name| Field::new(name, DataType::Binary))
        .collect()
}

fn only(day: Partition) -> PartitionRange {
    PartitionRange {
        start: day,
        end: day,
    }
}

pub(super) fn prepare(
    upload: &UploadGroup,
    day: Partition,
    rights: &mut Rights,
) -> Result<PreparedGroup, Vec<Diagnostic>> {
    let group = &upload.group;
    if group.passes_through() {
        let source = |source| source_days(source, only(day), group.max_window);
        let sources = group.sources.iter().map(source).collect::<Result<_, _>>()?;
        return Ok(PreparedGroup::PassedThrough(sources));
    }
    let streamed = upload.stores_states() && group.model == DataModel::Events;
    let (method, days) = match streamed {
        true => (PartMethod::TemporalEvents, only(day.plus_days(1))),
        false => (group::own_method(group), only(day)),
    };
    let shape = Shape {
        method,
        snapshots: days,
        mutations: days,
        key_filters: Vec::new(),
        requirements: Vec::new(),
        key_payload: true,
        states: upload.stores_states(),
    };
    group::intern(group, &shape, rights).map(PreparedGroup::Aggregated)
}

pub(super) fn emit(
    upload: &UploadGroup,
    day: Partition,
    prepared: &PreparedGroup,
    rights: &Rights,
    plan: &mut DataflowPlan,
) {
    let group = &upload.group;
    let (rows, keys, values): (NodeId, Vec<usize>, Vec<usize>) = match prepared {
        PreparedGroup::Aggregated(right) => {
            let rows = aggregated(upload, day, right, rights, plan);
            let key_count = group.keys.len();
            let width = plan.node(rows).schema.fields.len();
            // The day and its end stand between keys and values.
            (
                rows,
                (0..key_count).collect(),
                (key_count + 2..width).collect(),
            )
        }
        PreparedGroup::PassedThrough(sources) => {
            let rows = group::pass_through(group, sources, plan);
            let schema = &plan.node(rows).schema;
            let find = |field: &Field| {
                let mut fields = schema.fields.iter();
                let found = fields.position(|other| other.name == field.name);
                found.expect("values and keys are rendered columns")
            };
            let keys = group.keys.iter().map(find).collect();
            (rows, keys, upload.values.iter().map(find).collect())
        }
    };
    let datum = |record: &crate::avro::Record, columns: Vec<usize>| Datum {
        record: record.clone(),
        columns,
    };
    let (stored, rest) = values.split_at(upload.value.fields.len());
    let mut datums = vec![
        datum(&upload.key, keys),
        datum(&upload.value, stored.into()),
    ];
    let edge = upload.edge.as_ref();
    datums.extend(edge.map(|edge| datum(edge, rest.into())));
    let encode = Encode {
        input: rows,
        datums,
        kept: vec![],
    };
    let packed = Schema::new(datum_fields(upload));
    let label = format!("datums of {}", group.clean_name);
    let datums = plan.add(label, packed, Operator::Encode(encode));
    emit_sink(upload, day, datums, plan);
}

/// Keys, the day, its end, and what is stored.
fn aggregated(
    upload: &UploadGroup,
    day: Partition,
    right: &RightUse,
    rights: &Rights,
    plan: &mut DataflowPlan,
) -> NodeId {
    let group = &upload.group;
    let arrange = rights.arrange(right, plan);
    if !upload.stores_states() {
        let method = group::own_method(group);
        return group::snapshots(group, method, right, arrange, only(day), plan);
    }
    let time = (group.model == DataModel::Entities).then(|| {
        let name = right.name(TIME_COLUMN);
        let fields = &plan.node(arrange).schema.fields;
        let found = fields.iter().position(|field| field.name == name);
        found.expect("the payload of states holds the time")
    });
    let evaluator = EvaluatorPlan::BatchStates {
        parts: right.parts(&group.parts),
        bases: upload.bases.clone(),
        time,
    };
    let answers = (evaluator, AnswerRule::Always, upload.values.clone());
    group::snapshots_of(group, right, arrange, answers, only(day), plan)
}

fn emit_sink(upload: &UploadGroup, day: Partition, datums: NodeId, plan: &mut DataflowPlan) {
    let texts = ["key_json", "value_json", PARTITION_COLUMN];
    let text = |name: &str| Field::new(name, DataType::String);
    let mut fields = datum_fields(upload);
    let edge = fields.split_off(2);
    fields.extend(texts.map(text));
    fields.extend(edge);
    let schema = Schema::new(fields);
    let day = Expr::literal(Literal::String(day.to_string()), DataType::String);
    let mut columns = vec![
        Expr::column(0, DataType::Binary),
        Expr::column(1, DataType::Binary),
        Expr::null(DataType::String),
        Expr::null(DataType::String),
        day,
    ];
    columns
        .extend((schema.fields.len() > columns.len()).then(|| Expr::column(2, DataType::Binary)));
    let label = format!("upload of {}", upload.group.clean_name);
    let project = Operator::Project(columns_only(datums, columns));
    let input = plan.add(label, schema.clone(), project);
    let sink = Sink {
        under: Vec::new(),
        input,
        table: OutputTable {
            name: upload.table.clone(),
            kind: "upload",
            expands: false,
        },
        distinct: Vec::new(),
        sort: vec![0],
        partition: None,
        days: None,
    };
    plan.add(
        format!("table {}", upload.table),
        schema,
        Operator::Sink(sink),
    );
}
