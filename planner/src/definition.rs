//! What the user compiled: Chronon's thrift JSON as Rust types, field for field.
//!
//! Promises: [`Definition::load`] never panics; it returns either a definition with nothing dropped, or every problem
//! of the file with its path. What was loaded writes back as the same tree. It looks at the file only; whether tables
//! and columns exist is for resolution to say.

mod dialect;
mod group_by;
mod join;
mod json;
mod metadata;
mod source;
mod staging_query;
mod teams;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

use serde_json::Value;

pub use dialect::Dialect;
pub use group_by::{Accuracy, Aggregation, Derivation, GroupBy, TimeUnit, Window};
pub use join::{
    BootstrapPart, ExternalPart, ExternalSource, ExternalSourceFactoryConfig, Join, JoinPart,
    LabelPart,
};
pub use metadata::{
    DataField, DataKind, InferenceSpec, MetaData, Model, ModelTransform, ModelTransforms,
    TDataType, custom_flag, custom_json,
};
pub use source::{DataModel, EntitySource, EventSource, JoinSource, Query, Source};
pub use staging_query::StagingQuery;
pub use teams::{Team, Teams};
pub use wire::OrderedMap;

use crate::diagnostic::Diagnostic;
use wire::{Reader, Wire};

/// One compiled file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one exists per file")]
pub enum Definition {
    /// Aggregations of an entity.
    GroupBy(GroupBy),
    /// A left side with its features.
    Join(Join),
    /// A statement that fills a table.
    StagingQuery(StagingQuery),
}

/// The kinds of file, found from what is in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    GroupBy,
    Join,
    StagingQuery,
}

impl Definition {
    /// Reads a compiled file of the dialect; every problem at once.
    pub fn load(text: &str, dialect: Dialect) -> Result<Self, Vec<Diagnostic>> {
        let tree = json::parse(text).map_err(|problem| vec![problem])?;
        Self::from_json(&tree, dialect)
    }

    /// Reads a parsed file.
    pub fn from_json(tree: &Value, dialect: Dialect) -> Result<Self, Vec<Diagnostic>> {
        let kind = kind_of(tree).map_err(|problem| vec![problem])?;
        let mut reader = Reader::new(dialect);
        let definition = match kind {
            Kind::GroupBy => GroupBy::read(tree, "", &mut reader).map(Self::GroupBy),
            Kind::Join => Join::read(tree, "", &mut reader).map(Self::Join),
            Kind::StagingQuery => StagingQuery::read(tree, "", &mut reader).map(Self::StagingQuery),
        };
        let mut problems = reader.problems;
        if let Some(definition) = &definition {
            problems.extend(unnamed(definition));
        }
        match definition {
            Some(definition) if problems.is_empty() => Ok(definition),
            _ => Err(problems),
        }
    }

    /// The definition as the JSON tree it was read from, booleans as 0 and 1.
    pub fn to_json(&self) -> Value {
        match self {
            Self::GroupBy(group_by) => group_by.write(),
            Self::Join(join) => join.write(),
            Self::StagingQuery(query) => query.write(),
        }
    }

    /// Name and such.
    pub fn meta_data(&self) -> &MetaData {
        match self {
            Self::GroupBy(group_by) => &group_by.meta_data,
            Self::Join(join) => &join.meta_data,
            Self::StagingQuery(query) => &query.meta_data,
        }
    }
}

/// The kind whose own fields are in the file.
fn kind_of(tree: &Value) -> Result<Kind, Diagnostic> {
    let Value::Object(fields) = tree else {
        return Err(Diagnostic::error("", "a definition is a JSON object")
            .hint("give the path of a compiled group-by, join or staging query"));
    };
    let own = [
        (
            Kind::Join,
            &["left", "joinParts", "rowIds", "skewKeys", "bootstrapParts"][..],
        ),
        (
            Kind::GroupBy,
            &["sources", "keyColumns", "aggregations", "accuracy"][..],
        ),
        (
            Kind::StagingQuery,
            &["query", "createView", "setups", "startPartition"][..],
        ),
    ];
    let count = |names: &[&str]| {
        names
            .iter()
            .filter(|name| fields.contains_key(**name))
            .count()
    };
    let best = own
        .iter()
        .map(|(kind, names)| (count(names), *kind))
        .max_by_key(|(n, _)| *n);
    match best {
        Some((n, kind)) if n > 0 => Ok(kind),
        _ => Err(
            Diagnostic::error("", "the file is no group-by, join or staging query")
                .detail("a join has \"left\", a group-by \"sources\", a staging query \"query\""),
        ),
    }
}

/// Names that later steps need: without them no table can be named.
fn unnamed(definition: &Definition) -> Vec<Diagnostic> {
    let check = |meta_data: &MetaData, path: &str| {
        let named = meta_data
            .name
            .as_deref()
            .is_some_and(|name| !name.is_empty());
        (!named).then(|| {
            Diagnostic::error(path, "the definition has no name")
                .hint("compile it with compile.py, which names it after its file and variable")
        })
    };
    let mut problems: Vec<Diagnostic> = check(definition.meta_data(), "metaData.name")
        .into_iter()
        .collect();
    if let Definition::Join(join) = definition {
        for (index, part) in join.parts().iter().enumerate() {
            let path = format!("joinParts[{index}].groupBy.metaData.name");
            problems.extend(check(&part.group_by.meta_data, &path));
        }
        for (index, part) in join.external_parts().iter().enumerate() {
            let path = format!("onlineExternalParts[{index}].source.metadata.name");
            problems.extend(check(&part.source.metadata, &path));
        }
    }
    problems
}
