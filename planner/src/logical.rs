//! A definition with everything implicit made explicit: what is read, how it is rendered, of which types, under which
//! names. What `resolve` makes and `lower` turns into a plan.
//!
//! Promises: every expression is bound and typed, every name resolved, every rule of inference applied. Nothing here
//! depends on the range of a run; that comes with [`crate::lower`].

mod model;

use crate::aggregation::AggregatePart;
use crate::definition::wire::child;
use crate::definition::{Accuracy, DataModel, Query};
use crate::expr::{Expr, Generator};
use crate::naming::{PARTITION_COLUMN, TableSpec};
use crate::schema::{Field, Schema};
use crate::time::{Partition, PartitionRange, Window};

pub use model::{FeatureModel, FeatureModels, ModelInput, ModelOutput};

/// A group-by, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureGroup {
    /// The full name.
    pub name: String,
    /// The name as part of table and column names.
    pub clean_name: String,
    /// Where it stands in the user's file; empty for a file of its own.
    pub path: String,
    /// Events or entities.
    pub model: DataModel,
    /// As of the row's time or as of midnight.
    pub accuracy: Accuracy,
    /// Where rows come from, all rendered to the columns of `rendered`.
    pub sources: Vec<RowSource>,
    /// The mutations, rendered to the columns of `rendered`, then `is_before`, `mutation_ts`.
    pub mutations: Vec<RowSource>,
    /// The rendered columns, in the first source's order; the partition column is `ds`.
    pub rendered: Schema,
    /// The key columns.
    pub keys: Vec<Field>,
    /// The aggregations; empty when rows pass through.
    pub parts: Vec<AggregatePart>,
    /// The values before derivations.
    pub values: Vec<Field>,
    /// The derivations as written: name and text, with their paths.
    pub derivations: Vec<DerivationText>,
    /// How far back any aggregation looks; unbounded if one does.
    pub max_window: Window,
    /// Statements to run first.
    pub setups: Vec<String>,
}

/// A derivation as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivationText {
    /// The name; `*` for everything not renamed.
    pub name: String,
    /// Its Spark SQL.
    pub expression: String,
    /// Where it stands.
    pub path: String,
}

/// One table rendered by its query.
#[derive(Clone, Debug, PartialEq)]
pub struct RowSource {
    /// The table and its sub-partitions.
    pub table: TableSpec,
    /// The table's columns; what expressions are bound to.
    pub table_schema: Schema,
    /// The partition column, and whether the table is partitioned by it.
    pub partition: PartitionColumn,
    /// First and last day that the query allows.
    pub allowed: (Option<Partition>, Option<Partition>),
    /// First and last day the table has.
    pub available: Option<(Partition, Partition)>,
    /// How days are chosen.
    pub days: DayRule,
    /// Conditions on the table's columns.
    pub filters: Vec<Expr>,
    /// Makes rows, if any; its columns follow the table's.
    pub generator: Option<Generator>,
    /// The rendered columns.
    pub columns: Vec<(Field, Expr)>,
    /// Whether an expression names the day scanned, so that the day must be one and the query rendered again.
    pub names_run_day: bool,
    /// The topic on which its rows come too, as written, if they do.
    pub topic: Option<String>,
    /// Where the source stands in the user's file.
    pub path: String,
    /// What it was rendered from, to render it again for one day.
    pub rendering: Rendering,
}

/// A query and the columns it must give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendering {
    /// The query.
    pub query: Query,
    /// Where it stands in the user's file.
    pub query_path: String,
    /// Columns added where the selects have none of the name.
    pub fills: Vec<Fill>,
}

/// A column that a query must give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Its name.
    pub name: String,
    /// Its expression; the column of the name when absent.
    pub expression: Option<String>,
    /// Where the expression stands in the user's file, if it does.
    pub path: Option<String>,
}

/// One entry of the select list that a query amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectEntry {
    /// Its name.
    pub name: String,
    /// Its expression; the column of the name when absent.
    pub expression: Option<String>,
    /// Where it stands in the user's file.
    pub path: String,
}

impl Rendering {
    /// Whether an expression names the day scanned.
    pub fn names_run_day(&self) -> bool {
        let selects = self.query.selects.iter().flat_map(|selects| selects.iter());
        selects
            .into_iter()
            .any(|(_, text)| text.contains("CHRONON_RUN_DS"))
    }

    /// The select list: the selects, then fills they do not override, then the partition column; the table's columns
    /// where there are no selects.
    pub fn entries(&self, table: &Schema, partition_column: &str) -> Vec<SelectEntry> {
        let path = &self.query_path;
        let Some(selects) = &self.query.selects else {
            let column = |field: &Field| SelectEntry {
                name: field.name.clone(),
                expression: None,
                path: path.clone(),
            };
            return table.fields.iter().map(column).collect();
        };
        let mut entries: Vec<SelectEntry> = selects
            .iter()
            .map(|(name, text)| SelectEntry {
                name: name.into(),
                expression: Some(text.clone()),
                path: child(&format!("{path}.selects"), name),
            })
            .collect();
        let mut add = |name: &str, expression: Option<String>, at: String| {
            if entries.iter().all(|entry| entry.name != name) {
                entries.push(SelectEntry {
                    name: name.into(),
                    expression,
                    path: at,
                });
            }
        };
        for fill in &self.fills {
            let at = fill.path.clone().unwrap_or_else(|| path.clone());
            add(&fill.name, fill.expression.clone(), at);
        }
        add(partition_column, None, path.clone());
        entries
    }
}

/// The partition column of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionColumn {
    /// Its name in the table.
    pub name: String,
    /// Whether the table is partitioned by it; if not, everything is read.
    pub partitioned: bool,
}

/// Which days of a source are read for a range of queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayRule {
    /// From the longest window before the day before the first query day.
    Windowed,
    /// One partition, which holds everything.
    Cumulative,
    /// Exactly the days asked for.
    Exact,
}

/// The left side of a join, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftSide {
    /// The rows.
    pub rows: RowSource,
    /// Events or entities.
    pub model: DataModel,
    /// The rendered columns; the partition column is `ds`.
    pub schema: Schema,
    /// Position of `ts`; `None` for entities without one.
    pub time: Option<usize>,
    /// Position of `ds`.
    pub day: usize,
    /// Rows of skewed keys are left out: a condition on rendered columns.
    pub skew_filter: Option<Expr>,
}

/// One part of a join, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct FeaturePart {
    /// The group-by.
    pub group: FeatureGroup,
    /// What its columns begin with.
    pub full_prefix: String,
    /// Its cached table.
    pub table: String,
    /// Where it stands in the user's file.
    pub path: String,
    /// For each key of the group-by: the position of the left column.
    pub left_keys: Vec<usize>,
    /// A condition on left columns; rows that do not meet it do not ask.
    pub left_filter: Option<Expr>,
    /// A condition on columns of the left table: rows whose every value of this part is bootstrapped do not ask.
    pub unfilled: Option<Expr>,
    /// A condition on the group-by's key columns, by their position among the keys.
    pub right_filter: Option<Expr>,
    /// What is computed.
    pub method: PartMethod,
    /// The columns of its table: keys, `ts` when values are as of the row's time, `ds`, then `outputs`. What
    /// derivations are bound to, before them.
    pub base: Schema,
    /// Derived columns over `base`, keys and days first; `None` without derivations.
    pub derived: Option<Vec<(Field, Expr)>>,
    /// The columns of its table, after derivations.
    pub table_schema: Schema,
    /// The value columns of its table, by their positions there, and their names in the join.
    pub features: Vec<(usize, Field)>,
}

/// How a part's values are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartMethod {
    /// Windows as of the left row's time.
    TemporalEvents,
    /// Windows as of midnight.
    SnapshotEvents,
    /// Snapshot and mutations as of the left row's time.
    TemporalEntities,
    /// A day's snapshot.
    SnapshotEntities,
}

impl PartMethod {
    /// Whether values belong to a row's time, and the part's table has `ts`.
    pub fn is_temporal(self) -> bool {
        matches!(self, Self::TemporalEvents | Self::TemporalEntities)
    }
}

/// A table of values computed before, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct BootstrapSource {
    /// Its rows.
    pub rows: RowSource,
    /// What identifies a left row besides its day: the left's column and the rendered one.
    pub keys: Vec<(usize, usize)>,
    /// The rendered columns taken over, sorted by name.
    pub values: Vec<usize>,
    /// What a left row that matched is marked with.
    pub mark: BootstrapMark,
}

/// What says which fields a bootstrapped row brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootstrapMark {
    /// The hash of the bootstrap part.
    Part(String),
    /// The hash that a log row carries in this rendered column.
    Column(usize),
}

/// A join, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureJoin {
    /// The full name.
    pub name: String,
    /// The tables it writes.
    pub tables: JoinTables,
    /// The left.
    pub left: LeftSide,
    /// Tables of values computed before, the first before the others.
    pub bootstrap_sources: Vec<BootstrapSource>,
    /// The left table: left columns, `ts_ds` when there is a time, bootstrapped values, declared external columns,
    /// `matched_hashes`; over the left's columns, followed by each bootstrap source's values and mark.
    pub bootstrap: Vec<(Field, Expr)>,
    /// What may stand in `matched_hashes`.
    pub known_hashes: Vec<String>,
    /// The parts.
    pub parts: Vec<FeaturePart>,
    /// The assembled columns before derivations: the left table's without its private ones, then features.
    pub assembled: Vec<AssembledColumn>,
    /// The columns written, over `assembled`.
    pub output: Vec<(Field, Expr)>,
    /// Statements to run first.
    pub setups: Vec<String>,
}

/// The labels of a join, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureLabels {
    /// The full name of the join.
    pub name: String,
    /// The tables of labels and of labelled rows.
    pub tables: LabelTables,
    /// The left.
    pub left: LeftSide,
    /// The left columns that tell rows apart, besides the day.
    pub identifier: Vec<usize>,
    /// The labels, all as of the end of a day.
    pub parts: Vec<FeaturePart>,
    /// First and last left day, in days before the label's, that itself counting as 1.
    pub offsets: (i32, i32),
}

/// The tables of a join's labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelTables {
    /// The training table.
    pub output: String,
    /// The labels, by label day and day.
    pub labels: String,
    /// Training rows with every version of their labels, by day.
    pub labeled: String,
    /// Training rows with the latest labels of their day, by day.
    pub labeled_latest: String,
}

impl FeatureLabels {
    /// The left days whose rows are labelled as of a label day.
    pub fn left_days(&self, label_day: Partition) -> PartitionRange {
        let (start, end) = self.offsets;
        PartitionRange {
            start: label_day.plus_days(1 - start),
            end: label_day.plus_days(1 - end),
        }
    }

    /// The names of the columns that tell rows apart, besides the day.
    pub fn identifier_names(&self) -> Vec<String> {
        let name = |index: &usize| self.left.schema.fields[*index].name.clone();
        self.identifier.iter().map(name).collect()
    }

    /// The columns of the table of labels: what tells rows apart, labels, the day.
    pub fn label_schema(&self) -> Schema {
        let on_left = |index: &usize| self.left.schema.fields[*index].clone();
        let labels = self.parts.iter().flat_map(|part| &part.features);
        let labels = labels.map(|(_, field)| field.clone());
        let identifier = self.identifier.iter().map(on_left);
        let day = on_left(&self.left.day);
        Schema::new(identifier.chain(labels).chain([day]).collect())
    }

    /// The tables that a run of labels writes.
    pub fn written(&self) -> Vec<String> {
        let tables = &self.tables;
        let own = [&tables.labels, &tables.labeled, &tables.labeled_latest];
        let parts = self
            .parts
            .iter()
            .filter(|part| !part.group.passes_through());
        let parts = parts.map(|part| &part.table);
        own.into_iter().chain(parts).cloned().collect()
    }
}

impl FeaturePart {
    /// The columns of its table where that is as of one day, which leads its partitions.
    pub fn part_table_schema(&self) -> Schema {
        let fields = self.table_schema.fields.iter();
        let kept = fields.filter(|field| field.name != PARTITION_COLUMN);
        Schema::new(kept.cloned().collect())
    }
}

/// The tables a join writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinTables {
    /// The training table (the one before models, if there are any).
    pub output: String,
    /// The left table.
    pub bootstrap: String,
}

/// A column of the assembled rows: the first of these that is not null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssembledColumn {
    /// Name and type.
    pub field: Field,
    /// Position in the left table, if it has the column.
    pub left: Option<usize>,
    /// Part and position among its features, in the order of the parts.
    pub features: Vec<(usize, usize)>,
}

impl FeatureGroup {
    /// Whether rows pass through without aggregation.
    pub fn passes_through(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether any aggregation depends on the rows' own time.
    pub fn needs_time(&self) -> bool {
        self.parts
            .iter()
            .any(|part| part.window != Window::Unbounded || part.is_timed())
    }
}

impl FeatureJoin {
    /// The schema of the left table.
    pub fn bootstrap_schema(&self) -> Schema {
        Schema::new(
            self.bootstrap
                .iter()
                .map(|(field, _)| field.clone())
                .collect(),
        )
    }

    /// The schema of the training table.
    pub fn output_schema(&self) -> Schema {
        Schema::new(self.output.iter().map(|(field, _)| field.clone()).collect())
    }

    /// The left columns that any part has as key, sorted.
    pub fn left_keys(&self) -> Vec<usize> {
        let mut keys: Vec<usize> = self
            .parts
            .iter()
            .flat_map(|part| part.left_keys.iter().copied())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The different conditions on left rows that parts ask under: none first, then those of parts that bootstraps
    /// cover for some rows.
    pub fn askers(&self) -> Vec<Option<&Expr>> {
        let mut askers = vec![None];
        for part in &self.parts {
            let unfilled = part.unfilled.as_ref();
            if !askers.contains(&unfilled) {
                askers.push(unfilled);
            }
        }
        askers
    }

    /// The position of a part's condition among [`FeatureJoin::askers`].
    pub fn asker_of(&self, part: usize) -> usize {
        let own = self.parts[part].unfilled.as_ref();
        let found = self.askers().iter().position(|asker| *asker == own);
        found.expect("every part's condition is among them")
    }

    /// The part of a full prefix.
    pub fn part(&self, full_prefix: &str) -> Option<usize> {
        self.parts
            .iter()
            .position(|part| part.full_prefix == full_prefix)
    }
}
