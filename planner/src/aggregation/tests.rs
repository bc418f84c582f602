//! Names and signatures, each rule of the specification once.

use std::collections::BTreeMap;

use super::*;
use crate::schema::Field;

fn arguments(operation: Operation, written: &[(&str, &str)]) -> Arguments {
    let written: BTreeMap<_, _> = written
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Arguments::parse(operation, &written).unwrap()
}

/// Buckets vary outside, windows inside; only the kept-k operations carry k in the name.
#[test]
fn expansion_order_and_names() {
    let parts = expand(
        "price",
        Operation::LastK,
        &arguments(Operation::LastK, &[("k", "3")]),
        &[Window::Hours(6), Window::Unbounded],
        &["color".into(), "shape".into()],
        false,
    );
    let names: Vec<_> = parts.iter().map(PartSpec::output_name).collect();
    assert_eq!(
        names,
        [
            "price_last3_6h_by_color",
            "price_last3_by_color",
            "price_last3_6h_by_shape",
            "price_last3_by_shape"
        ]
    );
    assert_eq!(parts[0].incremental_name(), "price_last3_by_color");
    let plain = expand(
        "x",
        Operation::ApproxPercentile,
        &arguments(
            Operation::ApproxPercentile,
            &[("percentiles", "[0.5, 0.9]"), ("k", "200")],
        ),
        &[],
        &[],
        false,
    );
    assert_eq!(plain[0].output_name(), "x_approx_percentile");
    assert_eq!(plain[0].arguments.percentiles, [0.5, 0.9]);
}

/// Codes and names are inverse, and unknown codes are refused.
#[test]
fn codes() {
    for operation in Operation::ALL {
        assert_eq!(Operation::from_code(operation.code()), Some(operation));
    }
    assert_eq!(Operation::from_code(20), None);
    assert_eq!(Operation::from_code(-1), None);
    assert_eq!(Operation::BoundedUniqueCount.code(), 19);
}

/// Arguments that cannot be read name themselves.
#[test]
fn bad_arguments() {
    let parse = |operation, k: &str, v: &str| {
        Arguments::parse(operation, &BTreeMap::from([(k.to_owned(), v.to_owned())]))
    };
    assert!(matches!(
        Arguments::parse(Operation::TopK, &BTreeMap::new()).unwrap_err()[0],
        ArgumentError::MissingK { .. }
    ));
    for (operation, text) in [
        (Operation::TopK, "0"),
        (Operation::TopK, "many"),
        (Operation::ApproxUniqueCount, "3"),
        (Operation::ApproxUniqueCount, "27"),
    ] {
        assert!(parse(operation, "k", text).is_err(), "{operation} {text}");
    }
    for text in ["0.5", "[]", "[1.5]", "[\"x\"]", "[0.5"] {
        assert!(
            parse(Operation::ApproxPercentile, "percentiles", text).is_err(),
            "{text}"
        );
    }
}

/// Every operation over every type: taken or refused as the specification's table says.
#[test]
fn signature_table() {
    let types = [
        DataType::Int,
        DataType::Long,
        DataType::Short,
        DataType::Double,
        DataType::Float,
        DataType::Boolean,
        DataType::String,
        DataType::Binary,
        DataType::Byte,
    ];
    let table = [
        (Operation::Sum, "long long long double double long - - -"),
        (
            Operation::Average,
            "double double double double double - - - -",
        ),
        (
            Operation::Variance,
            "double double double double double - - - -",
        ),
        (Operation::Min, "int long short double float - string - -"),
        (Operation::TopK, "int long short double float - string - -"),
        (
            Operation::UniqueCount,
            "int long short double float - string binary -",
        ),
        (
            Operation::ApproxUniqueCount,
            "long long long double double - string binary -",
        ),
        (
            Operation::ApproxPercentile,
            "float float float float float - - - -",
        ),
        (
            Operation::ApproxHistogramK,
            "long long long double double - string - -",
        ),
        (Operation::Histogram, "- - - - - - string - -"),
        (
            Operation::Count,
            "int long short double float boolean string binary byte",
        ),
        (
            Operation::Last,
            "int long short double float boolean string binary byte",
        ),
    ];
    for (operation, row) in table {
        let found: Vec<_> = types
            .iter()
            .map(
                |data_type| match Signature::of(operation, data_type, false, false) {
                    Ok(signature) => match signature.operand_type {
                        DataType::Long => "long".to_owned(),
                        DataType::Short => "short".to_owned(),
                        DataType::Byte => "byte".to_owned(),
                        other => other.to_string(),
                    },
                    Err(_) => "-".to_owned(),
                },
            )
            .collect();
        assert_eq!(found.join(" "), row, "{operation}");
    }
}

/// Lists explode, maps aggregate per key, timed operations keep both whole, buckets wrap in a map.
#[test]
fn shapes() {
    let of = |operation, input: &DataType, element_wise, bucketed| {
        Signature::of(operation, input, element_wise, bucketed)
    };
    let list = DataType::array(DataType::Int);
    let map = DataType::map(DataType::String, DataType::Float);
    let exploded = of(Operation::Average, &list, false, false).unwrap();
    assert_eq!(
        (exploded.shape, exploded.output_type),
        (InputShape::List, DataType::Double)
    );
    let per_key = of(Operation::Sum, &map, false, false).unwrap();
    assert_eq!(per_key.output_type.to_string(), "map<string,double>");
    let whole = of(Operation::LastK, &map, false, false).unwrap();
    assert_eq!(whole.output_type.to_string(), "array<map<string,float>>");
    let tensor = of(Operation::Average, &list, true, false).unwrap();
    assert_eq!(
        tensor.state_type.to_string(),
        "array<struct<sum:double,count:int>>"
    );
    let bucketed = of(Operation::Last, &list, false, true).unwrap();
    assert_eq!(bucketed.output_type.to_string(), "map<string,array<int>>");
    let nested = DataType::array(DataType::Struct(vec![Field::new("a", DataType::Int)]));
    assert!(of(Operation::Sum, &nested, false, false).is_err());
    assert_eq!(
        of(Operation::Count, &nested, false, false).unwrap().shape,
        InputShape::Scalar
    );
    assert!(of(Operation::Sum, &map, false, true).is_err());
    assert!(of(Operation::Sum, &DataType::Int, true, false).is_err());
    assert!(of(Operation::Last, &DataType::Date, false, false).is_err());
    assert!(of(Operation::Sum, &DataType::Decimal(18, 4), false, false).is_err());
}

/// All problems of a part come at once.
#[test]
fn part_problems() {
    let schema = Schema::new(vec![
        Field::new("amount", DataType::String),
        Field::new("level", DataType::Byte),
    ]);
    let part = |input: &str, bucket: Option<&str>| PartSpec {
        input: input.into(),
        operation: Operation::Sum,
        arguments: Arguments::default(),
        window: Window::Unbounded,
        bucket: bucket.map(Into::into),
        element_wise: false,
    };
    let both = part("amount", Some("level")).typed(&schema).unwrap_err();
    assert_eq!(both.len(), 2);
    assert_eq!(
        both[0].to_string(),
        "bucket column level must be string, but is tinyint"
    );
    assert_eq!(
        both[1].to_string(),
        "SUM cannot take column amount of type string"
    );
    let absent = part("nothing", Some("nowhere")).typed(&schema).unwrap_err();
    assert_eq!(absent.len(), 2);
}
