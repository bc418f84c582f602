//! What a stream keeps of a TEMPORAL group-by: all rows of each key since a day, packed into one value of the store.
//!
//! Rows are those that the group-by aggregates: events by their time, or mutations by theirs. What is selected, left out
//! and required of them is the same as offline. A row's time may lie beyond its day, so the day before is read too; what
//! is kept are the rows whose time is of the days asked for.

use crate::avro::Record;
use crate::definition::DataModel;
use crate::diagnostic::Diagnostic;
use crate::expr::{self, Expr};
use crate::logical::RowSource;
use crate::naming::{MUTATION_TIME_COLUMN, PARTITION_COLUMN, REVERSAL_COLUMN, TIME_COLUMN};
use crate::physical::{
    AnswerRule, Arrange, Collect, DataflowPlan, Datum, DayFilter, Encode, EvaluatorPlan, NodeId,
    Operator, Project, Requirement, Snapshots,
};
use crate::resolve::UploadGroup;
use crate::schema::{DataType, Field, Schema};
use crate::time::{Partition, PartitionRange};

use super::left::on_day;
use super::remap;
use super::right::{rendered, scan, union};

/// The label under which packed rows are handed on.
pub const STREAM_ROWS: &str = "stream rows";

/// The plan of the rows since a day: key bytes, packed row, time of the latest. `None` where nothing streams.
pub fn stream_rows(
    upload: &UploadGroup,
    since: Partition,
) -> Result<Option<DataflowPlan>, Vec<Diagnostic>> {
    let streaming = sources(upload);
    if streaming.is_empty() {
        return Ok(None);
    }
    let mut inputs = Vec::new();
    for source in streaming {
        let days = source.partition.partitioned.then(|| DayFilter {
            column: source.partition.name.clone(),
            range: since_day(source, since.plus_days(-1)),
        });
        inputs.push((on_day(source, days.as_ref())?, days));
    }
    Ok(Some(plan(upload, &inputs, since)))
}

/// Where what comes after a batch is read: events themselves, or an entity's mutations.
fn sources(upload: &UploadGroup) -> &[RowSource] {
    let group = &upload.group;
    match group.model {
        _ if !upload.stores_states() => &[],
        DataModel::Events => &group.sources,
        DataModel::Entities => &group.mutations,
    }
}

fn since_day(source: &RowSource, since: Partition) -> Option<PartitionRange> {
    let (first, last) = source.available?;
    let (from, to) = source.allowed;
    let start = from.map_or(since, |from| from.max(since)).max(first);
    PartitionRange::new(start, to.map_or(last, |to| to.min(last)))
}

/// The columns of a row's datum, under their names among the rendered ones.
fn row_columns(upload: &UploadGroup) -> Vec<String> {
    let own = match upload.group.model {
        DataModel::Events => vec![],
        DataModel::Entities => vec![TIME_COLUMN.into(), REVERSAL_COLUMN.into()],
    };
    let rendered = &upload.group.rendered;
    let inputs = upload.inputs.iter();
    let inputs = inputs.map(|name| {
        rendered
            .field(name)
            .map_or(name, |field| &field.name)
            .clone()
    });
    inputs.chain(own).collect()
}

fn plan(
    upload: &UploadGroup,
    inputs: &[(RowSource, Option<DayFilter>)],
    since: Partition,
) -> DataflowPlan {
    let group = &upload.group;
    let mut plan = DataflowPlan::default();
    let rows = inputs
        .iter()
        .map(|(source, days)| project(upload, source, days, since, &mut plan))
        .collect();
    let rows = union(&mut plan, rows, &group.clean_name);
    let key_count = group.keys.len();
    let width = plan.node(rows).schema.fields.len();
    let datum = |record: &Record, columns: std::ops::Range<usize>| Datum {
        record: record.clone(),
        columns: columns.collect(),
    };
    let encode = Encode {
        input: rows,
        datums: vec![
            datum(&upload.key, 0..key_count),
            datum(&upload.stream_row, key_count + 1..width),
        ],
        kept: (0..=key_count).collect(),
    };
    let mut fields = vec![
        Field::new("key_bytes", DataType::Binary),
        Field::new("datum", DataType::Binary),
    ];
    let packed = Schema::new(fields.clone());
    fields.extend(plan.node(rows).schema.fields[..=key_count].iter().cloned());
    let label = format!("datums of {}", group.clean_name);
    let datums = plan.add(label, Schema::new(fields), Operator::Encode(encode));
    let arrange = Arrange {
        input: datums,
        keys: (2..2 + key_count).collect(),
        time: 2 + key_count,
        payload: vec![0, 1],
    };
    let label = format!("source of {}", group.clean_name);
    let arranged = plan.add(label, packed, Operator::Arrange(arrange));
    pack(upload, arranged, since, &mut plan);
    super::finished(plan)
}

/// Keys, the time that orders rows, and the columns of a row's datum.
fn project(
    upload: &UploadGroup,
    source: &RowSource,
    days: &Option<DayFilter>,
    since: Partition,
    plan: &mut DataflowPlan,
) -> NodeId {
    let group = &upload.group;
    let time = match group.model {
        DataModel::Events => TIME_COLUMN,
        DataModel::Entities => MUTATION_TIME_COLUMN,
    };
    let key_count = group.keys.len();
    let keys = group.keys.iter().map(|key| key.name.clone());
    let names: Vec<String> = keys
        .chain([time.into()])
        .chain(row_columns(upload))
        .collect();
    let columns: Vec<Expr> = names.iter().map(|name| rendered(source, name)).collect();
    let fields = names.iter().zip(&columns);
    let mut fields: Vec<Field> = fields
        .map(|(name, value)| Field::new(name, value.data_type.clone()))
        .collect();
    fields[key_count].name = "right_time".into();
    let project = Project {
        input: scan(plan, &source.table.table, &source.table_schema, days),
        filters: source.filters.clone(),
        generator: source.generator.clone(),
        columns,
        output_filters: vec![not_before(key_count, since.start_millis())],
        requirements: vec![
            Requirement::AnyNotNull((0..key_count).collect()),
            Requirement::CountNull(key_count),
        ],
    };
    let label = format!("source {}", source.table.table);
    plan.add(label, Schema::new(fields), Operator::Project(project))
}

/// Whether the time in a column is not before this one.
fn not_before(column: usize, millis: i64) -> Expr {
    let schema = Schema::new(vec![Field::new("t", DataType::Long)]);
    let bound = expr::parse(&format!("t >= {millis}L")).and_then(|ast| expr::bind(&ast, &schema));
    let bound = bound.expect("the text is a comparison with a number");
    remap::moved(&bound, &|_| column)
}

/// One value for each key, handed on.
fn pack(upload: &UploadGroup, arranged: NodeId, since: Partition, plan: &mut DataflowPlan) {
    let fields = ["key_bytes", PARTITION_COLUMN, "day_end", "row", "millis"];
    let types = [
        DataType::Binary,
        DataType::String,
        DataType::Long,
        DataType::Binary,
        DataType::Long,
    ];
    let fields: Vec<Field> = fields
        .iter()
        .zip(types)
        .map(|(name, data_type)| Field::new(*name, data_type))
        .collect();
    let snapshots = Snapshots {
        right: arranged,
        days: PartitionRange {
            start: since,
            end: since,
        },
        evaluator: EvaluatorPlan::StreamRows {
            datum: 1,
            since_millis: since.start_millis(),
        },
        keys: vec![0],
        answer: AnswerRule::AnyRow,
    };
    let label = format!("group-by {}", upload.group.clean_name);
    let rows = plan.add(
        label,
        Schema::new(fields.clone()),
        Operator::Snapshots(snapshots),
    );
    let collect = Collect {
        input: rows,
        sort: vec![0],
    };
    plan.add(STREAM_ROWS, Schema::new(fields), Operator::Collect(collect));
}
