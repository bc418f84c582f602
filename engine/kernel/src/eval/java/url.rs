//! `parse_url` (java.net.URI's split), `url_encode` and `url_decode`.

use super::regex::JavaRegex;

/// Part of a URL that `parse_url` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Spark's own words")]
pub enum UrlPart {
    Host,
    Path,
    Query,
    Reference,
    Protocol,
    File,
    Authority,
    UserInfo,
}

impl UrlPart {
    /// The part of a name, which is written in capitals.
    pub fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "HOST" => Self::Host,
            "PATH" => Self::Path,
            "QUERY" => Self::Query,
            "REF" => Self::Reference,
            "PROTOCOL" => Self::Protocol,
            "FILE" => Self::File,
            "AUTHORITY" => Self::Authority,
            "USERINFO" => Self::UserInfo,
            _ => return None,
        })
    }
}

/// A URL taken apart; parts stay as they are escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url<'t> {
    protocol: Option<&'t str>,
    authority: Option<&'t str>,
    user_info: Option<&'t str>,
    host: Option<&'t str>,
    path: Option<&'t str>,
    query: Option<&'t str>,
    fragment: Option<&'t str>,
}

const MARKS: &str = "_-!.~'()*";
const PUNCTUATION: &str = ",;:$&+=";

/// Whether all characters are allowed: letters, digits, marks, the extra ones, escapes, and what is
/// not ASCII.
fn legal(text: &str, extra: &str) -> bool {
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let fine = match c {
            '%' => (0..2).all(|_| rest.next().is_some_and(|h| h.is_ascii_hexdigit())),
            c if c.is_ascii() => {
                c.is_ascii_alphanumeric() || MARKS.contains(c) || extra.contains(c)
            }
            c => !c.is_control() && !c.is_whitespace(),
        };
        if !fine {
            return false;
        }
    }
    true
}

impl<'t> Url<'t> {
    /// Takes a URL apart as `java.net.URI` does; nothing if it is malformed.
    pub fn parse(text: &'t str) -> Option<Self> {
        let mut url = Self::default();
        let (before, fragment) = match text.split_once('#') {
            Some((before, fragment)) => (before, Some(fragment)),
            None => (text, None),
        };
        let uric = format!("{PUNCTUATION}?/[]@");
        if fragment.is_some_and(|f| !legal(f, &uric)) {
            return None;
        }
        url.fragment = fragment;
        let scheme_end = before.find([':', '/', '?']);
        let mut rest = before;
        if let Some(at) = scheme_end.filter(|at| before.as_bytes()[*at] == b':') {
            let scheme = &before[..at];
            let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
            if !valid {
                return None;
            }
            url.protocol = Some(scheme);
            rest = &before[at + 1..];
            if !rest.starts_with('/') {
                // Opaque: no parts but the scheme and the fragment.
                return (!rest.is_empty() && legal(rest, &uric)).then_some(url);
            }
        }
        let (before_query, query) = match rest.split_once('?') {
            Some((before, query)) => (before, Some(query)),
            None => (rest, None),
        };
        if query.is_some_and(|q| !legal(q, &uric)) {
            return None;
        }
        url.query = query;
        let mut path = before_query;
        if let Some(after) = before_query.strip_prefix("//") {
            let end = after.find('/').unwrap_or(after.len());
            path = &after[end..];
            if end > 0 {
                url.set_authority(&after[..end])?;
            } else if path.is_empty() && query.is_none() {
                return None;
            }
        }
        if !legal(path, &format!("{PUNCTUATION}/@")) {
            return None;
        }
        url.path = Some(path);
        Some(url)
    }

    fn set_authority(&mut self, authority: &'t str) -> Option<()> {
        self.authority = Some(authority);
        let (user_info, server) = match authority.split_once('@') {
            Some((user_info, server)) => (Some(user_info), server),
            None => (None, authority),
        };
        let (host, port) = if server.starts_with('[') {
            let end = server.find(']')?;
            let (host, port) = server.split_at(end + 1);
            (
                host,
                port.strip_prefix(':')
                    .or(if port.is_empty() { Some("") } else { None })?,
            )
        } else {
            server.split_once(':').unwrap_or((server, ""))
        };
        let label = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        let labels: Vec<&str> = host.strip_suffix('.').unwrap_or(host).split('.').collect();
        let address = labels.len() == 4 && labels.iter().all(|l| l.parse::<u8>().is_ok());
        let named = labels.iter().all(|l| label(l))
            && labels
                .last()
                .is_some_and(|l| l.starts_with(|c: char| c.is_ascii_alphabetic()));
        let server_based = (host.starts_with('[') || address || named)
            && port.bytes().all(|b| b.is_ascii_digit())
            && user_info.is_none_or(|u| legal(u, PUNCTUATION));
        if server_based {
            self.user_info = user_info;
            self.host = Some(host);
            return Some(());
        }
        // An authority of another kind is kept whole, without a host.
        legal(authority, &format!("{PUNCTUATION}@[]")).then_some(())
    }

    /// One part.
    pub fn part(&self, part: UrlPart) -> Option<String> {
        let owned = |part: Option<&str>| part.map(str::to_owned);
        match part {
            UrlPart::Host => owned(self.host),
            UrlPart::Path => owned(self.path),
            UrlPart::Query => owned(self.query),
            UrlPart::Reference => owned(self.fragment),
            UrlPart::Protocol => owned(self.protocol),
            UrlPart::Authority => owned(self.authority),
            UrlPart::UserInfo => owned(self.user_info),
            UrlPart::File => match (self.path, self.query) {
                (Some(path), Some(query)) => Some(format!("{path}?{query}")),
                (path, _) => owned(path),
            },
        }
    }

    /// The first value of a key in the query; the key is part of a regular expression.
    pub fn query_value(&self, key: &str) -> Option<String> {
        let query = self.query?;
        let pattern = JavaRegex::new(&format!("(&|^){key}=([^&]*)")).ok()?;
        let found = pattern.find(query).ok()??;
        found.group(query, 2).map(str::to_owned)
    }
}

/// `application/x-www-form-urlencoded`.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// The inverse of [`encode`]; nothing if an escape is malformed.
pub fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digits = std::str::from_utf8(&digits)
                    .ok()
                    .filter(|d| !d.starts_with('+'))?;
                out.push(u8::from_str_radix(digits, 16).ok()?);
            }
            other => out.push(other),
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let url =
            Url::parse("http://user:pw@example.com:8080/p/a/t.html?query=1&k=v%20w#frag").unwrap();
        for (name, expected) in [
            ("HOST", "example.com"),
            ("PATH", "/p/a/t.html"),
            ("QUERY", "query=1&k=v%20w"),
            ("REF", "frag"),
            ("PROTOCOL", "http"),
            ("FILE", "/p/a/t.html?query=1&k=v%20w"),
            ("AUTHORITY", "user:pw@example.com:8080"),
            ("USERINFO", "user:pw"),
        ] {
            assert_eq!(
                url.part(UrlPart::of_name(name).unwrap()).as_deref(),
                Some(expected),
                "{name}"
            );
        }
        assert_eq!(url.query_value("k").as_deref(), Some("v%20w"));
        assert_eq!(url.query_value("q"), None);
        assert!(Url::parse("http://a b/c").is_none());
        assert!(Url::parse("back\\slash").is_none());
        assert_eq!(
            Url::parse("hello").unwrap().part(UrlPart::Path).as_deref(),
            Some("hello")
        );
        assert_eq!(Url::parse("mailto:a@b").unwrap().part(UrlPart::Path), None);
        assert_eq!(
            Url::parse("http://a_b/c").unwrap().part(UrlPart::Host),
            None
        );
    }

    #[test]
    fn codes() {
        assert_eq!(encode("héllo w*"), "h%C3%A9llo+w*");
        assert_eq!(decode("a%20b+c%C3%A9").as_deref(), Some("a b cé"));
        assert_eq!(decode("%zz"), None);
        assert_eq!(decode("%2"), None);
    }
}
