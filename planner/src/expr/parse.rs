//! Tokens to tree: Spark 3.5's expression grammar by precedence climbing.
//!
//! Promises: the precedence of Spark's own grammar; no input panics or overflows the stack ([`MAX_DEPTH`]).
//! Never resolves a name.

use super::ast::{Ast, Node, NodeKind};
use super::ir::Literal;
use super::problem::{ExprError, Problem, Span};
use super::token::{Token, TokenKind, tokenize};
use super::variables;
use crate::query::ast::SubqueryUse;
use crate::schema::DataType;

/// The deepest tree that is taken.
pub(crate) const MAX_DEPTH: usize = 120;

/// Parses one expression; the error says where and what was expected.
pub fn parse(text: &str) -> Result<Ast, ExprError> {
    let text = variables::substitute(text)?;
    let fail = |problem| ExprError::new(&text, vec![problem]);
    let mut parser = Parser::new(&text).map_err(fail)?;
    let root = parser.expression().map_err(fail)?;
    parser.expect_end().map_err(fail)?;
    Ok(Ast {
        text: text.into_owned(),
        root,
    })
}

pub(crate) type Parsed<T> = Result<T, Problem>;

pub(crate) struct Parser<'a> {
    pub(crate) text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// Whether subqueries and the clauses of aggregates may stand in expressions.
    pub(crate) statement: bool,
}

/// Binary operators of a value, loosest first; all associate to the left.
const LEVELS: [&[(&str, &str)]; 6] = [
    &[
        ("=", "="),
        ("==", "="),
        ("<=>", "<=>"),
        ("<>", "!="),
        ("!=", "!="),
        ("<", "<"),
        ("<=", "<="),
        ("!>", "<="),
        (">", ">"),
        (">=", ">="),
        ("!<", ">="),
    ],
    &[("|", "|")],
    &[("^", "^")],
    &[("&", "&")],
    &[("+", "+"), ("-", "-"), ("||", "||")],
    &[("*", "*"), ("/", "/"), ("%", "%"), ("div", "div")],
];

impl<'a> Parser<'a> {
    pub(crate) fn new(text: &'a str) -> Parsed<Self> {
        Ok(Self {
            text,
            tokens: tokenize(text)?,
            at: 0,
            depth: 0,
            statement: false,
        })
    }

    /// A parser of whole statements.
    pub(crate) fn of_statement(text: &'a str) -> Parsed<Self> {
        Ok(Self {
            statement: true,
            ..Self::new(text)?
        })
    }

    // --- tokens ---

    pub(crate) fn peek(&self) -> &TokenKind {
        &self.tokens[self.at].kind
    }

    pub(crate) fn peek_at(&self, ahead: usize) -> &TokenKind {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + ahead).min(last)].kind
    }

    pub(crate) fn span(&self) -> Span {
        self.tokens[self.at].span
    }

    fn last_span(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].span
    }

    pub(crate) fn since(&self, start: Span) -> Span {
        start.to(self.last_span())
    }

    pub(crate) fn advance(&mut self) -> TokenKind {
        let token = self.tokens[self.at].kind.clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    pub(crate) fn is_symbol(&self, symbol: &str) -> bool {
        self.is_symbol_at(0, symbol)
    }

    pub(crate) fn is_symbol_at(&self, ahead: usize, symbol: &str) -> bool {
        matches!(self.peek_at(ahead), TokenKind::Symbol(s) if *s == symbol)
    }

    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    pub(crate) fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        matches!(self.peek_at(ahead), TokenKind::Word(w) if w.eq_ignore_ascii_case(word))
    }

    pub(crate) fn accept(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    pub(crate) fn accept_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    pub(crate) fn expect(&mut self, symbol: &str) -> Parsed<()> {
        match self.accept(symbol) {
            true => Ok(()),
            false => self.unexpected(&format!("'{symbol}'")),
        }
    }

    pub(crate) fn expect_word(&mut self, word: &str) -> Parsed<()> {
        match self.accept_word(word) {
            true => Ok(()),
            false => self.unexpected(word),
        }
    }

    pub(crate) fn expect_end(&mut self) -> Parsed<()> {
        match self.peek() {
            TokenKind::End => Ok(()),
            TokenKind::Symbol("::") => self.fail("Spark 3.5 has no '::': write CAST(… AS …)"),
            _ => self.unexpected("the end of the expression"),
        }
    }

    pub(crate) fn fail<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(Problem::new(self.span(), message))
    }

    pub(crate) fn unexpected<T>(&self, expected: &str) -> Parsed<T> {
        let found = match self.peek() {
            TokenKind::End => "the end of the expression".to_owned(),
            _ => format!("'{}'", &self.text[self.span().start..self.span().end]),
        };
        self.fail(format!("expected {expected}, found {found}"))
    }

    /// A name, quoted or bare.
    pub(crate) fn identifier(&mut self) -> Parsed<String> {
        match self.peek() {
            TokenKind::Word(_) | TokenKind::Quoted(_) => match self.advance() {
                TokenKind::Word(name) | TokenKind::Quoted(name) => Ok(name),
                _ => unreachable!("the token was peeked"),
            },
            _ => self.unexpected("a name"),
        }
    }

    // --- the tree ---

    pub(crate) fn build(&self, kind: NodeKind, start: Span) -> Parsed<Node> {
        let node = Node::new(kind, self.since(start));
        if node.depth > MAX_DEPTH {
            return Err(Problem::new(node.span, "expression is nested too deeply"));
        }
        Ok(node)
    }

    pub(crate) fn call(&self, name: &str, arguments: Vec<Node>, start: Span) -> Parsed<Node> {
        let name = name.to_owned();
        self.build(NodeKind::Call { name, arguments }, start)
    }

    /// Runs `inner` one level deeper.
    pub(crate) fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.deeper_by(1, inner)
    }

    /// Runs `inner` so many levels deeper.
    pub(crate) fn deeper_by<T>(
        &mut self,
        levels: usize,
        inner: impl FnOnce(&mut Self) -> Parsed<T>,
    ) -> Parsed<T> {
        if self.depth + levels > MAX_DEPTH {
            return self.fail("expression is nested too deeply");
        }
        self.depth += levels;
        let result = inner(self);
        self.depth -= levels;
        result
    }

    /// A whole expression; lambdas are met in the arguments of calls only.
    pub(crate) fn expression(&mut self) -> Parsed<Node> {
        self.deeper(Self::disjunction)
    }

    fn disjunction(&mut self) -> Parsed<Node> {
        self.chain("or", Self::conjunction)
    }

    fn conjunction(&mut self) -> Parsed<Node> {
        self.chain("and", Self::negation)
    }

    /// `a OR b OR c` as one node of three, so that long lists stay shallow.
    fn chain(&mut self, word: &str, next: fn(&mut Self) -> Parsed<Node>) -> Parsed<Node> {
        let start = self.span();
        let first = next(self)?;
        let mut arguments = vec![first];
        while self.accept_word(word) {
            arguments.push(next(self)?);
        }
        match arguments.len() {
            1 => Ok(arguments.remove(0)),
            _ => self.call(word, arguments, start),
        }
    }

    fn negation(&mut self) -> Parsed<Node> {
        let start = self.span();
        if self.is_symbol("!") || self.is_word("not") && self.starts_operand(1) {
            self.advance();
            let input = self.deeper(Self::negation)?;
            return self.call("not", vec![input], start);
        }
        let value = self.value()?;
        self.predicate(value, start)
    }

    /// True if the token could begin an expression, so that a word before it is a keyword and not a name.
    fn starts_operand(&self, ahead: usize) -> bool {
        match self.peek_at(ahead) {
            TokenKind::Symbol(s) => matches!(*s, "(" | "-" | "+" | "~" | "!" | "*"),
            TokenKind::End => false,
            TokenKind::Word(w) => ![
                "and", "or", "in", "is", "like", "between", "then", "end", "else",
            ]
            .iter()
            .any(|k| k.eq_ignore_ascii_case(w)),
            _ => true,
        }
    }

    pub(crate) fn value(&mut self) -> Parsed<Node> {
        self.binary(0)
    }

    /// Operators of this level and tighter.
    fn binary(&mut self, loosest: usize) -> Parsed<Node> {
        let start = self.span();
        let mut left = self.unary()?;
        while let Some((level, function)) = self.binary_operator(loosest) {
            self.advance();
            let right = self.binary(level + 1)?;
            left = self.combine(function, left, right, start)?;
        }
        Ok(left)
    }

    /// `a || b || c` becomes one call.
    fn combine(&self, function: &str, left: Node, right: Node, start: Span) -> Parsed<Node> {
        match left.kind {
            NodeKind::Call {
                name,
                mut arguments,
            } if function == "||" && name == function => {
                arguments.push(right);
                self.call(function, arguments, start)
            }
            kind => {
                let left = Node { kind, ..left };
                self.call(function, vec![left, right], start)
            }
        }
    }

    fn binary_operator(&self, loosest: usize) -> Option<(usize, &'static str)> {
        let matches = |written: &str| match self.peek() {
            TokenKind::Symbol(s) => *s == written,
            TokenKind::Word(w) => w.eq_ignore_ascii_case(written),
            _ => false,
        };
        let levels = LEVELS.iter().enumerate().skip(loosest);
        levels
            .flat_map(|(level, operators)| operators.iter().map(move |o| (level, o)))
            .find(|(_, (written, _))| matches(written))
            .map(|(level, (_, function))| (level, *function))
    }

    fn unary(&mut self) -> Parsed<Node> {
        let start = self.span();
        if self.is_symbol("-") && matches!(self.peek_at(1), TokenKind::Number(_)) {
            self.advance();
            let literal = self.number(true, start)?;
            return self.postfix(literal, start);
        }
        for (symbol, function) in [("-", "negative"), ("+", "positive"), ("~", "~")] {
            if self.accept(symbol) {
                let input = self.deeper(Self::unary)?;
                return self.call(function, vec![input], start);
            }
        }
        let primary = self.primary()?;
        self.postfix(primary, start)
    }

    fn postfix(&mut self, mut node: Node, start: Span) -> Parsed<Node> {
        loop {
            if self.accept("[") {
                let index = Box::new(self.deeper(Self::value)?);
                self.expect("]")?;
                let input = Box::new(node);
                node = self.build(NodeKind::Index { input, index }, start)?;
            } else if self.accept(".") {
                if self.is_symbol("*") {
                    return self.fail("'.*' is not a value: name the fields");
                }
                let name = self.identifier()?;
                let input = Box::new(node);
                node = self.build(NodeKind::Field { input, name }, start)?;
            } else {
                return Ok(node);
            }
        }
    }

    // --- predicates ---

    /// At most one of `IN`, `BETWEEN`, `LIKE`, `RLIKE`, `IS`, as in Spark's grammar.
    fn predicate(&mut self, value: Node, start: Span) -> Parsed<Node> {
        let negated = self.is_word("not") && !self.starts_operand_of_not();
        if negated {
            self.advance();
        }
        let result = if self.accept_word("between") {
            let low = self.value()?;
            self.expect_word("and")?;
            let high = self.value()?;
            let from = self.call(">=", vec![value.clone(), low], start)?;
            let upto = self.call("<=", vec![value, high], start)?;
            self.call("and", vec![from, upto], start)?
        } else if self.accept_word("in") {
            let mut arguments = vec![value];
            self.expect("(")?;
            if self.starts_query(0) {
                let needle = Box::new(arguments.remove(0));
                let found = self.subquery(SubqueryUse::In(needle), start)?;
                return match negated {
                    true => self.call("not", vec![found], start),
                    false => Ok(found),
                };
            }
            arguments.extend(self.list(Self::expression)?);
            self.call("in", arguments, start)?
        } else if self.accept_word("like") {
            return self.like("like", value, negated, start);
        } else if self.accept_word("ilike") {
            return self.like("ilike", value, negated, start);
        } else if self.accept_word("rlike") || self.accept_word("regexp") {
            let pattern = self.value()?;
            self.call("rlike", vec![value, pattern], start)?
        } else if !negated && self.accept_word("is") {
            return self.is_predicate(value, start);
        } else if negated {
            return self.unexpected("IN, BETWEEN, LIKE, ILIKE or RLIKE after NOT");
        } else {
            return Ok(value);
        };
        match negated {
            true => self.call("not", vec![result], start),
            false => Ok(result),
        }
    }

    fn starts_operand_of_not(&self) -> bool {
        !["between", "in", "like", "ilike", "rlike", "regexp"]
            .iter()
            .any(|word| self.is_word_at(1, word))
    }

    fn like(&mut self, function: &str, value: Node, negated: bool, start: Span) -> Parsed<Node> {
        let all = self.is_word("all");
        let some = self.is_word("any") || self.is_word("some");
        let negate = |parser: &Self, node| match negated {
            true => parser.call("not", vec![node], start),
            false => Ok(node),
        };
        if (all || some) && self.is_symbol_at(1, "(") {
            self.advance();
            self.advance();
            let mut tests = Vec::new();
            for pattern in self.list(Self::expression)? {
                let test = self.call(function, vec![value.clone(), pattern], start)?;
                tests.push(negate(self, test)?);
            }
            return self.call(if all { "and" } else { "or" }, tests, start);
        }
        let mut arguments = vec![value, self.value()?];
        if self.accept_word("escape") {
            let span = self.span();
            match self.advance() {
                TokenKind::Text(escape) if escape.chars().count() == 1 => {
                    arguments.push(Node::text(&escape, span));
                }
                _ => return Err(Problem::new(span, "expected one character in quotes")),
            }
        }
        let name = match arguments.len() {
            3 => format!("{function} escape"),
            _ => function.to_owned(),
        };
        let node = self.call(&name, arguments, start)?;
        negate(self, node)
    }

    fn is_predicate(&mut self, value: Node, start: Span) -> Parsed<Node> {
        let negated = self.accept_word("not");
        let literal = |value| NodeKind::Literal(Literal::Boolean(value), DataType::Boolean);
        if self.accept_word("null") || self.accept_word("unknown") {
            return self.call(
                if negated { "isnotnull" } else { "isnull" },
                vec![value],
                start,
            );
        }
        let other = if self.accept_word("true") {
            self.build(literal(true), start)?
        } else if self.accept_word("false") {
            self.build(literal(false), start)?
        } else if self.accept_word("distinct") {
            self.expect_word("from")?;
            let other = self.value()?;
            let same = self.call("<=>", vec![value, other], start)?;
            return match negated {
                true => Ok(same),
                false => self.call("not", vec![same], start),
            };
        } else {
            return self.unexpected("NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM");
        };
        let same = self.call("<=>", vec![value, other], start)?;
        match negated {
            true => self.call("not", vec![same], start),
            false => Ok(same),
        }
    }

    /// What stands between an opened bracket and its `)`, separated by commas; may be empty.
    pub(crate) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        if self.accept(")") {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.accept(")") {
                return Ok(items);
            }
            if !self.accept(",") {
                return self.unexpected("',' or ')'");
            }
        }
    }
}
