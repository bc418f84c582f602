//! One table rendered by its query: fills overridden by selects, conditions, the partition column as `ds`.
//!
//! The rules are those of the specification's §3.7. A fill gives a column its default expression; a select of the same
//! name wins; a query without selects takes the table's columns as they are.

use crate::catalog::{Catalog, partition_values};
use crate::definition::Query;
use crate::diagnostic::Diagnostic;
use crate::expr::{Expr, Selected};
use crate::logical::{DayRule, Fill, PartitionColumn, Rendering, RowSource};
use crate::naming::{self, TableSpec};
use crate::schema::{Field, Schema};
use crate::time::Partition;

use super::{Problems, bind};

/// What is asked of a source.
pub(super) struct Request<'a> {
    /// The table as written, sub-partitions included.
    pub(super) table: &'a str,
    /// Where it stands in the user's file.
    pub(super) table_path: String,
    /// The topic on which its rows come too.
    pub(super) topic: Option<&'a str>,
    /// Its query and where that stands.
    pub(super) query: &'a Query,
    pub(super) query_path: String,
    /// Columns added where the selects have none of the name; the partition column comes by itself.
    pub(super) fills: Vec<Fill>,
    /// How days are chosen.
    pub(super) days: DayRule,
}

/// A fill that takes the column of its own name.
pub(super) fn same_named(name: &str) -> Fill {
    Fill {
        name: name.into(),
        expression: None,
        path: None,
    }
}

/// A fill with an expression, if one is written at this path; else the column of the name.
pub(super) fn fill(name: &str, expression: Option<&String>, path: String) -> Fill {
    Fill {
        name: name.into(),
        expression: expression.cloned(),
        path: Some(path),
    }
}

/// That a table is not there.
pub(super) fn missing_table(table: &str) -> String {
    format!("there is no table {table}")
}

/// Renders a source.
pub(super) fn resolve(
    request: Request<'_>,
    catalog: &dyn Catalog,
    problems: &mut Problems,
) -> Option<RowSource> {
    let table = match TableSpec::parse(request.table) {
        Ok(table) => table,
        Err(error) => {
            problems.error(request.table_path, error.to_string());
            return None;
        }
    };
    let allowed = allowed_days(request.query, &request.query_path, problems);
    let Some(table_schema) = catalog.schema(&table.table) else {
        problems.report(
            Diagnostic::error(request.table_path, missing_table(&table.table))
                .hint("check the name, and that the warehouse is the one meant"),
        );
        return None;
    };
    let partition = partition_column(&request, &table.table, &table_schema, catalog, problems)?;
    let values = partition_values(
        catalog,
        &table.table,
        &partition.name,
        &table.sub_partitions,
    );
    let days: Vec<Partition> = values
        .iter()
        .filter_map(|value| value.parse().ok())
        .collect();
    let available = days.first().copied().zip(days.last().copied());
    let rendering = Rendering {
        query: request.query.clone(),
        query_path: request.query_path.clone(),
        fills: request.fills,
    };
    let rendered = render(&rendering, &table_schema, &partition.name, None, problems)?;
    Some(RowSource {
        table,
        table_schema,
        partition,
        allowed: allowed?,
        available,
        days: request.days,
        filters: rendered.filters,
        generator: rendered.generator,
        columns: rendered.columns,
        names_run_day: rendering.names_run_day(),
        topic: request.topic.map(str::to_owned),
        path: request.query_path,
        rendering,
    })
}

/// The source bound again with the one day that is scanned.
pub(super) fn for_run_day(
    source: &RowSource,
    day: Partition,
    problems: &mut Problems,
) -> Option<RowSource> {
    let (rendering, schema) = (&source.rendering, &source.table_schema);
    let rendered = render(
        rendering,
        schema,
        &source.partition.name,
        Some(day),
        problems,
    )?;
    let mut source = source.clone();
    source.filters = rendered.filters;
    source.generator = rendered.generator;
    source.columns = rendered.columns;
    Some(source)
}

fn partition_column(
    request: &Request<'_>,
    table: &str,
    schema: &Schema,
    catalog: &dyn Catalog,
    problems: &mut Problems,
) -> Option<PartitionColumn> {
    let written = request.query.partition_column.as_deref();
    let name = written.unwrap_or(naming::PARTITION_COLUMN);
    let partitioned = catalog
        .partition_columns(table)
        .iter()
        .any(|column| column == name);
    if !partitioned && schema.index_of(name).is_none() {
        let path = match written {
            Some(_) => format!("{}.partitionColumn", request.query_path),
            None => request.table_path.clone(),
        };
        problems.report(
            bind::missing_column(name, schema, &path)
                .hint("name the column that holds the day in partitionColumn"),
        );
        return None;
    }
    Some(PartitionColumn {
        name: name.into(),
        partitioned,
    })
}

fn allowed_days(
    query: &Query,
    path: &str,
    problems: &mut Problems,
) -> Option<(Option<Partition>, Option<Partition>)> {
    let start = day(
        query.start_partition.as_deref(),
        &format!("{path}.startPartition"),
        problems,
    );
    let end = day(
        query.end_partition.as_deref(),
        &format!("{path}.endPartition"),
        problems,
    );
    let (start, end) = (start?, end?);
    if let (Some(first), Some(last)) = (start, end)
        && first > last
    {
        let message = format!("startPartition {first} is after endPartition {last}");
        problems.error(path, message);
        return None;
    }
    Some((start, end))
}

/// A day, if one is written; `None` outside when it is no day.
pub(super) fn day(
    text: Option<&str>,
    path: &str,
    problems: &mut Problems,
) -> Option<Option<Partition>> {
    match text.map(str::parse) {
        None => Some(None),
        Some(Ok(day)) => Some(Some(day)),
        Some(Err(error)) => {
            let error: crate::time::NotADay = error;
            problems.error(path, error.to_string());
            None
        }
    }
}

struct Rendered {
    filters: Vec<Expr>,
    generator: Option<crate::expr::Generator>,
    columns: Vec<(Field, Expr)>,
}

fn render(
    rendering: &Rendering,
    schema: &Schema,
    partition_column: &str,
    run_day: Option<Partition>,
    problems: &mut Problems,
) -> Option<Rendered> {
    let before = problems.list.len();
    let mut rendered = Rendered {
        filters: Vec::new(),
        generator: None,
        columns: Vec::new(),
    };
    for entry in rendering.entries(schema, partition_column) {
        let text = entry
            .expression
            .as_ref()
            .map(|text| with_run_day(text, run_day));
        let value = match text {
            Some(text) if !same_name(&text, &entry.name) => {
                let bound = bind::selected(&text, schema, &entry.path, problems);
                bound.and_then(|bound| value_of(bound, schema, &entry, &mut rendered, problems))
            }
            _ => bind::column(&entry.name, schema, &entry.path, problems),
        };
        let Some(value) = value else { continue };
        let name = if entry.name == partition_column {
            naming::PARTITION_COLUMN.to_owned()
        } else {
            entry.name
        };
        if rendered.columns.iter().any(|(field, _)| field.name == name) {
            problems.error(&entry.path, format!("column {name:?} is selected twice"));
        }
        rendered
            .columns
            .push((Field::new(name, value.data_type.clone()), value));
    }
    for (index, text) in rendering.query.wheres.iter().flatten().enumerate() {
        let path = format!("{}.wheres[{index}]", rendering.query_path);
        let text = with_run_day(text, run_day);
        rendered
            .filters
            .extend(bind::condition(&text, schema, &path, problems));
    }
    (problems.list.len() == before).then_some(rendered)
}

fn same_name(text: &str, name: &str) -> bool {
    text == name || text.strip_prefix('`').and_then(|t| t.strip_suffix('`')) == Some(name)
}

/// The value of a select entry; a generator moves aside and leaves its column.
fn value_of(
    selected: Selected,
    schema: &Schema,
    entry: &crate::logical::SelectEntry,
    rendered: &mut Rendered,
    problems: &mut Problems,
) -> Option<Expr> {
    let generator = match selected {
        Selected::Value(value) => return Some(value),
        Selected::Generator(generator) => generator,
    };
    let [made] = &generator.columns[..] else {
        let count = generator.columns.len();
        let message = format!("the generator makes {count} columns, but a select is one");
        problems.error(&entry.path, message);
        return None;
    };
    let value = Expr::column(schema.fields.len(), made.data_type.clone());
    if rendered.generator.is_some() {
        problems.error(
            &entry.path,
            "only one generator is allowed in the selects of a query",
        );
        return None;
    }
    rendered.generator = Some(generator);
    Some(value)
}

/// The text with the day scanned in place of its macro; any day stands in while types are settled.
fn with_run_day(text: &str, day: Option<Partition>) -> String {
    let day = day.unwrap_or(Partition { day: 0 }).to_string();
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inside, behind)) = after.split_once("}}") else {
            break;
        };
        out.push_str(before);
        if inside.trim() == "CHRONON_RUN_DS" {
            out.push_str(&day);
        } else {
            out.push_str("{{");
            out.push_str(inside);
            out.push_str("}}");
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}
