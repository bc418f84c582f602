//! A staging query: one statement of Spark SQL that fills a table day by day.

use super::metadata::MetaData;
use super::wire::record;

record! {
    /// A statement whose result becomes a table.
    StagingQuery {
        /// Name and such.
        required meta_data: MetaData = "metaData",
        /// The statement, with `{{ start_date }}` and its like.
        required query: String = "query",
        /// First day.
        optional start_partition: String = "startPartition",
        /// Statements run first.
        optional setups: Vec<String> = "setups",
        /// Whether a view is made in place of a table.
        optional create_view: bool = "createView",
    }
}
