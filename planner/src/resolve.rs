//! From a definition and facts about tables to everything implicit made explicit.
//!
//! Promises: all problems of a definition come at once, before any data is read, each with its path in the user's
//! file. What it returns is typed throughout. Never reads data, never depends on the range of a run.

mod bind;
mod bootstrap;
mod chain;
mod derive;
mod external;
mod group;
mod join;
mod label;
mod left;
mod log;
mod model;
mod part;
mod scala_order;
mod served_group;
mod served_join;
mod source;
#[cfg(test)]
mod tests;
mod upload;

use crate::catalog::Catalog;
use crate::definition::{GroupBy, Join, MetaData};
use crate::diagnostic::{Diagnostic, any_error};
use crate::logical::{FeatureGroup, FeatureJoin, FeatureLabels, FeatureModels, RowSource};
use crate::schema::{Field, Schema};
use crate::serving::ServingInfo;
use crate::time::Partition;

use crate::expr::Expr;

pub use chain::{Parent, parents_of_group_by, parents_of_join, parents_of_labels};
pub use served_group::{ServedGroup, Stored, StoredStates};
pub use served_join::{DerivedColumn, RequestKey, ServedExternal, ServedJoin, ServedPart};
pub use upload::{Tile, UploadGroup};

/// A resolved definition and what the user should look at although it works.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved<T> {
    /// The definition.
    pub value: T,
    /// Warnings only.
    pub warnings: Vec<Diagnostic>,
}

/// A group-by for its own backfill.
#[derive(Clone, Debug, PartialEq)]
pub struct BackfillGroup {
    /// The group-by.
    pub group: FeatureGroup,
    /// Its table.
    pub table: String,
    /// Keys, then what is computed: `ds` and the values. What derivations are bound to.
    pub base: Schema,
    /// The columns written, over `base`.
    pub output: Vec<(Field, Expr)>,
    /// First day, unless the run says another.
    pub start: Partition,
}

/// A group-by by itself, whatever becomes of it: what it reads and which values it gives.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupFeatures {
    /// The group-by.
    pub group: FeatureGroup,
    /// Its values after derivations, keys and days left out.
    pub values: Vec<Field>,
}

/// Resolves a join with all its parts.
pub fn resolve_join(
    join: &Join,
    catalog: &dyn Catalog,
) -> Result<Resolved<FeatureJoin>, Vec<Diagnostic>> {
    let mut problems = Problems::default();
    let value = chain::resolve(join, &[], catalog, &mut problems);
    problems.finish(value)
}

/// Resolves the labels of a join.
pub fn resolve_labels(
    join: &Join,
    catalog: &dyn Catalog,
) -> Result<Resolved<FeatureLabels>, Vec<Diagnostic>> {
    let mut problems = Problems::default();
    let value = label::resolve(join, catalog, &mut problems);
    problems.finish(value)
}

/// Resolves the models of a join.
pub fn resolve_models(
    join: &Join,
    catalog: &dyn Catalog,
) -> Result<Resolved<FeatureModels>, Vec<Diagnostic>> {
    let mut problems = Problems::default();
    let value = model::resolve(join, catalog, &mut problems);
    problems.finish(value)
}

/// Resolves a group-by for its own backfill, which is as of midnight whatever its accuracy.
pub fn resolve_group_by(
    group_by: &GroupBy,
    catalog: &dyn Catalog,
) -> Result<Resolved<BackfillGroup>, Vec<Diagnostic>> {
    let mut problems = Problems::default();
    let chained = chain::over(
        &parents_of_group_by(group_by, ""),
        &[],
        catalog,
        &mut problems,
    );
    let value = group::resolve_backfill(group_by, &chained, &mut problems);
    chained.forgive(&mut problems);
    problems.finish(value)
}

/// Resolves a group-by by itself, with no regard to a backfill of its own.
pub fn resolve_features(
    group_by: &GroupBy,
    catalog: &dyn Catalog,
) -> Result<Resolved<GroupFeatures>, Vec<Diagnostic>> {
    let mut problems = Problems::default();
    let chained = chain::over(
        &parents_of_group_by(group_by, ""),
        &[],
        catalog,
        &mut problems,
    );
    let value = group::resolve_features(group_by, &chained, &mut problems);
    chained.forgive(&mut problems);
    problems.finish(value)
}

/// Resolves a group-by for its upload.
pub fn resolve_upload(
    group_by: &GroupBy,
    catalog: &dyn Catalog,
) -> Result<Resolved<UploadGroup>, Vec<Diagnostic>> {
    let mut problems = Problems::default();
    let parents = parents_of_group_by(group_by, "");
    let chained = chain::over(&parents, &[], catalog, &mut problems);
    let value = upload::resolve(group_by, &chained, &mut problems);
    chained.forgive(&mut problems);
    problems.finish(value)
}

/// Resolves a group-by for readers of the store, from its serving info.
pub fn resolve_served_group(info: &ServingInfo) -> Result<Resolved<ServedGroup>, Vec<Diagnostic>> {
    let mut problems = Problems::default();
    let value = served_group::resolve(info, &mut problems);
    problems.finish(value)
}

/// Resolves a join for readers of the store. `group` gives what is served of a group-by; what derivations miss of one
/// that is not, is told with the derived column, and the others are there.
pub fn resolve_served_join<'a>(
    join: &Join,
    group: &dyn Fn(&str) -> Option<&'a ServedGroup>,
) -> Result<Resolved<ServedJoin>, Vec<Diagnostic>> {
    let mut problems = Problems::default();
    let value = served_join::resolve(join, group, &mut problems);
    problems.finish(value)
}

/// The source as of one day: expressions that name the day scanned are bound again with it.
pub fn for_run_day(source: &RowSource, day: Partition) -> Result<RowSource, Vec<Diagnostic>> {
    let mut problems = Problems::default();
    let value = source::for_run_day(source, day, &mut problems);
    problems.finish(value).map(|resolved| resolved.value)
}

/// Everything wrong so far.
#[derive(Default)]
struct Problems {
    list: Vec<Diagnostic>,
}

impl Problems {
    fn report(&mut self, problem: Diagnostic) {
        if !self.list.contains(&problem) {
            self.list.push(problem);
        }
    }

    fn error(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.report(Diagnostic::error(path, message));
    }

    /// The output table of a definition, where its namespace and name can be those of a table.
    fn output_table(&mut self, meta_data: &MetaData) -> Option<String> {
        let table = crate::naming::checked_output_table(meta_data);
        table
            .map_err(|wrong| wrong.into_iter().for_each(|problem| self.report(problem)))
            .ok()
    }

    fn finish<T>(self, value: Option<T>) -> Result<Resolved<T>, Vec<Diagnostic>> {
        match value {
            Some(value) if !any_error(&self.list) => Ok(Resolved {
                value,
                warnings: self.list,
            }),
            _ => Err(self.list),
        }
    }
}
