//! The FROM clause: tables, joins, lateral views, pivots.

use super::ast::{
    Alias, Condition, From, Item, Join, JoinWord, LateralView, Pivot, Sample, Unpivot,
};
use crate::expr::Literal;
use crate::expr::ast::{Node, NodeKind};
use crate::expr::parse::{Parsed, Parser};
use crate::expr::problem::Span;
use crate::expr::token::TokenKind;
use crate::schema::DataType;

/// Joins nest to the left; so many are taken.
const MAX_JOINS: usize = 64;

impl Parser<'_> {
    /// Relations separated by commas, which are cross joins.
    pub(crate) fn relations(&mut self) -> Parsed<From> {
        let mut joins = 0;
        let first = self.relation_primary()?;
        let mut left = self.joins(first, &mut joins)?;
        loop {
            let start = self.span();
            if !self.accept(",") {
                break;
            }
            self.one_more(&mut joins)?;
            let crossed = From::Join(Box::new(Join {
                left,
                right: self.relation_primary()?,
                kind: JoinWord::Cross,
                condition: Condition::None,
                span: self.since(start),
            }));
            left = self.joins(crossed, &mut joins)?;
        }
        self.lateral_views(left)
    }

    fn one_more(&self, joins: &mut usize) -> Parsed<()> {
        *joins += 1;
        match *joins > MAX_JOINS {
            true => self.fail(format!("more than {MAX_JOINS} joins in one FROM")),
            false => Ok(()),
        }
    }

    /// A relation with the joins that follow it.
    fn joins(&mut self, mut left: From, joins: &mut usize) -> Parsed<From> {
        loop {
            let start = self.span();
            let natural = self.is_word("natural");
            if natural {
                self.advance();
            }
            let Some(kind) = self.join_word()? else {
                if natural {
                    return self.unexpected("JOIN");
                }
                return Ok(left);
            };
            self.one_more(joins)?;
            let right = self.relation_primary()?;
            let condition = if natural {
                Condition::Natural
            } else if self.accept_word("on") {
                Condition::On(self.expression()?)
            } else if self.accept_word("using") {
                self.expect("(")?;
                Condition::Using(self.list(Self::identifier)?)
            } else {
                Condition::None
            };
            left = From::Join(Box::new(Join {
                left,
                right,
                kind,
                condition,
                span: self.since(start),
            }));
        }
    }

    fn join_word(&mut self) -> Parsed<Option<JoinWord>> {
        let kind = if self.is_word("join") || self.accept_word("inner") {
            JoinWord::Inner
        } else if self.accept_word("cross") {
            JoinWord::Cross
        } else if self.accept_word("full") {
            self.accept_word("outer");
            JoinWord::Full
        } else if self.accept_word("right") {
            self.accept_word("outer");
            JoinWord::Right
        } else if self.accept_word("left") {
            match () {
                () if self.accept_word("semi") => JoinWord::Semi,
                () if self.accept_word("anti") => JoinWord::Anti,
                () => {
                    self.accept_word("outer");
                    JoinWord::Left
                }
            }
        } else if self.accept_word("semi") {
            JoinWord::Semi
        } else if self.accept_word("anti") {
            JoinWord::Anti
        } else {
            return Ok(None);
        };
        self.expect_word("join")?;
        Ok(Some(kind))
    }

    fn relation_primary(&mut self) -> Parsed<From> {
        let start = self.span();
        if self.accept_word("lateral") {
            if self.is_word("lateral") {
                return self.unexpected("a subquery or a function");
            }
            let inner = self.relation_primary()?;
            return Ok(From::Lateral(Box::new(inner)));
        }
        let mut from = if self.is_symbol("(") {
            self.bracketed_relation()?
        } else if self.is_word("values") && self.is_symbol_at(1, "(")
            || self.is_word("values")
                && matches!(self.peek_at(1), TokenKind::Number(_) | TokenKind::Text(_))
        {
            self.values()?
        } else {
            let name = self.dotted()?;
            if self.accept("(") {
                let arguments = self.list(Self::expression)?;
                let span = self.since(start);
                From::Function {
                    name: name.join(".").to_lowercase(),
                    arguments,
                    alias: self.optional_alias()?,
                    span,
                }
            } else {
                let span = self.since(start);
                if self.is_word("version") || self.is_word("timestamp") {
                    return self.fail("tables have no versions here");
                }
                let sample = self.sample()?;
                let alias = self.optional_alias()?;
                of_sample(From::Table { name, alias, span }, sample)
            }
        };
        if self.is_word("tablesample") {
            return self.fail("TABLESAMPLE stands before the relation's alias");
        }
        let mut pivots = 0;
        while self.is_symbol_at(1, "(") && (self.is_word("pivot") || self.is_word("unpivot"))
            || self.is_word("unpivot")
        {
            self.one_more(&mut pivots)?;
            from = match self.is_word("pivot") {
                true => self.pivot(from)?,
                false => self.unpivot(from)?,
            };
        }
        Ok(from)
    }

    /// `TABLESAMPLE (n ROWS)`, or shares of all rows or of none; other shares are a matter of chance.
    fn sample(&mut self) -> Parsed<Option<Sample>> {
        let start = self.span();
        if !self.accept_word("tablesample") {
            return Ok(None);
        }
        self.expect("(")?;
        let sample = match self.accept_word("bucket") {
            true => {
                let taken = self.expression()?;
                self.expect_word("out")?;
                self.expect_word("of")?;
                let all = self.expression()?;
                (number(&taken) == Some(1.0) && number(&all) == Some(1.0)).then_some(Sample::All)
            }
            false => {
                let count = self.expression()?;
                let count = number(&count);
                match self.accept_word("rows") {
                    true => count.and_then(whole).map(Sample::Rows),
                    false => {
                        self.expect_word("percent")?;
                        match count {
                            Some(100.0) => Some(Sample::All),
                            Some(0.0) => Some(Sample::Rows(0)),
                            _ => None,
                        }
                    }
                }
            }
        };
        self.expect(")")?;
        if self.accept_word("repeatable") {
            self.expect("(")?;
            self.expression()?;
            self.expect(")")?;
        }
        match sample {
            Some(sample) => Ok(Some(sample)),
            None => self.fail_at(
                start,
                "TABLESAMPLE would give rows by chance, others on every run: sample by a hash of the key, or take (n ROWS)",
            ),
        }
    }

    fn bracketed_relation(&mut self) -> Parsed<From> {
        let query = self.starts_query(1);
        self.expect("(")?;
        if query {
            let query = Box::new(self.query()?);
            self.expect(")")?;
            let sample = self.sample()?;
            let alias = self.optional_alias()?;
            return Ok(of_sample(From::Query { query, alias }, sample));
        }
        let inner = self.deeper_by(2, Self::relations)?;
        self.expect(")")?;
        let sample = self.sample()?;
        let relation = match self.optional_alias()? {
            Some(alias) => From::Named(Box::new(inner), alias),
            None => inner,
        };
        Ok(of_sample(relation, sample))
    }

    /// `VALUES (1, 2), (3, 4) [AS t(a, b)]`
    pub(crate) fn values(&mut self) -> Parsed<From> {
        let start = self.span();
        self.expect_word("values")?;
        let mut rows = Vec::new();
        loop {
            let node = self.expression()?;
            rows.push(match node.kind {
                NodeKind::Call { name, arguments } if name == "struct" => arguments,
                kind => vec![Node { kind, ..node }],
            });
            if !self.accept(",") {
                break;
            }
        }
        let span = self.since(start);
        let alias = self.optional_alias()?;
        Ok(From::Values { rows, alias, span })
    }

    pub(crate) fn lateral_views(&mut self, mut input: From) -> Parsed<From> {
        let mut count = 0;
        while self.is_word("lateral") && self.is_word_at(1, "view") {
            self.one_more(&mut count)?;
            self.advance();
            self.advance();
            let outer = self.accept_word("outer");
            let generator = self.expression()?;
            let start = self.span();
            let mut alias = Alias {
                name: String::new(),
                columns: Vec::new(),
                span: start,
            };
            if !self.is_word("as") && self.is_alias() {
                alias.name = self.identifier()?;
            }
            let named = self.accept_word("as") || self.is_alias();
            if alias.name.is_empty() && !named {
                return self.unexpected("a name for the view");
            }
            if named {
                loop {
                    alias.columns.push(self.identifier()?);
                    if !self.accept(",") {
                        break;
                    }
                }
            }
            alias.span = self.since(start);
            input = From::View(Box::new(LateralView {
                input,
                outer,
                generator,
                alias,
            }));
        }
        Ok(input)
    }

    /// `PIVOT (aggregates FOR column IN (values))`
    fn pivot(&mut self, input: From) -> Parsed<From> {
        let start = self.span();
        self.expect_word("pivot")?;
        self.expect("(")?;
        let mut aggregates = vec![self.item()?];
        while self.accept(",") {
            aggregates.push(self.item()?);
        }
        self.expect_word("for")?;
        let columns = match self.accept("(") {
            true => self.list(Self::column)?,
            false => vec![self.column()?],
        };
        self.expect_word("in")?;
        self.expect("(")?;
        let values: Vec<Item> = self.list(Self::item)?;
        self.expect(")")?;
        let span = self.since(start);
        Ok(From::Pivot(Box::new(Pivot {
            input,
            aggregates,
            columns,
            values,
            span,
        })))
    }

    fn column(&mut self) -> Parsed<Node> {
        let start = self.span();
        let parts = self.dotted()?;
        self.build(NodeKind::Name(parts), start)
    }

    /// `UNPIVOT [INCLUDE|EXCLUDE NULLS] (value FOR name IN (columns))`, or with lists of values and columns.
    fn unpivot(&mut self, input: From) -> Parsed<From> {
        let start = self.span();
        self.expect_word("unpivot")?;
        let include_nulls = self.accept_word("include");
        if include_nulls || self.accept_word("exclude") {
            self.expect_word("nulls")?;
        }
        self.expect("(")?;
        let values = match self.accept("(") {
            true => self.list(Self::identifier)?,
            false => vec![self.identifier()?],
        };
        self.expect_word("for")?;
        let name = self.identifier()?;
        self.expect_word("in")?;
        self.expect("(")?;
        let width = values.len();
        let columns = self.list(|parser| parser.unpivot_columns(width))?;
        self.expect(")")?;
        let span = self.since(start);
        let alias = self.optional_alias()?;
        Ok(From::Unpivot(Box::new(Unpivot {
            input,
            include_nulls,
            values,
            name,
            columns,
            alias,
            span,
        })))
    }

    fn unpivot_columns(&mut self, width: usize) -> Parsed<(Vec<Node>, Option<String>)> {
        let start: Span = self.span();
        let nodes = match self.accept("(") {
            true => self.list(Self::column)?,
            false => vec![self.column()?],
        };
        if nodes.len() != width {
            return self.fail_at(
                start,
                format!("expected {width} columns, found {}", nodes.len()),
            );
        }
        let named = self.accept_word("as") || self.is_alias();
        let name = match named {
            true => Some(self.identifier()?),
            false => None,
        };
        Ok((nodes, name))
    }
}

fn of_sample(from: From, sample: Option<Sample>) -> From {
    match sample {
        Some(sample) => From::Sample(Box::new(from), sample),
        None => from,
    }
}

fn number(node: &Node) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "compared with small numbers only"
    )]
    match &node.kind {
        NodeKind::Literal(Literal::Integer(value), _) => Some(*value as f64),
        NodeKind::Literal(Literal::Double(value), _) => Some(*value),
        NodeKind::Literal(Literal::Decimal(value), DataType::Decimal(_, scale)) => {
            Some(*value as f64 / 10_f64.powi(i32::from(*scale)))
        }
        _ => None,
    }
}

/// The number as a count of rows.
fn whole(value: f64) -> Option<usize> {
    format!("{value}").parse().ok()
}
