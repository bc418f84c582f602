//! Regular expressions against answers of Java.

use super::*;

fn regex(pattern: &str) -> JavaRegex {
    JavaRegex::new(pattern).unwrap()
}

fn all(pattern: &str, text: &str) -> Vec<String> {
    let matches = regex(pattern).find_all(text).unwrap();
    matches
        .iter()
        .map(|m| m.group(text, 0).unwrap().to_owned())
        .collect()
}

#[test]
fn finds_what_java_finds() {
    for (pattern, text, expected) in [
        ("[a-z]+", "Hello World", vec!["ello", "orld"]),
        ("x*", "axb", vec!["", "x", "", ""]),
        (r"\w+", "naïve", vec!["na", "ve"]),
        (r"\d", "1٣", vec!["1"]),
        ("(?i)straße", "STRAßE straße", vec!["STRAßE", "straße"]),
        ("(?i)é", "É é", vec!["é"]),
        ("(?iu)é", "É é", vec!["É", "é"]),
        ("a.c", "a\nc abc", vec!["abc"]),
        ("(?s)a.c", "a\nc", vec!["a\nc"]),
        ("c$", "abc\n", vec!["c"]),
        ("c\\z", "abc\n", vec![]),
        ("(?m)^.", "ab\ncd\n", vec!["a", "c"]),
        ("(?m).$", "ab\r\ncd", vec!["b", "d"]),
        ("a(?=b)", "abac", vec!["a"]),
        ("(?<!a)b", "abcb", vec!["b"]),
        (r"(a)\1", "aaa", vec!["aa"]),
        (r"(?<x>a)\k<x>", "aa", vec!["aa"]),
        ("a++b", "aaab", vec!["aaab"]),
        ("(?>a*)a", "aaa", vec![]),
        ("[a-z&&[^bc]]+", "abcd", vec!["a", "d"]),
        ("[a[0-9]]+", "a1b2", vec!["a1", "2"]),
        ("[^a-c[0-9]]+", "a1d2e", vec!["d", "e"]),
        ("[]a]+", "]a", vec!["]a"]),
        ("[a-]+", "a-b", vec!["a-"]),
        (r"[\w-]+", "a-b c", vec!["a-b", "c"]),
        (r"\Qa.b\E+", "a.bb axb", vec!["a.bb"]),
        (r"\p{Alpha}+\p{L}", "abé", vec!["abé"]),
        (r"\p{IsGreek}+|\p{javaUpperCase}", "αβ A", vec!["αβ", "A"]),
        (r"\x41\u0042\x{43}\0104", "ABCD", vec!["ABCD"]),
        ("(?x) a b # c\n c", "abc", vec!["abc"]),
        ("(?i:a)B", "AB Ab", vec!["AB"]),
        ("a{2,3}?", "aaaa", vec!["aa", "aa"]),
        (r"\bb", "éb b", vec!["b"]),
        ("[[:alpha:]]", "a:", vec!["a", ":"]),
        ("~|#", "~#", vec!["~", "#"]),
        ("[~~]+", "~~", vec!["~~"]),
        ("[a--]", "a-", vec![]),
    ] {
        if pattern == "[a--]" {
            assert!(JavaRegex::new(pattern).is_err());
            continue;
        }
        assert_eq!(all(pattern, text), expected, "{pattern}");
    }
}

#[test]
fn refuses_what_java_refuses() {
    for pattern in [
        "(", ")", "*a", "a**", "[a", "[z-a]", "a{", "a{2,1}", r"\", r"\y", "(?<1>a)", "(?z)",
        r"\k<n>",
    ] {
        let error = JavaRegex::new(pattern).unwrap_err();
        assert!(
            matches!(error, RegexError::Invalid { .. }),
            "{pattern}: {error}"
        );
    }
    for pattern in [r"\G", r"\p{InGreek}", r"\X"] {
        let error = JavaRegex::new(pattern).unwrap_err();
        assert!(
            matches!(error, RegexError::Unsupported { .. }),
            "{pattern}: {error}"
        );
    }
}

#[test]
fn replaces() {
    for (pattern, text, replacement, expected) in [
        (r"(\w)(\d)", "a1b2", "$2$1", "1a2b"),
        (r"(\w+)", "Hello World", "<$1>", "<Hello> <World>"),
        (r"\s", "a b", r"\$", "a$b"),
        ("^", "abc", "x", "xabc"),
        ("(a)", "a", "$10", "a0"),
        ("(?<n>b)", "abc", "[${n}]", "a[b]c"),
        ("(x)|(o)", "o", "[$1]", "[]"),
        ("", "ab", "-", "-a-b-"),
    ] {
        assert_eq!(
            regex(pattern).replace_all(text, replacement).unwrap(),
            expected,
            "{pattern}"
        );
    }
    let error = regex("a").replace_all("a", "$3").unwrap_err();
    assert_eq!(
        error,
        RegexError::NoSuchGroup {
            group: "3".into(),
            count: 0
        }
    );
    assert!(regex("a").replace_all("a", "$").is_err());
    assert!(regex("a").replace_all("a", r"\").is_err());
    assert_eq!(regex("a").replace_all("b", "$").unwrap(), "b");
}

#[test]
fn splits() {
    for (pattern, text, limit, expected) in [
        (",", "a,b,,", -1, vec!["a", "b", "", ""]),
        (",", "a,b,,", 2, vec!["a", "b,,"]),
        (",", "a,b", 1, vec!["a,b"]),
        (",", ",a", -1, vec!["", "a"]),
        ("|", "hello", -1, vec!["h", "e", "l", "l", "o", ""]),
        ("(?=b)", "abc", -1, vec!["a", "bc"]),
        ("x", "abc", -1, vec!["abc"]),
        ("o|l", "hello", -1, vec!["he", "", "", ""]),
        ("", "", -1, vec![""]),
    ] {
        assert_eq!(
            regex(pattern).split(text, limit).unwrap(),
            expected,
            "{pattern} {text}"
        );
    }
}
