//! What may follow a call in a statement (FILTER, WITHIN GROUP, OVER), and subqueries in expressions.

use super::ast::{BoundClause, Clause, FrameClause, FunctionClause, SubqueryUse, WindowSpec};
use crate::expr::ast::{Node, NodeKind};
use crate::expr::parse::{Parsed, Parser};
use crate::expr::problem::Span;

impl Parser<'_> {
    /// A call with what follows it; a plain call where nothing does.
    pub(crate) fn clauses(
        &mut self,
        name: String,
        arguments: Vec<Node>,
        distinct: bool,
        start: Span,
    ) -> Parsed<Node> {
        let mut clause = FunctionClause {
            name,
            arguments,
            distinct,
            filter: None,
            within: Vec::new(),
            ignore_nulls: false,
            over: None,
            span: start,
        };
        let mut plain = !distinct;
        if self.is_word("within") && self.is_word_at(1, "group") {
            self.advance();
            self.advance();
            self.expect("(")?;
            self.expect_word("order")?;
            self.expect_word("by")?;
            clause.within = self.sort_items()?;
            self.expect(")")?;
            plain = false;
        }
        if self.is_word("filter") && self.is_symbol_at(1, "(") {
            self.advance();
            self.advance();
            self.expect_word("where")?;
            clause.filter = Some(self.expression()?);
            self.expect(")")?;
            plain = false;
        }
        let ignore = self.is_word("ignore");
        if (ignore || self.is_word("respect")) && self.is_word_at(1, "nulls") {
            self.advance();
            self.advance();
            clause.ignore_nulls = ignore;
            plain &= !ignore;
        }
        let window = self.is_word("over")
            && (self.is_symbol_at(1, "(")
                || matches!(
                    self.peek_at(1),
                    crate::expr::token::TokenKind::Word(_)
                        | crate::expr::token::TokenKind::Quoted(_)
                ));
        if window {
            self.advance();
            clause.over = Some(self.window()?);
            plain = false;
        }
        if plain {
            return self.call(&clause.name, clause.arguments, start);
        }
        clause.span = self.since(start);
        self.build(NodeKind::Clause(Box::new(Clause::Call(clause))), start)
    }

    /// A query and the `)` that closes it.
    pub(crate) fn subquery(&mut self, usage: SubqueryUse, start: Span) -> Parsed<Node> {
        if !self.statement {
            return self.fail("subqueries are for staging queries");
        }
        let query = self.query()?;
        self.expect(")")?;
        let span = self.since(start);
        let clause = Clause::Subquery { usage, query, span };
        self.build(NodeKind::Clause(Box::new(clause)), start)
    }

    pub(crate) fn named_windows(&mut self) -> Parsed<Vec<(String, WindowSpec)>> {
        let mut windows = Vec::new();
        loop {
            let name = self.identifier()?;
            self.expect_word("as")?;
            windows.push((name, self.window()?));
            if !self.accept(",") {
                return Ok(windows);
            }
        }
    }

    /// A window's name or its description in brackets.
    fn window(&mut self) -> Parsed<WindowSpec> {
        let start = self.span();
        let mut spec = WindowSpec::default();
        if !self.accept("(") {
            spec.base = Some(self.identifier()?);
            spec.span = self.since(start);
            return Ok(spec);
        }
        let keyword = [
            "partition",
            "order",
            "sort",
            "distribute",
            "cluster",
            "rows",
            "range",
        ]
        .iter()
        .any(|w| self.is_word(w));
        if !keyword && !self.is_symbol(")") {
            spec.base = Some(self.identifier()?);
            self.expect(")")?;
            spec.span = self.since(start);
            return Ok(spec);
        }
        if self.accept_word("partition") || self.accept_word("distribute") {
            self.expect_word("by")?;
            loop {
                spec.partition.push(self.expression()?);
                if !self.accept(",") {
                    break;
                }
            }
        }
        if self.accept_word("order") || self.accept_word("sort") {
            self.expect_word("by")?;
            spec.order = self.sort_items()?;
        }
        if self.is_word("rows") || self.is_word("range") {
            spec.frame = Some(self.frame()?);
        }
        self.expect(")")?;
        spec.span = self.since(start);
        Ok(spec)
    }

    fn frame(&mut self) -> Parsed<FrameClause> {
        let rows = self.is_word("rows");
        self.advance();
        if self.accept_word("between") {
            let start = self.frame_bound()?;
            self.expect_word("and")?;
            let end = self.frame_bound()?;
            return Ok(FrameClause { rows, start, end });
        }
        let start = self.frame_bound()?;
        let end = BoundClause::CurrentRow;
        Ok(FrameClause { rows, start, end })
    }

    fn frame_bound(&mut self) -> Parsed<BoundClause> {
        if self.accept_word("unbounded") {
            if self.accept_word("preceding") {
                return Ok(BoundClause::UnboundedPreceding);
            }
            self.expect_word("following")?;
            return Ok(BoundClause::UnboundedFollowing);
        }
        if self.is_word("current") && self.is_word_at(1, "row") {
            self.advance();
            self.advance();
            return Ok(BoundClause::CurrentRow);
        }
        let offset = self.deeper_by(1, Self::value)?;
        if self.accept_word("preceding") {
            return Ok(BoundClause::Preceding(offset));
        }
        self.expect_word("following")?;
        Ok(BoundClause::Following(offset))
    }
}
