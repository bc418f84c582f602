//! Bootstrap parts: tables and logs that hold values of some left rows, and which rows need no computing because of
//! them.
//!
//! Promises: a row that matched is marked with what brought its values; a part is not asked for a row when, for every
//! field that depends on the part, what matched brought either the field or all that it is made of. The fields that a
//! table brings are those of its query; those of a log row are what was logged then, which its table's properties say.

use std::collections::BTreeMap;

use crate::definition::{BootstrapPart, Join, Query};
use crate::diagnostic::{Diagnostic, nearest};
use crate::expr::Expr;
use crate::logical::{BootstrapMark, BootstrapSource, DayRule, FeaturePart, RowSource};
use crate::naming::{MATCHED_HASHES_COLUMN, PARTITION_COLUMN, TIME_COLUMN};
use crate::schema::{Field, Schema};
use crate::semantic_hash::bootstrap_part_hash;

use super::part::Context;
use super::source::{self, Request};
use super::{Problems, bind, left, log, model};

/// The column of a log that says what was logged.
const SCHEMA_HASH_COLUMN: &str = "schema_hash";
/// A column that the reference keeps for itself while it bootstraps.
const BOOTSTRAP_HASH_COLUMN: &str = "bootstrap_hash";

/// A field that is written and the text it is made from.
pub(super) type Derived = Vec<(Field, String)>;

/// All bootstrap parts of a join.
pub(super) struct Bootstraps {
    pub(super) sources: Vec<BootstrapSource>,
    /// The fields that each mark stands for.
    brought: BTreeMap<String, Vec<Field>>,
}

/// Resolves the bootstrap parts. `derived` are the join's derived fields, none without derivations.
pub(super) fn resolve(
    context: &Context<'_>,
    parts: &[FeaturePart],
    derived: &Derived,
    problems: &mut Problems,
) -> Option<Bootstraps> {
    let written = context.join.bootstrap_parts.as_deref().unwrap_or_default();
    let known = known_fields(
        context.join,
        &context.left.schema.fields,
        parts,
        derived,
        problems,
    );
    let mut brought = BTreeMap::new();
    let mut sources = Vec::with_capacity(written.len());
    for (index, part) in written.iter().enumerate() {
        let path = format!("bootstrapParts[{index}]");
        let resolver = Resolver {
            context,
            known: &known,
            part,
            path,
        };
        sources.push(resolver.resolve(&mut brought, problems));
    }
    Some(Bootstraps {
        sources: sources.into_iter().collect::<Option<_>>()?,
        brought,
    })
}

/// Every field that the join has: keys and values of its parts, external ones, derived ones, those of models.
fn known_fields(
    join: &Join,
    left_fields: &[Field],
    parts: &[FeaturePart],
    derived: &Derived,
    problems: &mut Problems,
) -> Vec<Field> {
    let mut known: Vec<Field> = Vec::new();
    let mut add = |field: Field| {
        if known.iter().all(|other| other.name != field.name) {
            known.push(field);
        }
    };
    for part in parts {
        let on_left = |index: &usize| left_fields[*index].clone();
        part.left_keys.iter().map(on_left).for_each(&mut add);
        part.features
            .iter()
            .for_each(|(_, field)| add(field.clone()));
    }
    for (index, part) in left::online_only(join) {
        let path = format!("onlineExternalParts[{index}].source");
        let fields = left::external_fields(part, &path, problems);
        let fields = fields.into_iter().flat_map(|(keys, values)| [keys, values]);
        fields.flatten().for_each(&mut add);
    }
    derived.iter().for_each(|(field, _)| add(field.clone()));
    model::outputs(join, problems)
        .into_iter()
        .for_each(&mut add);
    known
}

struct Resolver<'a> {
    context: &'a Context<'a>,
    known: &'a [Field],
    part: &'a BootstrapPart,
    path: String,
}

impl Resolver<'_> {
    fn resolve(
        &self,
        brought: &mut BTreeMap<String, Vec<Field>>,
        problems: &mut Problems,
    ) -> Option<BootstrapSource> {
        let every = Query::default();
        let query = self.part.query.as_ref().unwrap_or(&every);
        let request = Request {
            table: &self.part.table,
            table_path: format!("{}.table", self.path),
            topic: None,
            query,
            query_path: format!("{}.query", self.path),
            fills: Vec::new(),
            days: DayRule::Exact,
        };
        let key_names = self.key_names(problems);
        let rows = source::resolve(request, self.context.catalog, problems)?;
        let key_names = key_names?;
        let properties = self.context.catalog.properties(&rows.table.table);
        let is_log = log::is_log(&properties) && query.selects.is_none();
        self.check_reserved(&rows, is_log, problems);
        let keys = self.keys(&key_names, &rows, problems);
        let is_value = |field: &Field| {
            !key_names.contains(&field.name)
                && ![TIME_COLUMN, PARTITION_COLUMN].contains(&field.name.as_str())
        };
        let fields: Vec<Field> = rows
            .columns
            .iter()
            .map(|(field, _)| field.clone())
            .collect();
        let fields: Vec<Field> = fields.into_iter().filter(is_value).collect();
        self.check_values(&fields, &rows, is_log, problems);
        let mark = if is_log {
            brought.extend(log::fields_by_hash(&properties, &self.path, problems));
            BootstrapMark::Column(self.mark_column(&rows, problems)?)
        } else {
            let hash = bootstrap_part_hash(self.part);
            brought.insert(hash.clone(), fields);
            BootstrapMark::Part(hash)
        };
        let values = self.values(&key_names, &rows);
        Some(BootstrapSource {
            keys: keys?,
            values,
            mark,
            rows,
        })
    }

    /// The columns that identify a left row, without the day, which always does.
    fn key_names(&self, problems: &mut Problems) -> Option<Vec<String>> {
        let own = self.part.key_columns.as_ref();
        let Some(keys) = own.or(self.context.join.row_ids.as_ref()) else {
            let message = "nothing says which left rows its rows belong to";
            problems.report(
                Diagnostic::error(format!("{}.keyColumns", self.path), message)
                    .hint("state key_columns here, or row_ids on the join"),
            );
            return None;
        };
        let other = |key: &&String| *key != PARTITION_COLUMN;
        Some(keys.iter().filter(other).cloned().collect())
    }

    fn key_path(&self) -> String {
        match self.part.key_columns {
            Some(_) => format!("{}.keyColumns", self.path),
            None => "rowIds".into(),
        }
    }

    /// Where each key stands on the left and among the rendered columns; both must have it, of one type.
    fn keys(
        &self,
        names: &[String],
        rows: &RowSource,
        problems: &mut Problems,
    ) -> Option<Vec<(usize, usize)>> {
        let rendered = Schema::new(
            rows.columns
                .iter()
                .map(|(field, _)| field.clone())
                .collect(),
        );
        let on_left = &self.context.left.schema;
        let position =
            |schema: &Schema, name: &str| schema.fields.iter().position(|f| f.name == name);
        let mut keys = Vec::with_capacity(names.len());
        for name in names {
            let (left, right) = (position(on_left, name), position(&rendered, name));
            if left.is_none() {
                let message = format!(
                    "the left has no column {name:?}, which is a key of {}",
                    self.path
                );
                let missing = bind::missing_column(name, on_left, &self.key_path());
                problems.report(Diagnostic { message, ..missing });
            }
            if right.is_none() {
                let message = format!(
                    "table {} has no column {name:?}, which is a key",
                    self.part.table
                );
                let missing = bind::missing_column(name, &rendered, &rows.path);
                problems.report(Diagnostic { message, ..missing });
            }
            let (Some(left), Some(right)) = (left, right) else {
                continue;
            };
            let (a, b) = (
                &on_left.fields[left].data_type,
                &rendered.fields[right].data_type,
            );
            if a != b {
                let message = format!(
                    "key {name:?} is {a} on the left, but {b} in table {}",
                    self.part.table
                );
                problems
                    .report(Diagnostic::error(&rows.path, message).hint("cast it in the selects"));
            }
            keys.push((left, right));
        }
        (keys.len() == names.len()).then_some(keys)
    }

    fn check_reserved(&self, rows: &RowSource, is_log: bool, problems: &mut Problems) {
        let mut reserved = vec![BOOTSTRAP_HASH_COLUMN, MATCHED_HASHES_COLUMN];
        if !is_log {
            reserved.push(SCHEMA_HASH_COLUMN);
        }
        for (field, _) in &rows.columns {
            if reserved.contains(&field.name.as_str()) {
                let message = format!(
                    "column {:?} of table {} is reserved",
                    field.name, self.part.table
                );
                problems.report(
                    Diagnostic::error(&rows.path, message)
                        .hint("select the other columns, by name"),
                );
            }
        }
    }

    /// What a table brings must be fields of the join; what a log brings beyond them is left alone.
    fn check_values(
        &self,
        fields: &[Field],
        rows: &RowSource,
        is_log: bool,
        problems: &mut Problems,
    ) {
        for field in fields {
            let name = field.name.as_str();
            let table = &self.part.table;
            let known = self.known.iter().find(|known| known.name == name);
            match known {
                None if is_log => {}
                None => {
                    let message =
                        format!("table {table} gives {name:?}, which the join does not have");
                    let names: Vec<&str> = self.known.iter().map(|f| f.name.as_str()).collect();
                    let problem = Diagnostic::error(&rows.path, message)
                        .detail(format!("its fields are {}", names.join(", ")));
                    problems.report(match nearest(name, names) {
                        Some(near) => problem.hint(format!("did you mean {near:?}?")),
                        None => problem.hint("leave it out, or select it by the name of a field"),
                    });
                }
                Some(known) => {
                    let on_left = self.context.left.schema.fields.iter();
                    let others = on_left.filter(|left| left.name == name).chain([known]);
                    let other = others
                        .map(|f| &f.data_type)
                        .find(|t| **t != field.data_type);
                    if let Some(other) = other {
                        let message = format!(
                            "table {table} gives {name:?} as {}, but it is {other}",
                            field.data_type
                        );
                        problems.report(
                            Diagnostic::error(&rows.path, message).hint("cast it in the selects"),
                        );
                    }
                }
            }
        }
    }

    fn mark_column(&self, rows: &RowSource, problems: &mut Problems) -> Option<usize> {
        let found = rows
            .columns
            .iter()
            .position(|(field, _)| field.name == SCHEMA_HASH_COLUMN);
        if found.is_none() {
            let message = format!(
                "log table {} has no column \"{SCHEMA_HASH_COLUMN}\"",
                self.part.table
            );
            problems.error(format!("{}.table", self.path), message);
        }
        found
    }

    fn values(&self, keys: &[String], rows: &RowSource) -> Vec<usize> {
        let name = |index: &usize| &rows.columns[*index].0.name;
        let taken = |index: &usize| {
            let name = name(index);
            let known = self.known.iter().any(|field| field.name == *name);
            known
                && !keys.contains(name)
                && ![TIME_COLUMN, PARTITION_COLUMN].contains(&name.as_str())
        };
        let mut values: Vec<usize> = (0..rows.columns.len()).filter(taken).collect();
        values.sort_by(|a, b| name(a).cmp(name(b)));
        values
    }
}

impl Bootstraps {
    /// Every mark that a row may carry.
    pub(super) fn known_hashes(&self) -> Vec<String> {
        self.brought.keys().cloned().collect()
    }

    /// The condition, over the left table, under which a part is asked; `None` when no row is covered.
    pub(super) fn unfilled(
        &self,
        part: &FeaturePart,
        derived: &Derived,
        table: &Schema,
        problems: &mut Problems,
    ) -> Option<Expr> {
        if self.sources.is_empty() {
            return None;
        }
        let mut covered = Vec::new();
        for (field, bases) in dependencies(part, derived) {
            let all: Option<Vec<String>> = bases.iter().map(|base| self.brings(base)).collect();
            let ways: Vec<String> = [self.brings(&field), all.map(|all| all.join(" AND "))]
                .into_iter()
                .flatten()
                .collect();
            if ways.is_empty() {
                return None;
            }
            covered.push(format!("({})", ways.join(" OR ")));
        }
        let asks = match &covered[..] {
            [] => format!("{MATCHED_HASHES_COLUMN} IS NULL"),
            _ => format!(
                "{MATCHED_HASHES_COLUMN} IS NULL OR NOT ({})",
                covered.join(" AND ")
            ),
        };
        bind::condition(&asks, table, &part.path, problems)
    }

    /// The condition that what matched brought a field; `None` when nothing ever does.
    fn brings(&self, field: &Field) -> Option<String> {
        let marks = self
            .brought
            .iter()
            .filter(|(_, fields)| fields.contains(field));
        let marks: Vec<String> = marks
            .map(|(mark, _)| format!("'{}'", mark.replace('\\', "\\\\").replace('\'', "\\'")))
            .collect();
        (!marks.is_empty()).then(|| {
            format!(
                "arrays_overlap({MATCHED_HASHES_COLUMN}, array({}))",
                marks.join(", ")
            )
        })
    }
}

/// Each field written that depends on a part, and the part's own fields that it is made of. Dependence is by the names
/// that stand in the text.
fn dependencies(part: &FeaturePart, derived: &Derived) -> Vec<(Field, Vec<Field>)> {
    let own = part.features.iter().map(|(_, field)| field);
    if derived.is_empty() {
        return own
            .map(|field| (field.clone(), vec![field.clone()]))
            .collect();
    }
    let of = |(field, text): &(Field, String)| {
        let names = identifiers(text);
        let own = part.features.iter().map(|(_, field)| field);
        let bases: Vec<Field> = own
            .filter(|base| names.contains(&base.name.as_str()))
            .cloned()
            .collect();
        (!bases.is_empty()).then(|| (field.clone(), bases))
    };
    derived.iter().filter_map(of).collect()
}

fn identifiers(text: &str) -> Vec<&str> {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !inside(c));
    words
        .map(|word| word.trim_start_matches(|c: char| c.is_ascii_digit()))
        .filter(|word| !word.is_empty())
        .collect()
}
