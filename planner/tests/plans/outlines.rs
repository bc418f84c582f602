//! Outlines as text: a chain with the joins that come first, labels with the rows beside them. Held like plans.

use unskewed_planner::catalog::{Catalog, MemoryCatalog};
use unskewed_planner::definition::Definition;
use unskewed_planner::outline::{Outline, Run, outline};

use crate::support::{Case, cases};
use crate::{check, check_well_formed, text_of};

fn run(end: &str) -> Run {
    Run {
        start: None,
        end: end.parse().unwrap(),
        intermediate_tables: true,
    }
}

fn case(name: &str) -> Case {
    let mut found = cases(&[name]);
    found.retain(|case| case.name == name);
    found.remove(0)
}

fn definition(case: &Case, file: &str) -> Definition {
    let mut definitions = case.definitions.iter();
    let found = definitions.find(|(name, _)| name.ends_with(file));
    found.unwrap().1.clone()
}

fn outlined(definitions: &[Definition], end: &str, catalog: &dyn Catalog) -> Outline {
    let found = outline(definitions, &run(end), catalog);
    let found = found.unwrap_or_else(|problems| panic!("{}", text_of(&problems)));
    well_formed(&found);
    found
}

fn well_formed(outline: &Outline) {
    check_well_formed(&outline.title, &outline.plan);
    outline.under.iter().for_each(well_formed);
}

/// The tables that nobody writes: everything else is not there yet.
fn sources(catalog: &MemoryCatalog) -> MemoryCatalog {
    let mut sources = catalog.clone();
    sources.tables.retain(|name, _| !name.starts_with("feat."));
    sources
}

/// A chain and labels show every run, from sources alone as well as over what was written before.
#[test]
fn chains_and_labels_are_as_held() {
    for (name, file, end) in [
        ("join_chained_source", "joins/alpha/j.v1", "2024-03-04"),
        ("join_labels", "joins/alpha/j.v1", "2024-03-05"),
        ("join_labels_agg", "joins/alpha/j.v1", "2024-03-05"),
    ] {
        let case = case(name);
        let definitions = [definition(&case, file)];
        let outline = outlined(&definitions, end, &sources(&case.catalog));
        check(&format!("{name}.outline"), &outline.text());
        outlined(&definitions, end, &case.catalog);
    }
}

fn titles(outline: &Outline) -> Vec<&str> {
    let under = outline.under.iter().flat_map(titles);
    std::iter::once(outline.title.as_str())
        .chain(under)
        .collect()
}

/// What the picture and the JSON show is what the text does; tables lead from plan to plan.
#[test]
fn pictures_and_json_show_the_same() {
    let case = case("join_chained_source");
    let definitions = [definition(&case, "joins/alpha/j.v1")];
    let outline = outlined(&definitions, "2024-03-04", &sources(&case.catalog));
    assert_eq!(outline.under.len(), 1);
    let parent = &outline.under[0];
    let dot = outline.dot();
    for title in titles(&outline) {
        assert!(dot.contains(title), "{title} in {dot}");
    }
    assert_eq!(dot.matches("[style=dashed]").count(), 1, "{dot}");
    assert_eq!(dot.matches('{').count(), dot.matches('}').count(), "{dot}");
    let json = outline.json();
    let under = &json["under"][0];
    assert_eq!(
        json["nodes"].as_array().unwrap().len(),
        outline.plan.nodes.len()
    );
    assert_eq!(
        under["nodes"].as_array().unwrap().len(),
        parent.plan.nodes.len()
    );
    assert_eq!(under["title"], parent.title.as_str());
    assert!(under.get("under").is_none());
}

/// A parent that several definitions read stands in the outline once, up to the last day that any asks of it.
#[test]
fn a_parent_stands_once() {
    let case = case("join_chained_source");
    let join = definition(&case, "joins/alpha/j.v1");
    let Definition::Join(mut other) = join.clone() else {
        panic!("a join");
    };
    other.meta_data.name = Some("alpha.other.v1".into());
    let both = [join, Definition::Join(other)];
    let outline = outlined(&both, "2024-03-04", &sources(&case.catalog));
    let titles = titles(&outline);
    assert_eq!(titles.len(), 2, "{titles:?}");
    assert!(titles[0].contains("alpha.j.v1") && titles[0].contains("alpha.other.v1"));
    assert!(
        titles[1].starts_with("first join alpha.parent.v1"),
        "{titles:?}"
    );
}
