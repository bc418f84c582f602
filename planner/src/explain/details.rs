//! What decides a node's work, as pairs of a word and lines.

use crate::aggregation::AggregatePart;
use crate::expr::Expr;
use crate::physical::{
    AnswerRule, Arrange, Comparison, DataflowPlan, Datum, DayFilter, Encode, EvaluatorPlan,
    Matches, Node, NodeId, Operator, Project, QueryTime, Requirement, Resolution, Scan, Sink,
    Snapshots,
};
use crate::schema::Schema;
use crate::time::{Partition, Window};

use super::expression;

pub(super) type Details = Vec<(&'static str, Vec<String>)>;

/// The details of a node.
pub(super) fn of(plan: &DataflowPlan, node: &Node) -> Details {
    match &node.operator {
        Operator::Scan(scan) => self::scan(node, scan),
        Operator::Receive(receive) => vec![("topic", vec![receive.topic.clone()])],
        Operator::Project(project) => self::project(plan, node, project),
        Operator::Union { .. } => Vec::new(),
        Operator::Arrange(arrange) => self::arrange(plan, node, arrange),
        Operator::Queries(queries) => {
            let name = |index: usize| column(plan, queries.left, index);
            let time = match queries.time {
                QueryTime::At(index) => name(index),
                QueryTime::MidnightBefore(index) => format!("midnight before {}", name(index)),
                QueryTime::EndOfDay(index) => format!("end of day {}", name(index)),
                QueryTime::Fixed(millis) => {
                    format!("end of {}", Partition::of_millis(millis - 1))
                }
            };
            let mut details = vec![
                ("by", vec![joined(&queries.keys, &name)]),
                ("at", vec![time]),
            ];
            push(&mut details, "where", expressions(&queries.filters, &name));
            details
        }
        Operator::AsOf(as_of) => evaluator(
            plan,
            as_of.right,
            &as_of.evaluator,
            as_of.answer,
            &node.schema,
        ),
        Operator::Attach(attach) => {
            let inputs = [attach.left, attach.answers];
            let name = |index: usize| beside(plan, &inputs, index);
            vec![("columns", computed(&node.schema, &attach.columns, &name))]
        }
        Operator::Snapshots(snapshots) => self::snapshots(plan, node, snapshots),
        Operator::Assemble(assemble) => {
            let mut inputs = vec![assemble.left];
            inputs.extend(&assemble.parts);
            let name = |index: usize| beside(plan, &inputs, index);
            vec![("columns", computed(&node.schema, &assemble.columns, &name))]
        }
        Operator::Encode(encode) => self::encode(plan, node, encode),
        Operator::Facts(facts) => {
            let name = |index: usize| column(plan, facts.input, index);
            let mut details = vec![("keys", vec![joined(&facts.keys, &name)])];
            details.extend(facts.time.map(|time| ("time", vec![name(time)])));
            details.push((
                "small",
                vec![format!("up to {} rows", facts.small_rows_max)],
            ));
            details
        }
        Operator::Sink(sink) => self::sink(plan, sink),
        Operator::Publish { .. } => vec![("publishes", vec!["rows that changed".into()])],
        Operator::Collect(collect) => {
            let name = |index: usize| column(plan, collect.input, index);
            let mut details = vec![("hands on", vec!["rows to the job".into()])];
            push(
                &mut details,
                "sorted by",
                vec![joined(&collect.sort, &name)],
            );
            details
        }
    }
}

fn encode(plan: &DataflowPlan, node: &Node, encode: &Encode) -> Details {
    let name = |index: usize| column(plan, encode.input, index);
    let datums = encode.datums.iter().zip(&node.schema.fields);
    let datum = |(datum, field): (&Datum, &crate::schema::Field)| {
        let columns = joined(&datum.columns, &name);
        format!("{} = {} of {columns}", field.name, datum.record.name)
    };
    let mut details = vec![("datums", datums.map(datum).collect())];
    let kept = encode.kept.iter().map(|index| name(*index));
    push(&mut details, "kept", kept.collect());
    details
}

fn push(details: &mut Details, key: &'static str, lines: Vec<String>) {
    if lines.iter().any(|line| !line.is_empty()) {
        details.push((key, lines));
    }
}

fn scan(node: &Node, scan: &Scan) -> Details {
    let days = match &scan.days {
        None => "all rows (not partitioned)".into(),
        Some(DayFilter {
            column,
            range: None,
        }) => format!("no day of {column}"),
        Some(DayFilter {
            column,
            range: Some(range),
        }) => format!("{column} in {range}"),
    };
    let mut details = vec![("days", vec![days])];
    let skip = scan.skip.iter().map(|predicate| {
        let field = &node.schema.fields[predicate.column];
        let comparison = match predicate.comparison {
            Comparison::Equal => "=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        };
        let literal = expression::literal(&predicate.literal, &field.data_type);
        format!("{} {comparison} {literal}", field.name)
    });
    push(&mut details, "skips by", skip.collect());
    let columns = node
        .schema
        .fields
        .iter()
        .map(|f| format!("{} {}", f.name, f.data_type));
    details.push(("columns", vec![columns.collect::<Vec<_>>().join(", ")]));
    details
}

fn project(plan: &DataflowPlan, node: &Node, project: &Project) -> Details {
    let width = plan.node(project.input).schema.fields.len();
    let made = project
        .generator
        .as_ref()
        .map(|generator| generator.columns.clone());
    let before = |index: usize| match &made {
        Some(fields) if index >= width => fields
            .get(index - width)
            .map_or_else(|| format!("#{index}"), |f| f.name.clone()),
        _ => column(plan, project.input, index),
    };
    let after = |index: usize| name_in(&node.schema, index);
    let mut details = Vec::new();
    push(
        &mut details,
        "where",
        expressions(&project.filters, &before),
    );
    if let Some(generator) = &project.generator {
        let inputs = expressions(&generator.inputs, &before).join(", ");
        let outer = if generator.outer { " outer" } else { "" };
        details.push((
            "makes",
            vec![format!("{:?}{outer} of {inputs}", generator.kind)],
        ));
    }
    details.push(("columns", computed(&node.schema, &project.columns, &before)));
    push(
        &mut details,
        "having",
        expressions(&project.output_filters, &after),
    );
    let requirements = project
        .requirements
        .iter()
        .map(|requirement| match requirement {
            Requirement::AnyNotNull(columns) => {
                format!("any not null: {}", joined(columns, &after))
            }
            Requirement::CountNull(index) => format!("not null, else a bad row: {}", after(*index)),
            Requirement::CountBefore { column, millis } => format!(
                "from {} on, else a bad row: {}",
                Partition::of_millis(*millis),
                after(*column)
            ),
            Requirement::FailNull(index) => {
                format!("not null, else the job fails: {}", after(*index))
            }
            Requirement::InLeft {
                column,
                left_column,
                ..
            } => {
                format!("{} among the left's {left_column}", after(*column))
            }
            Requirement::KnownEntries { column, known } => {
                let known = known.join(", ");
                format!(
                    "else the job fails: entries of {} among {known}",
                    after(*column)
                )
            }
        });
    push(&mut details, "requires", requirements.collect());
    details
}

fn snapshots(plan: &DataflowPlan, node: &Node, snapshots: &Snapshots) -> Details {
    let name = |index: usize| column(plan, snapshots.right, index);
    let mut details = vec![
        ("days", vec![snapshots.days.to_string()]),
        ("keys", vec![joined(&snapshots.keys, &name)]),
    ];
    let head = snapshots.keys.len() + 2;
    let values = Schema::new(node.schema.fields[head.min(node.schema.fields.len())..].to_vec());
    let (right, rule) = (snapshots.right, snapshots.answer);
    details.extend(evaluator(plan, right, &snapshots.evaluator, rule, &values));
    details
}

fn arrange(plan: &DataflowPlan, node: &Node, arrange: &Arrange) -> Details {
    let name = |index: usize| column(plan, arrange.input, index);
    let mut details = vec![
        ("by", vec![joined(&arrange.keys, &name)]),
        ("time", vec![name(arrange.time)]),
    ];
    let kept = arrange
        .payload
        .iter()
        .zip(&node.schema.fields)
        .map(|(column, field)| match name(*column) {
            same if same == field.name => same,
            other => format!("{other} as {}", field.name),
        });
    push(
        &mut details,
        "keeps",
        vec![kept.collect::<Vec<_>>().join(", ")],
    );
    details
}

fn sink(plan: &DataflowPlan, sink: &Sink) -> Details {
    let name = |index: usize| column(plan, sink.input, index);
    let mut details = vec![(
        "table",
        vec![format!("{} ({})", sink.table.name, sink.table.kind)],
    )];
    let under = sink
        .under
        .iter()
        .map(|(column, value)| format!("{column}={value}"));
    push(&mut details, "under", under.collect());
    details.extend(sink.partition.map(|index| ("partition", vec![name(index)])));
    details.extend(sink.days.map(|days| ("days", vec![days.to_string()])));
    push(
        &mut details,
        "distinct",
        vec![joined(&sink.distinct, &name)],
    );
    push(&mut details, "sorted by", vec![joined(&sink.sort, &name)]);
    details
}

fn evaluator(
    plan: &DataflowPlan,
    right: NodeId,
    evaluator: &EvaluatorPlan,
    answer: AnswerRule,
    schema: &Schema,
) -> Details {
    let name = |index: usize| column(plan, right, index);
    let how = match evaluator {
        EvaluatorPlan::PointInTime {
            resolution: Resolution::FiveMinutes,
            ..
        } => "point in time, tails on five minutes, hours, days".into(),
        EvaluatorPlan::PointInTime {
            resolution: Resolution::Daily,
            ..
        } => "point in time, whole days".into(),
        EvaluatorPlan::Lookup { columns, matches } => {
            let rows = match matches {
                Matches::All => "",
                Matches::First => " of the first row",
                Matches::Single => " of the only row",
            };
            format!("look-up{rows} of {}", joined(columns, &name))
        }
        EvaluatorPlan::SnapshotRows { time, .. } => match time {
            Some(time) => format!("snapshot rows, windows over {}", name(*time)),
            None => "snapshot rows".into(),
        },
        EvaluatorPlan::MutatedSnapshot {
            is_mutation,
            is_before,
            time,
            ..
        } => format!(
            "snapshot and mutations, windows over {}, flags {} and {}",
            name(*time),
            name(*is_mutation),
            name(*is_before)
        ),
        EvaluatorPlan::DayStates { .. } => "states of each day".into(),
        EvaluatorPlan::StreamRows { datum, .. } => format!("all rows, packed: {}", name(*datum)),
        EvaluatorPlan::StreamTiles { .. } => "states of a tile".into(),
        EvaluatorPlan::BatchStates { time, .. } => match time {
            Some(time) => format!("states of a batch, windows over {}", name(*time)),
            None => "states of a batch".into(),
        },
    };
    let rule = match answer {
        AnswerRule::Always => "every query",
        AnswerRule::AnyValue => "where a value is not null",
        AnswerRule::AnyRow => "where there is a row",
    };
    let mut details = vec![("evaluates", vec![how]), ("answers", vec![rule.into()])];
    let parts = evaluator.parts().iter();
    if let EvaluatorPlan::StreamTiles { .. } = evaluator {
        push(&mut details, "states", parts.map(aggregate).collect());
        return details;
    }
    let values = parts
        .zip(&schema.fields)
        .map(|(part, field)| format!("{} {} = {}", field.name, field.data_type, aggregate(part)));
    push(&mut details, "values", values.collect());
    details
}

fn aggregate(part: &AggregatePart) -> String {
    let k = part
        .arguments
        .k
        .map_or_else(String::new, |k| format!(", k {k}"));
    let percentiles = match &part.arguments.percentiles[..] {
        [] => String::new(),
        percentiles => format!(", percentiles {percentiles:?}"),
    };
    let element_wise = if part.element_wise {
        ", element-wise"
    } else {
        ""
    };
    let bucket = part
        .bucket
        .as_ref()
        .map_or_else(String::new, |bucket| format!(" by {bucket}"));
    let window = match part.window {
        Window::Unbounded => String::new(),
        Window::Hours(hours) => format!(" over {hours} h"),
        Window::Days(days) => format!(" over {days} d"),
    };
    format!(
        "{}({}{k}{percentiles}{element_wise}){window}{bucket}",
        part.operation, part.input
    )
}

fn name_in(schema: &Schema, index: usize) -> String {
    schema
        .fields
        .get(index)
        .map_or_else(|| format!("#{index}"), |field| field.name.clone())
}

fn column(plan: &DataflowPlan, node: NodeId, index: usize) -> String {
    name_in(&plan.node(node).schema, index)
}

/// A column of several inputs side by side, as `n3.name`.
fn beside(plan: &DataflowPlan, inputs: &[NodeId], index: usize) -> String {
    let mut offset = 0;
    for input in inputs {
        let fields = &plan.node(*input).schema.fields;
        if index < offset + fields.len() {
            return format!("n{}.{}", input.0, fields[index - offset].name);
        }
        offset += fields.len();
    }
    format!("#{index}")
}

fn joined(columns: &[usize], name: &dyn Fn(usize) -> String) -> String {
    columns
        .iter()
        .map(|index| name(*index))
        .collect::<Vec<_>>()
        .join(", ")
}

fn expressions(list: &[Expr], name: &dyn Fn(usize) -> String) -> Vec<String> {
    list.iter()
        .map(|expr| expression::text(expr, name))
        .collect()
}

/// `name = expression` for each column; plain columns of the same name together in the first line.
fn computed(schema: &Schema, columns: &[Expr], name: &dyn Fn(usize) -> String) -> Vec<String> {
    let mut plain = Vec::new();
    let mut lines = Vec::new();
    for (field, value) in schema.fields.iter().zip(columns) {
        let text = expression::text(value, name);
        if text == field.name {
            plain.push(text);
        } else {
            lines.push(format!("{} = {text}", field.name));
        }
    }
    if !plain.is_empty() {
        lines.insert(0, plain.join(", "));
    }
    lines
}
