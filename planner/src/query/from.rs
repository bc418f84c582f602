//! The FROM clause, typed: tables, lateral views, table functions. Joins are [their own](super::join).

use super::ast::{Alias, From, LateralView, Sample};
use super::bind::Binder;
use super::constant::integer;
use super::prepare::{Collected, Context};
use super::scope::{Columns, ScopeColumn, same};
use super::tree::{Operator, Relation};
use crate::expr::ast::{Node, NodeKind};
use crate::expr::bind::{bind_generator, bind_named};
use crate::expr::coerce::wider_without_strings;
use crate::expr::problem::Span;
use crate::expr::{Expr, ExprKind, Generator};
use crate::schema::{DataType, Field, Schema};

/// The database of tables named without one.
const DEFAULT_DATABASE: &str = "default";

/// A relation, and what names mean over it.
pub(super) type Bound = (Relation, Columns);

impl Binder<'_> {
    pub(crate) fn from(&mut self, from: &From) -> Option<Bound> {
        match from {
            From::Table { name, alias, span } => self.table(name, alias.as_ref(), *span),
            From::Query { query, alias } => {
                let relation = self.query(query, None)?.relation;
                let twins = twins(&relation);
                let (relation, mut columns) = self.named(relation, alias.as_ref(), &[])?;
                for (twin, first) in twins {
                    columns.0[twin].expr = columns.0[first].expr.clone();
                }
                Some((relation, columns))
            }
            From::Named(inner, alias) => {
                let (relation, columns) = self.from(inner)?;
                let relation = visible(relation, &columns);
                self.named(relation, Some(alias), &[])
            }
            From::Values { rows, alias, span } => {
                let relation = self.values(rows, *span)?;
                self.named(relation, alias.as_ref(), &[])
            }
            From::Function {
                name,
                arguments,
                alias,
                span,
            } => {
                let relation = self.table_function(name, arguments, *span)?;
                self.named(relation, alias.as_ref(), &[])
            }
            From::Join(join) => self.join(join),
            // There is nothing before it.
            From::Lateral(inner) => self.from(inner),
            From::Sample(inner, sample) => {
                let (relation, columns) = self.from(inner)?;
                Some((sampled(relation, *sample), columns))
            }
            From::View(view) => self.lateral_view(view),
            From::Pivot(pivot) => {
                let relation = self.pivot(pivot)?;
                self.named(relation, None, &[])
            }
            From::Unpivot(unpivot) => {
                let relation = self.unpivot(unpivot)?;
                self.named(relation, unpivot.alias.as_ref(), &[])
            }
        }
    }

    /// The columns under the alias, or under the relation's own name.
    fn named(
        &mut self,
        relation: Relation,
        alias: Option<&Alias>,
        own: &[String],
    ) -> Option<Bound> {
        let Some(alias) = alias else {
            let columns = Columns::of(&relation.schema, own);
            return Some((relation, columns));
        };
        let relation = self.renamed(relation, alias)?;
        let columns = Columns::of(&relation.schema, std::slice::from_ref(&alias.name));
        Some((relation, columns))
    }

    fn table(&mut self, name: &[String], alias: Option<&Alias>, span: Span) -> Option<Bound> {
        if let [single] = name
            && let Some(common) = self.common_table(single)
        {
            let relation = self.counted(common?, span)?;
            return self.named(relation, alias, name);
        }
        let table = match name {
            [table] => format!("{DEFAULT_DATABASE}.{table}"),
            [database, table] => format!("{database}.{table}"),
            [catalog, database, table] if same(catalog, "spark_catalog") => {
                format!("{database}.{table}")
            }
            _ => {
                let message = format!("a table is named db.table, not {}", name.join("."));
                return self.problem(span, message);
            }
        };
        // Folders are in the lower case of the metastore, whatever a query writes.
        let lower = table.to_lowercase();
        let written = self.catalog.schema(&table);
        let (table, schema) = match written {
            Some(schema) => (table, Some(schema)),
            None => (lower.clone(), self.catalog.schema(&lower)),
        };
        let Some(schema) = schema else {
            return self.problem(span, format!("there is no table {}", name.join(".")));
        };
        let filters = Vec::new();
        let relation = Relation::new(schema, Operator::Scan { table, filters });
        self.named(relation, alias, name)
    }

    /// `VALUES`: columns `col1, col2, …` of the types at which their values meet.
    fn values(&mut self, rows: &[Vec<Node>], span: Span) -> Option<Relation> {
        let columns = Columns::default();
        let context = Context::plain(&columns);
        let mut bound = Vec::new();
        for row in rows {
            let values: Vec<Option<Expr>> = row
                .iter()
                .map(|node| self.expression(node, &context, &mut Collected::default()))
                .collect();
            bound.push(values.into_iter().collect::<Option<Vec<Expr>>>());
        }
        let mut rows: Vec<Vec<Expr>> = bound.into_iter().collect::<Option<_>>()?;
        let width = rows.first().map_or(0, Vec::len);
        if rows.iter().any(|row| row.len() != width) {
            return self.problem(span, "the rows of VALUES have different numbers of values");
        }
        let mut fields = Vec::new();
        for column in 0..width {
            let mut met = Some(DataType::Null);
            for row in &rows {
                met = met.and_then(|met| wider_without_strings(&met, &row[column].data_type));
            }
            let Some(common) = met else {
                let message = format!("column {} of VALUES has no common type", column + 1);
                return self.problem(span, message);
            };
            for row in &mut rows {
                row[column] = row[column].clone().cast(&common);
            }
            fields.push(Field::new(format!("col{}", column + 1), common));
        }
        Some(Relation::new(Schema::new(fields), Operator::Values(rows)))
    }

    /// `range(…)`, or a generator of constants.
    fn table_function(&mut self, name: &str, nodes: &[Node], span: Span) -> Option<Relation> {
        if name != "range" {
            let arguments = nodes.to_vec();
            let name = name.to_owned();
            let node = Node::new(NodeKind::Call { name, arguments }, span);
            let one = Relation::new(Schema::default(), Operator::Values(vec![vec![]]));
            let (relation, columns) = self.generated(one, &Columns::default(), &node, false)?;
            return Some(visible(relation, &columns));
        }
        let columns = Columns::default();
        let context = Context::plain(&columns);
        let mut numbers = Vec::new();
        for node in nodes {
            let expr = self.expression(node, &context, &mut Collected::default())?;
            match integer(&expr) {
                Some(number) => numbers.push(number),
                None => return self.problem(node.span, "range takes constant integers"),
            }
        }
        let (start, end, step) = match numbers.as_slice() {
            [end] => (0, *end, 1),
            [start, end] => (*start, *end, 1),
            [start, end, step] | [start, end, step, _] => (*start, *end, *step),
            _ => return self.problem(span, "range takes 1 to 4 numbers"),
        };
        if step == 0 {
            return self.problem(span, "the step of range must not be 0");
        }
        let schema = Schema::new(vec![Field::new("id", DataType::Long)]);
        Some(Relation::new(schema, Operator::Range { start, end, step }))
    }

    // --- lateral views ---

    fn lateral_view(&mut self, view: &LateralView) -> Option<Bound> {
        let (input, mut columns) = self.from(&view.input)?;
        let before = input.width();
        let (relation, generated) = self.generated(input, &columns, &view.generator, view.outer)?;
        let made = relation.width() - before;
        let names = &view.alias.columns;
        if !names.is_empty() && names.len() != made {
            let message = format!("the generator makes {made} columns, not {}", names.len());
            return self.problem(view.alias.span, message);
        }
        let qualifier = match view.alias.name.is_empty() {
            true => Vec::new(),
            false => vec![view.alias.name.clone()],
        };
        for (index, column) in generated.0.into_iter().enumerate() {
            columns.0.push(ScopeColumn {
                qualifier: qualifier.clone(),
                name: names.get(index).cloned().unwrap_or(column.name),
                ..column
            });
        }
        Some((relation, columns))
    }

    /// A relation with a generator's columns after its own; answers those.
    fn generated(
        &mut self,
        input: Relation,
        columns: &Columns,
        node: &Node,
        outer: bool,
    ) -> Option<Bound> {
        let context = Context::plain(columns);
        let generator = self.generator(node, &context, &mut Collected::default())?;
        let Some(mut generator) = generator else {
            return self.problem(node.span, "this is no generator: explode, inline, stack …");
        };
        generator.outer |= outer;
        Some(generate(input, generator))
    }

    /// The generator that a call is; `None` inside if it is none.
    #[expect(
        clippy::option_option,
        reason = "faulty, and no generator, are two things"
    )]
    pub(crate) fn generator(
        &mut self,
        node: &Node,
        context: &Context<'_>,
        collected: &mut Collected,
    ) -> Option<Option<Generator>> {
        let NodeKind::Call { name, arguments } = &node.kind else {
            return Some(None);
        };
        if name == "json_tuple" {
            let arguments: Vec<Option<Expr>> = arguments
                .iter()
                .map(|argument| self.expression(argument, context, collected))
                .collect();
            let arguments = arguments.into_iter().collect::<Option<Vec<_>>>()?;
            return self.json_tuple(&arguments, node.span).map(Some);
        }
        if !crate::expr::generator::is_generator(name) {
            return Some(None);
        }
        let arguments: Vec<Option<Node>> = arguments
            .iter()
            .map(|argument| {
                let prepared = self.prepared(argument, context, collected)?;
                Some(prepared)
            })
            .collect();
        let arguments = arguments.into_iter().collect::<Option<Vec<_>>>()?;
        let name = name.clone();
        let prepared = Node::new(NodeKind::Call { name, arguments }, node.span);
        match bind_generator(&prepared) {
            Some(Ok(generator)) => Some(Some(generator)),
            Some(Err(problems)) => {
                self.problems.extend(problems);
                None
            }
            None => Some(None),
        }
    }

    /// `json_tuple(text, name, …)`: the members of these names, as one row of strings.
    fn json_tuple(&mut self, arguments: &[Expr], span: Span) -> Option<Generator> {
        let [text, names @ ..] = arguments else {
            return self.problem(span, "json_tuple takes a text and names of members");
        };
        if names.is_empty() || arguments.iter().any(|a| a.data_type != DataType::String) {
            return self.problem(
                span,
                "json_tuple takes strings: a text and names of members",
            );
        }
        let mut columns = Vec::new();
        let mut members = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let arguments = vec![text.clone(), name.clone()];
            members.push(Expr::call("json member", arguments, DataType::String));
            columns.push(Field::new(format!("c{index}"), DataType::String));
        }
        let row = DataType::Struct(columns.clone());
        let row = Expr::call("struct", members, row);
        let rows = DataType::array(row.data_type.clone());
        Some(Generator {
            kind: crate::expr::GeneratorKind::Inline,
            inputs: vec![Expr::call("array", vec![row], rows)],
            outer: false,
            columns,
        })
    }

    /// A call of typed arguments, coerced.
    pub(crate) fn call_of(
        &mut self,
        function: &str,
        arguments: Vec<Expr>,
        span: Span,
    ) -> Option<Expr> {
        let node = |expr: Expr| {
            let expr = Box::new(expr);
            Node::new(NodeKind::Bound { expr, name: None }, span)
        };
        let kind = NodeKind::Call {
            name: function.to_owned(),
            arguments: arguments.into_iter().map(node).collect(),
        };
        match bind_named(&Node::new(kind, span)) {
            Ok(expr) => Some(expr),
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }
}

fn sampled(input: Relation, sample: Sample) -> Relation {
    let Sample::Rows(count) = sample else {
        return input;
    };
    let schema = input.schema.clone();
    let operator = Operator::Limit {
        input: Box::new(input),
        offset: 0,
        limit: Some(count),
    };
    Relation::new(schema, operator)
}

/// Columns that are the same column under the same name again: a name means both, and is not ambiguous.
fn twins(relation: &Relation) -> Vec<(usize, usize)> {
    let Operator::Project { expressions, .. } = &relation.operator else {
        return Vec::new();
    };
    let fields = &relation.schema.fields;
    let first = |index: usize| {
        let is_column = matches!(expressions[index].kind, ExprKind::Column(_));
        (0..index).find(|i| {
            is_column
                && expressions[*i] == expressions[index]
                && same(&fields[*i].name, &fields[index].name)
        })
    };
    let pairs = (0..fields.len()).filter_map(|index| Some((index, first(index)?)));
    pairs.collect()
}

/// A relation with a generator's columns after its own.
pub(crate) fn generate(input: Relation, generator: Generator) -> Bound {
    let before = input.width();
    let mut fields = input.schema.fields.clone();
    fields.extend(generator.columns.iter().cloned());
    let own = Schema::new(generator.columns.clone());
    let input = Box::new(input);
    let operator = Operator::Generate { input, generator };
    let relation = Relation::new(Schema::new(fields), operator);
    (relation, Columns::of(&own, &[]).shifted(before))
}

/// The relation of the columns that `*` shows.
pub(crate) fn visible(relation: Relation, columns: &Columns) -> Relation {
    let shown: Vec<&ScopeColumn> = columns.star(&[]).unwrap_or_default();
    let whole = shown.len() == relation.width()
        && shown
            .iter()
            .enumerate()
            .all(|(i, c)| c.expr.kind == ExprKind::Column(i));
    let fields = shown
        .iter()
        .map(|c| Field::new(&c.name, c.expr.data_type.clone()));
    let schema = Schema::new(fields.collect());
    if whole {
        return Relation { schema, ..relation };
    }
    let expressions = shown.iter().map(|c| c.expr.clone()).collect();
    let input = Box::new(relation);
    Relation::new(schema, Operator::Project { input, expressions })
}

/// A condition cut at its ANDs.
pub(crate) fn conjuncts(condition: Expr) -> Vec<Expr> {
    match condition.kind {
        ExprKind::Call {
            function: "and",
            arguments,
        } => arguments.into_iter().flat_map(conjuncts).collect(),
        kind => vec![Expr {
            data_type: condition.data_type,
            kind,
        }],
    }
}
