//! The names of columns that have none: Spark's text of their expressions.
//!
//! Promises: a column without an alias is called what Spark calls it, for the forms of expressions told here
//! (`toPrettySQL` in the reference); implicit casts do not show, texts show without quotes.

mod literal;

pub(super) use literal::literal;

use super::ast::{BoundClause, Clause, FunctionClause, SortItem, SubqueryUse, WindowSpec};
use super::scope::Columns;
use super::window::is_window_function;
use crate::expr::Literal;
use crate::expr::ast::{Node, NodeKind};
use crate::schema::{DataType, IntervalField};

/// The name of a column of the select list.
pub(crate) fn name(node: &Node, columns: &Columns, windows: &[(String, WindowSpec)]) -> String {
    match &node.kind {
        NodeKind::Name(parts) => parts.last().cloned().unwrap_or_default(),
        NodeKind::Field { input, name } if matches!(input.kind, NodeKind::Name(_)) => name.clone(),
        // A cast column keeps its name.
        NodeKind::Cast { input, .. } if matches!(input.kind, NodeKind::Name(_)) => {
            name(input, columns, windows)
        }
        _ => Printer { columns, windows }.text(node),
    }
}

/// Functions that are casts; implicit casts do not show, and so do these not.
const CASTS: [&str; 12] = [
    "bigint",
    "binary",
    "boolean",
    "date",
    "decimal",
    "double",
    "float",
    "int",
    "smallint",
    "string",
    "timestamp",
    "tinyint",
];

/// Functions that Spark spells in capitals.
const UPPER: [&str; 39] = [
    "rlike",
    "regexp",
    "regexp_like",
    "ceil",
    "floor",
    "exp",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "power",
    "sqrt",
    "cbrt",
    "hypot",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "atan2",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "cot",
    "csc",
    "sec",
    "degrees",
    "radians",
    "e",
    "pi",
    "signum",
    "rank",
    "dense_rank",
    "percent_rank",
];

/// Arguments that Spark fills in: of which function, for how many written ones.
const FILLED: [(&str, usize, &[&str]); 31] = [
    ("round", 1, &["0"]),
    ("bround", 1, &["0"]),
    ("substring", 2, &["2147483647"]),
    ("substr", 2, &["2147483647"]),
    ("split", 2, &["-1"]),
    ("regexp_extract", 2, &["1"]),
    ("regexp_extract_all", 2, &["1"]),
    ("regexp_replace", 3, &["1"]),
    ("replace", 2, &[""]),
    ("overlay", 3, &["-1"]),
    ("lpad", 2, &[" "]),
    ("rpad", 2, &[" "]),
    ("locate", 2, &["1"]),
    ("str_to_map", 1, &[",", ":"]),
    ("str_to_map", 2, &[":"]),
    ("unix_timestamp", 1, &["yyyy-MM-dd HH:mm:ss"]),
    ("to_unix_timestamp", 1, &["yyyy-MM-dd HH:mm:ss"]),
    ("from_unixtime", 1, &["yyyy-MM-dd HH:mm:ss"]),
    ("months_between", 2, &["true"]),
    ("sort_array", 1, &["true"]),
    (
        "aggregate",
        3,
        &["lambdafunction(namedlambdavariable(), namedlambdavariable())"],
    ),
    (
        "reduce",
        3,
        &["lambdafunction(namedlambdavariable(), namedlambdavariable())"],
    ),
    ("percentile", 2, &["1"]),
    ("percentile_approx", 2, &["10000"]),
    ("approx_percentile", 2, &["10000"]),
    ("lag", 1, &["1", "NULL"]),
    ("lag", 2, &["NULL"]),
    ("lead", 1, &["1", "NULL"]),
    ("lead", 2, &["NULL"]),
    ("ntile", 0, &["1"]),
    ("mask", 1, &["X", "x", "n", "NULL"]),
];

struct Printer<'c> {
    columns: &'c Columns,
    windows: &'c [(String, WindowSpec)],
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
                let body = self.text(&without_names(body, parameters));
                let names = vec!["namedlambdavariable()"; parameters.len()];
                format!("lambdafunction({body}, {})", names.join(", "))
            }
            NodeKind::Call { name, arguments } => self.call(name, arguments),
            NodeKind::Clause(clause) => self.clause(clause),
        }
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
            ("+" | "-", 2) if is_interval(&arguments[1]) => self.moved(name, arguments),
            (
                "=" | "<=>" | "<" | "<=" | ">" | ">=" | "+" | "-" | "*" | "/" | "%" | "&" | "|"
                | "^" | "div",
                2,
            ) => format!("({} {name} {})", one(0), one(1)),
            ("negative", 1) => format!("(- {})", one(0)),
            ("positive", 1) => format!("(+ {})", one(0)),
            ("||", _) => self.nested("concat", arguments),
            ("extract", 2) => format!("extract({} FROM {})", one(0), one(1)),
            ("~", 1) => format!("~{}", one(0)),
            ("isnull", 1) => format!("({} IS NULL)", one(0)),
            ("isnotnull", 1) => format!("({} IS NOT NULL)", one(0)),
            ("in", _) => format!("({} IN ({}))", one(0), self.list(&arguments[1..])),
            ("like", 2) | ("like escape", 3) => format!("{} LIKE {}", one(0), one(1)),
            ("ilike escape", 3) => format!("ilike({}, {})", one(0), one(1)),
            (name, 1) if CASTS.contains(&name) => one(0),
            ("position", 2) => format!("locate({}, {}, 1)", one(0), one(1)),
            ("struct", 0) => "struct()".into(),
            ("if", 3) => format!("(IF({}, {}, {}))", one(0), one(1), one(2)),
            ("count", 1) if matches!(arguments[0].kind, NodeKind::Star(_)) => "count(1)".into(),
            _ => self.function(name, arguments),
        }
    }

    /// A date or a time, moved by an interval. It stands without brackets, and days of a date are a function's.
    fn moved(&self, sign: &str, arguments: &[Node]) -> String {
        let (time, by) = (self.text(&arguments[0]), self.text(&arguments[1]));
        let days = matches!(
            &arguments[1].kind,
            NodeKind::Literal(_, DataType::DayTimeInterval(_, IntervalField::Day))
        );
        match self.is_date(&arguments[0]) && days {
            true if sign == "+" => format!("date_add({time}, extractansiintervaldays({by}))"),
            true => format!("date_add({time}, (- extractansiintervaldays({by})))"),
            false if is_interval(&arguments[0]) => format!("({time} {sign} {by})"),
            false => format!("{time} {sign} {by}"),
        }
    }

    fn is_date(&self, node: &Node) -> bool {
        match &node.kind {
            NodeKind::Literal(_, data_type) => *data_type == DataType::Date,
            NodeKind::Name(parts) => {
                let found = self.columns.resolve(parts).ok().flatten();
                found.is_some_and(|(expr, _)| expr.data_type == DataType::Date)
            }
            NodeKind::Cast { to, .. } => *to == DataType::Date,
            NodeKind::Call { name, .. } => matches!(
                name.as_str(),
                "to_date" | "date" | "date_add" | "date_sub" | "last_day" | "next_day" | "trunc"
            ),
            _ => false,
        }
    }

    /// A function of two, of many.
    fn nested(&self, name: &str, arguments: &[Node]) -> String {
        let mut texts = arguments.iter().map(|node| self.text(node));
        let first = texts.next().unwrap_or_default();
        texts.fold(first, |left, right| format!("{name}({left}, {right})"))
    }

    /// A function in Spark's spelling, with the arguments that it fills in.
    fn function(&self, name: &str, arguments: &[Node]) -> String {
        let mut list: Vec<String> = arguments.iter().map(|node| self.text(node)).collect();
        let filled = FILLED
            .iter()
            .find(|(known, count, _)| *known == name && *count == arguments.len());
        if let Some((_, _, more)) = filled {
            list.extend(more.iter().map(|text| (*text).to_owned()));
        }
        if matches!(
            name,
            "first" | "last" | "any_value" | "first_value" | "last_value"
        ) {
            list.truncate(1);
        }
        // Schemas and options are no arguments to Spark.
        if matches!(name, "from_json" | "from_csv" | "to_json" | "to_csv") {
            list.truncate(1);
        }
        format!("{}({})", spelled(name), list.join(", "))
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
            true => format!(
                "{}(DISTINCT {})",
                spelled(&call.name),
                self.list(&call.arguments)
            ),
            false => self.call(&call.name, &call.arguments),
        };
        if let [item] = call.within.as_slice() {
            let falls = if item.descending { " DESC" } else { "" };
            text += &format!(" WITHIN GROUP (ORDER BY {}{falls})", self.text(&item.node));
        }
        if call.ignore_nulls && !matches!(call.name.as_str(), "lag" | "lead") {
            text += " ignore nulls";
        }
        if let Some(filter) = &call.filter {
            text += &format!(" FILTER (WHERE {})", self.text(filter));
        }
        text
    }

    fn window(&self, call: &FunctionClause, window: &WindowSpec) -> String {
        let window = &super::window::spec(call, self.windows).unwrap_or_else(|_| window.clone());
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
            None if matches!(call.name.as_str(), "lag" | "lead") => {
                let offset = shift_text(call);
                format!("ROWS BETWEEN {offset} FOLLOWING AND {offset} FOLLOWING")
            }
            None if matches!(call.name.as_str(), "cume_dist" | "nth_value") => {
                "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".into()
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

fn spelled(name: &str) -> String {
    match name {
        "array_agg" => "collect_list".to_owned(),
        _ if UPPER.contains(&name) => name.to_uppercase(),
        _ => name.to_owned(),
    }
}

fn is_interval(node: &Node) -> bool {
    let interval = |data_type: &DataType| {
        matches!(
            data_type,
            DataType::DayTimeInterval(..) | DataType::YearMonthInterval(..)
        )
    };
    matches!(&node.kind, NodeKind::Literal(_, data_type) if interval(data_type))
}

/// How far a lag or lead looks on.
fn shift_text(call: &FunctionClause) -> String {
    let rows = match call.arguments.get(1).map(|node| &node.kind) {
        Some(NodeKind::Literal(Literal::Integer(rows), _)) => *rows,
        _ => 1,
    };
    let rows = if call.name == "lag" { -rows } else { rows };
    rows.to_string()
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

fn type_name(data_type: &DataType) -> String {
    data_type.to_string().to_uppercase()
}
