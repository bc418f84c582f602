//! Casts by name (`bigint(x)`), `typeof`, `assert_true`, `raise_error`, and the session's names.

use super::{ANY, Call, Function, Takes, Typed, boolean, long, string};
use crate::expr::bind::cast;
use crate::expr::ir::{Expr, Literal};
use crate::expr::problem::Problem;
use crate::schema::DataType;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::rewrite(&["boolean"], 1..=1, |c| cast_to(c, &DataType::Boolean)),
        Function::rewrite(&["tinyint"], 1..=1, |c| cast_to(c, &DataType::Byte)),
        Function::rewrite(&["smallint"], 1..=1, |c| cast_to(c, &DataType::Short)),
        Function::rewrite(&["int"], 1..=1, |c| cast_to(c, &DataType::Int)),
        Function::rewrite(&["bigint"], 1..=1, |c| cast_to(c, &DataType::Long)),
        Function::rewrite(&["float"], 1..=1, |c| cast_to(c, &DataType::Float)),
        Function::rewrite(&["double"], 1..=1, |c| cast_to(c, &DataType::Double)),
        Function::rewrite(&["decimal"], 1..=1, |c| {
            cast_to(c, &DataType::Decimal(10, 0))
        }),
        Function::rewrite(&["date"], 1..=1, |c| cast_to(c, &DataType::Date)),
        Function::rewrite(&["timestamp"], 1..=1, |c| cast_to(c, &DataType::Timestamp)),
        Function::rewrite(&["binary"], 1..=1, |c| cast_to(c, &DataType::Binary)),
        Function::rewrite(&["string"], 1..=1, |c| cast_to(c, &DataType::String)),
        // The binder's, for TRY_CAST.
        Function::custom(&["try cast"], 1..=1, |call| {
            call.fail("typed by the binder")
        }),
        Function::rewrite(&["typeof"], 1..=1, type_of),
        Function::new(&["assert_true"], [boolean(), string()], DataType::Null).optional(1),
        Function::rewrite(
            &[
                "current_date",
                "curdate",
                "current_timestamp",
                "now",
                "localtimestamp",
                "rand",
                "random",
                "randn",
                "uuid",
                "shuffle",
                "current_user",
                "user",
                "monotonically_increasing_id",
                "spark_partition_id",
                "input_file_name",
                "input_file_block_start",
                "input_file_block_length",
            ],
            0..=ANY,
            unstable,
        ),
        Function::new(&["raise_error"], [string()], DataType::Null),
        Function::rewrite(&["current_database", "current_schema"], 0..=0, |_| {
            Ok(text("default"))
        }),
        Function::rewrite(&["current_catalog"], 0..=0, |_| Ok(text("spark_catalog"))),
        Function::rewrite(&["current_timezone"], 0..=0, |_| Ok(text("UTC"))),
        Function::new(&["bitmap_bit_position"], [long()], DataType::Long),
        Function::new(&["bitmap_bucket_number"], [long()], DataType::Long),
        Function::custom(&["bitmap_count"], 1..=1, bitmap_count),
        Function::new(
            &["bit_count"],
            [Takes::OneOf(vec![Takes::Integral, boolean()])],
            DataType::Int,
        ),
    ]
}

/// What hangs on the moment or the chance of running: a backfill must give the same table on every run.
fn unstable(call: Call<'_, '_>) -> Typed {
    let Call { name, span, .. } = call;
    let message = format!("{name} gives another value on every run: name the value instead");
    Err(Problem::new(span, message))
}

/// Bytes and nothing that could be cast to them, not even a null.
fn bitmap_count(call: Call<'_, '_>) -> Typed {
    match call.data_type(0) {
        DataType::Binary => call.returns(DataType::Long),
        other => call.fail(format!("bitmap_count takes a binary, this is {other}")),
    }
}

fn text(value: &str) -> Expr {
    Expr::literal(Literal::String(value.to_owned()), DataType::String)
}

fn cast_to(mut call: Call<'_, '_>, to: &DataType) -> Typed {
    let span = call.span;
    cast(call.arguments.remove(0), to, span)
}

fn type_of(mut call: Call<'_, '_>) -> Typed {
    let argument = call.arguments.remove(0);
    Ok(text(&argument.data_type.to_string()))
}
