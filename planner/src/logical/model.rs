//! The models of a join, resolved: what each takes of the join's rows, and which columns the table gets.

use std::collections::BTreeMap;

use crate::naming::PARTITION_COLUMN;
use crate::schema::{Field, Schema};

/// The models of a join, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureModels {
    /// The full name of the join.
    pub name: String,
    /// The table of rows before models.
    pub source: String,
    /// The table with what models gave.
    pub output: String,
    /// The columns of the rows before models.
    pub rows: Schema,
    /// Those of them that are kept.
    pub kept: Vec<usize>,
    /// The models, in the order of the definition.
    pub models: Vec<FeatureModel>,
}

/// One model applied to a join's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureModel {
    /// The model's name.
    pub name: String,
    /// What runs it.
    pub backend: String,
    /// That backend's parameters.
    pub parameters: BTreeMap<String, String>,
    /// What it takes.
    pub inputs: Vec<ModelInput>,
    /// What it gives.
    pub outputs: Vec<ModelOutput>,
    /// Where it stands in the user's file.
    pub path: String,
}

/// An input of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInput {
    /// Its name and type, as the model declares them.
    pub field: Field,
    /// Where its value stands among the rows' columns, in this type or a narrower one.
    pub column: usize,
}

/// An output of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelOutput {
    /// Its name and type, as the model declares them.
    pub field: Field,
    /// Its name in the table.
    pub name: String,
    /// The rows' column whose value stands before the model's: it was bootstrapped.
    pub bootstrapped: Option<usize>,
}

impl FeatureModels {
    /// The columns of the table written: those kept, what models give, the day.
    pub fn output_schema(&self) -> Schema {
        let is_day = |field: &&Field| field.name == PARTITION_COLUMN;
        let kept = || self.kept.iter().map(|index| &self.rows.fields[*index]);
        let given = self.models.iter().flat_map(|model| &model.outputs);
        let given = given.map(|output| Field::new(&output.name, output.field.data_type.clone()));
        let others = kept().filter(|field| !is_day(field)).cloned();
        let day = kept().filter(is_day).cloned();
        Schema::new(others.chain(given).chain(day).collect())
    }
}

impl FeatureModel {
    /// The columns it takes.
    pub fn input_schema(&self) -> Schema {
        Schema::new(
            self.inputs
                .iter()
                .map(|input| input.field.clone())
                .collect(),
        )
    }

    /// The columns it gives, under its own names.
    pub fn output_schema(&self) -> Schema {
        let outputs = self.outputs.iter();
        Schema::new(outputs.map(|output| output.field.clone()).collect())
    }
}
