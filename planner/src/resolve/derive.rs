//! Derivations: computed columns with `*`, renames, and what is kept although not named.

use crate::expr::Expr;
use crate::logical::DerivationText;
use crate::schema::{Field, Schema};

use super::{Problems, bind};

/// Derivations of a group-by over its own columns.
pub(super) struct Projection<'a> {
    /// As written.
    pub(super) derivations: &'a [DerivationText],
    /// What they may read.
    pub(super) base: &'a Schema,
    /// Columns kept first if no derivation names them.
    pub(super) ensured: &'a [String],
    /// Where problems go.
    pub(super) problems: &'a mut Problems,
}

/// Name, text and path of every derived column: `*` expanded to the base values that no derivation renames.
pub(super) fn expanded(
    derivations: &[DerivationText],
    base_values: &[String],
) -> Vec<DerivationText> {
    let renamed = |name: &String| derivations.iter().any(|d| d.expression == *name);
    let kept: Vec<&String> = base_values.iter().filter(|name| !renamed(name)).collect();
    let mut all = Vec::new();
    for derivation in derivations {
        if derivation.name == "*" {
            all.extend(kept.iter().map(|name| DerivationText {
                name: (*name).clone(),
                expression: quoted(name),
                path: derivation.path.clone(),
            }));
        } else {
            all.push(derivation.clone());
        }
    }
    all
}

/// A column's name as an expression.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// All columns of a schema as they are.
pub(super) fn identity(base: &Schema) -> Vec<(Field, Expr)> {
    let column = |(index, field): (usize, &Field)| {
        (field.clone(), Expr::column(index, field.data_type.clone()))
    };
    base.fields.iter().enumerate().map(column).collect()
}

/// The derived columns of a group-by, ensured ones first.
pub(super) fn project(projection: Projection<'_>) -> Option<Vec<(Field, Expr)>> {
    let Projection {
        derivations,
        base,
        ensured,
        problems,
    } = projection;
    let names: Vec<String> = base.fields.iter().map(|field| field.name.clone()).collect();
    let derived = expanded(derivations, &names);
    let mut columns: Vec<(Field, Expr)> = Vec::new();
    for key in ensured {
        let named = derived.iter().any(|derivation| derivation.name == *key);
        if let (false, Some(index)) = (named, names.iter().position(|name| name == key)) {
            let field = base.fields[index].clone();
            let value = Expr::column(index, field.data_type.clone());
            columns.push((field, value));
        }
    }
    let before = problems.list.len();
    for derivation in &derived {
        if columns
            .iter()
            .any(|(field, _)| field.name == derivation.name)
        {
            let message = format!("column {:?} is derived twice", derivation.name);
            problems.error(&derivation.path, message);
        }
        let value = bind::expression(&derivation.expression, base, &derivation.path, problems);
        if let Some(value) = value {
            columns.push((Field::new(&derivation.name, value.data_type.clone()), value));
        }
    }
    (problems.list.len() == before).then_some(columns)
}
