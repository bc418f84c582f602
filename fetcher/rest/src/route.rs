//! What a method and a path ask for.

use hyper::Method;
use percent_encoding::percent_decode_str;

/// What is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Join,
    GroupBy,
}

impl Kind {
    fn of(word: &str) -> Option<Self> {
        match word {
            "join" => Some(Self::Join),
            "groupby" => Some(Self::GroupBy),
            _ => None,
        }
    }
}

/// How features are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// By name, as JSON.
    Named,
    /// As one Avro datum, in Base64.
    Datum,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Features {
        kind: Kind,
        form: Form,
        name: String,
        /// As of when; now when absent.
        at_millis: Option<i64>,
    },
    Schema {
        kind: Kind,
        name: String,
    },
    /// The names of joins.
    Joins,
    Ping,
    Health,
    Ready,
    Config,
    Metrics,
}

/// A method and path that ask for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoRoute {
    /// There is nothing of the path.
    Unknown,
    /// There is, by this method.
    Method(Method),
    /// The name is no UTF-8.
    Name,
    /// A parameter that is not known, or of another form.
    Parameter(String),
}

impl Route {
    /// The route of a request. A name's slashes may be escaped or not.
    pub(crate) fn of(method: &Method, path: &str, query: Option<&str>) -> Result<Self, NoRoute> {
        let words: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let name = |words: &[&str]| {
            let name = words.join("/");
            let decoded = percent_decode_str(&name).decode_utf8();
            decoded
                .map(|name| name.into_owned())
                .map_err(|_| NoRoute::Name)
        };
        let (route, wanted) = match words[..] {
            ["ping"] => (Self::Ping, Method::GET),
            ["health"] => (Self::Health, Method::GET),
            ["ready"] => (Self::Ready, Method::GET),
            ["config"] => (Self::Config, Method::GET),
            ["metrics"] => (Self::Metrics, Method::GET),
            ["v1", "joins"] => (Self::Joins, Method::GET),
            ["v1", "features" | "fetch", kind, _, ..] | ["v2", "fetch", kind @ "join", _, ..] => {
                let kind = Kind::of(kind).ok_or(NoRoute::Unknown)?;
                let features = Self::Features {
                    kind,
                    form: if words[0] == "v2" {
                        Form::Datum
                    } else {
                        Form::Named
                    },
                    name: name(&words[3..])?,
                    at_millis: query.map(at_millis).transpose()?,
                };
                (features, Method::POST)
            }
            ["v1", kind, _, .., "schema"] => {
                let kind = Kind::of(kind).ok_or(NoRoute::Unknown)?;
                let name = name(&words[2..words.len() - 1])?;
                (Self::Schema { kind, name }, Method::GET)
            }
            _ => return Err(NoRoute::Unknown),
        };
        if *method == wanted {
            Ok(route)
        } else {
            Err(NoRoute::Method(wanted))
        }
    }

    /// Its name in metrics and logs; the names of features are not in it.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Features {
                form: Form::Datum, ..
            } => "fetch_v2_join",
            Self::Features {
                kind: Kind::Join, ..
            } => "features_join",
            Self::Features {
                kind: Kind::GroupBy,
                ..
            } => "features_groupby",
            Self::Schema { .. } => "schema",
            Self::Joins => "joins",
            Self::Ping => "ping",
            Self::Health => "health",
            Self::Ready => "ready",
            Self::Config => "config",
            Self::Metrics => "metrics",
        }
    }

    /// Whether it is answered without a token: probes carry none.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Ping | Self::Health | Self::Ready)
    }
}

/// The time in `at_millis=T`.
fn at_millis(query: &str) -> Result<i64, NoRoute> {
    let value = query.strip_prefix("at_millis=");
    let millis = value.and_then(|value| value.parse().ok());
    millis.ok_or_else(|| NoRoute::Parameter(query.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both families, names with slashes in either form, and what is no route.
    #[test]
    fn routes() {
        let features = |kind, name: &str| {
            Ok(Route::Features {
                kind,
                form: Form::Named,
                name: name.into(),
                at_millis: None,
            })
        };
        let post = |path: &str| Route::of(&Method::POST, path, None);
        let get = |path: &str| Route::of(&Method::GET, path, None);
        assert_eq!(
            post("/v1/features/join/team%2Fj.v1"),
            features(Kind::Join, "team/j.v1")
        );
        assert_eq!(
            post("/v1/fetch/join/team/j.v1"),
            features(Kind::Join, "team/j.v1")
        );
        assert_eq!(
            post("/v1/fetch/groupby/team.g"),
            features(Kind::GroupBy, "team.g")
        );
        let datum = Route::Features {
            kind: Kind::Join,
            form: Form::Datum,
            name: "team/j.v1".into(),
            at_millis: None,
        };
        assert_eq!(post("/v2/fetch/join/team%2Fj.v1"), Ok(datum));
        assert_eq!(post("/v2/fetch/groupby/team.g"), Err(NoRoute::Unknown));
        assert_eq!(get("/v1/joins"), Ok(Route::Joins));
        assert_eq!(post("/v1/features/table/x"), Err(NoRoute::Unknown));
        assert_eq!(post("/v1/features/join/%ff"), Err(NoRoute::Name));
        assert_eq!(
            get("/v1/features/join/x"),
            Err(NoRoute::Method(Method::POST))
        );
        let schema = get("/v1/join/team%2Fj.v1/schema");
        assert_eq!(
            schema,
            Ok(Route::Schema {
                kind: Kind::Join,
                name: "team/j.v1".into()
            })
        );
        assert_eq!(get("/ping"), Ok(Route::Ping));
        assert_eq!(get("/"), Err(NoRoute::Unknown));
        let at = |query| Route::of(&Method::POST, "/v1/features/join/j", Some(query));
        let Ok(Route::Features { at_millis, .. }) = at("at_millis=-5") else {
            panic!("it is a route");
        };
        assert_eq!(at_millis, Some(-5));
        assert_eq!(at("at=5"), Err(NoRoute::Parameter("at=5".into())));
    }
}
