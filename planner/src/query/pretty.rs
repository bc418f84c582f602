//! The names of columns that have none: Spark's text of their expressions.
//!
//! Promises: a column without an alias is called what Spark calls it, for the forms of expressions told here
//! (`toPrettySQL` in the reference); implicit casts do not show, texts show without quotes.

use super::ast::{BoundClause, Clause, FunctionClause, SortItem, SubqueryUse, WindowSpec};
use super::scope::Columns;
use super::window::is_window_function;
use crate::expr::Literal;
use crate::expr::ast::{Node, NodeKind};
use crate::schema::DataType;

/// The name of a column of the select list.
pub(crate) fn name(node: &Node, columns: &Columns) -> String {
    match &node.kind {
        NodeKind::Name(parts) => parts.last().cloned().unwrap_or_default(),
        NodeKind::Field { name, .. } => name.clone(),
        _ => Printer { columns }.text(node),
    }
}

struct Printer<'c> {
    columns: &'c Columns,
}

impl Printer<'_> {
    fn text(&self, node: &Node) -> String {
        match &node.kind {
            NodeKind::Name(parts) => {
                let used = self.columns.resolve(parts).ok().flatten();
                let used = used.map_or(1, |(_, used)| used);
                parts[used - 1..].join(".")
            }
            NodeKind::Bound { name, .. } => name.clone().unwrap_or_default(),
            NodeKind::Star(_) => "*".into(),
            NodeKind::Literal(value, data_type) => literal(value, data_type),
            NodeKind::Cast { input, to, strict } => {
                let word = if *strict { "TRY_CAST" } else { "CAST" };
                format!("{word}({} AS {})", self.text(input), type_name(to))
            }
            NodeKind::Case {
                branches,
                otherwise,
            } => {
                let mut out = String::from("CASE");
                for (condition, value) in branches {
                    out += &format!(" WHEN {} THEN {}", self.text(condition), self.text(value));
                }
                if let Some(value) = otherwise {
                    out += &format!(" ELSE {}", self.text(value));
                }
                out + " END"
            }
            NodeKind::Field { input, name } => format!("{}.{name}", self.text(input)),
            NodeKind::Index { input, index } => {
                format!("{}[{}]", self.text(input), self.text(index))
            }
            NodeKind::Lambda { parameters, body } => {
                let body = Printer {
                    columns: &Columns::default(),
                }
                .lambda_body(body, parameters);
                let names = vec!["namedlambdavariable()"; parameters.len()];
                format!("lambdafunction({body}, {})", names.join(", "))
            }
            NodeKind::Call { name, arguments } => self.call(name, arguments),
            NodeKind::Clause(clause) => self.clause(clause),
        }
    }

    /// In a lambda's body its parameters have no names.
    fn lambda_body(&self, body: &Node, parameters: &[String]) -> String {
        self.text(&without_names(body, parameters))
    }

    fn list(&self, nodes: &[Node]) -> String {
        let texts: Vec<String> = nodes.iter().map(|node| self.text(node)).collect();
        texts.join(", ")
    }

    fn call(&self, name: &str, arguments: &[Node]) -> String {
        let one = |i: usize| self.text(&arguments[i]);
        let chained = |word: &str| {
            let mut texts = arguments.iter().map(|node| self.text(node));
            let first = texts.next().unwrap_or_default();
            texts.fold(first, |left, right| format!("({left} {word} {right})"))
        };
        match (name, arguments.len()) {
            ("and", _) => chained("AND"),
            ("or", _) => chained("OR"),
            ("not", 1) => format!("(NOT {})", one(0)),
            ("!=", 2) => format!("(NOT ({} = {}))", one(0), one(1)),
            (
                "=" | "<=>" | "<" | "<=" | ">" | ">=" | "+" | "-" | "*" | "/" | "%" | "&" | "|"
                | "^" | "div",
                2,
            ) => format!("({} {name} {})", one(0), one(1)),
            ("negative", 1) => format!("(- {})", one(0)),
            ("positive", 1) => format!("(+ {})", one(0)),
            ("~", 1) => format!("~{}", one(0)),
            ("isnull", 1) => format!("({} IS NULL)", one(0)),
            ("isnotnull", 1) => format!("({} IS NOT NULL)", one(0)),
            ("in", _) => format!("({} IN ({}))", one(0), self.list(&arguments[1..])),
            ("like", 2) => format!("{} LIKE {}", one(0), one(1)),
            ("rlike", 2) => format!("RLIKE({}, {})", one(0), one(1)),
            ("if", 3) => format!("(IF({}, {}, {}))", one(0), one(1), one(2)),
            ("count", 1) if matches!(arguments[0].kind, NodeKind::Star(_)) => "count(1)".into(),
            _ => format!("{name}({})", self.list(arguments)),
        }
    }

    fn clause(&self, clause: &Clause) -> String {
        match clause {
            Clause::Call(call) => {
                let text = self.aggregate(call);
                match &call.over {
                    Some(window) => format!("{text} OVER {}", self.window(call, window)),
                    None => text,
                }
            }
            Clause::Subquery { usage, .. } => match usage {
                SubqueryUse::Scalar => "scalarsubquery()".into(),
                SubqueryUse::Exists => "exists()".into(),
                SubqueryUse::In(needle) => format!("({} IN (listquery()))", self.text(needle)),
            },
        }
    }

    fn aggregate(&self, call: &FunctionClause) -> String {
        let mut text = match call.distinct {
            true => format!("{}(DISTINCT {})", call.name, self.list(&call.arguments)),
            false => self.call(&call.name, &call.arguments),
        };
        if let [item] = call.within.as_slice() {
            text += &format!(" WITHIN GROUP (ORDER BY {})", self.sort(item));
        }
        if call.ignore_nulls {
            text += " ignore nulls";
        }
        if let Some(filter) = &call.filter {
            text += &format!(" FILTER (WHERE {})", self.text(filter));
        }
        text
    }

    fn window(&self, call: &FunctionClause, window: &WindowSpec) -> String {
        if let Some(base) = &window.base
            && window.partition.is_empty()
            && window.order.is_empty()
        {
            return base.clone();
        }
        let mut parts = Vec::new();
        if !window.partition.is_empty() {
            parts.push(format!("PARTITION BY {}", self.list(&window.partition)));
        }
        if !window.order.is_empty() {
            let keys: Vec<String> = window.order.iter().map(|item| self.sort(item)).collect();
            parts.push(format!("ORDER BY {}", keys.join(", ")));
        }
        parts.push(match &window.frame {
            Some(frame) => {
                let word = if frame.rows { "ROWS" } else { "RANGE" };
                let (start, end) = (self.bound(&frame.start), self.bound(&frame.end));
                format!("{word} BETWEEN {start} AND {end}")
            }
            None if window.order.is_empty() => {
                "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING".into()
            }
            None if is_window_function(&call.name) => {
                "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".into()
            }
            None => "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".into(),
        });
        format!("({})", parts.join(" "))
    }

    fn bound(&self, bound: &BoundClause) -> String {
        match bound {
            BoundClause::UnboundedPreceding => "UNBOUNDED PRECEDING".into(),
            BoundClause::UnboundedFollowing => "UNBOUNDED FOLLOWING".into(),
            BoundClause::CurrentRow => "CURRENT ROW".into(),
            BoundClause::Preceding(node) => format!("{} PRECEDING", self.text(node)),
            BoundClause::Following(node) => format!("{} FOLLOWING", self.text(node)),
        }
    }

    fn sort(&self, item: &SortItem) -> String {
        let direction = if item.descending { "DESC" } else { "ASC" };
        let nulls = if item.nulls_first { "FIRST" } else { "LAST" };
        format!("{} {direction} NULLS {nulls}", self.text(&item.node))
    }
}

/// The tree with names of lambda parameters as Spark prints them.
fn without_names(node: &Node, parameters: &[String]) -> Node {
    let again = |node: &Node| without_names(node, parameters);
    let kind = match &node.kind {
        NodeKind::Name(parts) if parameters.iter().any(|p| p.eq_ignore_ascii_case(&parts[0])) => {
            let mut parts = parts.clone();
            parts[0] = "namedlambdavariable()".into();
            NodeKind::Name(parts)
        }
        NodeKind::Call { name, arguments } => NodeKind::Call {
            name: name.clone(),
            arguments: arguments.iter().map(again).collect(),
        },
        NodeKind::Cast { input, to, strict } => NodeKind::Cast {
            input: Box::new(again(input)),
            to: to.clone(),
            strict: *strict,
        },
        NodeKind::Field { input, name } => NodeKind::Field {
            input: Box::new(again(input)),
            name: name.clone(),
        },
        NodeKind::Index { input, index } => NodeKind::Index {
            input: Box::new(again(input)),
            index: Box::new(again(index)),
        },
        other => other.clone(),
    };
    Node::new(kind, node.span)
}

pub(super) fn literal(value: &Literal, data_type: &DataType) -> String {
    match (value, data_type) {
        (Literal::Null, _) => "NULL".into(),
        (Literal::Boolean(value), _) => value.to_string(),
        (Literal::Integer(days), DataType::Date) => {
            let days = i32::try_from(*days).unwrap_or_default();
            format!("DATE '{}'", crate::time::Partition { day: days })
        }
        (Literal::Integer(value), _) => value.to_string(),
        (Literal::Double(value), _) => double(*value),
        (Literal::Decimal(value), DataType::Decimal(_, scale)) => decimal(*value, *scale),
        (Literal::Decimal(value), _) => value.to_string(),
        (Literal::String(text), _) => text.clone(),
        (Literal::Binary(bytes), _) => {
            let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02X}")).collect();
            format!("X'{}'", hex.concat())
        }
        (Literal::Calendar { .. }, _) => "INTERVAL".into(),
    }
}

/// As Java prints a double, for numbers of usual size.
fn double(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-3..1e7).contains(&magnitude) {
        let text = format!("{value:E}");
        return match text.split_once('E') {
            Some((mantissa, exponent)) if !mantissa.contains('.') => {
                format!("{mantissa}.0E{exponent}")
            }
            _ => text,
        };
    }
    format!("{value:?}")
}

fn decimal(value: i128, scale: i8) -> String {
    let scale = usize::try_from(scale).unwrap_or(0);
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if value < 0 { "-" } else { "" };
    let point = if scale > 0 { "." } else { "" };
    format!("{sign}{whole}{point}{fraction}")
}

fn type_name(data_type: &DataType) -> String {
    data_type.to_string().to_uppercase()
}
