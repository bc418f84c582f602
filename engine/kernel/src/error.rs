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
    /// Arrow refused a batch.
    #[error("could not build a column")]
    Arrow(#[from] arrow_schema::ArrowError),
}
