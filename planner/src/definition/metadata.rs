//! What surrounds a definition: names, team, schedule, tables' properties, and declared types.

use serde_json::{Number, Value};

use crate::diagnostic::Diagnostic;
use crate::schema::{DataType, Field};

use super::wire::{OrderedMap, codes, record};

record! {
    /// Facts about a definition that do not change what it computes, but where it goes and when it runs.
    MetaData {
        /// Full name, `team.module.variable`.
        optional name: String = "name",
        /// Whether it is served.
        optional online: bool = "online",
        /// Whether alerts go to production.
        optional production: bool = "production",
        /// JSON text with more settings.
        optional custom_json: String = "customJson",
        /// Tables waited for, each a JSON text.
        optional dependencies: Vec<String> = "dependencies",
        /// Properties put on every table written.
        optional table_properties: OrderedMap<String> = "tableProperties",
        /// Database of every table written.
        optional output_namespace: String = "outputNamespace",
        /// Owner.
        optional team: String = "team",
        /// Environment variables per mode.
        optional mode_to_env_map: OrderedMap<OrderedMap<String>> = "modeToEnvMap",
        /// Unused by the reference.
        optional consistency_check: bool = "consistencyCheck",
        /// Percentage of requests logged.
        optional sample_percent: Number = "samplePercent",
        /// Cron expression, `@daily` or `@never`.
        optional offline_schedule: String = "offlineSchedule",
        /// Percentage of logged requests checked.
        optional consistency_sample_percent: Number = "consistencySamplePercent",
        /// Whether earlier holes are filled; only the last day is when false.
        optional historical_backfill: bool = "historicalBackfill",
        /// When it is meant to go away.
        optional deprecation_date: String = "deprecationDate",
        /// For people.
        optional description: String = "description",
    }
}

codes! {
    /// The kind of a declared type.
    DataKind {
        /// `boolean`
        Boolean = 0,
        /// `tinyint`
        Byte = 1,
        /// `smallint`
        Short = 2,
        /// `int`
        Int = 3,
        /// `bigint`
        Long = 4,
        /// `float`
        Float = 5,
        /// `double`
        Double = 6,
        /// `string`
        String = 7,
        /// `binary`
        Binary = 8,
        /// `date`
        Date = 9,
        /// `timestamp`
        Timestamp = 10,
        /// `map`
        Map = 11,
        /// `array`
        List = 12,
        /// `struct`
        Struct = 13,
    }
}

record! {
    /// A field of a declared type.
    DataField {
        /// Name.
        required name: String = "name",
        /// Type.
        required data_type: TDataType = "dataType",
    }
}

record! {
    /// A declared type.
    TDataType {
        /// Which.
        required kind: DataKind = "kind",
        /// Types inside.
        optional params: Vec<DataField> = "params",
        /// Name of a struct.
        optional name: String = "name",
    }
}

impl TDataType {
    /// The Spark type; `None` when a list or map lacks its inner types.
    pub fn data_type(&self) -> Option<DataType> {
        let params = self.params.as_deref().unwrap_or_default();
        Some(match self.kind {
            DataKind::Boolean => DataType::Boolean,
            DataKind::Byte => DataType::Byte,
            DataKind::Short => DataType::Short,
            DataKind::Int => DataType::Int,
            DataKind::Long => DataType::Long,
            DataKind::Float => DataType::Float,
            DataKind::Double => DataType::Double,
            DataKind::String => DataType::String,
            DataKind::Binary => DataType::Binary,
            DataKind::Date => DataType::Date,
            DataKind::Timestamp => DataType::Timestamp,
            DataKind::Map => DataType::map(
                params.first()?.data_type.data_type()?,
                params.get(1)?.data_type.data_type()?,
            ),
            DataKind::List => DataType::array(params.first()?.data_type.data_type()?),
            DataKind::Struct => DataType::Struct(self.fields()?),
        })
    }

    /// The fields of a struct as columns.
    pub fn fields(&self) -> Option<Vec<Field>> {
        let params = self.params.as_deref().unwrap_or_default();
        params
            .iter()
            .map(|field| Some(Field::new(&field.name, field.data_type.data_type()?)))
            .collect()
    }
}

record! {
    /// How a model is called.
    InferenceSpec {
        /// Which backend.
        optional model_backend: String = "modelBackend",
        /// Its parameters.
        optional model_backend_params: OrderedMap<String> = "modelBackendParams",
    }
}

record! {
    /// A model with its declared inputs and outputs.
    Model {
        /// Name and such.
        optional meta_data: MetaData = "metaData",
        /// How it is called.
        optional inference_spec: InferenceSpec = "inferenceSpec",
        /// Inputs.
        optional input_schema: TDataType = "inputSchema",
        /// Outputs.
        optional output_schema: TDataType = "outputSchema",
    }
}

record! {
    /// A model applied to a join's output.
    ModelTransform {
        /// The model.
        optional model: Model = "model",
        /// Model field to join field.
        optional input_mappings: OrderedMap<String> = "inputMappings",
        /// Model field to output field.
        optional output_mappings: OrderedMap<String> = "outputMappings",
        /// Prefix of outputs.
        optional prefix: String = "prefix",
    }
}

record! {
    /// All models applied to a join's output.
    ModelTransforms {
        /// The models.
        optional transforms: Vec<ModelTransform> = "transforms",
        /// Fields kept beside the outputs.
        optional passthrough_fields: Vec<String> = "passthroughFields",
    }
}

/// A value of `customJson`, which is JSON inside a string; a problem when it is no JSON object.
pub fn custom_json(meta_data: &MetaData) -> Result<serde_json::Map<String, Value>, Diagnostic> {
    let Some(text) = &meta_data.custom_json else {
        return Ok(serde_json::Map::new());
    };
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(Diagnostic::error(
            "metaData.customJson",
            "customJson is not a JSON object",
        )),
    }
}

/// Whether `customJson` has this entry and it is true.
pub fn custom_flag(meta_data: &MetaData, name: &str) -> bool {
    let found = custom_json(meta_data).ok();
    found.is_some_and(|custom| custom.get(name) == Some(&Value::Bool(true)))
}
