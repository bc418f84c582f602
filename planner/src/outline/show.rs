//! Outlines as text, as one picture (dot) and as JSON.
//!
//! Promises: a plan alone looks as it does in [`explain`]. In the picture, tables that one plan writes and another
//! reads are dashed edges.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::Outline;
use crate::explain;
use crate::physical::{DataflowPlan, NodeId, Operator};

const INDENT: &str = "    ";

impl Outline {
    /// The outline as text: plans under their titles, those under others further in.
    pub fn text(&self) -> String {
        if self.under.is_empty() {
            return explain::text(&self.plan);
        }
        let mut out = String::new();
        self.write_text("", &mut out);
        out
    }

    fn write_text(&self, indent: &str, out: &mut String) {
        let _ = writeln!(out, "{indent}{}", self.title);
        for line in explain::text(&self.plan).lines() {
            let _ = writeln!(out, "{indent}{INDENT}{line}");
        }
        for under in &self.under {
            out.push('\n');
            under.write_text(&format!("{indent}{INDENT}"), out);
        }
    }

    /// The outline as one picture in graphviz's language, a box around each plan.
    pub fn dot(&self) -> String {
        if self.under.is_empty() {
            return explain::dot(&self.plan);
        }
        let mut all = vec![];
        self.collect(&mut all);
        let mut out = String::from(explain::DOT_HEAD);
        for (number, outline) in all.iter().enumerate() {
            let title = explain::escaped(&outline.title);
            let _ = writeln!(out, "  subgraph cluster_{number} {{\n  label=\"{title}\";");
            out.push_str(&explain::dot_nodes(&outline.plan, &prefix(number)));
            out.push_str("  }\n");
        }
        let mut writers: BTreeMap<&str, String> = BTreeMap::new();
        for (number, outline) in all.iter().enumerate() {
            for (table, id) in written(&outline.plan) {
                writers.entry(table).or_insert_with(|| name(number, id));
            }
        }
        for (number, outline) in all.iter().enumerate() {
            for (table, id) in read(&outline.plan) {
                if let Some(writer) = writers.get(table) {
                    let reader = name(number, id);
                    let _ = writeln!(out, "  {writer} -> {reader} [style=dashed];");
                }
            }
        }
        out.push_str("}\n");
        out
    }

    /// The outline as JSON: the nodes of its plan, and what stands under it.
    pub fn json(&self) -> Value {
        let mut value = explain::json(&self.plan);
        if !self.under.is_empty() {
            let under = self.under.iter().map(|under| {
                let mut value = json!({"title": under.title});
                let fields = value.as_object_mut().expect("just made");
                fields.extend(under.json().as_object().cloned().unwrap_or_default());
                value
            });
            value["under"] = under.collect();
        }
        value
    }

    fn collect<'a>(&'a self, all: &mut Vec<&'a Outline>) {
        all.push(self);
        for under in &self.under {
            under.collect(all);
        }
    }
}

fn prefix(number: usize) -> String {
    match number {
        0 => String::new(),
        number => format!("p{number}_"),
    }
}

fn name(number: usize, id: NodeId) -> String {
    format!("{}n{}", prefix(number), id.0)
}

fn written(plan: &DataflowPlan) -> impl Iterator<Item = (&str, NodeId)> {
    plan.nodes.iter().filter_map(|node| match &node.operator {
        Operator::Sink(sink) => Some((sink.table.name.as_str(), node.id)),
        _ => None,
    })
}

fn read(plan: &DataflowPlan) -> impl Iterator<Item = (&str, NodeId)> {
    plan.nodes.iter().filter_map(|node| match &node.operator {
        Operator::Scan(scan) => Some((scan.table.as_str(), node.id)),
        Operator::Receive(receive) => Some((receive.topic.as_str(), node.id)),
        _ => None,
    })
}
