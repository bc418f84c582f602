//! Tree to typed expression: names resolved, functions found, coercions made explicit.
//!
//! Promises: every problem of the expression is found in one pass; a part that failed is left out of its parents' checks.

use super::ast::{Ast, Node, NodeKind};
use super::coerce::{can_cast, can_cast_strictly, is_integral, wider_of};
use super::functions::{self, Call, Typing};
use super::ir::{Expr, ExprKind, Literal, Selected};
use super::primary::field_name;
use super::problem::{ExprError, Problem, Span};
use crate::schema::{DataType, Field, Schema};

/// Where names are looked up.
#[derive(Clone, Debug, Default)]
pub struct Scope<'a> {
    /// The columns.
    pub schema: Option<&'a Schema>,
    /// The name that may qualify them (`t` in `t.a`).
    pub relation: Option<&'a str>,
}

/// Types an expression over these columns.
pub fn bind(ast: &Ast, schema: &Schema) -> Result<Expr, ExprError> {
    bind_in(
        ast,
        &Scope {
            schema: Some(schema),
            relation: None,
        },
    )
}

/// [`bind`] with a name that may qualify the columns.
pub fn bind_in(ast: &Ast, scope: &Scope<'_>) -> Result<Expr, ExprError> {
    let mut binder = Binder::new(scope);
    let expr = binder.bind(&ast.root);
    finish(ast, binder, expr)
}

/// Types an entry of a select list, where generators (`explode` …) may stand.
pub fn bind_select(ast: &Ast, scope: &Scope<'_>) -> Result<Selected, ExprError> {
    let mut binder = Binder::new(scope);
    let selected = match super::generator::bind(&mut binder, &ast.root) {
        Some(generator) => generator.map(Selected::Generator),
        None => binder.bind(&ast.root).map(Selected::Value),
    };
    finish(ast, binder, selected)
}

/// Types a condition: [`bind_in`], and the result must be a boolean.
pub fn bind_condition(ast: &Ast, scope: &Scope<'_>) -> Result<Expr, ExprError> {
    let expr = bind_in(ast, scope)?;
    if expr.data_type == DataType::Boolean {
        return Ok(expr);
    }
    let message = format!("a condition must be boolean, this is {}", expr.data_type);
    Err(ExprError::new(
        &ast.text,
        vec![Problem::new(ast.root.span, message)],
    ))
}

/// Types a tree in which every name is typed already.
pub(crate) fn bind_named(node: &Node) -> Result<Expr, Vec<Problem>> {
    let scope = Scope::default();
    let mut binder = Binder::new(&scope);
    match binder.bind(node) {
        Some(expr) if binder.problems.is_empty() => Ok(expr),
        _ => Err(binder.problems),
    }
}

/// Types a generator in which every name is typed already; `None` if it is none.
pub(crate) fn bind_generator(node: &Node) -> Option<Result<super::ir::Generator, Vec<Problem>>> {
    let scope = Scope::default();
    let mut binder = Binder::new(&scope);
    let bound = super::generator::bind(&mut binder, node)?;
    Some(match bound {
        Some(generator) if binder.problems.is_empty() => Ok(generator),
        _ => Err(binder.problems),
    })
}

fn finish<T>(ast: &Ast, binder: Binder<'_>, bound: Option<T>) -> Result<T, ExprError> {
    match bound {
        Some(bound) if binder.problems.is_empty() => Ok(bound),
        _ => Err(ExprError::new(&ast.text, binder.problems)),
    }
}

struct Variable {
    name: String,
    slot: usize,
    data_type: DataType,
}

pub(crate) struct Binder<'a> {
    scope: &'a Scope<'a>,
    variables: Vec<Variable>,
    next_slot: usize,
    problems: Vec<Problem>,
}

impl<'a> Binder<'a> {
    fn new(scope: &'a Scope<'a>) -> Self {
        Self {
            scope,
            variables: Vec::new(),
            next_slot: 0,
            problems: Vec::new(),
        }
    }

    fn fields(&self) -> &'a [Field] {
        self.scope.schema.map_or(&[], |schema| &schema.fields)
    }

    /// Notes the problem, if it is one.
    pub(crate) fn noted<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    fn problem<T>(&mut self, span: Span, message: impl Into<String>) -> Option<T> {
        self.problems.push(Problem::new(span, message));
        None
    }

    pub(crate) fn bind(&mut self, node: &Node) -> Option<Expr> {
        match &node.kind {
            NodeKind::Name(parts) => self.name(parts, node.span),
            NodeKind::Star(_) => self.problem(node.span, "'*' has no meaning here"),
            NodeKind::Literal(value, data_type) => {
                Some(Expr::literal(value.clone(), data_type.clone()))
            }
            NodeKind::Call { name, arguments } => self.call(name, arguments, node.span),
            NodeKind::Cast { input, to, strict } => {
                let expr = self.bind(input)?;
                let cast = match strict {
                    true => strict_cast(expr, to, node.span),
                    false => cast(expr, to, node.span),
                };
                self.noted(cast)
            }
            NodeKind::Case {
                branches,
                otherwise,
            } => self.case(branches, otherwise.as_deref(), node.span),
            NodeKind::Lambda { .. } => {
                self.problem(node.span, "a lambda may only be an argument of a function")
            }
            NodeKind::Field { input, name } => {
                let expr = self.bind(input)?;
                let field = extract(expr, name, node.span);
                self.noted(field)
            }
            NodeKind::Index { input, index } => {
                let (input, index) = (self.bind(input), self.bind(index));
                let item = item(input?, index?, node.span);
                self.noted(item)
            }
            NodeKind::Clause(clause) => self.problem(node.span, clause.out_of_place()),
            NodeKind::Bound { expr, .. } => Some((**expr).clone()),
        }
    }

    /// Binds all of them even if some fail.
    pub(crate) fn bind_all(&mut self, nodes: &[Node]) -> Option<Vec<Expr>> {
        let bound: Vec<Option<Expr>> = nodes.iter().map(|node| self.bind(node)).collect();
        bound.into_iter().collect()
    }

    // --- names ---

    fn name(&mut self, parts: &[String], span: Span) -> Option<Expr> {
        let resolved = self.resolve(parts, span);
        let (mut expr, used) = self.noted(resolved)?;
        for part in &parts[used..] {
            let field = extract(expr, part, span);
            expr = self.noted(field)?;
        }
        Some(expr)
    }

    /// The column or variable, and how many parts of the name it took.
    fn resolve(&self, parts: &[String], span: Span) -> Result<(Expr, usize), Problem> {
        let variable = self.variables.iter().rev();
        for variable in variable {
            if variable.name.eq_ignore_ascii_case(&parts[0]) {
                let kind = ExprKind::Variable(variable.slot);
                return Ok((Expr::new(variable.data_type.clone(), kind), 1));
            }
        }
        let qualified = self
            .scope
            .relation
            .is_some_and(|relation| parts.len() > 1 && relation.eq_ignore_ascii_case(&parts[0]));
        if qualified && let Some(expr) = self.column(&parts[1], span)? {
            return Ok((expr, 2));
        }
        if let Some(expr) = self.column(&parts[0], span)? {
            return Ok((expr, 1));
        }
        let known = self.fields().iter().map(|field| field.name.as_str());
        let hint = super::nearest::hint(&parts[0], known);
        Err(Problem::new(
            span,
            format!("unknown column {}{hint}", parts.join(".")),
        ))
    }

    fn column(&self, name: &str, span: Span) -> Result<Option<Expr>, Problem> {
        let mut found = None;
        for (index, field) in self.fields().iter().enumerate() {
            if field.name.to_lowercase() == name.to_lowercase() {
                if found.is_some() {
                    return Err(Problem::new(span, format!("column {name} is ambiguous")));
                }
                found = Some(Expr::column(index, field.data_type.clone()));
            }
        }
        Ok(found)
    }

    /// The columns that a `*` stands for.
    pub(crate) fn star(&mut self, qualifier: &[String], span: Span) -> Option<Vec<(String, Expr)>> {
        let fields = self.fields();
        let relation = self.scope.relation;
        let whole = match qualifier {
            [] => true,
            [name] => relation.is_some_and(|r| r.eq_ignore_ascii_case(name)),
            _ => false,
        };
        if whole {
            let column =
                |(i, f): (usize, &Field)| (f.name.clone(), Expr::column(i, f.data_type.clone()));
            return Some(fields.iter().enumerate().map(column).collect());
        }
        let input = self.name(qualifier, span)?;
        let DataType::Struct(fields) = input.data_type.clone() else {
            return self.problem(span, format!("{}.* needs a struct", qualifier.join(".")));
        };
        let field = |(index, field): (usize, Field)| {
            let kind = ExprKind::Field {
                input: Box::new(input.clone()),
                index,
            };
            (field.name, Expr::new(field.data_type, kind))
        };
        Some(fields.into_iter().enumerate().map(field).collect())
    }

    // --- calls ---

    fn call(&mut self, name: &str, nodes: &[Node], span: Span) -> Option<Expr> {
        if matches!(name, "struct" | "named_struct")
            && nodes.iter().any(|n| matches!(n.kind, NodeKind::Star(_)))
            || name == "struct"
        {
            return self.structure(nodes, span);
        }
        let Some(function) = functions::find(name) else {
            self.bind_arguments(nodes);
            if super::generator::is_generator(name) {
                return self.problem(
                    span,
                    format!("{name} makes rows: it may only stand at the top of a select"),
                );
            }
            let message = functions::unknown(name);
            return self.problem(span, message);
        };
        let (least, most) = function.arity;
        if nodes.len() < least || nodes.len() > most {
            self.bind_arguments(nodes);
            let wanted = match (least, most) {
                (a, b) if a == b => format!("{a}"),
                (a, usize::MAX) => format!("at least {a}"),
                (a, b) => format!("{a} to {b}"),
            };
            let message = format!("{name} takes {wanted} arguments, not {}", nodes.len());
            return self.problem(span, message);
        }
        let is_lambda = |node: &&Node| matches!(node.kind, NodeKind::Lambda { .. });
        if let Some(lambda) = nodes.iter().find(is_lambda)
            && !functions::takes_lambdas(function.names[0])
        {
            return self.problem(lambda.span, format!("{name} takes no lambda"));
        }
        let arguments = self.bind_arguments(nodes)?;
        let call = Call {
            function: function.names[0],
            name: name.to_owned(),
            span,
            nodes,
            arguments,
            binder: self,
        };
        let typed = match &function.typing {
            Typing::Fixed(takes, returns) => call.fixed(takes, returns),
            Typing::Custom(typing) => typing(call),
        };
        self.noted(typed)
    }

    /// Lambdas are left as nulls: the function's typing binds them when it knows their parameters.
    fn bind_arguments(&mut self, nodes: &[Node]) -> Option<Vec<Expr>> {
        let bound: Vec<Option<Expr>> = nodes
            .iter()
            .map(|node| match node.kind {
                NodeKind::Lambda { .. } => Some(Expr::null(DataType::Null)),
                _ => self.bind(node),
            })
            .collect();
        bound.into_iter().collect()
    }

    /// Binds a lambda whose parameters have these types.
    pub(crate) fn lambda(&mut self, node: &Node, types: &[DataType]) -> Result<Expr, Problem> {
        // What is no lambda stands for one that looks at none of its parameters.
        let (parameters, body) = match &node.kind {
            NodeKind::Lambda { parameters, body } => (parameters.as_slice(), &**body),
            _ => (&[][..], node),
        };
        if parameters.len() > types.len() {
            let message = format!("the lambda takes at most {} parameters", types.len());
            return Err(Problem::new(node.span, message));
        }
        let outer = self.variables.len();
        let mut slots = Vec::new();
        for (i, name) in parameters.iter().enumerate() {
            if parameters[..i].iter().any(|p| p.eq_ignore_ascii_case(name)) {
                let message = format!("two parameters are named {name}");
                return Err(Problem::new(node.span, message));
            }
            slots.push(self.next_slot);
            self.variables.push(Variable {
                name: name.clone(),
                slot: self.next_slot,
                data_type: types[i].clone(),
            });
            self.next_slot += 1;
        }
        let before = self.problems.len();
        let body = self.bind(body);
        self.variables.truncate(outer);
        let Some(body) = body else {
            // The body's own problem is what the reader needs; it is noted already but for the last, passed on.
            let last = self.problems.pop();
            debug_assert!(self.problems.len() >= before || last.is_some());
            return Err(last.unwrap_or_else(|| Problem::new(node.span, "malformed lambda")));
        };
        Ok(Expr::new(
            body.data_type.clone(),
            ExprKind::Lambda {
                parameters: slots,
                body: Box::new(body),
            },
        ))
    }

    fn structure(&mut self, nodes: &[Node], span: Span) -> Option<Expr> {
        let mut fields = Vec::new();
        let mut arguments = Vec::new();
        let mut failed = false;
        for (i, node) in nodes.iter().enumerate() {
            if let NodeKind::Star(qualifier) = &node.kind {
                for (name, expr) in self.star(qualifier, node.span)? {
                    fields.push(Field::new(name, expr.data_type.clone()));
                    arguments.push(expr);
                }
                continue;
            }
            match self.bind(node) {
                Some(expr) => {
                    fields.push(Field::new(field_name(node, i), expr.data_type.clone()));
                    arguments.push(expr);
                }
                None => failed = true,
            }
        }
        if nodes.is_empty() {
            return self.problem(span, "struct needs at least one argument");
        }
        (!failed).then(|| Expr::call("struct", arguments, DataType::Struct(fields)))
    }

    fn case(
        &mut self,
        branches: &[(Node, Node)],
        otherwise: Option<&Node>,
        span: Span,
    ) -> Option<Expr> {
        let mut bound = Vec::new();
        for (condition, value) in branches {
            bound.push((self.bind(condition), self.bind(value)));
        }
        let otherwise = otherwise.map(|node| self.bind(node));
        let mut pairs = Vec::new();
        for ((condition, value), (node, _)) in bound.into_iter().zip(branches) {
            pairs.push((self.condition(condition?, node.span)?, value?));
        }
        let otherwise = match otherwise {
            Some(value) => Some(value?),
            None => None,
        };
        let made = make_case(pairs, otherwise, span);
        self.noted(made)
    }

    fn condition(&mut self, expr: Expr, span: Span) -> Option<Expr> {
        match expr.data_type {
            DataType::Boolean | DataType::Null => Some(expr.cast(&DataType::Boolean)),
            other => self.problem(
                span,
                format!("a condition must be boolean, this is {other}"),
            ),
        }
    }
}

/// A CASE whose values are brought to one type.
pub(crate) fn make_case(
    branches: Vec<(Expr, Expr)>,
    otherwise: Option<Expr>,
    span: Span,
) -> Result<Expr, Problem> {
    let values = branches.iter().map(|(_, value)| value).chain(&otherwise);
    let types: Vec<&DataType> = values.map(|value| &value.data_type).collect();
    let Some(common) = wider_of(types.iter().copied()) else {
        let names: Vec<String> = types.iter().map(ToString::to_string).collect();
        let message = format!("the branches have no common type: {}", names.join(", "));
        return Err(Problem::new(span, message));
    };
    let branches = branches
        .into_iter()
        .map(|(condition, value)| (condition, value.cast(&common)))
        .collect();
    let otherwise = otherwise.map(|value| Box::new(value.cast(&common)));
    Ok(Expr::new(
        common,
        ExprKind::Case {
            branches,
            otherwise,
        },
    ))
}

/// A cast as the text asks for it.
pub(crate) fn cast(expr: Expr, to: &DataType, span: Span) -> Result<Expr, Problem> {
    if let Some(special) = special_moment(&expr, to) {
        return special.map_err(|message| Problem::new(span, message));
    }
    if can_cast(&expr.data_type, to) {
        return Ok(expr.cast(to));
    }
    let message = format!("{} cannot be cast to {to}", expr.data_type);
    Err(Problem::new(span, message))
}

/// TRY_CAST.
fn strict_cast(expr: Expr, to: &DataType, span: Span) -> Result<Expr, Problem> {
    if !can_cast_strictly(&expr.data_type, to) {
        let message = format!("{} cannot be cast to {to}", expr.data_type);
        return Err(Problem::new(span, message));
    }
    if expr.data_type == *to || expr.data_type == DataType::Null {
        return Ok(expr.cast(to));
    }
    Ok(Expr::call("try cast", vec![expr], to.clone()))
}

/// The words that Spark reads in a constant cast to a date or timestamp.
fn special_moment(expr: &Expr, to: &DataType) -> Option<Result<Expr, String>> {
    if !matches!(
        to,
        DataType::Date | DataType::Timestamp | DataType::TimestampNtz
    ) {
        return None;
    }
    let word = super::temporal::trim_all(expr.as_text()?).to_ascii_lowercase();
    match word.as_str() {
        "epoch" => Some(Ok(Expr::literal(Literal::Integer(0), to.clone()))),
        "now" | "today" | "tomorrow" | "yesterday" => Some(Err(format!(
            "'{word}' depends on when it runs: name the day"
        ))),
        _ => None,
    }
}

fn field_index(fields: &[Field], name: &str, span: Span) -> Result<usize, Problem> {
    let mut found = fields
        .iter()
        .enumerate()
        .filter(|(_, field)| field.name.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (Some((index, _)), None) => Ok(index),
        (Some(_), Some(_)) => Err(Problem::new(span, format!("field {name} is ambiguous"))),
        _ => {
            let known = fields.iter().map(|field| field.name.as_str());
            let hint = super::nearest::hint(name, known);
            Err(Problem::new(span, format!("no field {name}{hint}")))
        }
    }
}

/// `input.name`: a struct's field, that field of each struct of an array, or a map's value.
fn extract(input: Expr, name: &str, span: Span) -> Result<Expr, Problem> {
    let field = |fields: &[Field]| {
        let index = field_index(fields, name, span)?;
        Ok::<_, Problem>((index, fields[index].data_type.clone()))
    };
    let (index, data_type) = match &input.data_type {
        DataType::Struct(fields) => field(fields)?,
        DataType::Array(element) => match &**element {
            DataType::Struct(fields) => {
                let (index, data_type) = field(fields)?;
                (index, DataType::array(data_type))
            }
            _ => {
                let message = format!("{} has no field {name}", input.data_type);
                return Err(Problem::new(span, message));
            }
        },
        DataType::Map(..) => {
            let key = Expr::literal(Literal::String(name.to_owned()), DataType::String);
            return item(input, key, span);
        }
        other => return Err(Problem::new(span, format!("{other} has no field {name}"))),
    };
    let input = Box::new(input);
    Ok(Expr::new(data_type, ExprKind::Field { input, index }))
}

/// `input[index]`
fn item(input: Expr, index: Expr, span: Span) -> Result<Expr, Problem> {
    match input.data_type.clone() {
        DataType::Array(element) => {
            if !is_integral(&index.data_type) && index.data_type != DataType::Null {
                let message = format!(
                    "an array's index must be an integer, this is {}",
                    index.data_type
                );
                return Err(Problem::new(span, message));
            }
            // The low bits of a long count.
            let index = index.cast(&DataType::Int).cast(&DataType::Long);
            Ok(Expr::call("array item", vec![input, index], *element))
        }
        DataType::Map(key, value) => {
            let takes = super::coerce::Takes::Type((*key).clone());
            let Some(to) = takes.implicit(&index.data_type) else {
                let message = format!("the map's key is {key}, this is {}", index.data_type);
                return Err(Problem::new(span, message));
            };
            let index = index.cast(&to);
            Ok(Expr::call("map item", vec![input, index], *value))
        }
        DataType::Struct(_) => match index.as_text() {
            Some(name) => {
                let name = name.to_owned();
                extract(input, &name, span)
            }
            None => Err(Problem::new(
                span,
                "a struct's field is named by a constant string",
            )),
        },
        other => Err(Problem::new(span, format!("{other} has no items"))),
    }
}
