//! The catalogue of functions: names, arity and typing. What they compute stands in the kernel.
//!
//! **Adding a function touches two files**: an entry in `functions/<area>.rs` here, and an entry of the same first name
//! in `eval/functions/<area>.rs` of the kernel. A test in the kernel holds the two lists together.
//!
//! An entry is one of
//! - [`Function::new`]: names (the first is canonical, the kernel's key), what each argument takes, what it returns.
//!   Arguments are cast by Spark's implicit rules, so the evaluator meets exactly these types. The last ones may be
//!   [`optional`](Function::optional); the last may repeat ([`variadic`](Function::variadic)).
//! - [`Function::custom`]: names, arity, and a typing function that looks at the bound arguments, casts them
//!   ([`Call::take`], [`Call::cast`], [`Call::same_type`]) and answers with [`Call::returns`] or any other expression
//!   (so a function that is only another spelling needs no evaluator, and is entered with [`Function::rewrite`]).
//!
//! Operators are functions too (`+`, `and`, `in`). Names with a blank cannot be written by users.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use super::ast::{Node, NodeKind};
use super::bind::Binder;
use super::coerce::{Takes, is_orderable, wider_of, wider_without_strings};
use super::ir::Expr;
use super::nearest;
use super::problem::{Problem, Span};
use crate::schema::DataType;

mod arithmetic;
mod array;
mod comparison;
mod conditional;
mod datetime;
mod hash;
mod interval;
mod json;
mod lambda;
mod map;
mod math;
mod measures;
mod misc;
mod string;
mod structs;

pub(crate) use lambda::takes_lambdas;

/// One function.
pub(crate) struct Function {
    /// In lower case, the canonical name first.
    pub(crate) names: &'static [&'static str],
    /// The least and the greatest number of arguments.
    pub(crate) arity: (usize, usize),
    pub(crate) typing: Typing,
    /// True if every call becomes another expression, so that the kernel never sees the name.
    rewritten: bool,
}

/// How a call is typed.
pub(crate) enum Typing {
    Fixed(Vec<Takes>, DataType),
    Custom(fn(Call<'_, '_>) -> Typed),
}

/// A typed call, or what is wrong with it.
pub(crate) type Typed = Result<Expr, Problem>;

impl Function {
    /// A function of fixed types.
    fn new<const N: usize>(
        names: &'static [&'static str],
        takes: [Takes; N],
        returns: DataType,
    ) -> Self {
        Self {
            names,
            arity: (N, N),
            typing: Typing::Fixed(takes.into(), returns),
            rewritten: false,
        }
    }

    /// A function with its own typing.
    fn custom(
        names: &'static [&'static str],
        arity: RangeInclusive<usize>,
        typing: fn(Call<'_, '_>) -> Typed,
    ) -> Self {
        Self {
            names,
            arity: (*arity.start(), *arity.end()),
            typing: Typing::Custom(typing),
            rewritten: false,
        }
    }

    /// A function that is only another spelling: `typing` answers with other calls.
    fn rewrite(
        names: &'static [&'static str],
        arity: RangeInclusive<usize>,
        typing: fn(Call<'_, '_>) -> Typed,
    ) -> Self {
        Self {
            rewritten: true,
            ..Self::custom(names, arity, typing)
        }
    }

    /// The last `count` arguments may be left out.
    fn optional(mut self, count: usize) -> Self {
        self.arity.0 -= count;
        self
    }

    /// The last argument may repeat, or be left out.
    fn variadic(mut self) -> Self {
        self.arity = (self.arity.0 - 1, usize::MAX);
        self
    }
}

/// Any number of arguments from here on.
const ANY: usize = usize::MAX;

fn string() -> Takes {
    Takes::Type(DataType::String)
}

/// A string and nothing that could be cast to one.
fn only_string() -> Takes {
    Takes::Only(DataType::String)
}

fn int() -> Takes {
    Takes::Type(DataType::Int)
}

fn long() -> Takes {
    Takes::Type(DataType::Long)
}

fn double() -> Takes {
    Takes::Type(DataType::Double)
}

fn boolean() -> Takes {
    Takes::Type(DataType::Boolean)
}

static CATALOGUE: LazyLock<Vec<Function>> = LazyLock::new(|| {
    let areas = [
        arithmetic::functions(),
        array::functions(),
        comparison::functions(),
        conditional::functions(),
        datetime::functions(),
        hash::functions(),
        interval::functions(),
        json::functions(),
        lambda::functions(),
        map::functions(),
        math::functions(),
        measures::functions(),
        misc::functions(),
        string::functions(),
        structs::functions(),
    ];
    areas.into_iter().flatten().collect()
});

static BY_NAME: LazyLock<BTreeMap<&'static str, &'static Function>> = LazyLock::new(|| {
    let entries = CATALOGUE.iter();
    entries
        .flat_map(|function| function.names.iter().map(move |name| (*name, function)))
        .collect()
});

pub(crate) fn find(name: &str) -> Option<&'static Function> {
    BY_NAME.get(name).copied()
}

/// The canonical names of the functions that the kernel must evaluate, sorted.
pub fn evaluated() -> Vec<&'static str> {
    let mut names: Vec<_> = CATALOGUE
        .iter()
        .filter(|function| !function.rewritten)
        .map(|function| function.names[0])
        .collect();
    names.extend(["array item", "map item"]);
    names.sort_unstable();
    names
}

/// Functions of Spark that are none here: each would need a library of its own, or a Java machine, or an aggregate's
/// state that nothing else shares.
const ONLY_SPARKS: [&str; 28] = [
    "aes_decrypt",
    "aes_encrypt",
    "bitmap_construct_agg",
    "bitmap_or_agg",
    "count_min_sketch",
    "hll_sketch_agg",
    "hll_sketch_estimate",
    "hll_union",
    "hll_union_agg",
    "java_method",
    "json_tuple",
    "reflect",
    "sentences",
    "session_window",
    "sql_keywords",
    "try_aes_decrypt",
    "version",
    "window",
    "window_time",
    "xpath",
    "xpath_boolean",
    "xpath_double",
    "xpath_float",
    "xpath_int",
    "xpath_long",
    "xpath_number",
    "xpath_short",
    "xpath_string",
];

pub(crate) fn unknown(name: &str) -> String {
    if ONLY_SPARKS.contains(&name.to_lowercase().as_str()) {
        return format!(
            "{} is a function of Spark that is not there yet: let what writes the table compute it",
            name.to_lowercase()
        );
    }
    let known = BY_NAME.keys().copied().filter(|known| !known.contains(' '));
    format!("unknown function {name}{}", nearest::hint(name, known))
}

/// A call whose arguments are bound, waiting to be typed.
pub(crate) struct Call<'a, 'b> {
    pub(crate) function: &'static str,
    /// As it was written, in lower case.
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) nodes: &'a [Node],
    /// A lambda stands here as a null until [`Call::lambda`] binds it.
    pub(crate) arguments: Vec<Expr>,
    pub(crate) binder: &'a mut Binder<'b>,
}

impl Call<'_, '_> {
    fn len(&self) -> usize {
        self.arguments.len()
    }

    fn data_type(&self, index: usize) -> &DataType {
        &self.arguments[index].data_type
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, Problem> {
        Err(Problem::new(self.span, message))
    }

    /// Casts an argument as Spark does unasked, or says what was wanted.
    fn take(&mut self, index: usize, takes: &Takes) -> Result<(), Problem> {
        if self.is_lambda(index) {
            let message = format!("{} takes {}, not a lambda", self.name, takes.describe());
            return Err(Problem::new(self.nodes[index].span, message));
        }
        match takes.implicit(self.data_type(index)) {
            Some(to) => {
                self.cast(index, &to);
                Ok(())
            }
            None => {
                let message = format!(
                    "argument {} of {} must be {}, this is {}",
                    index + 1,
                    self.name,
                    takes.describe(),
                    self.data_type(index)
                );
                Err(Problem::new(self.nodes[index].span, message))
            }
        }
    }

    /// [`Call::take`] for all arguments from `from` on.
    fn take_rest(&mut self, from: usize, takes: &Takes) -> Result<(), Problem> {
        (from..self.len()).try_for_each(|index| self.take(index, takes))
    }

    /// Casts an argument without asking.
    fn cast(&mut self, index: usize, to: &DataType) {
        let argument = std::mem::replace(&mut self.arguments[index], Expr::null(DataType::Null));
        self.arguments[index] = argument.cast(to);
    }

    /// Brings these arguments to their common type.
    fn same_type(&mut self, range: std::ops::Range<usize>) -> Result<DataType, Problem> {
        let types = self.arguments[range.clone()].iter().map(|a| &a.data_type);
        match wider_of(types) {
            Some(common) => {
                for index in range {
                    self.cast(index, &common);
                }
                Ok(common)
            }
            None => {
                let types: Vec<String> = self.arguments[range]
                    .iter()
                    .map(|a| a.data_type.to_string())
                    .collect();
                self.fail(format!(
                    "the arguments of {} have no common type: {}",
                    self.name,
                    types.join(", ")
                ))
            }
        }
    }

    /// The element type of an array argument.
    fn element(&self, index: usize) -> Result<DataType, Problem> {
        match self.data_type(index) {
            DataType::Array(element) => Ok((**element).clone()),
            other => Err(Problem::new(
                self.nodes[index].span,
                format!(
                    "argument {} of {} must be an array, this is {other}",
                    index + 1,
                    self.name
                ),
            )),
        }
    }

    /// Brings an array's elements and a value to their common type, which is not a string for other types' sake.
    fn element_and_value(&mut self, array: usize, value: usize) -> Result<DataType, Problem> {
        let element = self.element(array)?;
        let common = wider_without_strings(&element, self.data_type(value));
        self.meet(array, value, common)
    }

    fn meet(
        &mut self,
        array: usize,
        value: usize,
        common: Option<DataType>,
    ) -> Result<DataType, Problem> {
        let Some(common) = common else {
            return self.fail(format!(
                "{} cannot take {} and {}",
                self.name,
                self.data_type(array),
                self.data_type(value)
            ));
        };
        self.cast(array, &DataType::array(common.clone()));
        self.cast(value, &common);
        Ok(common)
    }

    /// Fails if values of the type have no order.
    fn orderable(&self, data_type: &DataType) -> Result<(), Problem> {
        match is_orderable(data_type) {
            true => Ok(()),
            false => self.fail(format!("values of {data_type} cannot be compared")),
        }
    }

    /// The key and value types of a map argument.
    fn entry(&self, index: usize) -> Result<(DataType, DataType), Problem> {
        match self.data_type(index) {
            DataType::Map(key, value) => Ok(((**key).clone(), (**value).clone())),
            other => Err(Problem::new(
                self.nodes[index].span,
                format!(
                    "argument {} of {} must be a map, this is {other}",
                    index + 1,
                    self.name
                ),
            )),
        }
    }

    /// The value of an argument that must be a constant string.
    fn constant_text(&self, index: usize) -> Result<String, Problem> {
        match self.arguments[index].as_text() {
            Some(text) => Ok(text.to_owned()),
            None => Err(Problem::new(
                self.nodes[index].span,
                format!(
                    "argument {} of {} must be a constant string",
                    index + 1,
                    self.name
                ),
            )),
        }
    }

    fn is_lambda(&self, index: usize) -> bool {
        matches!(self.nodes.get(index), Some(node) if matches!(node.kind, NodeKind::Lambda { .. }))
    }

    /// The number of parameters of a lambda argument.
    fn lambda_arity(&self, index: usize) -> usize {
        match &self.nodes[index].kind {
            NodeKind::Lambda { parameters, .. } => parameters.len(),
            _ => 0,
        }
    }

    /// Binds a lambda argument whose parameters have these types; answers the type of its body.
    fn lambda(&mut self, index: usize, types: &[DataType]) -> Result<DataType, Problem> {
        let bound = self.binder.lambda(&self.nodes[index], types)?;
        let data_type = bound.data_type.clone();
        self.arguments[index] = bound;
        Ok(data_type)
    }

    /// The call of this function, arguments as they are now.
    fn returns(self, data_type: DataType) -> Typed {
        Ok(Expr::call(self.function, self.arguments, data_type))
    }

    pub(crate) fn fixed(mut self, takes: &[Takes], returns: &DataType) -> Typed {
        for index in 0..self.len() {
            let wanted = &takes[index.min(takes.len() - 1)];
            self.take(index, wanted)?;
        }
        self.returns(returns.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_for_one_function() {
        let names = CATALOGUE
            .iter()
            .map(|function| function.names.len())
            .sum::<usize>();
        assert_eq!(BY_NAME.len(), names, "a name is entered twice");
    }

    /// A function of Spark's that is none here is told as such, and never mistaken for a slip.
    #[test]
    fn functions_that_are_not_there() {
        for name in ONLY_SPARKS {
            assert!(find(name).is_none(), "{name} is there");
            let text = format!("{}(s)", name.to_uppercase());
            let schema =
                crate::schema::Schema::new(vec![crate::schema::Field::new("s", DataType::String)]);
            let ast = crate::expr::parse(&text).unwrap();
            let error = crate::expr::bind(&ast, &schema).unwrap_err().to_string();
            assert!(error.contains("is not there yet"), "{error}");
        }
    }

    #[test]
    fn names_are_in_lower_case() {
        assert!(BY_NAME.keys().all(|name| *name == name.to_lowercase()));
    }
}
