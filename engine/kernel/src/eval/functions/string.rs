//! Functions of strings and binaries.
//!
//! Thin loops over [`crate::eval::java::text`] and its neighbours; patterns and notations have
//! files of their own.

use std::collections::BTreeSet;

use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, StringArray};
use unskewed_planner::schema::DataType;

use super::{Entry, eager};
use crate::eval::build::{Built, ListBuilder, map};
use crate::eval::call::Call;
use crate::eval::java::text;

mod notation;
mod pattern;

pub(super) fn functions() -> Vec<Entry> {
    let mut all = shapes();
    all.extend(sizes());
    all.extend(pieces());
    all.extend(pattern::functions());
    all.extend(notation::functions());
    all
}

/// A function of one string.
fn map_text(call: &Call<'_>, f: impl Fn(&str) -> String) -> Built {
    let text = call.strings(0);
    call.build_strings(|row| text.get(row).map(&f))
}

fn shapes() -> Vec<Entry> {
    vec![
        eager("upper", |call| map_text(call, str::to_uppercase)),
        eager("lower", |call| map_text(call, str::to_lowercase)),
        eager("initcap", |call| map_text(call, text::initcap)),
        eager("soundex", |call| map_text(call, text::soundex)),
        eager("reverse", reverse),
        eager("chr", chr),
        eager("space", |call| {
            let count = call.primitives::<Int32Type>(0);
            call.try_build_strings(|row| count.get(row).map(|count| repeat(" ", count)).transpose())
        }),
        eager("repeat", |call| {
            let (text, count) = (call.strings(0), call.primitives::<Int32Type>(1));
            call.try_build_strings(|row| match (text.get(row), count.get(row)) {
                (Some(text), Some(count)) => repeat(text, count).map(Some),
                _ => Ok(None),
            })
        }),
        eager("lpad", |call| pad(call, true)),
        eager("rpad", |call| pad(call, false)),
        eager("btrim", |call| trim(call, true, true)),
        eager("ltrim", |call| trim(call, true, false)),
        eager("rtrim", |call| trim(call, false, true)),
        eager("mask", mask),
        eager("overlay", overlay),
        eager("translate", |call| {
            let (text, from, to) = (call.strings(0), call.strings(1), call.strings(2));
            call.build_strings(|row| {
                Some(text::translate(
                    text.get(row)?,
                    from.get(row)?,
                    to.get(row)?,
                ))
            })
        }),
        eager("replace", replace),
        eager("luhn_check", |call| {
            let text = call.strings(0);
            call.build_booleans(|row| text.get(row).map(text::luhn_check))
        }),
    ]
}

/// The text so many times; refused where it would not fit a value.
fn repeat(text: &str, count: i32) -> Result<String, String> {
    let count = usize::try_from(count).unwrap_or(0);
    match text.len().checked_mul(count) {
        Some(length) if i32::try_from(length).is_ok() => Ok(text.repeat(count)),
        _ => Err("a string cannot be longer than 2^31 bytes".into()),
    }
}

fn small(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn sizes() -> Vec<Entry> {
    vec![
        eager("length", |call| {
            size(call, |text| small(text.chars().count()), 1)
        }),
        eager("octet_length", |call| {
            size(call, |text| small(text.len()), 1)
        }),
        eager("bit_length", |call| {
            size(call, |text| small(text.len() * 8), 8)
        }),
        eager("ascii", |call| {
            let text = call.strings(0);
            call.build::<Int32Type>(|row| {
                let first = text.get(row)?.chars().next();
                Some(first.map_or(0, |c| u32::from(c).cast_signed()))
            })
        }),
        eager("instr", |call| {
            let (text, needle) = (call.strings(0), call.strings(1));
            call.build::<Int32Type>(|row| Some(text::locate(needle.get(row)?, text.get(row)?, 1)))
        }),
        eager("locate", locate),
        eager("find_in_set", |call| {
            let (item, list) = (call.strings(0), call.strings(1));
            call.build::<Int32Type>(|row| Some(text::find_in_set(item.get(row)?, list.get(row)?)))
        }),
        eager("levenshtein", levenshtein),
        eager("contains", |call| {
            two_alike(call, |a, b| find_bytes(a, b).is_some())
        }),
        eager("startswith", |call| two_alike(call, <[u8]>::starts_with)),
        eager("endswith", |call| two_alike(call, <[u8]>::ends_with)),
    ]
}

fn pieces() -> Vec<Entry> {
    vec![
        eager("concat", concat),
        eager("concat_ws", concat_ws),
        eager("substring", substring),
        eager("substring_index", |call| {
            let (text, delimiter) = (call.strings(0), call.strings(1));
            let count = call.primitives::<Int32Type>(2);
            call.build_strings(|row| {
                Some(text::substring_index(
                    text.get(row)?,
                    delimiter.get(row)?,
                    count.get(row)?,
                ))
            })
        }),
        eager("split_part", split_part),
        eager("elt", elt),
        eager("str_to_map", str_to_map),
    ]
}

fn reverse(call: &Call<'_>) -> Built {
    match call.data_type {
        DataType::Array(_) => reverse_lists(call),
        _ => map_text(call, |text| text.chars().rev().collect()),
    }
}

/// The elements from last to first.
fn reverse_lists(call: &Call<'_>) -> Built {
    let lists = call.lists(0);
    let mut builder = ListBuilder::new();
    for row in 0..call.rows {
        match lists.get(row) {
            Some(range) => {
                range.rev().for_each(|at| builder.pick(Some(at)));
                builder.close();
            }
            None => builder.null(),
        }
    }
    builder.finish(lists.elements(), call.data_type)
}

/// The character of the low eight bits; nothing for a negative number.
fn chr(call: &Call<'_>) -> Built {
    let code = call.primitives::<Int64Type>(0);
    call.build_strings(|row| {
        let code = code.get(row)?;
        if code < 0 {
            return Some(String::new());
        }
        let low = u8::try_from(code & 0xff).expect("eight bits");
        Some(char::from(low).to_string())
    })
}

fn pad(call: &Call<'_>, left: bool) -> Built {
    let length = call.primitives::<Int32Type>(1);
    if *call.data_type == DataType::Binary {
        let (bytes, padding) = (call.binaries(0), call.binaries(2));
        return call.build_binaries(|row| {
            Some(text::pad_bytes(
                bytes.get(row)?,
                length.get(row)?,
                padding.get(row)?,
                left,
            ))
        });
    }
    let (text, padding) = (call.strings(0), call.strings(2));
    call.build_strings(|row| {
        Some(text::pad(
            text.get(row)?,
            length.get(row)?,
            padding.get(row)?,
            left,
        ))
    })
}

fn trim(call: &Call<'_>, left: bool, right: bool) -> Built {
    let text = call.strings(0);
    if call.len() == 1 {
        return call.build_strings(|row| Some(text::trim(text.get(row)?, " ", left, right)));
    }
    let set = call.strings(1);
    call.build_strings(|row| Some(text::trim(text.get(row)?, set.get(row)?, left, right)))
}

/// The kinds that are left out are masked by default; a null keeps a kind as it is.
fn mask(call: &Call<'_>) -> Built {
    let text = call.strings(0);
    let replacements: Vec<_> = (1..call.len()).map(|i| call.strings(i)).collect();
    let defaults = [Some("X"), Some("x"), Some("n"), None];
    call.build_strings(|row| {
        let with = |i: usize| match replacements.get(i) {
            Some(given) => given.get(row),
            None => defaults[i],
        };
        Some(text::mask(
            text.get(row)?,
            with(0),
            with(1),
            with(2),
            with(3),
        ))
    })
}

fn overlay(call: &Call<'_>) -> Built {
    let (position, length) = (
        call.primitives::<Int32Type>(2),
        call.primitives::<Int32Type>(3),
    );
    if *call.data_type == DataType::Binary {
        let (whole, part) = (call.binaries(0), call.binaries(1));
        return call.build_binaries(|row| {
            let (whole, part) = (whole.get(row)?, part.get(row)?);
            let (position, length) = (position.get(row)?, length.get(row)?);
            let length = if length >= 0 {
                length
            } else {
                small(part.len())
            };
            let before = text::substring_bytes(whole, 1, position.wrapping_sub(1));
            let after = text::substring_bytes(whole, position.wrapping_add(length), i32::MAX);
            Some([before, part, after].concat())
        });
    }
    let (whole, part) = (call.strings(0), call.strings(1));
    call.build_strings(|row| {
        let (position, length) = (position.get(row)?, length.get(row)?);
        Some(text::overlay(
            whole.get(row)?,
            part.get(row)?,
            position,
            length,
        ))
    })
}

fn replace(call: &Call<'_>) -> Built {
    let (text, search) = (call.strings(0), call.strings(1));
    let with = (call.len() > 2).then(|| call.strings(2));
    call.build_strings(|row| {
        let (text, search) = (text.get(row)?, search.get(row)?);
        let with = match &with {
            Some(with) => with.get(row)?,
            None => "",
        };
        Some(if search.is_empty() {
            text.to_owned()
        } else {
            text.replace(search, with)
        })
    })
}

/// A size of the text, or the bytes of a binary times a unit.
fn size(call: &Call<'_>, of_text: fn(&str) -> i32, unit: i32) -> Built {
    match call.types[0] {
        DataType::Binary => {
            let bytes = call.binaries(0);
            call.build::<Int32Type>(|row| Some(small(bytes.get(row)?.len()) * unit))
        }
        DataType::Null => call.build::<Int32Type>(|_| None),
        _ => {
            let text = call.strings(0);
            call.build::<Int32Type>(|row| text.get(row).map(of_text))
        }
    }
}

/// A null position is nowhere, where a null text is null.
fn locate(call: &Call<'_>) -> Built {
    let (needle, text) = (call.strings(0), call.strings(1));
    let start = (call.len() > 2).then(|| call.primitives::<Int32Type>(2));
    call.build::<Int32Type>(|row| {
        let start = match &start {
            Some(start) => match start.get(row) {
                Some(start) => start,
                None => return Some(0),
            },
            None => 1,
        };
        Some(text::locate(needle.get(row)?, text.get(row)?, start))
    })
}

fn levenshtein(call: &Call<'_>) -> Built {
    let (a, b) = (call.strings(0), call.strings(1));
    let threshold = (call.len() > 2).then(|| call.primitives::<Int32Type>(2));
    call.build::<Int32Type>(|row| {
        let (a, b) = (a.get(row)?, b.get(row)?);
        Some(match &threshold {
            Some(threshold) => text::levenshtein_within(a, b, threshold.get(row)?),
            None => text::levenshtein(a, b),
        })
    })
}

fn find_bytes(text: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    text.windows(needle.len())
        .position(|window| window == needle)
}

fn two_alike(call: &Call<'_>, holds: fn(&[u8], &[u8]) -> bool) -> Built {
    if *call.types[0] == DataType::Binary {
        let (a, b) = (call.binaries(0), call.binaries(1));
        return call.build_booleans(|row| Some(holds(a.get(row)?, b.get(row)?)));
    }
    let (a, b) = (call.strings(0), call.strings(1));
    call.build_booleans(|row| Some(holds(a.get(row)?.as_bytes(), b.get(row)?.as_bytes())))
}

/// Strings, binaries or arrays; null if any part is.
fn concat(call: &Call<'_>) -> Built {
    match call.data_type {
        DataType::Array(_) => super::array::concat(call),
        DataType::Binary => call.build_binaries(|row| {
            let parts = (0..call.len()).map(|i| call.binaries(i).get(row));
            parts
                .collect::<Option<Vec<_>>>()
                .map(|parts| parts.concat())
        }),
        _ => call.build_strings(|row| {
            let parts = (0..call.len()).map(|i| call.strings(i).get(row));
            parts
                .collect::<Option<Vec<_>>>()
                .map(|parts| parts.concat())
        }),
    }
}

/// Nulls among the parts are passed over.
fn concat_ws(call: &Call<'_>) -> Built {
    let separator = call.strings(0);
    call.build_strings(|row| {
        let separator = separator.get(row)?;
        let mut parts = Vec::new();
        for index in 1..call.len() {
            if let DataType::Array(_) = call.types[index] {
                let lists = call.lists(index);
                let elements = lists.elements().as_any().downcast_ref::<StringArray>();
                let (Some(range), Some(elements)) = (lists.get(row), elements) else {
                    continue;
                };
                parts.extend(
                    range
                        .filter(|i| elements.is_valid(*i))
                        .map(|i| elements.value(i)),
                );
            } else {
                parts.extend(call.strings(index).get(row));
            }
        }
        Some(parts.join(separator))
    })
}

fn substring(call: &Call<'_>) -> Built {
    let (position, length) = (
        call.primitives::<Int32Type>(1),
        call.primitives::<Int32Type>(2),
    );
    if *call.data_type == DataType::Binary {
        let bytes = call.binaries(0);
        return call.build_binaries(|row| {
            let (position, length) = (position.get(row)?, length.get(row)?);
            Some(text::substring_bytes(bytes.get(row)?, position, length))
        });
    }
    let text = call.strings(0);
    call.build_strings(|row| {
        let (position, length) = (position.get(row)?, length.get(row)?);
        Some(text::substring(text.get(row)?, position, length))
    })
}

fn split_part(call: &Call<'_>) -> Built {
    let (text, delimiter) = (call.strings(0), call.strings(1));
    let part = call.primitives::<Int32Type>(2);
    call.try_build_strings(|row| {
        let (Some(text), Some(delimiter), Some(part)) =
            (text.get(row), delimiter.get(row), part.get(row))
        else {
            return Ok(None);
        };
        if part == 0 {
            return Err("split_part counts from 1 or from −1, there is no part 0".into());
        }
        let parts = text::split_literal(text, delimiter);
        let index = usize::try_from(part.unsigned_abs()).expect("32 bits") - 1;
        let found = if part > 0 {
            parts.get(index)
        } else {
            parts.iter().rev().nth(index)
        };
        Ok(Some(found.copied().unwrap_or("")))
    })
}

fn elt(call: &Call<'_>) -> Built {
    let index = call.primitives::<Int32Type>(0);
    let choice = |row: usize| {
        let index = usize::try_from(index.get(row)?).ok()?;
        (1..call.len()).contains(&index).then_some(index)
    };
    match call.data_type {
        DataType::Binary => call.build_binaries(|row| call.binaries(choice(row)?).get(row)),
        _ => call.build_strings(|row| call.strings(choice(row)?).get(row)),
    }
}

/// Both delimiters are regular expressions; a key that occurs twice is an error.
fn str_to_map(call: &Call<'_>) -> Built {
    let text = call.strings(0);
    let pair = (call.len() > 1).then(|| call.strings(1));
    let value = (call.len() > 2).then(|| call.strings(2));
    let (mut pairs_by, mut values_by) = (pattern::Compiled::new(), pattern::Compiled::new());
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    let (mut offsets, mut validity) = (vec![0i32], Vec::new());
    for row in 0..call.rows {
        let delimiter = |given: &Option<crate::eval::column::Strings<'_>>, default| match given {
            Some(given) => given.get(row).map(str::to_owned),
            None => Some(String::from(default)),
        };
        let (pair, value) = (delimiter(&pair, ","), delimiter(&value, ":"));
        let (Some(text), Some(pair), Some(value)) = (text.get(row), pair, value) else {
            validity.push(false);
            offsets.push(small(keys.len()));
            continue;
        };
        let fail = |message: String| Call::row_error(row, message);
        let mut seen = BTreeSet::new();
        for entry in pattern::split(&mut pairs_by, text, &pair, -1).map_err(fail)? {
            let parts = pattern::split(&mut values_by, entry, &value, 2).map_err(fail)?;
            let key = parts.first().copied().unwrap_or("");
            if !seen.insert(key) {
                return Err(fail(format!("duplicate map key {key}")));
            }
            keys.push(key);
            values.push(parts.get(1).copied());
        }
        validity.push(true);
        offsets.push(small(keys.len()));
    }
    let keys = std::sync::Arc::new(StringArray::from_iter_values(keys));
    let values = std::sync::Arc::new(StringArray::from_iter(values));
    map(keys, values, offsets, &validity, call.data_type)
}
