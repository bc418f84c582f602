//! What the right sides of all parts read, with equal readings merged.
//!
//! Two parts that read the same tables over the same days under the same conditions, by the same key and time, share
//! one arrangement. Its payload is the union of what they need; where two mean different things by one name, the
//! second is renamed and its aggregations with it.
//!
//! Parts that differ only in the days they read (their windows are of different lengths) share too: the arrangement
//! holds the days of all, and inputs of a part are null on days that are not its own. Aggregations pass over nulls, so
//! every part still sees exactly its days.

use crate::aggregation::AggregatePart;
use crate::expr::{Expr, ExprKind, Generator};
use crate::logical::RowSource;
use crate::physical::{
    Arrange, DataflowPlan, DayFilter, NodeId, Operator, Project, Requirement, Scan,
};
use crate::schema::{DataType, Field, Schema};
use crate::time::PartitionRange;

use super::share;

/// One input of a right side: a table and how its rows become keys and times.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    pub(super) table: String,
    pub(super) table_schema: Schema,
    pub(super) days: Option<DayFilter>,
    pub(super) filters: Vec<Expr>,
    pub(super) generator: Option<Generator>,
    pub(super) keys: Vec<Expr>,
    pub(super) time: Expr,
}

impl Reading {
    /// A reading of a source by these rendered columns.
    pub(super) fn of(
        source: &RowSource,
        days: Option<DayFilter>,
        keys: &[Field],
        time: Expr,
    ) -> Self {
        Self {
            table: source.table.table.clone(),
            table_schema: source.table_schema.clone(),
            days,
            filters: source.filters.clone(),
            generator: source.generator.clone(),
            keys: keys.iter().map(|key| rendered(source, &key.name)).collect(),
            time,
        }
    }
}

/// The expression of a rendered column.
pub(super) fn rendered(source: &RowSource, name: &str) -> Expr {
    let found = source.columns.iter().find(|(field, _)| field.name == name);
    found
        .map(|(_, value)| value.clone())
        .expect("resolution aligned the source's columns")
}

/// What an arrangement is made of, payload aside.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RightKey {
    pub(super) readings: Vec<Reading>,
    pub(super) key_fields: Vec<Field>,
    /// Conditions on the key columns.
    pub(super) key_filters: Vec<Expr>,
    /// Beyond the times and keys that every right side requires.
    pub(super) requirements: Vec<Requirement>,
    /// Whether answers depend on which rows there are, and not on their values only: then days must be equal.
    pub(super) rows_count: bool,
}

impl RightKey {
    /// Whether one arrangement can serve both.
    fn serves(&self, other: &Self) -> bool {
        let settled = |key: &Self| {
            let mut key = key.clone();
            key.readings
                .iter_mut()
                .for_each(|reading| reading.days = None);
            key
        };
        let pairs = || self.readings.iter().zip(&other.readings);
        settled(self) == settled(other)
            && pairs()
                .all(|(a, b)| a.days == b.days || (!self.rows_count && touch(&a.days, &b.days)))
    }
}

/// Whether two ranges of the same column overlap or meet.
fn touch(left: &Option<DayFilter>, right: &Option<DayFilter>) -> bool {
    let (Some(left), Some(right)) = (left, right) else {
        return false;
    };
    let (Some(a), Some(b)) = (left.range, right.range) else {
        return false;
    };
    let near =
        |first: PartitionRange, second: PartitionRange| second.start <= first.end.plus_days(1);
    left.column == right.column && near(a, b) && near(b, a)
}

/// Widens a range to hold another that touches it.
fn widen(days: &mut Option<DayFilter>, other: &Option<DayFilter>) {
    let (
        Some(DayFilter {
            range: Some(range), ..
        }),
        Some(DayFilter {
            range: Some(other), ..
        }),
    ) = (days, other)
    else {
        return;
    };
    range.start = range.start.min(other.start);
    range.end = range.end.max(other.end);
}

/// A payload column: its name, and its expression over each reading.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Payload {
    pub(super) name: String,
    pub(super) data_type: DataType,
    pub(super) values: Vec<Expr>,
    /// Whether the column tells keys, and so holds on every day.
    pub(super) is_key: bool,
}

impl Payload {
    fn field(&self) -> Field {
        Field::new(&self.name, self.data_type.clone())
    }
}

/// A payload column and the days, of each reading, on which it is not null.
#[derive(Clone, Debug)]
struct Kept {
    payload: Payload,
    days: Vec<Option<DayFilter>>,
}

#[derive(Clone, Debug)]
struct Right {
    key: RightKey,
    payload: Vec<Kept>,
    label: String,
}

/// All right sides of a plan.
#[derive(Default)]
pub(super) struct Rights {
    list: Vec<Right>,
}

impl Kept {
    /// The column over a reading: null on days that the arrangement holds for others.
    fn value(&self, number: usize, reading: &Reading) -> Expr {
        let value = self.payload.values[number].clone();
        if self.payload.is_key || self.days[number] == reading.days {
            return value;
        }
        let own = self.days[number]
            .as_ref()
            .and_then(|days| days.range.zip(Some(&days.column)));
        let whole = reading.days.as_ref().and_then(|days| days.range);
        let (Some((own, column)), Some(whole)) = (own, whole) else {
            return value;
        };
        let column = reading.table_schema.index_of(column);
        let column = column.expect("resolution found the partition column");
        let mut conditions = share::within(column, own, whole);
        let condition = match conditions.len() {
            1 => conditions.remove(0),
            _ => Expr::call("and", conditions, DataType::Boolean),
        };
        let data_type = value.data_type.clone();
        let branches = vec![(condition, value)];
        Expr::new(
            data_type,
            ExprKind::Case {
                branches,
                otherwise: None,
            },
        )
    }
}

/// A right side and the names that wanted payload columns have there.
#[derive(Clone, Debug)]
pub(super) struct RightUse {
    index: usize,
    names: Vec<(String, String)>,
}

impl RightUse {
    /// The name of a wanted column in the shared payload.
    pub(super) fn name<'a>(&'a self, wanted: &'a str) -> &'a str {
        let found = self.names.iter().find(|(name, _)| name == wanted);
        found.map_or(wanted, |(_, shared)| shared)
    }

    /// Aggregations with their inputs under the shared names.
    pub(super) fn parts(&self, parts: &[AggregatePart]) -> Vec<AggregatePart> {
        let renamed = |part: &AggregatePart| AggregatePart {
            input: self.name(&part.input).into(),
            bucket: part.bucket.as_ref().map(|bucket| self.name(bucket).into()),
            ..part.clone()
        };
        parts.iter().map(renamed).collect()
    }
}

impl Rights {
    /// Finds or makes the right side of this key and puts the wanted columns into its payload.
    pub(super) fn intern(&mut self, key: RightKey, wanted: Vec<Payload>, label: &str) -> RightUse {
        let days: Vec<_> = key
            .readings
            .iter()
            .map(|reading| reading.days.clone())
            .collect();
        let index = match self.list.iter().position(|right| right.key.serves(&key)) {
            Some(index) => index,
            None => {
                self.list.push(Right {
                    key,
                    payload: Vec::new(),
                    label: label.into(),
                });
                self.list.len() - 1
            }
        };
        let right = &mut self.list[index];
        for (reading, days) in right.key.readings.iter_mut().zip(&days) {
            widen(&mut reading.days, days);
        }
        let mut names = Vec::with_capacity(wanted.len());
        for column in wanted {
            let same = right.payload.iter().find(|kept| {
                let both_keys = kept.payload.is_key && column.is_key;
                kept.payload.values == column.values
                    && (both_keys || (kept.payload.is_key == column.is_key && kept.days == days))
            });
            if let Some(same) = same {
                names.push((column.name, same.payload.name.clone()));
                continue;
            }
            let mut shared = column.name.clone();
            let mut number = 2;
            while right.payload.iter().any(|kept| kept.payload.name == shared) {
                shared = format!("{}#{number}", column.name);
                number += 1;
            }
            names.push((column.name.clone(), shared.clone()));
            let payload = Payload {
                name: shared,
                ..column
            };
            right.payload.push(Kept {
                payload,
                days: days.clone(),
            });
        }
        RightUse { index, names }
    }

    /// The arrangement of a right side; the same node however often it is asked for.
    pub(super) fn arrange(&self, right: &RightUse, plan: &mut DataflowPlan) -> NodeId {
        let Right {
            key,
            payload,
            label,
        } = &self.list[right.index];
        let key_count = key.key_fields.len();
        let (schema, values, positions) = columns(key, payload);
        let mut requirements = vec![
            Requirement::AnyNotNull((0..key_count).collect()),
            Requirement::CountNull(key_count),
        ];
        requirements.extend(key.requirements.iter().cloned());
        let inputs: Vec<NodeId> = key
            .readings
            .iter()
            .enumerate()
            .map(|(number, reading)| {
                let columns = values.iter().map(|column| column[number].clone()).collect();
                let project = Project {
                    input: scan(plan, &reading.table, &reading.table_schema, &reading.days),
                    filters: reading.filters.clone(),
                    generator: reading.generator.clone(),
                    columns,
                    output_filters: key.key_filters.clone(),
                    requirements: requirements.clone(),
                };
                let label = format!("source {}", reading.table);
                plan.add(label, schema.clone(), Operator::Project(project))
            })
            .collect();
        let input = union(plan, inputs, label);
        let arrange = Arrange {
            input,
            keys: (0..key_count).collect(),
            time: key_count,
            payload: positions,
        };
        let fields = payload.iter().map(|kept| kept.payload.field());
        let payload_schema = Schema::new(fields.collect());
        plan.add(
            format!("source of {label}"),
            payload_schema,
            Operator::Arrange(arrange),
        )
    }
}

/// The projected columns of a right side over each reading (keys, the time, what is kept) and where each payload
/// column stands among them: what is projected already is not computed again.
fn columns(key: &RightKey, payload: &[Kept]) -> (Schema, Vec<Vec<Expr>>, Vec<usize>) {
    let over_all = |value: &dyn Fn(usize, &Reading) -> Expr| -> Vec<Expr> {
        key.readings
            .iter()
            .enumerate()
            .map(|(number, reading)| value(number, reading))
            .collect()
    };
    let mut fields = key.key_fields.clone();
    let mut values: Vec<Vec<Expr>> = (0..fields.len())
        .map(|index| over_all(&|_, reading| reading.keys[index].clone()))
        .collect();
    fields.push(Field::new("right_time", DataType::Long));
    values.push(over_all(&|_, reading| reading.time.clone()));
    let mut positions = Vec::with_capacity(payload.len());
    for kept in payload {
        let value = over_all(&|number, reading| kept.value(number, reading));
        let known = values.iter().position(|other| *other == value);
        positions.push(known.unwrap_or(values.len()));
        if known.is_none() {
            fields.push(kept.payload.field());
            values.push(value);
        }
    }
    (Schema::new(fields), values, positions)
}

/// A scan of a table's every column; pruning comes later.
pub(super) fn scan(
    plan: &mut DataflowPlan,
    table: &str,
    schema: &Schema,
    days: &Option<DayFilter>,
) -> NodeId {
    let scan = Scan {
        table: table.into(),
        days: days.clone(),
        skip: Vec::new(),
    };
    plan.add(
        format!("table {table}"),
        schema.clone(),
        Operator::Scan(scan),
    )
}

/// One node of all rows of the inputs.
pub(super) fn union(plan: &mut DataflowPlan, inputs: Vec<NodeId>, label: &str) -> NodeId {
    match inputs[..] {
        [only] => only,
        _ => {
            let schema = plan.node(inputs[0]).schema.clone();
            plan.add(
                format!("sources of {label}"),
                schema,
                Operator::Union { inputs },
            )
        }
    }
}
