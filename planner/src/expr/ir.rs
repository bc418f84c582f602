//! The typed expression: what the kernel runs.
//!
//! Promises: every node's type is Spark's; every argument already has the type its function wants, by an explicit
//! [`ExprKind::Cast`] where the text had none. Never holds an unresolved name.

use super::coerce::is_integral;
use crate::schema::{DataType, Field};

/// A typed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// The type of its value.
    pub data_type: DataType,
    /// What it is.
    pub kind: ExprKind,
}

/// The forms of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// The input column at this position.
    Column(usize),
    /// A constant.
    Literal(Literal),
    /// A lambda's parameter; the number is unique in the whole expression.
    Variable(usize),
    /// A function of the catalogue (operators included), by its first name.
    Call {
        /// The catalogue's canonical name.
        function: &'static str,
        /// Already of the types the function takes. Lambdas appear only here.
        arguments: Vec<Expr>,
    },
    /// A cast to the expression's type; what cannot be cast is null.
    Cast(Box<Expr>),
    /// The value of the first branch whose condition is true. Branches not taken are not evaluated.
    Case {
        /// Conditions and values.
        branches: Vec<(Expr, Expr)>,
        /// The value if no condition is true; null without it.
        otherwise: Option<Box<Expr>>,
    },
    /// The struct field at this position.
    Field {
        /// A struct.
        input: Box<Expr>,
        /// Position of the field.
        index: usize,
    },
    /// A lambda; its type is the body's.
    Lambda {
        /// The variables it binds.
        parameters: Vec<usize>,
        /// May read columns and outer variables too.
        body: Box<Expr>,
    },
}

/// A constant; which type it is of stands in [`Expr::data_type`].
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Null of any type.
    Null,
    /// `boolean`
    Boolean(bool),
    /// Integers, dates (days), timestamps (microseconds), intervals (months or microseconds).
    Integer(i64),
    /// `float` and `double`
    Double(f64),
    /// `decimal`: the unscaled value.
    Decimal(i128),
    /// `string`
    String(String),
    /// `binary`
    Binary(Vec<u8>),
    /// `interval`
    Calendar {
        /// Months.
        months: i32,
        /// Days.
        days: i32,
        /// Microseconds.
        micros: i64,
    },
}

/// True if an integer type holds the value.
fn fits(value: i64, data_type: &DataType) -> bool {
    match data_type {
        DataType::Byte => i8::try_from(value).is_ok(),
        DataType::Short => i16::try_from(value).is_ok(),
        DataType::Int => i32::try_from(value).is_ok(),
        _ => true,
    }
}

impl Expr {
    /// An expression of this type and form.
    pub fn new(data_type: DataType, kind: ExprKind) -> Self {
        Self { data_type, kind }
    }

    /// The input column at this position.
    pub fn column(index: usize, data_type: DataType) -> Self {
        Self::new(data_type, ExprKind::Column(index))
    }

    /// A constant.
    pub fn literal(value: Literal, data_type: DataType) -> Self {
        Self::new(data_type, ExprKind::Literal(value))
    }

    /// A null of this type.
    pub fn null(data_type: DataType) -> Self {
        Self::literal(Literal::Null, data_type)
    }

    /// A call of a catalogue function.
    pub fn call(function: &'static str, arguments: Vec<Expr>, data_type: DataType) -> Self {
        Self::new(
            data_type,
            ExprKind::Call {
                function,
                arguments,
            },
        )
    }

    /// This expression as `to`: itself if it has the type, a retyped constant if that is all it takes, or a cast.
    #[must_use]
    pub fn cast(self, to: &DataType) -> Self {
        if self.data_type == *to {
            return self;
        }
        if self.kind == ExprKind::Literal(Literal::Null) {
            return Self::null(to.clone());
        }
        if let ExprKind::Literal(Literal::Integer(value)) = self.kind
            && is_integral(&self.data_type)
            && is_integral(to)
            && fits(value, to)
        {
            return Self::literal(Literal::Integer(value), to.clone());
        }
        Self::new(to.clone(), ExprKind::Cast(Box::new(self)))
    }

    /// The column, if it is one.
    pub fn as_column(&self) -> Option<usize> {
        match &self.kind {
            ExprKind::Column(index) => Some(*index),
            _ => None,
        }
    }

    /// The constant, if it is one.
    pub fn as_literal(&self) -> Option<&Literal> {
        match &self.kind {
            ExprKind::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// The constant string, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self.as_literal()? {
            Literal::String(text) => Some(text),
            _ => None,
        }
    }

    /// Positions of the columns that are read, sorted and without repeats.
    pub fn columns(&self) -> Vec<usize> {
        let mut found = std::collections::BTreeSet::new();
        self.visit(&mut |expr| {
            if let ExprKind::Column(index) = expr.kind {
                found.insert(index);
            }
        });
        found.into_iter().collect()
    }

    /// This expression with its columns at other positions.
    #[must_use]
    pub fn with_columns(&self, position: &dyn Fn(usize) -> usize) -> Self {
        super::rewrite::moved(self, position)
    }

    /// Calls `visit` on this expression and everything below it.
    pub fn visit(&self, visit: &mut dyn FnMut(&Expr)) {
        visit(self);
        match &self.kind {
            ExprKind::Column(_) | ExprKind::Literal(_) | ExprKind::Variable(_) => {}
            ExprKind::Call { arguments, .. } => arguments.iter().for_each(|a| a.visit(visit)),
            ExprKind::Cast(input) | ExprKind::Field { input, .. } => input.visit(visit),
            ExprKind::Lambda { body, .. } => body.visit(visit),
            ExprKind::Case {
                branches,
                otherwise,
            } => {
                for (condition, value) in branches {
                    condition.visit(visit);
                    value.visit(visit);
                }
                if let Some(value) = otherwise {
                    value.visit(visit);
                }
            }
        }
    }
}

/// A function that turns one row into any number of rows; only at the top of a select list.
#[derive(Clone, Debug, PartialEq)]
pub struct Generator {
    /// Which one.
    pub kind: GeneratorKind,
    /// One array or map for `explode` and `posexplode`, one array of structs for `inline`; for `stack` the values, row
    /// by row.
    pub inputs: Vec<Expr>,
    /// True for the `_outer` forms: an empty or null input gives one row of nulls.
    pub outer: bool,
    /// The columns it makes.
    pub columns: Vec<Field>,
}

/// The generators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeneratorKind {
    /// A row for each element or entry.
    Explode,
    /// The same with the position, from zero, as first column.
    PositionExplode,
    /// A row for each struct, a column for each field.
    Inline,
    /// This many rows out of the inputs.
    Stack(usize),
}

/// What one entry of a select list is.
#[derive(Clone, Debug, PartialEq)]
pub enum Selected {
    /// One value for each row.
    Value(Expr),
    /// Rows for each row.
    Generator(Generator),
}
