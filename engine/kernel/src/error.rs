//! Everything that can go wrong in the kernel.

/// A failure of the kernel; the row it names is the row of the batch or run at hand.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// An operation met a type that it cannot take.
    #[error("cannot compute {operation} of column {column} of type {data_type}")]
    Type {
        /// The operation or function.
        operation: String,
        /// The input column.
        column: String,
        /// Its type.
        data_type: String,
    },
    /// A column that a part or an evaluator reads is not among its inputs.
    #[error("column {column} is not among the inputs")]
    MissingColumn {
        /// The missing column.
        column: String,
    },
    /// An expression failed on a row.
    #[error("{message} (row {row})")]
    Row {
        /// The row within the batch.
        row: usize,
        /// What went wrong.
        message: String,
    },
    /// A look-up that allows one row found several.
    #[error("a key has {rows} rows as of {millis} ms since 1970, where only one is allowed")]
    SeveralRows {
        /// How many.
        rows: usize,
        /// The time looked up.
        millis: i64,
    },
    /// Stored states are none that the operation writes.
    #[error("the stored states of column {column} cannot be read: upload the group-by again")]
    Stored {
        /// The column.
        column: String,
    },
    /// A value of a batch, a stream or a tile is no datum of its schema.
    #[error("a stored value cannot be read: {reason}")]
    Value {
        /// What is wrong with it.
        reason: String,
    },
    /// A column has no stored form.
    #[error("{0}")]
    Unstorable(unskewed_planner::avro::UnsupportedColumn),
    /// A query as of a time that lies before its batch.
    #[error(
        "asked as of {query_millis} ms since 1970, but the batch holds everything before {end_millis}: ask later, or \
         load an earlier batch"
    )]
    BeforeBatch {
        /// The time asked for.
        query_millis: i64,
        /// The batch's end.
        end_millis: i64,
    },
    /// Arrow refused a batch.
    #[error("could not build a column")]
    Arrow(#[from] arrow_schema::ArrowError),
}
