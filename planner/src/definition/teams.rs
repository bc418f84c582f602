//! `teams.json`: what teams share. Open by nature (schedulers keep their own settings there), so unknown keys are
//! kept and only the types of known ones are checked.

use serde_json::{Map, Value};

use crate::diagnostic::Diagnostic;

use super::wire::{OrderedMap, Reader, Wire, child};
use super::{Dialect, json};

/// One team, or the defaults of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Team {
    /// Database of its tables.
    pub namespace: Option<String>,
    /// Properties put on its tables.
    pub table_properties: OrderedMap<String>,
    /// Environment of every mode.
    pub common_env: OrderedMap<String>,
    /// Environment name (`production`, `dev`) to mode to variables.
    pub environments: OrderedMap<OrderedMap<OrderedMap<String>>>,
    /// Everything else, as written.
    pub other: Map<String, Value>,
}

/// All teams of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Teams {
    /// The teams in the order of the file; `default` among them.
    pub teams: OrderedMap<Team>,
}

impl Teams {
    /// Reads `teams.json`; every problem at once.
    pub fn load(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let tree = json::parse(text).map_err(|problem| vec![problem])?;
        let mut reader = Reader::new(Dialect::default());
        let teams = OrderedMap::<Team>::read(&tree, "", &mut reader);
        match teams {
            Some(teams) if reader.problems.is_empty() => Ok(Self { teams }),
            _ => Err(reader.problems),
        }
    }

    /// The database of a team: its own, else the default one's.
    pub fn namespace(&self, team: &str) -> Option<&str> {
        let own = |name| {
            self.teams
                .get(name)
                .and_then(|team: &Team| team.namespace.as_deref())
        };
        own(team).or_else(|| own("default"))
    }

    /// A variable of a mode, looked up as the launcher does: the team's environment, the team's production, the
    /// default production, the common environment.
    pub fn variable(&self, team: &str, environment: &str, mode: &str, name: &str) -> Option<&str> {
        let mode = if mode.contains("streaming") {
            "streaming"
        } else {
            mode
        };
        let in_mode = |team: &str, environment: &str| {
            let team: &Team = self.teams.get(team)?;
            team.environments.get(environment)?.get(mode)?.get(name)
        };
        in_mode(team, environment)
            .or_else(|| in_mode(team, "production"))
            .or_else(|| in_mode("default", "production"))
            .or_else(|| self.teams.get("default")?.common_env.get(name))
            .map(String::as_str)
    }
}

impl Wire for Team {
    fn read(value: &Value, path: &str, reader: &mut Reader) -> Option<Self> {
        let Value::Object(fields) = value else {
            reader.report(Diagnostic::error(path, "a team is an object"));
            return None;
        };
        let mut team = Self::default();
        for (name, value) in fields {
            let at = child(path, name);
            match name.as_str() {
                "namespace" => team.namespace = Some(Wire::read(value, &at, reader)?),
                "table_properties" => team.table_properties = Wire::read(value, &at, reader)?,
                "common_env" => team.common_env = Wire::read(value, &at, reader)?,
                "production" | "dev" => {
                    let environment = Wire::read(value, &at, reader)?;
                    team.environments.0.push((name.clone(), environment));
                }
                _ => {
                    team.other.insert(name.clone(), value.clone());
                }
            }
        }
        Some(team)
    }

    fn write(&self) -> Value {
        let mut object = self.other.clone();
        if let Some(namespace) = &self.namespace {
            object.insert("namespace".into(), namespace.as_str().into());
        }
        object.insert("table_properties".into(), self.table_properties.write());
        object.insert("common_env".into(), self.common_env.write());
        for (name, environment) in self.environments.iter() {
            object.insert(name.into(), environment.write());
        }
        Value::Object(object)
    }
}
