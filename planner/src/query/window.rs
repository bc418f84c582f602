//! Window functions: names, types, and frames by Spark's rules.

use super::ast::{BoundClause, FrameClause, FunctionClause, WindowSpec};
use super::constant::integer;
use super::scope::same;
use super::tree::{Frame, RangeBound, SortKey, WindowCall, WindowFunction};
use crate::expr::Expr;
use crate::expr::ast::{Node, NodeKind};
use crate::expr::coerce::{is_integral, wider};
use crate::expr::problem::{Problem, Span};
use crate::schema::DataType;

const NAMES: [&str; 9] = [
    "row_number",
    "rank",
    "dense_rank",
    "percent_rank",
    "cume_dist",
    "ntile",
    "lag",
    "lead",
    "nth_value",
];

/// True if the function has a meaning over a window only.
pub(crate) fn is_window_function(name: &str) -> bool {
    NAMES.contains(&name)
}

/// The window of a call, a named one looked up.
pub(crate) fn spec(
    call: &FunctionClause,
    named: &[(String, WindowSpec)],
) -> Result<WindowSpec, Problem> {
    let mut spec = call.over.clone().unwrap_or_default();
    // A window may be another's name; each is used once, so that a circle ends.
    let mut left = named.len() + 1;
    while let Some(base) = spec.base.take() {
        let found = named.iter().find(|(name, _)| same(name, &base));
        let (Some((_, base)), true) = (found, left > 0) else {
            return Err(Problem::new(
                spec.span,
                format!("no window is named {base}"),
            ));
        };
        left -= 1;
        spec = base.clone();
    }
    Ok(spec)
}

/// Types a window function that is no aggregate.
pub(crate) fn function(
    name: &str,
    mut arguments: Vec<Expr>,
    ignore_nulls: bool,
) -> Result<WindowFunction, String> {
    let (least, most) = match name {
        "lag" | "lead" => (1, 3),
        "nth_value" => (2, 2),
        "ntile" => (0, 1),
        _ => (0, 0),
    };
    if !(least..=most).contains(&arguments.len()) {
        let found = arguments.len();
        return Err(format!(
            "{name} takes {least} to {most} arguments, not {found}"
        ));
    }
    if ignore_nulls && !matches!(name, "lag" | "lead" | "nth_value") {
        return Err(format!("{name} has no IGNORE NULLS"));
    }
    Ok(match name {
        "row_number" => WindowFunction::RowNumber,
        "rank" => WindowFunction::Rank,
        "dense_rank" => WindowFunction::DenseRank,
        "percent_rank" => WindowFunction::PercentRank,
        "cume_dist" => WindowFunction::CumeDist,
        "ntile" => {
            let buckets = arguments.first().map_or(Some(1), integer);
            match buckets {
                Some(n) if n > 0 => WindowFunction::Ntile(n),
                _ => return Err("ntile takes a positive constant integer".into()),
            }
        }
        "nth_value" => match integer(&arguments[1]) {
            Some(n) if n > 0 => WindowFunction::NthValue {
                input: arguments.swap_remove(0),
                n,
                ignore_nulls,
            },
            _ => return Err("argument 2 of nth_value must be a positive constant".into()),
        },
        _ => shift(name, arguments, ignore_nulls)?,
    })
}

fn shift(
    name: &str,
    mut arguments: Vec<Expr>,
    ignore_nulls: bool,
) -> Result<WindowFunction, String> {
    let default = match arguments.len() {
        3 => arguments.remove(2),
        _ => Expr::null(DataType::Null),
    };
    let rows = match arguments.len() {
        2 => integer(&arguments.remove(1)),
        _ => Some(1),
    };
    let Some(rows) = rows else {
        return Err(format!("argument 2 of {name} must be a constant integer"));
    };
    let input = arguments.remove(0);
    let Some(common) = wider(&input.data_type, &default.data_type) else {
        return Err(format!(
            "{name} cannot give {} or {}",
            input.data_type, default.data_type
        ));
    };
    // Spark keeps the input's type and casts the default; where that loses, both widen.
    let to = match default.data_type == DataType::Null || input.data_type != DataType::Null {
        true => input.data_type.clone(),
        false => common,
    };
    Ok(WindowFunction::Shift {
        input: input.cast(&to),
        rows: if name == "lag" { -rows } else { rows },
        default: default.cast(&to),
        ignore_nulls,
    })
}

/// The call with its frame and type.
pub(crate) fn call(
    function: WindowFunction,
    spec: &WindowSpec,
    order: &[SortKey],
    name: &str,
    bind: &mut dyn FnMut(&Node) -> Result<Expr, Problem>,
) -> Result<WindowCall, Problem> {
    let fail = |message: String| Err(Problem::new(spec.span, message));
    let data_type = match &function {
        WindowFunction::RowNumber
        | WindowFunction::Rank
        | WindowFunction::DenseRank
        | WindowFunction::Ntile(_) => DataType::Int,
        WindowFunction::PercentRank | WindowFunction::CumeDist => DataType::Double,
        WindowFunction::Shift { input, .. } | WindowFunction::NthValue { input, .. } => {
            input.data_type.clone()
        }
        WindowFunction::Aggregate(aggregate) => aggregate.data_type.clone(),
    };
    let framed = matches!(
        function,
        WindowFunction::Aggregate(_) | WindowFunction::NthValue { .. }
    );
    let needs_order = !matches!(function, WindowFunction::Aggregate(_));
    if needs_order && order.is_empty() {
        return fail(format!("{name} needs ORDER BY in its window"));
    }
    let frame = match &spec.frame {
        Some(_) if !framed => return fail(format!("{name} has a frame of its own")),
        Some(frame) => bound_frame(frame, order, spec.span, bind)?,
        None if order.is_empty() => Frame::Rows {
            start: None,
            end: None,
        },
        None => Frame::Range {
            start: RangeBound::Unbounded,
            end: RangeBound::Current,
        },
    };
    Ok(WindowCall {
        function,
        frame,
        data_type,
    })
}

fn bound_frame(
    frame: &FrameClause,
    order: &[SortKey],
    span: Span,
    bind: &mut dyn FnMut(&Node) -> Result<Expr, Problem>,
) -> Result<Frame, Problem> {
    let fail = |message: &str| Err(Problem::new(span, message));
    if matches!(frame.start, BoundClause::UnboundedFollowing)
        || matches!(frame.end, BoundClause::UnboundedPreceding)
    {
        return fail("a frame begins before it ends");
    }
    if frame.rows {
        let (start, end) = (row_bound(&frame.start, bind)?, row_bound(&frame.end, bind)?);
        if let (Some(start), Some(end)) = (start, end)
            && start > end
        {
            return fail("a frame begins before it ends");
        }
        return Ok(Frame::Rows { start, end });
    }
    let unbounded = |bound: &BoundClause| {
        matches!(
            bound,
            BoundClause::UnboundedPreceding | BoundClause::UnboundedFollowing
        )
    };
    if order.is_empty() && !(unbounded(&frame.start) && unbounded(&frame.end)) {
        return fail("a RANGE frame needs ORDER BY in its window");
    }
    let by_value = |bound: &BoundClause| {
        matches!(bound, BoundClause::Preceding(_) | BoundClause::Following(_))
    };
    if (by_value(&frame.start) || by_value(&frame.end)) && order.len() != 1 {
        return fail("a RANGE frame with an offset needs exactly one expression in ORDER BY");
    }
    Ok(Frame::Range {
        start: range_bound(&frame.start, order, bind)?,
        end: range_bound(&frame.end, order, bind)?,
    })
}

fn row_bound(
    bound: &BoundClause,
    bind: &mut dyn FnMut(&Node) -> Result<Expr, Problem>,
) -> Result<Option<i64>, Problem> {
    let (node, sign) = match bound {
        BoundClause::UnboundedPreceding | BoundClause::UnboundedFollowing => return Ok(None),
        BoundClause::CurrentRow => return Ok(Some(0)),
        BoundClause::Preceding(node) => (node, -1),
        BoundClause::Following(node) => (node, 1),
    };
    match integer(&bind(node)?) {
        Some(value) if i32::try_from(value).is_ok() => Ok(Some(sign * value)),
        _ => Err(Problem::new(
            node.span,
            "the offset of a ROWS frame must be a constant integer",
        )),
    }
}

fn range_bound(
    bound: &BoundClause,
    order: &[SortKey],
    bind: &mut dyn FnMut(&Node) -> Result<Expr, Problem>,
) -> Result<RangeBound, Problem> {
    let (node, back) = match bound {
        BoundClause::UnboundedPreceding | BoundClause::UnboundedFollowing => {
            return Ok(RangeBound::Unbounded);
        }
        BoundClause::CurrentRow => return Ok(RangeBound::Current),
        BoundClause::Preceding(node) => (node, true),
        BoundClause::Following(node) => (node, false),
    };
    let key = &order[0];
    // Towards the start of a falling order, values grow.
    let operator = if back == key.descending { "+" } else { "-" };
    let value = Node::new(
        NodeKind::Bound {
            expr: Box::new(key.expr.clone()),
            name: None,
        },
        node.span,
    );
    let moved = NodeKind::Call {
        name: operator.into(),
        arguments: vec![value, node.clone()],
    };
    let expr = bind(&Node::new(moved, node.span))?;
    let wanted = &key.expr.data_type;
    let offset = bind(node)?.data_type;
    if *wanted == DataType::Date && matches!(offset, DataType::DayTimeInterval(..)) {
        let message = "the offset of an order by dates is a number of days";
        return Err(Problem::new(node.span, message));
    }
    let alike = expr.data_type == *wanted
        || is_integral(&expr.data_type) && is_integral(wanted)
        || *wanted == DataType::Date && matches!(expr.data_type, DataType::Date)
        || matches!(
            (&expr.data_type, wanted),
            (DataType::Decimal(..), DataType::Decimal(..)) | (DataType::Double, DataType::Float)
        );
    match alike {
        true => Ok(RangeBound::Value(expr.cast(wanted))),
        false => Err(Problem::new(
            node.span,
            format!(
                "an offset of {} does not fit the order, which is {wanted}",
                expr.data_type
            ),
        )),
    }
}
