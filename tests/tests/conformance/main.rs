//! Recorded definitions, inputs and outputs of the reference engine, replayed through the library with 1, 2 and 4
//! workers: every table must have the recorded rows and types, and the same bits whatever the number of workers.
//!
//! What cannot pass stands in [`KNOWN`] with its reason; columns that stand there although they pass fail.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod case;
mod cells;
mod upload;

use std::path::{Path, PathBuf};

/// What is not replayed or not compared, and why.
struct Known {
    case: &'static str,
    columns: &'static [&'static str],
    /// Printed nowhere: for who reads this list. Deviations stand in `docs/semantics.md` too.
    #[allow(dead_code, reason = "a reason is for readers")]
    reason: &'static str,
}

const KNOWN: [Known; 3] = [
    Known {
        case: "gb_snapshot_approx",
        columns: &["n_approx_percentile_7d"],
        reason: "the reference's percentile sketch flips a coin from a generator without a seed once it holds more \
                 than 64 values",
    },
    Known {
        case: "join_chained_source",
        columns: &["alpha_spend_v1_spend_last2_3d"],
        reason: "which of two events of one millisecond comes first depends on how the reference scattered the \
                 parent's rows over files",
    },
    Known {
        case: "join_entities_mutations",
        columns: &[
            "alpha_g_v1_amount_average_1d",
            "alpha_g_v1_amount_average_3d",
            "alpha_g_v1_amount_sum_12h",
            "alpha_g_v1_amount_sum_4d",
            "amount_average_1d",
            "amount_average_3d",
            "amount_sum_12h",
            "amount_sum_4d",
        ],
        reason: "the reference lets the first left row of a day decide for later ones whether a mutation is in a \
                 window; here each left row is judged by itself (deviation D4)",
    },
];

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/cases")
}

fn check(name: &str) {
    let mut skipped = case::Skipped::default();
    for known in KNOWN.iter().filter(|known| known.case == name) {
        skipped.columns.extend(known.columns);
    }
    let folder = cases().join(name);
    let first = case::replay(&folder, 1, &skipped);
    assert!(
        first.problems.is_empty(),
        "1 worker: {}",
        first.problems.join("\n")
    );
    let tables = first.tables();
    for workers in [2, 4] {
        let run = case::replay(&folder, workers, &skipped);
        assert!(
            run.problems.is_empty(),
            "{workers} workers: {}",
            run.problems.join("\n")
        );
        let others = run.tables();
        assert_eq!(tables.len(), others.len(), "tables with {workers} workers");
        for ((name, table), (other_name, other)) in tables.iter().zip(&others) {
            assert_eq!(name, other_name);
            assert!(
                cells::identical(table, other),
                "{name} differs with {workers} workers"
            );
        }
    }
}

macro_rules! cases {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*

        /// Every vendored case has its test, and every name in [`KNOWN`] is a case.
        #[test]
        fn every_case_is_replayed() {
            let mut listed = vec![$(stringify!($name)),*];
            listed.sort_unstable();
            let mut there: Vec<String> = std::fs::read_dir(cases())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .collect();
            there.sort();
            assert_eq!(listed, there);
            for known in &KNOWN {
                assert!(listed.contains(&known.case), "{}", known.case);
            }
        }
    };
}

cases! {
    analyzer_schema
    compare_join_query
    fetch_chained
    fetch_entities_mutations
    fetch_log_flatten_consistency
    fetch_snapshot_mixed
    fetch_temporal_events
    gb_cumulative
    gb_days_absent
    gb_derivations
    gb_derivations_only
    gb_double_special
    gb_entities_agg
    gb_entities_no_agg
    gb_incremental_holes
    gb_is_incremental
    gb_keys_multi_null
    gb_multi_source
    gb_partition_column_subpart
    gb_select_exprs
    gb_snapshot_approx
    gb_snapshot_buckets
    gb_snapshot_list_explode
    gb_snapshot_map_input
    gb_snapshot_ops_bool_binary
    gb_snapshot_ops_double
    gb_snapshot_ops_float
    gb_snapshot_ops_int
    gb_snapshot_ops_long
    gb_snapshot_ops_nested
    gb_snapshot_ops_short
    gb_snapshot_ops_string
    gb_start_partition
    gb_type_errors
    join_bootstrap_log
    join_bootstrap_table
    join_chained_source
    join_derivations
    join_derivations_no_star
    join_entities_mutations
    join_external_contextual
    join_historical_backfill_false
    join_incremental
    join_key_types
    join_labels
    join_labels_agg
    join_left_entities
    join_multi_parts
    join_schema_evolution
    join_skew_wheres
    join_snapshot_events
    join_split_runs
    join_temporal_approx
    join_temporal_edges_days
    join_temporal_edges_hours
    join_temporal_nested_buckets
    join_temporal_ops_double
    join_temporal_ops_float
    join_temporal_ops_int
    join_temporal_ops_long
    join_temporal_ops_short
    join_temporal_ops_string
    stats_summary
    upload_entities_snapshot
    upload_entities_temporal
    upload_no_agg
    upload_snapshot_events
    upload_temporal_approx
    upload_temporal_events
    sq_macros
    sq_sql_functions
}
