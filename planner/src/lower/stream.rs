//! What a stream keeps of a TEMPORAL group-by: all rows of each key since a day, packed into one value of the store.
//!
//! Rows are those that the group-by aggregates: events by their time, or mutations by theirs. What is selected, left out
//! and required of them is the same as offline. They come on topics, or are read again from the tables behind those.
//! Of a table the day before is read too, since a row's time may lie beyond its day; what is kept are the rows whose
//! time is of the days asked for. Group-bys of one topic share what it brings.

use crate::avro::Record;
use crate::definition::DataModel;
use crate::diagnostic::Diagnostic;
use crate::expr::{self, Expr};
use crate::logical::RowSource;
use crate::naming::{MUTATION_TIME_COLUMN, PARTITION_COLUMN, REVERSAL_COLUMN, TIME_COLUMN};
use crate::physical::{
    AnswerRule, Arrange, Collect, DataflowPlan, Datum, DayFilter, Encode, EvaluatorPlan, NodeId,
    Operator, Project, Receive, Requirement, Snapshots,
};
use crate::resolve::{Tile, UploadGroup};
use crate::schema::{DataType, Field, Schema};
use crate::time::{Partition, PartitionRange};

use super::left::{columns_only, on_day};
use super::remap;
use super::right::{rendered, scan, union};

/// The label under which the packed rows of a group-by of this clean name are handed on.
pub fn stream_rows_of(clean_name: &str) -> String {
    format!("stream rows {clean_name}")
}

/// Where what comes after a batch comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamOrigin {
    /// The tables behind topics: it ends.
    Tables,
    /// Topics: it does not.
    Topics,
}

/// The plan of the rows since a day: of each group-by key bytes, packed row, time of the latest. A group-by of which
/// nothing streams has no part in it.
pub fn stream_rows(
    uploads: &[UploadGroup],
    since: Partition,
    origin: StreamOrigin,
) -> Result<DataflowPlan, Vec<Diagnostic>> {
    let mut plan = DataflowPlan::default();
    for upload in uploads {
        let rows = match origin {
            StreamOrigin::Tables => from_tables(upload, since, &mut plan)?,
            StreamOrigin::Topics => from_topics(upload, since, &mut plan)?,
        };
        if !rows.is_empty() {
            keep(upload, rows, (since, origin), &mut plan);
        }
    }
    Ok(super::finished(plan))
}

fn from_tables(
    upload: &UploadGroup,
    since: Partition,
    plan: &mut DataflowPlan,
) -> Result<Vec<NodeId>, Vec<Diagnostic>> {
    let mut rows = Vec::new();
    for source in sources(upload) {
        let days = source.partition.partitioned.then(|| DayFilter {
            column: source.partition.name.clone(),
            range: since_day(source, since.plus_days(-1)),
        });
        let source = on_day(source, days.as_ref())?;
        let input = scan(plan, &source.table.table, &source.table_schema, &days);
        let mut project = project(upload, &source, input);
        let time = upload.group.keys.len();
        project.output_filters = vec![not_before(time, since.start_millis())];
        let schema = projected(upload, &source);
        let label = format!("source {}", source.table.table);
        rows.push(plan.add(label, schema, Operator::Project(project)));
    }
    Ok(rows)
}

fn from_topics(
    upload: &UploadGroup,
    since: Partition,
    plan: &mut DataflowPlan,
) -> Result<Vec<NodeId>, Vec<Diagnostic>> {
    let mut rows = Vec::new();
    for source in sources(upload) {
        let Some(topic) = &source.topic else {
            continue;
        };
        let source = on_day(source, None)?;
        let mutations = upload.group.model == DataModel::Entities;
        let input = receive(plan, (topic, mutations), &source);
        let mut project = project(upload, &source, input);
        project.requirements.push(Requirement::CountBefore {
            column: upload.group.keys.len(),
            millis: since.start_millis(),
        });
        let schema = projected(upload, &source);
        let label = format!("source {topic}");
        rows.push(plan.add(label, schema, Operator::Project(project)));
    }
    Ok(rows)
}

/// What comes on a topic; once for all who want it.
fn receive(
    plan: &mut DataflowPlan,
    (topic, mutations): (&str, bool),
    source: &RowSource,
) -> NodeId {
    let receive = Receive {
        topic: topic.into(),
        table: source.table.table.clone(),
        mutations,
    };
    plan.add(
        topic,
        source.table_schema.clone(),
        Operator::Receive(receive),
    )
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

/// What is kept of rows by key, packed and handed on.
fn keep(
    upload: &UploadGroup,
    rows: Vec<NodeId>,
    (since, origin): (Partition, StreamOrigin),
    plan: &mut DataflowPlan,
) {
    let clean_name = &upload.group.clean_name;
    let rows = union(plan, rows, clean_name);
    let entries = match upload.tile {
        None => rows_by_key(upload, rows, plan),
        Some(tile) => tiles_by_key(upload, tile, (rows, since), plan),
    };
    let schema = upload
        .tile
        .map_or_else(|| upload.stream_row.fingerprint(), |tile| tile.schema);
    let evaluator = EvaluatorPlan::StreamRows {
        datum: 1,
        schema,
        since_millis: since.start_millis(),
    };
    let label = format!("group-by {clean_name}");
    let values = ["row", "millis"];
    let rows = one_each(label, (entries, since), (evaluator, values), plan);
    let out = match origin {
        StreamOrigin::Topics => Operator::Publish { input: rows },
        StreamOrigin::Tables => Operator::Collect(Collect {
            input: rows,
            sort: vec![0],
        }),
    };
    let schema = plan.node(rows).schema.clone();
    plan.add(stream_rows_of(clean_name), schema, out);
}

/// Key bytes and datums of rows, by key and time.
fn rows_by_key(upload: &UploadGroup, rows: NodeId, plan: &mut DataflowPlan) -> NodeId {
    let group = &upload.group;
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
    let mut fields = datum_fields(&["key_bytes", "datum"]);
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
    plan.add(label, packed, Operator::Arrange(arrange))
}

/// Key bytes and states of tiles, by key and the time of the tile's latest row. What comes to a tile costs that tile.
fn tiles_by_key(
    upload: &UploadGroup,
    tile: Tile,
    (rows, since): (NodeId, Partition),
    plan: &mut DataflowPlan,
) -> NodeId {
    let group = &upload.group;
    let key_count = group.keys.len();
    let own = plan.node(rows).schema.fields.clone();
    let encode = Encode {
        input: rows,
        datums: vec![Datum {
            record: upload.key.clone(),
            columns: (0..key_count).collect(),
        }],
        kept: (0..own.len()).collect(),
    };
    let mut fields = datum_fields(&["key_bytes"]);
    fields.extend(own);
    let label = format!("keys of {}", group.clean_name);
    let keyed = plan.add(label, Schema::new(fields.clone()), Operator::Encode(encode));
    let time = 1 + key_count;
    let columns = fields.iter().enumerate();
    let columns = columns.map(|(at, field)| Expr::column(at, field.data_type.clone()));
    let columns = columns.chain([start_of_tile(time, tile.millis)]).collect();
    fields.push(Field::new("tile", DataType::Long));
    let label = format!("tiles of {}", group.clean_name);
    let project = Operator::Project(columns_only(keyed, columns));
    let tiled = plan.add(label, Schema::new(fields.clone()), project);
    let payload: Vec<usize> = [0].into_iter().chain(time + 1..fields.len() - 1).collect();
    let kept = Schema::new(payload.iter().map(|at| fields[*at].clone()).collect());
    let arrange = Arrange {
        input: tiled,
        keys: (1..time).chain([fields.len() - 1]).collect(),
        time,
        payload,
    };
    let label = format!("source of {}", group.clean_name);
    let arranged = plan.add(label, kept, Operator::Arrange(arrange));
    let evaluator = EvaluatorPlan::StreamTiles {
        parts: group.parts.clone(),
        bases: upload.bases.clone(),
    };
    let label = format!("states of {}", group.clean_name);
    let values = ["datum", "millis"];
    let states = one_each(label, (arranged, since), (evaluator, values), plan);
    let arrange = Arrange {
        input: states,
        keys: vec![0],
        time: 4,
        payload: vec![0, 3],
    };
    let label = format!("tiles by key of {}", group.clean_name);
    let packed = Schema::new(datum_fields(&["key_bytes", "datum"]));
    plan.add(label, packed, Operator::Arrange(arrange))
}

fn datum_fields(names: &[&str]) -> Vec<Field> {
    let field = |name: &&str| Field::new(*name, DataType::Binary);
    names.iter().map(field).collect()
}

/// The first millisecond of the tile that the time in a column lies in.
fn start_of_tile(column: usize, millis: i64) -> Expr {
    of_time(&format!("t - pmod(t, {millis}L)"), column)
}

/// Names of the projected columns: keys, the time that orders rows, and those of a row's datum.
fn projected_names(upload: &UploadGroup) -> Vec<String> {
    let group = &upload.group;
    let time = match group.model {
        DataModel::Events => TIME_COLUMN,
        DataModel::Entities => MUTATION_TIME_COLUMN,
    };
    let keys = group.keys.iter().map(|key| key.name.clone());
    keys.chain([time.into()])
        .chain(row_columns(upload))
        .collect()
}

fn projected(upload: &UploadGroup, source: &RowSource) -> Schema {
    let names = projected_names(upload);
    let field = |name: &String| Field::new(name, rendered(source, name).data_type);
    let mut fields: Vec<Field> = names.iter().map(field).collect();
    fields[upload.group.keys.len()].name = "right_time".into();
    Schema::new(fields)
}

fn project(upload: &UploadGroup, source: &RowSource, input: NodeId) -> Project {
    let key_count = upload.group.keys.len();
    let names = projected_names(upload);
    Project {
        input,
        filters: source.filters.clone(),
        generator: source.generator.clone(),
        columns: names.iter().map(|name| rendered(source, name)).collect(),
        output_filters: vec![],
        requirements: vec![
            Requirement::AnyNotNull((0..key_count).collect()),
            Requirement::CountNull(key_count),
        ],
    }
}

/// Whether the time in a column is not before this one.
fn not_before(column: usize, millis: i64) -> Expr {
    of_time(&format!("t >= {millis}L"), column)
}

/// An expression of the time `t` in a column.
fn of_time(text: &str, column: usize) -> Expr {
    let schema = Schema::new(vec![Field::new("t", DataType::Long)]);
    let bound = expr::parse(text).and_then(|ast| expr::bind(&ast, &schema));
    let bound = bound.expect("the text is arithmetic with a long");
    remap::moved(&bound, &|_| column)
}

/// A datum and a time of each key of an arrangement, under these names, behind its key bytes, a day and its end.
fn one_each(
    label: String,
    (right, since): (NodeId, Partition),
    (evaluator, values): (EvaluatorPlan, [&str; 2]),
    plan: &mut DataflowPlan,
) -> NodeId {
    let fields = vec![
        Field::new("key_bytes", DataType::Binary),
        Field::new(PARTITION_COLUMN, DataType::String),
        Field::new("day_end", DataType::Long),
        Field::new(values[0], DataType::Binary),
        Field::new(values[1], DataType::Long),
    ];
    let snapshots = Snapshots {
        right,
        days: PartitionRange {
            start: since,
            end: since,
        },
        evaluator,
        keys: vec![0],
        answer: AnswerRule::AnyRow,
    };
    plan.add(label, Schema::new(fields), Operator::Snapshots(snapshots))
}
