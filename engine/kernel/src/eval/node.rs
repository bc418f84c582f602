//! The compiled tree.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_select::interleave::interleave;
use unskewed_planner::expr::{Expr, ExprKind};
use unskewed_planner::schema::DataType;

use super::call::{Call, Evaluator, Lazy};
use super::column::Column;
use super::frame::Frame;
use super::{cast, functions, literal};
use crate::error::KernelError;

/// One node, with what it reads.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) data_type: DataType,
    pub(crate) kind: NodeKind,
    pub(crate) reads: Reads,
    /// False if evaluating it cannot raise an error, so that it may run on rows that do not need it.
    pub(crate) can_fail: bool,
}

/// The columns and variables that a node and its children read.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    pub(crate) columns: Vec<usize>,
    pub(crate) variables: Vec<usize>,
}

#[derive(Debug)]
pub(crate) enum NodeKind {
    Column(usize),
    Variable(usize),
    Literal(ArrayRef),
    Call {
        function: &'static str,
        evaluator: Evaluator,
        arguments: Vec<Node>,
    },
    Cast(Box<Node>),
    Case {
        branches: Vec<(Node, Node)>,
        otherwise: Option<Box<Node>>,
    },
    Field {
        input: Box<Node>,
        index: usize,
    },
    Lambda {
        parameters: Vec<usize>,
        body: Box<Node>,
    },
}

impl Node {
    pub(crate) fn compile(expr: &Expr) -> Result<Self, KernelError> {
        let boxed = |expr: &Expr| Self::compile(expr).map(Box::new);
        let kind = match &expr.kind {
            ExprKind::Column(index) => NodeKind::Column(*index),
            ExprKind::Variable(slot) => NodeKind::Variable(*slot),
            ExprKind::Literal(value) => NodeKind::Literal(literal::array(value, &expr.data_type)?),
            ExprKind::Call {
                function,
                arguments,
            } => NodeKind::Call {
                function,
                evaluator: functions::find(function)?,
                arguments: arguments
                    .iter()
                    .map(Self::compile)
                    .collect::<Result<_, _>>()?,
            },
            ExprKind::Cast(input) => NodeKind::Cast(boxed(input)?),
            ExprKind::Case {
                branches,
                otherwise,
            } => NodeKind::Case {
                branches: branches
                    .iter()
                    .map(|(c, v)| Ok((Self::compile(c)?, Self::compile(v)?)))
                    .collect::<Result<_, KernelError>>()?,
                otherwise: otherwise.as_deref().map(boxed).transpose()?,
            },
            ExprKind::Field { input, index } => NodeKind::Field {
                input: boxed(input)?,
                index: *index,
            },
            ExprKind::Lambda { parameters, body } => NodeKind::Lambda {
                parameters: parameters.clone(),
                body: boxed(body)?,
            },
        };
        Ok(Self {
            data_type: expr.data_type.clone(),
            can_fail: can_fail(&kind, &expr.data_type),
            kind,
            reads: reads(expr),
        })
    }

    /// The values over the frame's rows, of which there is at least one.
    pub(crate) fn evaluate(&self, frame: &Frame) -> Result<Column, KernelError> {
        match &self.kind {
            NodeKind::Column(index) => self.read(frame.column(*index), *index),
            NodeKind::Variable(slot) => self.read(frame.variable(*slot), *slot),
            NodeKind::Literal(array) => Ok(Column::constant(Arc::clone(array))),
            NodeKind::Cast(input) => {
                let column = input.evaluate(frame)?;
                let array = cast::cast(&column.array, &input.data_type, &self.data_type)?;
                Ok(Column {
                    array,
                    constant: column.constant,
                })
            }
            NodeKind::Field { input, index } => field(&input.evaluate(frame)?, *index),
            NodeKind::Case {
                branches,
                otherwise,
            } => self.case(branches, otherwise.as_deref(), frame),
            NodeKind::Call {
                function,
                evaluator,
                arguments,
            } => self.call(function, *evaluator, arguments, frame),
            NodeKind::Lambda { .. } => Err(self.type_error("a lambda as a value")),
        }
    }

    fn type_error(&self, operation: &str) -> KernelError {
        KernelError::Type {
            operation: operation.to_owned(),
            column: "the expression".into(),
            data_type: self.data_type.to_string(),
        }
    }

    fn read(&self, column: Option<&Column>, index: usize) -> Result<Column, KernelError> {
        let column = column.ok_or_else(|| self.type_error(&format!("missing input {index}")))?;
        Ok(column.clone())
    }

    fn call(
        &self,
        function: &'static str,
        evaluator: Evaluator,
        arguments: &[Node],
        frame: &Frame,
    ) -> Result<Column, KernelError> {
        let evaluator = match evaluator {
            Evaluator::Lazy(evaluator) => {
                return evaluator(&Lazy {
                    arguments,
                    data_type: &self.data_type,
                    frame,
                });
            }
            Evaluator::Eager(evaluator) => evaluator,
        };
        let columns: Vec<Column> = arguments
            .iter()
            .map(|argument| argument.evaluate(frame))
            .collect::<Result<_, _>>()?;
        let constant = columns.iter().all(|column| column.constant);
        let call = Call {
            function,
            types: arguments.iter().map(|a| &a.data_type).collect(),
            columns,
            data_type: &self.data_type,
            rows: if constant { 1 } else { frame.rows },
        };
        let array = evaluator(&call)?;
        debug_assert_eq!(array.len(), call.rows, "{function} lost rows");
        Ok(Column { array, constant })
    }

    /// Each branch on the rows that reach it.
    fn case(
        &self,
        branches: &[(Node, Node)],
        otherwise: Option<&Node>,
        frame: &Frame,
    ) -> Result<Column, KernelError> {
        let mut pieces = Pieces::new(&self.data_type, frame.rows);
        let mut left: Vec<u32> = (0..row_number(frame.rows)).collect();
        for (condition, value) in branches {
            let rows = UInt32Array::from(std::mem::take(&mut left));
            let Some(truth) = frame.evaluate_on(condition, &rows)? else {
                break;
            };
            let truth = truth.booleans();
            let (mut taken, mut passed) = (Vec::new(), Vec::new());
            for (i, row) in rows.values().iter().enumerate() {
                let side = match truth.get(i) {
                    Some(true) => &mut taken,
                    _ => &mut passed,
                };
                side.push(*row);
            }
            left = passed;
            pieces.evaluate(frame, value, taken)?;
        }
        if let Some(value) = otherwise {
            pieces.evaluate(frame, value, left)?;
        }
        pieces.finish()
    }
}

/// A row's number as Arrow's take wants it.
pub(crate) fn row_number(row: usize) -> u32 {
    u32::try_from(row).expect("batches have fewer than 2^32 rows")
}

/// A column put together from values of different nodes.
pub(crate) struct Pieces {
    /// The first is one null, for rows that no piece fills.
    arrays: Vec<ArrayRef>,
    sources: Vec<(usize, usize)>,
    whole: Option<Column>,
}

impl Pieces {
    pub(crate) fn new(data_type: &DataType, rows: usize) -> Self {
        Self {
            arrays: vec![arrow_array::new_null_array(&data_type.to_arrow(), 1)],
            sources: vec![(0, 0); rows],
            whole: None,
        }
    }

    /// Evaluates on these rows and keeps the values for them.
    pub(crate) fn evaluate(
        &mut self,
        frame: &Frame,
        node: &Node,
        rows: Vec<u32>,
    ) -> Result<(), KernelError> {
        let rows = UInt32Array::from(rows);
        if let Some(column) = frame.evaluate_on(node, &rows)? {
            self.fill(&column, &rows);
        }
        Ok(())
    }

    /// Keeps the values of a column, the i-th being for the i-th of `rows`.
    pub(crate) fn fill(&mut self, column: &Column, rows: &UInt32Array) {
        self.overwrite(column, rows);
        if rows.len() == self.sources.len() {
            self.whole = Some(column.clone());
        }
    }

    /// Evaluates on these rows, which have values already, and keeps the new ones.
    pub(crate) fn replace(
        &mut self,
        frame: &Frame,
        node: &Node,
        rows: Vec<u32>,
    ) -> Result<(), KernelError> {
        let rows = UInt32Array::from(rows);
        if let Some(column) = frame.evaluate_on(node, &rows)? {
            self.overwrite(&column, &rows);
        }
        Ok(())
    }

    /// [`Pieces::fill`] where other rows keep what they have.
    pub(crate) fn overwrite(&mut self, column: &Column, rows: &UInt32Array) {
        if rows.values().is_empty() {
            return;
        }
        self.whole = None;
        let piece = self.arrays.len();
        for (i, row) in rows.values().iter().enumerate() {
            let row = usize::try_from(*row).expect("a row of the frame");
            self.sources[row] = (piece, column.index(i));
        }
        self.arrays.push(Arc::clone(&column.array));
    }

    pub(crate) fn finish(self) -> Result<Column, KernelError> {
        if let Some(whole) = self.whole {
            return Ok(whole);
        }
        let arrays: Vec<&dyn Array> = self.arrays.iter().map(AsRef::as_ref).collect();
        Ok(Column::of_rows(interleave(&arrays, &self.sources)?))
    }
}

/// A struct's field, or that field of each struct of a list.
fn field(column: &Column, index: usize) -> Result<Column, KernelError> {
    let array = match column.array.data_type() {
        arrow_schema::DataType::List(_) => {
            let lists = arrow_array::cast::AsArray::as_list::<i32>(&column.array);
            let inner = Column::of_rows(Arc::clone(lists.values()));
            let values = field(&inner, index)?.array;
            super::build::list_like(lists, values)
        }
        _ => {
            let structs = column.structs();
            let values = structs.column(index);
            super::build::mask(values, structs.nulls())?
        }
    };
    Ok(Column {
        array,
        constant: column.constant,
    })
}

/// Functions that have a value for every argument.
const TOTAL: [&str; 27] = [
    "=",
    "<=>",
    "<",
    "<=",
    ">",
    ">=",
    "and",
    "or",
    "not",
    "in",
    "isnull",
    "isnotnull",
    "isnan",
    "coalesce",
    "nanvl",
    "greatest",
    "least",
    "struct",
    "array",
    "array item",
    "map item",
    "upper",
    "lower",
    "length",
    "size",
    "contains",
    "startswith",
];

/// Arithmetic that wraps or is null, but for intervals.
const TOTAL_OF_NUMBERS: [&str; 11] = ["+", "-", "*", "/", "%", "div", "pmod", "&", "|", "^", "~"];

fn is_interval(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::DayTimeInterval(..)
            | DataType::YearMonthInterval(..)
            | DataType::CalendarInterval
    )
}

fn can_fail(kind: &NodeKind, data_type: &DataType) -> bool {
    let numeric = |node: &Node| !is_interval(&node.data_type);
    match kind {
        NodeKind::Column(_) | NodeKind::Variable(_) | NodeKind::Literal(_) => false,
        NodeKind::Field { input, .. } => input.can_fail,
        NodeKind::Cast(input) => {
            let risky = matches!(input.data_type, DataType::Date | DataType::Binary);
            input.can_fail || risky || !is_flat(&input.data_type) || is_interval(data_type)
        }
        NodeKind::Call {
            function,
            arguments,
            ..
        } => {
            let total = TOTAL.contains(function)
                || TOTAL_OF_NUMBERS.contains(function) && arguments.iter().all(numeric);
            !total || arguments.iter().any(|argument| argument.can_fail)
        }
        NodeKind::Case { .. } | NodeKind::Lambda { .. } => true,
    }
}

fn is_flat(data_type: &DataType) -> bool {
    !matches!(
        data_type,
        DataType::Array(_) | DataType::Map(..) | DataType::Struct(_)
    )
}

fn reads(expr: &Expr) -> Reads {
    let (mut columns, mut variables) = (BTreeSet::new(), BTreeSet::new());
    expr.visit(&mut |part| match part.kind {
        ExprKind::Column(index) => {
            columns.insert(index);
        }
        ExprKind::Variable(slot) => {
            variables.insert(slot);
        }
        _ => {}
    });
    Reads {
        columns: columns.into_iter().collect(),
        variables: variables.into_iter().collect(),
    }
}
