//! What running definitions amounts to: their plan, and under it those of the joins that come first and of the jobs
//! that go on with what is written.
//!
//! ```text
//! the definitions' own plan
//! ├ a join that comes first, until the last day asked of it     (under it what comes before that)
//! └ its labels as of the last day, and the labelled rows
//! ```
//! Promises: made from definitions and a catalog alone, as the jobs make theirs; a left is taken to be large and its
//! times to lie in its days. A join that several read stands under the first of them only.

mod show;

use std::collections::BTreeMap;

use crate::catalog::Catalog;
use crate::definition::{DataModel, Definition, GroupBy, Join};
use crate::diagnostic::Diagnostic;
use crate::logical::{FeatureJoin, FeatureLabels};
use crate::lower::{
    JoinRun, LabelRun, LabeledRun, LeftFacts, LeftOrigin, PartMode, Request, labeled, labels,
    lower, part_query_days,
};
use crate::naming::{self, LABEL_PARTITION_COLUMN};
use crate::physical::DataflowPlan;
use crate::resolve::{
    BackfillGroup, Parent, parents_of_group_by, parents_of_labels, resolve_group_by, resolve_join,
    resolve_labels, resolve_models,
};
use crate::schema::{DataType, Field};
use crate::time::{Partition, PartitionRange};

/// A plan, and those of the runs around it.
#[derive(Clone, Debug)]
pub struct Outline {
    /// What it is the plan of.
    pub title: String,
    /// The plan.
    pub plan: DataflowPlan,
    /// Those of the runs before it, then of those after it.
    pub under: Vec<Outline>,
}

/// The run that is outlined.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// First day, instead of what definitions say.
    pub start: Option<Partition>,
    /// Last day.
    pub end: Partition,
    /// Whether joins write their left and part tables.
    pub intermediate_tables: bool,
}

type Outlined<T> = Result<T, Vec<Diagnostic>>;

/// The outline of group-bys and joins; what they share is planned once.
pub fn outline(definitions: &[Definition], run: &Run, catalog: &dyn Catalog) -> Outlined<Outline> {
    let subjects = definitions
        .iter()
        .map(|definition| Subject::of(definition, run, catalog));
    let subjects = subjects.collect::<Outlined<Vec<_>>>()?;
    let mut outliner = Outliner {
        run: *run,
        catalog,
        planned: BTreeMap::new(),
    };
    outliner.outline(&subjects)
}

/// A definition, resolved, and the days that are written of it.
struct Subject<'a> {
    days: PartitionRange,
    what: What<'a>,
}

#[allow(clippy::large_enum_variant, reason = "a handful exist")]
enum What<'a> {
    GroupBy(&'a GroupBy, BackfillGroup),
    Join(&'a Join, FeatureJoin),
}

impl<'a> Subject<'a> {
    fn of(definition: &'a Definition, run: &Run, catalog: &dyn Catalog) -> Outlined<Self> {
        match definition {
            Definition::GroupBy(group_by) => {
                let group = resolve_group_by(group_by, catalog)?.value;
                Ok(Self {
                    days: days(run.start.unwrap_or(group.start), run.end),
                    what: What::GroupBy(group_by, group),
                })
            }
            Definition::Join(join) => Self::of_join(join, run, catalog),
            Definition::StagingQuery(_) => Err(vec![
                Diagnostic::error("", "a staging query has a plan of another kind")
                    .hint("explain it by itself"),
            ]),
        }
    }

    fn of_join(join: &'a Join, run: &Run, catalog: &dyn Catalog) -> Outlined<Self> {
        let feature = resolve_join(join, catalog)?.value;
        let rows = &feature.left.rows;
        let (first, last) = rows.allowed;
        let first = run.start.or(first).or(rows.available.map(|days| days.0));
        let last = last.map_or(run.end, |last| last.min(run.end));
        Ok(Self {
            days: days(first.unwrap_or(last), last),
            what: What::Join(join, feature),
        })
    }

    fn title(&self) -> String {
        let days = self.days;
        match &self.what {
            What::GroupBy(_, group) => {
                format!("group-by {}: {} of {days}", group.group.name, group.table)
            }
            What::Join(_, join) => format!("join {}: {} of {days}", join.name, join.tables.output),
        }
    }

    fn request(&self, run: &Run) -> Request<'_> {
        let days = self.days;
        let write = run.intermediate_tables;
        match &self.what {
            What::GroupBy(_, group) => Request::GroupBy { group, days },
            What::Join(_, join) => Request::Join(JoinRun {
                join,
                days,
                left: LeftOrigin::Source,
                facts: vec![facts(join, days); join.askers().len()],
                write_left: write,
                parts: vec![PartMode::Computed { write }; join.parts.len()],
                write_output: true,
                unique_parts: false,
            }),
        }
    }

    /// The joins that come first, each with the last day asked of it.
    fn parents(&self) -> Vec<(Parent<'a>, Partition)> {
        match &self.what {
            What::GroupBy(group_by, _) => {
                let parents = parents_of_group_by(group_by, "").into_iter();
                parents.map(|parent| (parent, self.days.end)).collect()
            }
            What::Join(join, feature) => parents_of_parts(join, feature, self.days),
        }
    }
}

/// The parents of a join's parts. A part as of its rows' times asks for the day before the last only.
fn parents_of_parts<'a>(
    join: &'a Join,
    feature: &FeatureJoin,
    days: PartitionRange,
) -> Vec<(Parent<'a>, Partition)> {
    let external = join.external_parts().iter();
    let external = external.filter_map(|part| part.source.offline_group_by.as_deref());
    let regular = join.parts().iter().map(|part| &part.group_by);
    let mut wanted = vec![];
    for (group_by, part) in regular.chain(external).zip(&feature.parts) {
        let Some(asked) = part_query_days(&feature.left, part, &facts(feature, days)) else {
            continue;
        };
        let back = if part.method.is_temporal() { -1 } else { 0 };
        let end = asked.end.plus_days(back);
        let parents = parents_of_group_by(group_by, &part.group.path).into_iter();
        wanted.extend(parents.map(|parent| (parent, end)));
    }
    wanted
}

struct Outliner<'a> {
    run: Run,
    catalog: &'a dyn Catalog,
    /// The last day for which a join has been outlined, by its table.
    planned: BTreeMap<String, Partition>,
}

impl Outliner<'_> {
    fn outline(&mut self, subjects: &[Subject<'_>]) -> Outlined<Outline> {
        let titles: Vec<String> = subjects.iter().map(Subject::title).collect();
        let requests = subjects.iter().map(|subject| subject.request(&self.run));
        let plan = lower(&requests.collect::<Vec<_>>())?;
        let mut under = vec![];
        let before = subjects.iter().flat_map(Subject::parents);
        self.before(before.collect(), &mut under)?;
        for subject in subjects {
            if let What::Join(join, feature) = &subject.what
                && join.label_part.is_some()
            {
                self.labels(join, feature, &mut under)?;
            }
        }
        Ok(Outline {
            title: titles.join(", "),
            plan,
            under,
        })
    }

    /// The joins that come first.
    fn before(
        &mut self,
        wanted: Vec<(Parent<'_>, Partition)>,
        found: &mut Vec<Outline>,
    ) -> Outlined<()> {
        let mut joins: Vec<(&Join, Partition)> = vec![];
        for (parent, end) in wanted {
            match joins.iter_mut().find(|(join, _)| *join == parent.join) {
                Some((_, last)) => *last = end.max(*last),
                None => joins.push((parent.join, end)),
            }
        }
        for (join, end) in joins {
            // What models give comes from a job of its own; the table is read as it is.
            let table = naming::output_table(&join.meta_data).filter(|_| !join.has_models());
            let Some(table) = table else { continue };
            if self
                .planned
                .get(&table)
                .is_some_and(|planned| *planned >= end)
            {
                continue;
            }
            self.planned.insert(table, end);
            let run = Run {
                start: None,
                end,
                ..self.run
            };
            let subject = Subject::of_join(join, &run, self.catalog)?;
            let mut outline = self.outline_parent(&subject)?;
            outline.title = format!("first {}", outline.title);
            found.push(outline);
        }
        Ok(())
    }

    /// A parent without its labels: nobody asked for them.
    fn outline_parent(&mut self, subject: &Subject<'_>) -> Outlined<Outline> {
        let mut under = vec![];
        self.before(subject.parents(), &mut under)?;
        Ok(Outline {
            title: subject.title(),
            plan: lower(&[subject.request(&self.run)])?,
            under,
        })
    }

    /// The labels of a join as of the last day, and its rows beside them.
    fn labels(
        &mut self,
        join: &Join,
        feature: &FeatureJoin,
        found: &mut Vec<Outline>,
    ) -> Outlined<()> {
        let label_day = self.run.end;
        let resolved = resolve_labels(join, self.catalog)?.value;
        let days = resolved.left_days(label_day);
        let run = LabelRun {
            labels: &resolved,
            days,
            label_day,
        };
        let mut outline = Outline {
            title: format!(
                "then label-join {}: {} of {days} as of {label_day}",
                resolved.name, resolved.tables.labels
            ),
            plan: labels(&run, &large(None, days))?,
            under: vec![],
        };
        let parents = parents_of_labels(join).into_iter();
        let wanted = parents.map(|parent| (parent, label_day)).collect();
        self.before(wanted, &mut outline.under)?;
        found.push(outline);
        found.push(Outline {
            title: format!("then its rows beside labels: {}", resolved.tables.labeled),
            plan: self.labelled_rows(join, feature, &resolved, days)?,
            under: vec![],
        });
        Ok(())
    }

    /// The plan of rows beside labels, over the tables that are there, or else as they will be.
    fn labelled_rows(
        &self,
        join: &Join,
        feature: &FeatureJoin,
        resolved: &FeatureLabels,
        days: PartitionRange,
    ) -> Outlined<DataflowPlan> {
        let output = match self.catalog.schema(&resolved.tables.output) {
            Some(schema) => schema,
            None if join.has_models() => resolve_models(join, self.catalog)?.value.output_schema(),
            None => feature.output_schema(),
        };
        let planned = || {
            let mut schema = resolved.label_schema();
            let day = Field::new(LABEL_PARTITION_COLUMN, DataType::String);
            schema.fields.push(day);
            schema
        };
        let labels = self
            .catalog
            .schema(&resolved.tables.labels)
            .unwrap_or_else(planned);
        let latest = days.iter().map(|day| (day, self.run.end)).collect();
        labeled(&LabeledRun {
            tables: &resolved.tables,
            identifier: &resolved.identifier_names(),
            output: &output,
            labels: &labels,
            days,
            latest: &latest,
        })
    }
}

fn days(start: Partition, end: Partition) -> PartitionRange {
    PartitionRange {
        start: start.min(end),
        end,
    }
}

fn facts(join: &FeatureJoin, days: PartitionRange) -> LeftFacts {
    let times = (days.start.start_millis(), days.end.end_millis() - 1);
    large(
        (join.left.model == DataModel::Events).then_some(times),
        days,
    )
}

fn large(times_millis: Option<(i64, i64)>, days: PartitionRange) -> LeftFacts {
    LeftFacts {
        rows: u64::MAX,
        times_millis,
        days: Some((days.start, days.end)),
    }
}
