//! Functions of strings and binaries.

use super::{ANY, Call, Function, Takes, Typed, int, long, only_string, string};
use crate::expr::bind::make_case;
use crate::expr::ir::{Expr, Literal};
use crate::expr::number_format::NumberFormat;
use crate::schema::DataType;

pub(super) fn functions() -> Vec<Function> {
    let mut all = shapes();
    all.extend(pieces());
    all.extend(patterns());
    all.extend(notations());
    all
}

/// One string in, one value out, and what trims and pads.
fn shapes() -> Vec<Function> {
    let text = |names| Function::new(names, [string()], DataType::String);
    let size = |names| Function::new(names, [Takes::StringOrBinary], DataType::Int);
    vec![
        text(&["upper", "ucase"]),
        text(&["lower", "lcase"]),
        text(&["initcap"]),
        Function::new(&["soundex"], [only_string()], DataType::String),
        text(&["url_encode"]),
        text(&["url_decode"]),
        Function::new(&["ascii"], [string()], DataType::Int),
        Function::new(&["chr", "char"], [long()], DataType::String),
        Function::new(&["space"], [int()], DataType::String),
        Function::new(&["luhn_check"], [string()], DataType::Boolean),
        size(&["length", "char_length", "character_length", "len"]),
        size(&["octet_length"]),
        size(&["bit_length"]),
        Function::custom(&["reverse"], 1..=1, reverse),
        Function::new(&["repeat"], [string(), int()], DataType::String),
        Function::custom(&["lpad"], 2..=3, pad),
        Function::custom(&["rpad"], 2..=3, pad),
        Function::custom(&["btrim", "trim"], 1..=2, trim),
        Function::custom(&["ltrim"], 1..=2, trim_side),
        Function::custom(&["rtrim"], 1..=2, trim_side),
        Function::custom(&["mask"], 1..=5, mask),
    ]
}

/// Joining, cutting and finding.
fn pieces() -> Vec<Function> {
    let found = |names| Function::custom(names, 2..=2, two_alike);
    vec![
        Function::custom(&["concat", "||"], 0..=ANY, concat),
        Function::custom(&["concat_ws"], 1..=ANY, concat_ws),
        Function::custom(&["substring", "substr"], 2..=3, substring),
        Function::rewrite(&["left"], 2..=2, left),
        Function::rewrite(&["right"], 2..=2, right),
        Function::new(
            &["substring_index"],
            [string(), string(), int()],
            DataType::String,
        ),
        Function::custom(&["overlay"], 3..=4, overlay),
        Function::new(
            &["split_part"],
            [string(), string(), int()],
            DataType::String,
        ),
        Function::new(
            &["replace"],
            [string(), string(), string()],
            DataType::String,
        )
        .optional(1),
        Function::new(
            &["translate"],
            [string(), string(), string()],
            DataType::String,
        ),
        Function::new(&["instr"], [string(), string()], DataType::Int),
        Function::new(
            &["locate", "position"],
            [string(), string(), int()],
            DataType::Int,
        )
        .optional(1),
        Function::new(&["find_in_set"], [string(), string()], DataType::Int),
        Function::new(&["levenshtein"], [string(), string(), int()], DataType::Int).optional(1),
        found(&["contains"]),
        found(&["startswith"]),
        found(&["endswith"]),
        Function::custom(&["elt"], 2..=ANY, elt),
        Function::new(
            &["str_to_map"],
            [only_string(), only_string(), only_string()],
            DataType::map(DataType::String, DataType::String),
        )
        .optional(2),
    ]
}

fn with_escape(mut call: Call<'_, '_>, function: &'static str) -> Typed {
    call.take_rest(0, &string())?;
    call.function = function;
    call.returns(DataType::Boolean)
}

/// Patterns: LIKE and regular expressions.
fn patterns() -> Vec<Function> {
    let strings = || DataType::array(DataType::String);
    let like = |names| Function::new(names, [string(), string()], DataType::Boolean);
    vec![
        like(&["like"]),
        like(&["ilike"]),
        // The parser's, for LIKE … ESCAPE.
        Function::rewrite(&["like escape"], 3..=3, |call| with_escape(call, "like")),
        Function::rewrite(&["ilike escape"], 3..=3, |call| with_escape(call, "ilike")),
        Function::new(
            &["rlike", "regexp", "regexp_like"],
            [string(), string()],
            DataType::Boolean,
        ),
        Function::new(&["split"], [string(), string(), int()], strings()).optional(1),
        Function::new(
            &["regexp_extract"],
            [string(), string(), int()],
            DataType::String,
        )
        .optional(1),
        Function::new(
            &["regexp_extract_all"],
            [string(), string(), int()],
            strings(),
        )
        .optional(1),
        Function::custom(&["regexp_replace"], 3..=4, regexp_replace),
        Function::new(&["regexp_count"], [string(), string()], DataType::Int),
        Function::new(&["regexp_substr"], [string(), string()], DataType::String),
        Function::new(
            &["regexp_instr"],
            [string(), string(), int()],
            DataType::Int,
        )
        .optional(1),
    ]
}

/// Other notations: formats, encodings, URLs.
fn notations() -> Vec<Function> {
    let binary = || Takes::Type(DataType::Binary);
    let hex = Takes::OneOf(vec![Takes::Type(DataType::Long), binary(), string()]);
    vec![
        Function::custom(&["format_string", "printf"], 1..=ANY, format_string),
        Function::custom(&["format_number"], 2..=2, format_number),
        Function::custom(&["to_char", "to_varchar"], 2..=2, to_char),
        Function::custom(&["to_number"], 2..=2, to_number),
        Function::custom(&["try_to_number"], 2..=2, to_number),
        Function::custom(&["to_binary"], 1..=2, to_binary),
        Function::custom(&["try_to_binary"], 1..=2, to_binary),
        Function::new(&["base64"], [binary()], DataType::String),
        Function::new(&["unbase64"], [string()], DataType::Binary),
        Function::new(&["hex"], [hex], DataType::String),
        Function::new(&["unhex"], [string()], DataType::Binary),
        Function::new(&["encode"], [string(), string()], DataType::Binary),
        Function::custom(&["decode"], 2..=ANY, decode),
        Function::new(
            &["parse_url"],
            [only_string(), only_string(), only_string()],
            DataType::String,
        )
        .optional(1),
    ]
}

fn text(value: &str) -> Expr {
    Expr::literal(Literal::String(value.to_owned()), DataType::String)
}

fn integer(value: i64) -> Expr {
    Expr::literal(Literal::Integer(value), DataType::Int)
}

fn reverse(mut call: Call<'_, '_>) -> Typed {
    if !matches!(call.data_type(0), DataType::Array(_)) {
        call.take(0, &string())?;
    }
    let returns = call.data_type(0).clone();
    call.returns(returns)
}

/// Binary if both text and padding are, or the text alone if there is no padding.
fn pad(mut call: Call<'_, '_>) -> Typed {
    let binary = call
        .arguments
        .iter()
        .step_by(2)
        .all(|a| a.data_type == DataType::Binary);
    let kind = if binary {
        DataType::Binary
    } else {
        DataType::String
    };
    if call.len() == 2 {
        call.arguments.push(match binary {
            true => Expr::literal(Literal::Binary(vec![0]), DataType::Binary),
            false => text(" "),
        });
    }
    // The padding that was left out has no place of its own to complain about.
    call.take(0, &Takes::Type(kind.clone()))?;
    call.take(1, &int())?;
    if call.arguments[2].data_type != kind {
        call.take(2, &Takes::Type(kind.clone()))?;
    }
    call.returns(kind)
}

fn trim(mut call: Call<'_, '_>) -> Typed {
    call.take_rest(0, &string())?;
    call.returns(DataType::String)
}

/// `ltrim(characters, text)`: the kernel takes the text first.
fn trim_side(mut call: Call<'_, '_>) -> Typed {
    call.take_rest(0, &string())?;
    call.arguments.reverse();
    call.returns(DataType::String)
}

/// What hides a kind of character is a constant character, or null.
fn mask(mut call: Call<'_, '_>) -> Typed {
    call.take_rest(0, &only_string())?;
    for index in 1..call.len() {
        let fits = match call.arguments[index].as_literal() {
            Some(Literal::Null) => true,
            Some(Literal::String(text)) => text.chars().count() == 1,
            _ => false,
        };
        if !fits {
            let message = format!(
                "argument {} of mask must be one constant character",
                index + 1
            );
            return call.fail(message);
        }
    }
    call.returns(DataType::String)
}

/// The position, if there is one, is a constant from 1 on.
fn regexp_replace(mut call: Call<'_, '_>) -> Typed {
    for index in 0..3 {
        call.take(index, &string())?;
    }
    if call.len() > 3 {
        call.take(3, &int())?;
        match call.arguments[3].as_literal() {
            Some(Literal::Null) => {}
            Some(Literal::Integer(position)) if *position > 0 => {}
            _ => return call.fail("the position of regexp_replace must be a constant above 0"),
        }
    }
    call.returns(DataType::String)
}

/// Arrays, binaries, or else strings.
fn concat(mut call: Call<'_, '_>) -> Typed {
    let is_array = |a: &Expr| matches!(a.data_type, DataType::Array(_));
    if call.arguments.iter().any(is_array) {
        if !call.arguments.iter().all(is_array) {
            return call.fail("concat cannot join arrays with other values");
        }
        let common = call.same_type(0..call.len())?;
        return call.returns(common);
    }
    let binary = call.len() > 0
        && call
            .arguments
            .iter()
            .all(|a| a.data_type == DataType::Binary);
    let common = if binary {
        DataType::Binary
    } else {
        DataType::String
    };
    call.take_rest(0, &Takes::Type(common.clone()))?;
    call.returns(common)
}

fn concat_ws(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &string())?;
    for index in 1..call.len() {
        match call.data_type(index) {
            DataType::Array(_) => {
                call.take(index, &Takes::Type(DataType::array(DataType::String)))?;
            }
            _ => call.take(index, &string())?,
        }
    }
    call.returns(DataType::String)
}

fn substring(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &Takes::StringOrBinary)?;
    call.take(1, &int())?;
    match call.len() {
        3 => call.take(2, &int())?,
        _ => call.arguments.push(integer(i64::from(i32::MAX))),
    }
    let returns = call.data_type(0).clone();
    let returns = if returns == DataType::Null {
        DataType::String
    } else {
        returns
    };
    call.cast(0, &returns);
    call.returns(returns)
}

fn left(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &Takes::StringOrBinary)?;
    call.take(1, &int())?;
    let returns = call.data_type(0).clone();
    call.arguments.insert(1, integer(1));
    Ok(Expr::call("substring", call.arguments, returns))
}

/// The empty string for no or negative length, else the end of the text.
fn right(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &string())?;
    call.take(1, &int())?;
    let span = call.span;
    let length = call.arguments.pop().expect("two arguments");
    let whole = call.arguments.pop().expect("two arguments");
    let is_null = Expr::call("isnull", vec![whole.clone()], DataType::Boolean);
    let none = Expr::call("<=", vec![length.clone(), integer(0)], DataType::Boolean);
    let position = Expr::call("negative", vec![length], DataType::Int);
    let arguments = vec![whole, position, integer(i64::from(i32::MAX))];
    let end = Expr::call("substring", arguments, DataType::String);
    let branches = vec![(is_null, Expr::null(DataType::String)), (none, text(""))];
    make_case(branches, Some(end), span)
}

fn overlay(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &Takes::StringOrBinary)?;
    call.take(1, &Takes::StringOrBinary)?;
    let kind = call.data_type(0).clone();
    if *call.data_type(1) != kind {
        let message = format!(
            "overlay puts strings into strings, not {} into {kind}",
            call.data_type(1)
        );
        return call.fail(message);
    }
    call.take(2, &int())?;
    match call.len() {
        4 => call.take(3, &int())?,
        _ => call.arguments.push(integer(-1)),
    }
    call.returns(kind)
}

/// Two strings or two binaries.
fn two_alike(mut call: Call<'_, '_>) -> Typed {
    let binary = call
        .arguments
        .iter()
        .all(|a| a.data_type == DataType::Binary);
    let kind = if binary {
        DataType::Binary
    } else {
        DataType::String
    };
    call.take_rest(0, &Takes::Type(kind))?;
    call.returns(DataType::Boolean)
}

fn elt(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &int())?;
    let binary = call.arguments[1..]
        .iter()
        .all(|a| a.data_type == DataType::Binary);
    let kind = if binary {
        DataType::Binary
    } else {
        DataType::String
    };
    call.take_rest(1, &Takes::Type(kind.clone()))?;
    call.returns(kind)
}

fn format_string(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &string())?;
    call.returns(DataType::String)
}

/// A string as the number is refused, unlike elsewhere.
fn format_number(mut call: Call<'_, '_>) -> Typed {
    if *call.data_type(0) == DataType::String {
        return call.fail("argument 1 of format_number must be a number, this is string");
    }
    call.take(0, &Takes::Numeric)?;
    let digits = vec![Takes::Only(DataType::Int), Takes::Only(DataType::String)];
    call.take(1, &Takes::OneOf(digits))?;
    call.returns(DataType::String)
}

/// A number by a number format.
fn to_char(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &Takes::Decimal)?;
    let format = call.constant_text(1)?;
    if let Err(message) = NumberFormat::parse(&format) {
        return call.fail(message);
    }
    call.returns(DataType::String)
}

fn to_number(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &string())?;
    if call.arguments[1].data_type == DataType::Null {
        return Ok(Expr::null(DataType::Decimal(10, 0)));
    }
    let format = call.constant_text(1)?;
    match NumberFormat::parse(&format) {
        Ok(format) => {
            let (precision, scale) = format.precision_and_scale();
            call.returns(DataType::Decimal(precision, scale))
        }
        Err(message) => call.fail(message),
    }
}

fn to_binary(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &string())?;
    match call.len() {
        1 => call.arguments.push(text("hex")),
        _ if call.arguments[1].data_type == DataType::Null => {
            return Ok(Expr::null(DataType::Binary));
        }
        _ => {
            let format = call.constant_text(1)?.to_lowercase();
            if !matches!(format.as_str(), "hex" | "utf-8" | "utf8" | "base64") {
                return call.fail(format!("{format} is not a format of binaries"));
            }
            call.arguments[1] = text(&format);
        }
    }
    call.returns(DataType::Binary)
}

/// With two arguments bytes by their character set; with more a choice: `decode(x, if_this,
/// then_that, …, else)`.
fn decode(mut call: Call<'_, '_>) -> Typed {
    if call.len() == 2 {
        call.take(0, &Takes::Type(DataType::Binary))?;
        call.take(1, &string())?;
        return call.returns(DataType::String);
    }
    let span = call.span;
    let mut rest = std::mem::take(&mut call.arguments).into_iter();
    let subject = rest.next().expect("three arguments");
    let mut branches = Vec::new();
    let mut otherwise = None;
    while let Some(candidate) = rest.next() {
        let Some(value) = rest.next() else {
            otherwise = Some(candidate);
            break;
        };
        let same = super::find("<=>").expect("in the catalogue");
        let super::Typing::Custom(typing) = same.typing else {
            unreachable!("<=> has its own typing");
        };
        let condition = typing(Call {
            function: "<=>",
            name: call.name.clone(),
            span,
            nodes: call.nodes,
            arguments: vec![subject.clone(), candidate],
            binder: &mut *call.binder,
        })?;
        branches.push((condition, value));
    }
    // What matches nothing is a string's null, so the other values become strings too.
    let otherwise = otherwise.unwrap_or_else(|| Expr::null(DataType::String));
    make_case(branches, Some(otherwise), span)
}
