//! A registry that answers what a test says.

use super::*;
use crate::stream::form::sample::Answers;

fn registry(url: &str) -> Registry {
    Registry::open(&address(url)).unwrap()
}

fn address(url: &str) -> RegistryAddress {
    RegistryAddress {
        url: url.into(),
        user: None,
        password_variable: None,
    }
}

/// Schemas are found by id and subject, after those they refer to, each once.
#[test]
fn schemas_and_references() {
    let answers = Answers::of(&[
        ("/schemas/ids/7", 200, r#"{"schema":"\"int\""}"#),
        (
            "/subjects/a%2Fb-value/versions/latest",
            200,
            r#"{"id":9,"schema":"main","references":[{"name":"X","subject":"x","version":2},
                {"name":"Y","subject":"y","version":1}]}"#,
        ),
        (
            "/subjects/x/versions/2",
            200,
            r#"{"schema":"x","references":[{"name":"Y","subject":"y","version":1}]}"#,
        ),
        ("/subjects/y/versions/1", 200, r#"{"schema":"y"}"#),
        (
            "/schemas/ids/8",
            404,
            r#"{"error_code":40403,"message":"Schema not found"}"#,
        ),
    ]);
    let registry = registry(&answers.url());
    assert_eq!(registry.schema(7).unwrap(), Some(vec!["\"int\"".into()]));
    assert_eq!(registry.schema(8).unwrap(), None);
    let latest = registry.latest("a/b-value").unwrap().unwrap();
    assert_eq!(latest, ["y", "x", "main"]);
}

/// A fault of the registry is waited out; one that stays is an error that may pass.
#[test]
fn a_registry_in_trouble() {
    let answers = Answers::of(&[
        ("/schemas/ids/1", 503, ""),
        ("/schemas/ids/1", 429, ""),
        ("/schemas/ids/1", 200, r#"{"schema":"s"}"#),
        ("/schemas/ids/2", 500, "no"),
    ]);
    let registry = registry(&answers.url());
    assert_eq!(registry.schema(1).unwrap(), Some(vec!["s".into()]));
    let error = registry.schema(2).unwrap_err();
    assert_eq!(error.retry(), Retry::Backoff);
    assert!(error.to_string().contains("in vain"), "{error}");
    drop(answers);
    let error = registry.schema(1).unwrap_err();
    assert_eq!(error.retry(), Retry::Backoff);
}

/// What is no registry is told apart from what it does not know.
#[test]
fn no_registry() {
    let answers = Answers::of(&[
        ("/schemas/ids/1", 404, "<html>"),
        ("/schemas/ids/2", 200, "<html>"),
        ("/schemas/ids/3", 401, ""),
        ("/schemas/ids/4", 200, "{}"),
    ]);
    let registry = registry(&answers.url());
    for (id, told) in [
        (1, "is it a registry?"),
        (2, "is it a registry?"),
        (3, "401"),
        (4, "without a schema"),
    ] {
        let error = registry.schema(id).unwrap_err();
        assert_eq!(error.retry(), Retry::Never);
        assert!(error.to_string().contains(told), "{error}");
    }
}

/// Wrong addresses are told without being repeated.
#[test]
fn wrong_addresses() {
    for (url, told) in [
        ("host:8081", "http://"),
        ("https://host", "proxy"),
        ("http://me:secret@host", "registry_user"),
        ("nothing at all", "no address"),
    ] {
        let error = Registry::open(&address(url)).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(told) && !text.contains("secret"), "{text}");
    }
    let unset = RegistryAddress {
        url: "http://host".into(),
        user: Some("me".into()),
        password_variable: Some("UNSKEWED_NO_SUCH_PASSWORD".into()),
    };
    let error = Registry::open(&unset).unwrap_err();
    assert!(
        error.to_string().contains("UNSKEWED_NO_SUCH_PASSWORD"),
        "{error}"
    );
}

/// Who asks is told in the header that HTTP has for it.
#[test]
fn basic_login() {
    // A variable that is set wherever tests run stands for the password.
    let path = std::env::var("PATH").unwrap();
    let answers = Answers::of(&[("/schemas/ids/1", 200, r#"{"schema":"s"}"#)]);
    let registry = Registry::open(&RegistryAddress {
        url: answers.url(),
        user: Some("me".into()),
        password_variable: Some("PATH".into()),
    });
    registry.unwrap().schema(1).unwrap();
    let wanted = format!("Basic {}", STANDARD.encode(format!("me:{}", path.trim())));
    let heard = answers.heard();
    assert!(
        heard.iter().any(|request| request.contains(&wanted)),
        "{heard:?}"
    );
}
