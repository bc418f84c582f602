//! A join: a left side and the group-bys that enrich it.

use super::group_by::{Derivation, GroupBy};
use super::metadata::{MetaData, ModelTransforms, TDataType};
use super::source::{Query, Source};
use super::wire::{OrderedMap, record};

record! {
    /// A group-by of a join.
    JoinPart {
        /// The group-by.
        required group_by: GroupBy = "groupBy",
        /// Left column to key column.
        optional key_mapping: OrderedMap<String> = "keyMapping",
        /// Prefix of its columns and table.
        optional prefix: String = "prefix",
    }
}

record! {
    /// How an external source is made.
    ExternalSourceFactoryConfig {
        /// The registered factory.
        optional factory_name: String = "factoryName",
        /// Its parameters.
        optional factory_params: OrderedMap<String> = "factoryParams",
    }
}

record! {
    /// A source that is asked online.
    ExternalSource {
        /// Name and such; lower-case in the reference too.
        required metadata: MetaData = "metadata",
        /// Declared keys, a struct.
        required key_schema: TDataType = "keySchema",
        /// Declared values, a struct.
        required value_schema: TDataType = "valueSchema",
        /// How it is made.
        optional factory_config: ExternalSourceFactoryConfig = "factoryConfig",
        /// A group-by that stands in for it offline.
        optional offline_group_by: Box<GroupBy> = "offlineGroupBy",
    }
}

record! {
    /// An external source of a join.
    ExternalPart {
        /// The source.
        required source: ExternalSource = "source",
        /// Left column to key.
        optional key_mapping: OrderedMap<String> = "keyMapping",
        /// Prefix of its columns.
        optional prefix: String = "prefix",
    }
}

record! {
    /// A table of values computed before.
    BootstrapPart {
        /// Name and such.
        optional meta_data: MetaData = "metaData",
        /// The table.
        required table: String = "table",
        /// What is selected.
        optional query: Query = "query",
        /// Columns that identify a left row; the join's row ids when absent.
        optional key_columns: Vec<String> = "keyColumns",
    }
}

record! {
    /// Labels of a join.
    LabelPart {
        /// Their group-bys.
        required labels: Vec<JoinPart> = "labels",
        /// Earliest day, in days before the label's.
        optional left_start_offset: i32 = "leftStartOffset",
        /// Latest day, in days before the label's.
        optional left_end_offset: i32 = "leftEndOffset",
        /// Name and such.
        optional meta_data: MetaData = "metaData",
    }
}

record! {
    /// A left side and everything joined to it.
    Join {
        /// Name and such.
        required meta_data: MetaData = "metaData",
        /// The rows enriched.
        required left: Source = "left",
        /// The group-bys.
        optional join_parts: Vec<JoinPart> = "joinParts",
        /// Left key column to values whose rows are left out.
        optional skew_keys: OrderedMap<Vec<String>> = "skewKeys",
        /// External sources.
        optional online_external_parts: Vec<ExternalPart> = "onlineExternalParts",
        /// Labels.
        optional label_part: LabelPart = "labelPart",
        /// Tables of values computed before, first wins.
        optional bootstrap_parts: Vec<BootstrapPart> = "bootstrapParts",
        /// Columns that identify a left row.
        optional row_ids: Vec<String> = "rowIds",
        /// Computed columns.
        optional derivations: Vec<Derivation> = "derivations",
        /// Models applied to the output.
        optional model_transforms: ModelTransforms = "modelTransforms",
    }
}

impl Join {
    /// The full name; empty when there is none.
    pub fn name(&self) -> &str {
        self.meta_data.name.as_deref().unwrap_or_default()
    }

    /// The parts; none when absent.
    pub fn parts(&self) -> &[JoinPart] {
        self.join_parts.as_deref().unwrap_or_default()
    }

    /// The external parts; none when absent.
    pub fn external_parts(&self) -> &[ExternalPart] {
        self.online_external_parts.as_deref().unwrap_or_default()
    }

    /// Whether models are applied to its output, so that this is written by another job.
    pub fn has_models(&self) -> bool {
        let transforms = self.model_transforms.as_ref();
        let transforms = transforms.and_then(|models| models.transforms.as_ref());
        transforms.is_some_and(|transforms| !transforms.is_empty())
    }

    /// External parts that have a group-by to stand in for them offline, as parts.
    pub fn offline_external_parts(&self) -> Vec<JoinPart> {
        let stands_in = |external: &ExternalPart| external.as_part();
        self.external_parts().iter().filter_map(stands_in).collect()
    }

    /// The left columns that any part has as key, each once; parts that stand in for external sources offline too.
    pub fn left_key_columns(&self) -> Vec<String> {
        let mut keys: Vec<String> = vec![];
        for part in self.parts().iter().chain(&self.offline_external_parts()) {
            for (_, left) in part.right_to_left() {
                if !keys.contains(&left) {
                    keys.push(left);
                }
            }
        }
        keys
    }

    /// The name as a path, which is how requests and statistics name a join: `team/conf`.
    pub fn path_name(&self) -> String {
        self.name().replacen('.', "/", 1)
    }

    /// The derivations; none when absent.
    pub fn derivations(&self) -> &[Derivation] {
        self.derivations.as_deref().unwrap_or_default()
    }
}

impl ExternalPart {
    /// The part that stands in offline; none where values are only known online.
    pub fn as_part(&self) -> Option<JoinPart> {
        let group_by = self.source.offline_group_by.as_ref()?;
        Some(JoinPart {
            group_by: (**group_by).clone(),
            key_mapping: self.key_mapping.clone(),
            prefix: self.prefix.clone(),
        })
    }
}

impl JoinPart {
    /// Pairs of (key column, left column), in the order of the keys: itself unless mapped.
    pub fn right_to_left(&self) -> Vec<(String, String)> {
        let mapped = |key: &String| {
            let entries = self.key_mapping.iter().flat_map(OrderedMap::iter);
            let found = entries.filter(|(_, right)| *right == key).last();
            found.map_or_else(|| key.clone(), |(left, _)| left.to_owned())
        };
        self.group_by
            .key_columns
            .iter()
            .map(|key| (key.clone(), mapped(key)))
            .collect()
    }
}
