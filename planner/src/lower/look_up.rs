//! Rows that are looked up as they are, by their keys and a time.

use crate::expr::Expr;
use crate::physical::{
    AnswerRule, Arrange, AsOf, DataflowPlan, EvaluatorPlan, Matches, NodeId, Operator, Project,
    Requirement,
};
use crate::schema::{DataType, Field, Schema};

/// What is looked up of rows.
pub(super) struct LookedUp {
    /// What it is for.
    pub(super) label: String,
    /// The keys, in the order in which queries give theirs.
    pub(super) keys: Vec<(Field, Expr)>,
    /// When they hold.
    pub(super) time: Expr,
    /// What they say.
    pub(super) values: Vec<(Field, Expr)>,
}

impl LookedUp {
    /// Arranges rows; `project` makes the projection that gives these columns under these requirements.
    pub(super) fn arrange(
        self,
        project: impl FnOnce(Vec<Expr>, Vec<Requirement>, &mut DataflowPlan) -> Project,
        plan: &mut DataflowPlan,
    ) -> NodeId {
        let time = self.keys.len();
        let mut requirements = vec![Requirement::CountNull(time)];
        if time > 0 {
            requirements.push(Requirement::AnyNotNull((0..time).collect()));
        }
        let mut columns = self.keys;
        columns.push((Field::new("right_time", DataType::Long), self.time));
        columns.extend(self.values);
        let (fields, columns): (Vec<Field>, Vec<Expr>) = columns.into_iter().unzip();
        let schema = Schema::new(fields);
        let project = project(columns, requirements, plan);
        let input = plan.add(
            self.label.clone(),
            schema.clone(),
            Operator::Project(project),
        );
        let kept = Schema::new(schema.fields[time + 1..].to_vec());
        let arrange = Arrange {
            input,
            keys: (0..time).collect(),
            time,
            payload: (time + 1..schema.fields.len()).collect(),
        };
        plan.add(self.label, kept, Operator::Arrange(arrange))
    }
}

/// The rows that queries find.
pub(super) fn answers(
    label: &str,
    right: NodeId,
    queries: NodeId,
    matches: Matches,
    plan: &mut DataflowPlan,
) -> NodeId {
    let schema = plan.node(right).schema.clone();
    let evaluator = EvaluatorPlan::Lookup {
        columns: (0..schema.fields.len()).collect(),
        matches,
    };
    let as_of = AsOf {
        right,
        queries,
        evaluator,
        answer: AnswerRule::AnyRow,
    };
    plan.add(label, schema, Operator::AsOf(as_of))
}
