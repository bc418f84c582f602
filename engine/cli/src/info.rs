//! `unskewed info`: what a definition is, without a look at any table.
//!
//! Promises: reads the definition only; every table that a job on it reads or writes is named.

use std::fmt::Write as _;

use unskewed_planner::definition::{Definition, GroupBy, Join, Source};
use unskewed_planner::naming::{TableSuffix, output_table, part_table};

/// The definition in lines of a word and what it is.
pub(crate) fn text(definition: &Definition) -> String {
    let meta_data = definition.meta_data();
    let mut info = Info::default();
    let kind = match definition {
        Definition::GroupBy(_) => "group-by",
        Definition::Join(_) => "join",
        Definition::StagingQuery(_) => "staging query",
    };
    info.line("kind", Some(kind));
    info.line("name", meta_data.name.as_deref());
    info.line("team", meta_data.team.as_deref());
    info.line("about", meta_data.description.as_deref());
    info.line("schedule", meta_data.offline_schedule.as_deref());
    info.line(
        "served",
        meta_data
            .online
            .map(|online| if online { "yes" } else { "no" }),
    );
    match definition {
        Definition::GroupBy(group_by) => of_group_by(&mut info, group_by),
        Definition::Join(join) => of_join(&mut info, join),
        Definition::StagingQuery(query) => info.line("query", Some(query.query.as_str())),
    }
    info.line("writes", output_table(meta_data).as_deref());
    if let Definition::Join(join) = definition {
        for part in join.parts() {
            info.line("writes", part_table(join, part).as_deref());
        }
        info.line("writes", TableSuffix::Bootstrap.table(meta_data).as_deref());
    }
    info.text
}

#[derive(Default)]
struct Info {
    text: String,
}

impl Info {
    fn line(&mut self, word: &str, value: Option<&str>) {
        if let Some(value) = value {
            let _ = writeln!(self.text, "{word:<11} {value}");
        }
    }

    fn source(&mut self, word: &str, source: &Source) {
        let mut text = match source {
            Source::Events(events) => events.table.clone(),
            Source::Entities(entities) => {
                let mutations = entities.mutation_table.as_deref();
                let mutations = mutations.map(|table| format!(", mutations {table}"));
                format!(
                    "{}{}",
                    entities.snapshot_table,
                    mutations.unwrap_or_default()
                )
            }
            Source::JoinSource(parent) => format!("join {}", parent.join.name()),
        };
        if let Some(topic) = source.topic() {
            let _ = write!(text, ", topic {topic}");
        }
        self.line(word, Some(&text));
    }
}

fn of_group_by(info: &mut Info, group_by: &GroupBy) {
    for source in &group_by.sources {
        info.source("reads", source);
    }
    info.line("keys", Some(&group_by.key_columns.join(", ")));
    for aggregation in group_by.aggregations().unwrap_or_default() {
        let windows = aggregation.windows.iter().flatten();
        let windows: Vec<String> = windows
            .map(|window| {
                window
                    .to_window()
                    .suffix()
                    .trim_start_matches('_')
                    .to_owned()
            })
            .collect();
        let over = match windows.is_empty() {
            true => String::new(),
            false => format!(" over {}", windows.join(", ")),
        };
        let text = format!(
            "{}({}){over}",
            aggregation.operation, aggregation.input_column
        );
        info.line("aggregates", Some(&text));
    }
    for derivation in group_by.derivations() {
        let text = format!("{} = {}", derivation.name, derivation.expression);
        info.line("derives", Some(&text));
    }
}

fn of_join(info: &mut Info, join: &Join) {
    info.source("left", &join.left);
    info.line("keys", Some(&join.left_key_columns().join(", ")));
    for part in join.parts() {
        let name = part.group_by.meta_data.name.as_deref().unwrap_or_default();
        info.line("part", Some(name));
        for source in &part.group_by.sources {
            info.source("  reads", source);
        }
    }
    for part in join.external_parts() {
        info.line("external", part.source.metadata.name.as_deref());
    }
    for part in join.bootstrap_parts.iter().flatten() {
        info.line("bootstraps", Some(&part.table));
    }
    for derivation in join.derivations() {
        let text = format!("{} = {}", derivation.name, derivation.expression);
        info.line("derives", Some(&text));
    }
}
