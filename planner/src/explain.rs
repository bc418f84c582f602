//! A plan as text, as a picture (dot) and as JSON.
//!
//! Promises: the text has a line for everything that decides what is computed, and the same plan always prints the
//! same; tests hold plans as such texts. What several nodes use is marked as shared.

mod details;
mod expression;

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::physical::{DataflowPlan, Node, NodeId};

/// The plan as text, one block a node.
pub fn text(plan: &DataflowPlan) -> String {
    let mut out = String::new();
    for node in &plan.nodes {
        let inputs = names(&node.operator.inputs());
        let from = if inputs.is_empty() {
            String::new()
        } else {
            format!(" <- {inputs}")
        };
        let shared = match users(plan, node.id) {
            users if users.len() > 1 => format!("   shared by {}", names(&users)),
            _ => String::new(),
        };
        let line = format!(
            "{} {} [{}]{from}{shared}",
            name(node.id),
            node.operator.name(),
            node.label
        );
        out.push_str(line.trim_end());
        out.push('\n');
        for (key, value) in details::of(plan, node) {
            for (number, piece) in value.iter().enumerate() {
                let key = if number == 0 { key } else { "" };
                let _ = writeln!(out, "    {key:<9} {piece}");
            }
        }
    }
    out
}

/// How a picture begins.
pub(crate) const DOT_HEAD: &str =
    "digraph plan {\n  rankdir=LR;\n  node [shape=box, fontname=monospace];\n";

/// The plan as a picture in graphviz's language.
pub fn dot(plan: &DataflowPlan) -> String {
    format!("{DOT_HEAD}{}}}\n", dot_nodes(plan, ""))
}

/// The nodes and edges of a picture, ids after a prefix.
pub(crate) fn dot_nodes(plan: &DataflowPlan, prefix: &str) -> String {
    let mut out = String::new();
    for node in &plan.nodes {
        let own = name(node.id);
        let label = escaped(&node.label);
        let text = format!("{own} {}\\n{label}", node.operator.name());
        let style = if users(plan, node.id).len() > 1 {
            ", style=bold"
        } else {
            ""
        };
        let _ = writeln!(out, "  {prefix}{own} [label=\"{text}\"{style}];");
        for input in node.operator.inputs() {
            let _ = writeln!(out, "  {prefix}{} -> {prefix}{own};", name(input));
        }
    }
    out
}

/// The plan as JSON: a list of nodes.
pub fn json(plan: &DataflowPlan) -> Value {
    let node = |node: &Node| {
        let details: Map<String, Value> = details::of(plan, node)
            .into_iter()
            .map(|(key, value)| (key.to_owned(), json!(value)))
            .collect();
        let columns: Vec<Value> = node
            .schema
            .fields
            .iter()
            .map(|field| json!({"name": field.name, "type": field.data_type.to_string()}))
            .collect();
        json!({
            "id": name(node.id),
            "operator": node.operator.name(),
            "label": node.label,
            "inputs": node.operator.inputs().into_iter().map(name).collect::<Vec<_>>(),
            "shared_by": users(plan, node.id).into_iter().map(name).collect::<Vec<_>>(),
            "columns": columns,
            "details": details,
        })
    };
    json!({ "nodes": plan.nodes.iter().map(node).collect::<Vec<_>>() })
}

fn name(id: NodeId) -> String {
    format!("n{}", id.0)
}

fn names(ids: &[NodeId]) -> String {
    ids.iter()
        .map(|id| name(*id))
        .collect::<Vec<_>>()
        .join(", ")
}

fn users(plan: &DataflowPlan, id: NodeId) -> Vec<NodeId> {
    let uses = |node: &&Node| node.operator.inputs().contains(&id);
    plan.nodes.iter().filter(uses).map(|node| node.id).collect()
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// A typed expression as text, columns by these names. For people: it need not parse back.
pub(crate) fn expression_text(expr: &crate::expr::Expr, names: &[String]) -> String {
    let column = |index: usize| {
        let name = names.get(index).cloned();
        name.unwrap_or_else(|| format!("column {index}"))
    };
    expression::text(expr, &column)
}
