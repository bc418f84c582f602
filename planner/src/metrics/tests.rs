//! Names and order of metrics are those that readers of the reference's tables look for.

use super::*;

fn names(metrics: &[Metric]) -> Vec<&str> {
    metrics
        .iter()
        .map(|metric| metric.part.output_name.as_str())
        .collect()
}

/// Columns come sorted by name, numbers with their spread; keys, times and days are left out.
#[test]
fn statistics_of_columns() {
    let schema = Schema::new(vec![
        Field::new("user", DataType::String),
        Field::new("ts", DataType::Long),
        Field::new("b", DataType::Byte),
        Field::new("a", DataType::Double),
        Field::new("total", DataType::array(DataType::Long)),
        Field::new("ds", DataType::String),
    ]);
    let metrics = statistics(&schema, &["user".into()]);
    assert_eq!(
        names(&metrics),
        [
            "a__null_sum",
            "a_approx_percentile",
            "b__null_sum",
            "total__null_sum",
            "total_count"
        ]
    );
    assert_eq!(metrics[1].part.arguments.percentiles.len(), 21);
}

/// A number, a list and a text each have their own metrics between those that all have.
#[test]
fn metrics_of_comparisons() {
    let field = |name: &str, data_type| Field::new(name, data_type);
    let values = [
        field("n", DataType::Byte),
        field("l", DataType::array(DataType::Double)),
        field("m", DataType::map(DataType::String, DataType::Int)),
    ];
    let keys = [field("ts", DataType::Long)];
    let schema = comparison_columns(&keys, &values, &values);
    let compared: Vec<Compared> = values
        .iter()
        .enumerate()
        .map(|(index, field)| Compared {
            name: field.name.clone(),
            data_type: field.data_type.clone(),
            left: 1 + index,
            right: 4 + index,
        })
        .collect();
    let metrics = comparison(&schema, &compared);
    assert_eq!(
        names(&metrics),
        [
            "n_both_null_sum",
            "n_left_null_sum",
            "n_right_null_sum",
            "n_smape_average",
            "n_left_minus_right_approx_percentile",
            "n_left_approx_percentile",
            "n_right_approx_percentile",
            "n_mismatch_sum",
            "n_total_count",
            "l_both_null_sum",
            "l_left_null_sum",
            "l_right_null_sum",
            "l_edit_distance_insert_approx_percentile",
            "l_edit_distance_delete_approx_percentile",
            "l_left_length_approx_percentile",
            "l_right_length_approx_percentile",
            "l_mismatch_length_sum",
            "l_mismatch_sum",
            "l_total_count",
            "m_both_null_sum",
            "m_left_null_sum",
            "m_right_null_sum",
            "m_mismatch_sum",
            "m_total_count",
        ]
    );
    assert_eq!(schema.fields[4].name, "n_right");
}
