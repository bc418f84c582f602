//! Tokens to statement: Spark 3.5's query grammar around the expression grammar.
//!
//! Promises: every failure has its place and what was expected; no input panics or overflows the stack; what writes is
//! refused by name. Never resolves a name.

use super::ast::{
    Alias, Body, CommonTable, GroupItem, Grouping, Item, Query, Select, SetOperation, SortItem,
};
use crate::expr::ast::Node;
use crate::expr::parse::{MAX_DEPTH, Parsed, Parser};
use crate::expr::problem::{ExprError, Problem, Span};
use crate::expr::token::TokenKind;

/// A nested query is as deep as so many nested expressions.
const QUERY_LEVELS: usize = 6;

/// Words that end an expression or a relation, and so are no alias without `AS`.
const ENDING: [&str; 41] = [
    "from",
    "select",
    "where",
    "group",
    "having",
    "order",
    "sort",
    "cluster",
    "distribute",
    "limit",
    "offset",
    "union",
    "intersect",
    "except",
    "minus",
    "setminus",
    "window",
    "lateral",
    "pivot",
    "unpivot",
    "tablesample",
    "on",
    "using",
    "join",
    "inner",
    "left",
    "right",
    "full",
    "cross",
    "semi",
    "anti",
    "natural",
    "over",
    "filter",
    "within",
    "ignore",
    "respect",
    "qualify",
    "for",
    "in",
    "then",
];

/// Statements that are no queries.
const OTHER_STATEMENTS: [&str; 22] = [
    "insert", "create", "drop", "alter", "delete", "update", "merge", "truncate", "load", "set",
    "reset", "use", "cache", "uncache", "refresh", "msck", "repair", "analyze", "export", "grant",
    "add", "replace",
];

/// Parses one query; a trailing `;` is allowed.
pub(crate) fn parse(text: &str) -> Result<Query, ExprError> {
    let fail = |problem| ExprError::new(text, vec![problem]);
    let inner = text.trim_end_matches(|c: char| c.is_whitespace() || c == ';');
    let mut parser = Parser::of_statement(inner).map_err(fail)?;
    let query = parser.statement().map_err(fail)?;
    Ok(query)
}

impl Parser<'_> {
    fn statement(&mut self) -> Parsed<Query> {
        if let TokenKind::Word(word) = self.peek() {
            let word = word.to_ascii_lowercase();
            if OTHER_STATEMENTS.contains(&word.as_str()) {
                let shown = word.to_uppercase();
                return self.fail(format!("a staging query may only read: {shown} is refused"));
            }
        }
        let query = self.query()?;
        match self.peek() {
            TokenKind::End => Ok(query),
            _ if self.is_word("qualify") => {
                self.fail("Spark 3.5 has no QUALIFY: filter the window's column in an outer query")
            }
            _ => self.unexpected("the end of the query"),
        }
    }

    /// True if a query stands `ahead` tokens from here.
    pub(crate) fn starts_query(&self, ahead: usize) -> bool {
        let word = |w: &str| self.is_word_at(ahead, w);
        if !self.statement {
            return word("select") || word("with");
        }
        let next = self.peek_at(ahead + 1);
        let name_follows = matches!(next, TokenKind::Word(_) | TokenKind::Quoted(_));
        if self.is_symbol_at(ahead, "(") && ahead < MAX_DEPTH {
            // `(SELECT …) UNION …` is a query, `(SELECT …) + 1` and `(SELECT …) t JOIN …` are none.
            let after = self.after_brackets(ahead);
            let combined = [
                "union",
                "except",
                "minus",
                "setminus",
                "intersect",
                "order",
                "limit",
            ];
            return combined.iter().any(|w| self.is_word_at(after, w))
                && self.starts_query(ahead + 1);
        }
        word("select") && !matches!(next, TokenKind::Symbol(")" | "," | "." | "=" | "<" | ">"))
            || (word("with") || word("table") || word("from")) && name_follows
            || word("values") && matches!(next, TokenKind::Symbol("(") | TokenKind::Number(_))
    }

    /// How far ahead the token after the bracket that closes the one at `ahead` is.
    fn after_brackets(&self, ahead: usize) -> usize {
        let (mut at, mut open) = (ahead, 0_usize);
        loop {
            match self.peek_at(at) {
                TokenKind::Symbol("(") => open += 1,
                TokenKind::Symbol(")") => open = open.saturating_sub(1),
                TokenKind::End => return at,
                _ => {}
            }
            at += 1;
            if open == 0 {
                return at;
            }
        }
    }

    pub(crate) fn query(&mut self) -> Parsed<Query> {
        self.deeper_by(QUERY_LEVELS, Self::query_inner)
    }

    fn query_inner(&mut self) -> Parsed<Query> {
        let start = self.span();
        let mut with = Vec::new();
        if self.accept_word("with") {
            loop {
                with.push(self.common_table()?);
                if !self.accept(",") {
                    break;
                }
            }
        }
        let body = self.union_level()?;
        let mut query = Query {
            with,
            body,
            order: Vec::new(),
            limit: None,
            offset: None,
            span: start,
            depth: 0,
        };
        if self.accept_word("order") {
            self.expect_word("by")?;
            query.order = self.sort_items()?;
        } else if self.is_word("sort") || self.is_word("cluster") || self.is_word("distribute") {
            query.order = self.distribution()?;
        }
        if self.accept_word("limit") && !self.accept_word("all") {
            query.limit = Some(self.expression()?);
        }
        if self.accept_word("offset") {
            query.offset = Some(self.expression()?);
        }
        query.span = self.since(start);
        Ok(query)
    }

    /// `DISTRIBUTE BY` says where rows go and not what they are; `SORT BY` and `CLUSTER BY` sort each part of them, and
    /// here there is one.
    fn distribution(&mut self) -> Parsed<Vec<SortItem>> {
        let mut order = Vec::new();
        while let Some(word) = ["sort", "cluster", "distribute"]
            .into_iter()
            .find(|w| self.is_word(w))
        {
            self.advance();
            self.expect_word("by")?;
            let mut items = self.sort_items()?;
            for item in &mut items {
                item.spreads = word == "distribute";
            }
            order.extend(items);
        }
        Ok(order)
    }

    fn common_table(&mut self) -> Parsed<CommonTable> {
        let start = self.span();
        let name = self.identifier()?;
        let columns = match self.accept("(") {
            true => self.list(Self::identifier)?,
            false => Vec::new(),
        };
        self.accept_word("as");
        let span = self.since(start);
        self.expect("(")?;
        let query = self.query()?;
        self.expect(")")?;
        let alias = Alias {
            name,
            columns,
            span,
        };
        Ok(CommonTable { alias, query })
    }

    fn union_level(&mut self) -> Parsed<Body> {
        let mut left = self.intersect_level()?;
        loop {
            let start = self.span();
            let operation = if self.accept_word("union") {
                SetOperation::Union
            } else if self.accept_word("except")
                || self.accept_word("minus")
                || self.accept_word("setminus")
            {
                SetOperation::Except
            } else {
                return Ok(left);
            };
            left = self.set_operation(operation, left, start, Self::intersect_level)?;
        }
    }

    fn intersect_level(&mut self) -> Parsed<Body> {
        let mut left = self.body()?;
        loop {
            let start = self.span();
            if !self.accept_word("intersect") {
                return Ok(left);
            }
            left = self.set_operation(SetOperation::Intersect, left, start, Self::body)?;
        }
    }

    fn set_operation(
        &mut self,
        operation: SetOperation,
        left: Body,
        start: Span,
        side: fn(&mut Self) -> Parsed<Body>,
    ) -> Parsed<Body> {
        let all = self.accept_word("all");
        if !all {
            self.accept_word("distinct");
        }
        let span = self.since(start);
        // A chain of unions is a tree of that depth for everyone who walks it.
        let levels = body_levels(&left) + 1;
        let right = self.deeper_by(levels, side)?;
        Ok(Body::Set {
            operation,
            all,
            left: Box::new(left),
            right: Box::new(right),
            span,
        })
    }

    fn body(&mut self) -> Parsed<Body> {
        let start = self.span();
        if self.accept("(") {
            let query = self.query()?;
            self.expect(")")?;
            return Ok(Body::Nested(Box::new(query)));
        }
        if self.is_word("values") {
            let from = self.values()?;
            return Ok(Body::Relation(Box::new(from)));
        }
        if self.accept_word("table") {
            let name = self.dotted()?;
            let span = self.since(start);
            let alias = None;
            let from = super::ast::From::Table { name, alias, span };
            return Ok(Body::Relation(Box::new(from)));
        }
        self.select().map(|select| Body::Select(Box::new(select)))
    }

    fn select(&mut self) -> Parsed<Select> {
        let start = self.span();
        // Hive lets FROM come first.
        let mut from = match self.accept_word("from") {
            true => Some(self.relations()?),
            false => None,
        };
        if !self.accept_word("select") {
            return self.unexpected("SELECT, VALUES, TABLE or '('");
        }
        let distinct = self.accept_word("distinct");
        if !distinct && self.is_word("all") && !self.is_symbol_at(1, ",") {
            self.advance();
        }
        let mut items = Vec::new();
        loop {
            items.push(self.item()?);
            if !self.accept(",") {
                break;
            }
        }
        if from.is_none() && self.accept_word("from") {
            from = Some(self.relations()?);
        }
        if self.is_word("lateral") && from.is_some() {
            let input = from.take().expect("just seen");
            from = Some(self.lateral_views(input)?);
        }
        let filter = match self.accept_word("where") {
            true => Some(self.expression()?),
            false => None,
        };
        let grouping = match self.accept_word("group") {
            true => Some(self.grouping()?),
            false => None,
        };
        let having = match self.accept_word("having") {
            true => Some(self.expression()?),
            false => None,
        };
        let windows = match self.accept_word("window") {
            true => self.named_windows()?,
            false => Vec::new(),
        };
        Ok(Select {
            distinct,
            items,
            from,
            filter,
            grouping,
            having,
            windows,
            span: self.since(start),
        })
    }

    pub(crate) fn item(&mut self) -> Parsed<Item> {
        let node = self.expression()?;
        let mut names = Vec::new();
        if self.accept_word("as") {
            if self.accept("(") {
                names = self.list(Self::identifier)?;
            } else {
                names.push(self.identifier()?);
            }
        } else if self.is_alias() {
            names.push(self.identifier()?);
        } else if self.is_symbol("(") {
            self.advance();
            names = self.list(Self::identifier)?;
        }
        Ok(Item { node, names })
    }

    /// True if a name follows that is no keyword at this place.
    pub(crate) fn is_alias(&self) -> bool {
        match self.peek() {
            TokenKind::Quoted(_) => true,
            TokenKind::Word(word) => !ENDING.iter().any(|k| k.eq_ignore_ascii_case(word)),
            _ => false,
        }
    }

    pub(crate) fn optional_alias(&mut self) -> Parsed<Option<Alias>> {
        let start = self.span();
        let marked = self.accept_word("as");
        if !marked && !self.is_alias() {
            return Ok(None);
        }
        let name = self.identifier()?;
        let columns = match self.accept("(") {
            true => self.list(Self::identifier)?,
            false => Vec::new(),
        };
        let span = self.since(start);
        Ok(Some(Alias {
            name,
            columns,
            span,
        }))
    }

    // --- grouping ---

    fn grouping(&mut self) -> Parsed<Grouping> {
        self.expect_word("by")?;
        let bare_all = self.is_word("all")
            && match self.peek_at(1) {
                TokenKind::Symbol(s) => *s == ")",
                TokenKind::Word(w) => ENDING.iter().any(|k| k.eq_ignore_ascii_case(w)),
                TokenKind::End => true,
                _ => false,
            };
        if bare_all {
            self.advance();
            return Ok(Grouping::All);
        }
        let mut items = Vec::new();
        loop {
            items.push(self.group_item()?);
            if !self.accept(",") {
                break;
            }
        }
        if self.accept_word("with") {
            let rollup = self.is_word("rollup");
            if !rollup && !self.is_word("cube") {
                return self.unexpected("ROLLUP or CUBE");
            }
            self.advance();
            let keys = items.into_iter().map(|item| match item {
                GroupItem::Key(node) => Ok(vec![node]),
                _ => self.fail("WITH ROLLUP and WITH CUBE take plain keys"),
            });
            let keys = keys.collect::<Parsed<Vec<_>>>()?;
            let sets = self.sets_of(if rollup { "rollup" } else { "cube" }, &keys)?;
            return Ok(Grouping::Items(vec![GroupItem::Sets(sets)]));
        }
        if self.is_word("grouping") && self.is_word_at(1, "sets") {
            self.advance();
            self.advance();
            let sets = self.grouping_sets()?;
            items.push(GroupItem::OnlySets(sets));
        }
        Ok(Grouping::Items(items))
    }

    fn group_item(&mut self) -> Parsed<GroupItem> {
        for word in ["rollup", "cube"] {
            if self.is_word(word) && self.is_symbol_at(1, "(") {
                self.advance();
                self.advance();
                let keys = self.list(Self::key_list)?;
                return self.sets_of(word, &keys).map(GroupItem::Sets);
            }
        }
        if self.is_word("grouping") && self.is_word_at(1, "sets") {
            self.advance();
            self.advance();
            return self.grouping_sets().map(GroupItem::Sets);
        }
        self.expression().map(GroupItem::Key)
    }

    /// `a` or `(a, b)`
    fn key_list(&mut self) -> Parsed<Vec<Node>> {
        if self.is_symbol("(") {
            self.advance();
            return self.list(Self::expression);
        }
        Ok(vec![self.expression()?])
    }

    fn grouping_sets(&mut self) -> Parsed<Vec<Vec<Node>>> {
        self.expect("(")?;
        let sets = self.list(|parser| match parser.group_item_of_sets()? {
            Some(sets) => Ok(sets),
            None => Ok(vec![parser.key_list()?]),
        })?;
        Ok(sets.into_iter().flatten().collect())
    }

    fn group_item_of_sets(&mut self) -> Parsed<Option<Vec<Vec<Node>>>> {
        let nested = ["rollup", "cube"]
            .iter()
            .any(|w| self.is_word(w) && self.is_symbol_at(1, "("))
            || self.is_word("grouping") && self.is_word_at(1, "sets");
        if !nested {
            return Ok(None);
        }
        match self.deeper_by(1, Self::group_item)? {
            GroupItem::Sets(sets) => Ok(Some(sets)),
            _ => self.unexpected("a grouping set"),
        }
    }

    /// The sets of ROLLUP: all beginnings of the list; of CUBE: all its subsets.
    fn sets_of(&self, word: &str, keys: &[Vec<Node>]) -> Parsed<Vec<Vec<Node>>> {
        let most = if word == "cube" { 12 } else { 64 };
        if keys.len() > most {
            return self.fail(format!("{} takes at most {most} keys", word.to_uppercase()));
        }
        if word == "rollup" {
            let upto = (0..=keys.len()).rev();
            return Ok(upto.map(|n| keys[..n].concat()).collect());
        }
        let count = keys.len();
        let subsets = (0..1_usize << count).rev();
        let pick = |bits: usize| {
            let kept = keys
                .iter()
                .enumerate()
                .filter(|(i, _)| bits >> (count - 1 - i) & 1 == 1);
            kept.flat_map(|(_, key)| key.clone()).collect()
        };
        Ok(subsets.map(pick).collect())
    }

    // --- sorting ---

    pub(crate) fn sort_items(&mut self) -> Parsed<Vec<SortItem>> {
        let mut items = Vec::new();
        loop {
            let node = self.expression()?;
            let descending = self.accept_word("desc");
            if !descending {
                self.accept_word("asc");
            }
            let mut nulls_first = !descending;
            if self.accept_word("nulls") {
                nulls_first = self.is_word("first");
                if !nulls_first && !self.is_word("last") {
                    return self.unexpected("FIRST or LAST");
                }
                self.advance();
            }
            items.push(SortItem {
                node,
                descending,
                nulls_first,
                spreads: false,
            });
            if !self.accept(",") {
                return Ok(items);
            }
        }
    }

    pub(crate) fn dotted(&mut self) -> Parsed<Vec<String>> {
        let mut parts = vec![self.identifier()?];
        while self.accept(".") {
            parts.push(self.identifier()?);
        }
        Ok(parts)
    }

    /// Fails at a place that is not the current one.
    pub(crate) fn fail_at<T>(&self, span: Span, message: impl Into<String>) -> Parsed<T> {
        Err(Problem::new(span, message))
    }
}

fn body_levels(body: &Body) -> usize {
    match body {
        Body::Set { left, .. } => body_levels(left) + 1,
        _ => 0,
    }
}
