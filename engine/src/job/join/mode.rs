//! What each of the jobs on a join reads and writes.

use unskewed_planner::logical::FeatureJoin;
use unskewed_planner::lower::LeftOrigin;

use crate::job::error::{Error, Result};
use crate::job::{Context, Job, Kind, tables};

/// What a job reads and writes.
pub(super) struct Mode {
    pub(super) left: LeftOrigin,
    pub(super) write_left: bool,
    pub(super) write_output: bool,
    pub(super) write_parts: bool,
    /// Parts are only read from their tables.
    pub(super) final_only: bool,
    /// Positions of the parts to compute; `None` for all.
    pub(super) selected: Option<Vec<usize>>,
}

impl Mode {
    pub(super) fn of(job: &Job, feature: &FeatureJoin) -> Result<Self> {
        let options = &job.options;
        let left = match options.use_cached_left || job.kind == Kind::JoinFinal {
            true => LeftOrigin::Cached,
            false => LeftOrigin::Source,
        };
        let selected = match options.selected_parts.as_slice() {
            [] => None,
            names => Some(select(names, feature)?),
        };
        let whole = job.kind == Kind::Join && selected.is_none();
        let is_left = job.kind == Kind::JoinLeft;
        let from_source = left == LeftOrigin::Source;
        Ok(Self {
            left,
            write_left: is_left
                || (job.kind == Kind::Join && from_source && options.intermediate_tables),
            write_output: whole || job.kind == Kind::JoinFinal,
            write_parts: selected.is_some() || options.intermediate_tables,
            final_only: job.kind == Kind::JoinFinal,
            selected: if is_left { Some(vec![]) } else { selected },
        })
    }

    /// The table whose missing days are filled.
    pub(super) fn target<'a>(&self, feature: &'a FeatureJoin) -> &'a str {
        let only_left = self.selected.as_ref().is_some_and(Vec::is_empty);
        if only_left {
            &feature.tables.bootstrap
        } else {
            &feature.tables.output
        }
    }

    /// The tables that are written or set aside.
    pub(super) fn written(&self, feature: &FeatureJoin) -> Vec<String> {
        let mut names = vec![];
        if self.write_output {
            names.push(feature.tables.output.clone());
        }
        if self.write_left {
            names.push(feature.tables.bootstrap.clone());
        }
        for (index, part) in feature.parts.iter().enumerate() {
            if !self.final_only && self.computes(index) {
                names.push(part.table.clone());
            }
        }
        names
    }

    /// Refuses columns that tables kept from earlier runs cannot take.
    pub(super) fn check_columns(&self, feature: &FeatureJoin, context: &Context<'_>) -> Result<()> {
        for name in self.written(feature) {
            let table = context.warehouse.table(&name)?;
            let part = feature.parts.iter().find(|part| part.table == name);
            let schema = match part {
                Some(part) => part.table_schema.clone(),
                None if name == feature.tables.bootstrap => feature.bootstrap_schema(),
                None => feature.output_schema(),
            };
            tables::check_columns(&table, &schema, true)?;
        }
        Ok(())
    }

    /// Whether every part is computed or taken from its table as it holds, from the left on.
    pub(super) fn computes_all(&self) -> bool {
        !self.final_only && self.selected.is_none()
    }

    pub(super) fn computes(&self, part: usize) -> bool {
        self.selected
            .as_ref()
            .is_none_or(|selected| selected.contains(&part))
    }
}

/// The positions of these parts.
fn select(names: &[String], feature: &FeatureJoin) -> Result<Vec<usize>> {
    let position = |name: &String| {
        feature.part(name).ok_or_else(|| {
            let known = feature.parts.iter().map(|part| part.full_prefix.as_str());
            Error::NoSuchPart {
                join: feature.name.clone(),
                part: name.clone(),
                known: known.collect::<Vec<_>>().join(", "),
            }
        })
    };
    names.iter().map(position).collect()
}
