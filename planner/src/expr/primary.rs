//! The parser's leaves and bracketed forms: names, calls, CASE, CAST, EXTRACT and their like.

use super::ast::{Node, NodeKind};
use super::ir::Literal;
use super::parse::{Parsed, Parser};
use super::problem::{Problem, Span};
use super::token::TokenKind;
use crate::query::ast::SubqueryUse;
use crate::schema::DataType;

/// Functions that may be written without brackets.
const BARE_FUNCTIONS: [&str; 6] = [
    "current_date",
    "current_timestamp",
    "current_catalog",
    "current_database",
    "current_user",
    "localtimestamp",
];

/// Units of TIMESTAMPADD and TIMESTAMPDIFF.
const UNITS: [&str; 11] = [
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "dayofyear",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
];

impl Parser<'_> {
    pub(crate) fn primary(&mut self) -> Parsed<Node> {
        let start = self.span();
        match self.peek().clone() {
            TokenKind::Number(_) => self.number(false, start),
            TokenKind::Text(_) => {
                let text = self.text_literal()?;
                Ok(Node::text(&text, self.since(start)))
            }
            TokenKind::Quoted(_) => self.name_or_call(start),
            TokenKind::Word(word) => self.word(&word.to_ascii_lowercase(), start),
            TokenKind::Symbol("(") => {
                self.advance();
                self.bracketed(start)
            }
            TokenKind::Symbol("*") => {
                self.advance();
                self.build(NodeKind::Star(Vec::new()), start)
            }
            _ => self.unexpected("an expression"),
        }
    }

    /// Adjacent literals are one.
    pub(crate) fn text_literal(&mut self) -> Parsed<String> {
        let mut text = String::new();
        let TokenKind::Text(_) = self.peek() else {
            return self.unexpected("a string in quotes");
        };
        while let TokenKind::Text(part) = self.peek() {
            text.push_str(part);
            self.advance();
        }
        Ok(text)
    }

    fn bracketed(&mut self, start: Span) -> Parsed<Node> {
        if self.starts_query(0) {
            return self.subquery(SubqueryUse::Scalar, start);
        }
        if let Some(lambda) = self.lambda_parameters(start)? {
            return Ok(lambda);
        }
        let mut items = self.list(Self::named_expression)?;
        match items.len() {
            0 => self.unexpected("an expression"),
            1 => match items.remove(0) {
                (node, None) => Ok(node),
                (node, Some(_)) => Err(Problem::new(node.span, "an alias has no meaning here")),
            },
            _ => self.struct_call(items, start),
        }
    }

    /// `(x, y) -> body`, the opening bracket already taken; nothing is taken if it is not one.
    fn lambda_parameters(&mut self, start: Span) -> Parsed<Option<Node>> {
        let mut ahead = 0;
        let mut parameters = Vec::new();
        loop {
            match self.peek_at(ahead) {
                TokenKind::Word(name) | TokenKind::Quoted(name) => parameters.push(name.clone()),
                _ => return Ok(None),
            }
            ahead += 2;
            if self.is_symbol_at(ahead - 1, ")") && self.is_symbol_at(ahead, "->") {
                break;
            }
            if !self.is_symbol_at(ahead - 1, ",") {
                return Ok(None);
            }
        }
        for _ in 0..=ahead {
            self.advance();
        }
        self.lambda(parameters, start).map(Some)
    }

    fn lambda(&mut self, parameters: Vec<String>, start: Span) -> Parsed<Node> {
        let body = Box::new(self.expression()?);
        self.build(NodeKind::Lambda { parameters, body }, start)
    }

    /// `expression [AS] name`, as `struct(…)` takes.
    fn named_expression(&mut self) -> Parsed<(Node, Option<String>)> {
        let node = self.expression()?;
        if self.accept_word("as") || matches!(self.peek(), TokenKind::Word(_)) {
            return Ok((node, Some(self.identifier()?)));
        }
        Ok((node, None))
    }

    /// `struct(…)`, where an alias names the field: without one it stays a call, with one it is a `named_struct`.
    fn struct_call(&mut self, items: Vec<(Node, Option<String>)>, start: Span) -> Parsed<Node> {
        if items.iter().all(|(_, name)| name.is_none()) {
            let arguments = items.into_iter().map(|(node, _)| node).collect();
            return self.call("struct", arguments, start);
        }
        let mut arguments = Vec::new();
        for (i, (node, name)) in items.into_iter().enumerate() {
            let name = name.unwrap_or_else(|| field_name(&node, i));
            arguments.push(Node::text(&name, node.span));
            arguments.push(node);
        }
        self.call("named_struct", arguments, start)
    }

    fn word(&mut self, word: &str, start: Span) -> Parsed<Node> {
        if matches!(self.peek_at(1), TokenKind::Text(_))
            && let Some(literal) = self.typed_literal(word, start)?
        {
            return Ok(literal);
        }
        let constant = match word {
            "null" => Some((Literal::Null, DataType::Null)),
            "true" => Some((Literal::Boolean(true), DataType::Boolean)),
            "false" => Some((Literal::Boolean(false), DataType::Boolean)),
            _ => None,
        };
        if let Some((value, data_type)) = constant {
            self.advance();
            return self.build(NodeKind::Literal(value, data_type), start);
        }
        let opens = self.is_symbol_at(1, "(");
        match word {
            "case" if !self.is_symbol_at(1, ".") && *self.peek_at(1) != TokenKind::End => {
                self.case(start)
            }
            "cast" | "try_cast" if opens => self.cast(start),
            "extract" if opens => self.extract(start),
            "trim" if opens => self.trim(start),
            "position" if opens => self.separated("position", &["in"], start),
            "substring" | "substr" if opens => self.separated(word, &["from", "for"], start),
            "overlay" if opens => self.separated("overlay", &["placing", "from", "for"], start),
            "struct" if opens => {
                self.advance();
                self.advance();
                let items = self.list(Self::named_expression)?;
                self.struct_call(items, start)
            }
            "timestampadd" | "timestampdiff" | "dateadd" | "date_add" | "datediff"
            | "date_diff"
                if opens =>
            {
                self.unit_call(word, start)
            }
            "interval" if self.starts_interval() => {
                self.advance();
                self.interval(start)
            }
            "exists" if opens && self.starts_query(2) => {
                self.advance();
                self.advance();
                self.subquery(SubqueryUse::Exists, start)
            }
            bare if BARE_FUNCTIONS.contains(&bare) && !opens && !self.is_symbol_at(1, ".") => {
                self.advance();
                self.call(bare, Vec::new(), start)
            }
            _ => self.name_or_call(start),
        }
    }

    fn name_or_call(&mut self, start: Span) -> Parsed<Node> {
        let mut parts = vec![self.identifier()?];
        if parts.len() == 1 && self.accept("->") {
            return self.lambda(parts, start);
        }
        while self.is_symbol(".") {
            self.advance();
            if self.accept("*") {
                return self.build(NodeKind::Star(parts), start);
            }
            parts.push(self.identifier()?);
        }
        if !self.is_symbol("(") {
            return self.build(NodeKind::Name(parts), start);
        }
        self.advance();
        let name = parts.join(".").to_lowercase();
        let distinct = self.is_word("distinct") || self.statement && self.is_word("all");
        let distinct = distinct && !self.is_symbol_at(1, ",") && !self.is_symbol_at(1, ")");
        if distinct && !self.statement {
            return self.fail("DISTINCT belongs to aggregate functions, which are not expressions");
        }
        let distinct = distinct
            && matches!(self.advance(), TokenKind::Word(w) if !w.eq_ignore_ascii_case("all"));
        let arguments = self.list(Self::expression)?;
        if self.statement {
            return self.clauses(name, arguments, distinct, start);
        }
        if self.is_word("over") && self.is_symbol_at(1, "(") {
            return self.fail("window functions are for staging queries");
        }
        if self.is_word("filter") && self.is_symbol_at(1, "(") {
            return self.fail("FILTER belongs to aggregate functions, which are not expressions");
        }
        self.call(&name, arguments, start)
    }

    fn case(&mut self, start: Span) -> Parsed<Node> {
        self.advance();
        let subject = match self.is_word("when") {
            true => None,
            false => Some(self.expression()?),
        };
        let mut branches = Vec::new();
        while self.accept_word("when") {
            let at = self.span();
            let mut condition = self.expression()?;
            if let Some(subject) = &subject {
                condition = self.call("=", vec![subject.clone(), condition], at)?;
            }
            self.expect_word("then")?;
            branches.push((condition, self.expression()?));
        }
        if branches.is_empty() {
            return self.unexpected("WHEN");
        }
        let otherwise = match self.accept_word("else") {
            true => Some(Box::new(self.expression()?)),
            false => None,
        };
        if !self.is_word("end") {
            return self.unexpected("WHEN, ELSE or END");
        }
        self.advance();
        self.build(
            NodeKind::Case {
                branches,
                otherwise,
            },
            start,
        )
    }

    fn cast(&mut self, start: Span) -> Parsed<Node> {
        let strict = self.is_word("try_cast");
        self.advance();
        self.advance();
        let input = Box::new(self.expression()?);
        self.expect_word("as")?;
        let to = self.data_type()?;
        self.expect(")")?;
        self.build(NodeKind::Cast { input, to, strict }, start)
    }

    fn extract(&mut self, start: Span) -> Parsed<Node> {
        self.advance();
        self.advance();
        let at = self.span();
        let field = match self.peek() {
            TokenKind::Text(_) => self.text_literal()?,
            _ => self.identifier()?,
        };
        self.expect_word("from")?;
        let source = self.expression()?;
        self.expect(")")?;
        self.call("extract", vec![Node::text(&field, at), source], start)
    }

    /// `TRIM([BOTH|LEADING|TRAILING] [characters] FROM text)` or a plain call.
    fn trim(&mut self, start: Span) -> Parsed<Node> {
        self.advance();
        self.advance();
        let sides = [
            ("both", "btrim"),
            ("leading", "ltrim"),
            ("trailing", "rtrim"),
        ];
        let side = sides
            .iter()
            .find(|(word, _)| self.is_word(word) && !self.is_symbol_at(1, ")"));
        let function = side.map_or("btrim", |(_, function)| function);
        if side.is_some() {
            self.advance();
        }
        if self.accept_word("from") {
            let text = self.expression()?;
            self.expect(")")?;
            return self.call(function, vec![text], start);
        }
        let first = self.expression()?;
        if self.accept_word("from") {
            let text = self.expression()?;
            self.expect(")")?;
            let arguments = match function {
                "btrim" => vec![text, first],
                _ => vec![first, text],
            };
            return self.call(function, arguments, start);
        }
        let mut arguments = vec![first];
        if self.accept(",") {
            arguments.extend(self.list(Self::expression)?);
        } else {
            self.expect(")")?;
        }
        match arguments.len() {
            // trim(characters, text) as the function takes it.
            2 => {
                arguments.swap(0, 1);
                self.call("btrim", arguments, start)
            }
            _ => self.call("trim", arguments, start),
        }
    }

    /// A call whose arguments are separated by these words, or by commas.
    fn separated(&mut self, name: &str, words: &[&str], start: Span) -> Parsed<Node> {
        self.advance();
        self.advance();
        if self.accept(")") {
            return self.call(name, Vec::new(), start);
        }
        // POSITION(a IN b): the first argument must stop before the IN.
        let mut arguments = vec![match words {
            ["in"] => self.deeper(Self::value)?,
            _ => self.expression()?,
        }];
        for word in words {
            if self.accept_word(word) || self.accept(",") {
                arguments.push(self.expression()?);
            }
        }
        if self.accept(",") {
            arguments.extend(self.list(Self::expression)?);
            return self.call(name, arguments, start);
        }
        self.expect(")")?;
        self.call(name, arguments, start)
    }

    /// `TIMESTAMPADD(unit, …)`; with anything else as first argument a plain call.
    fn unit_call(&mut self, word: &str, start: Span) -> Parsed<Node> {
        let unit = match self.peek_at(2) {
            TokenKind::Word(unit) if self.is_symbol_at(3, ",") => unit.to_ascii_lowercase(),
            _ => return self.name_or_call(start),
        };
        if !UNITS.contains(&unit.as_str()) {
            return self.name_or_call(start);
        }
        let function = match word {
            "timestampadd" | "dateadd" | "date_add" => "timestampadd",
            _ => "timestampdiff",
        };
        self.advance();
        self.advance();
        let at = self.span();
        self.advance();
        self.expect(",")?;
        let mut arguments = vec![Node::text(&unit, at)];
        arguments.extend(self.list(Self::expression)?);
        self.call(function, arguments, start)
    }
}

/// The name that a struct field made of this expression gets, at position `index`.
pub(crate) fn field_name(node: &Node, index: usize) -> String {
    match &node.kind {
        NodeKind::Name(parts) => parts.last().cloned().unwrap_or_default(),
        NodeKind::Field { name, .. }
        | NodeKind::Bound {
            name: Some(name), ..
        } => name.clone(),
        _ => format!("col{}", index + 1),
    }
}
