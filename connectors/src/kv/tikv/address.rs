//! The address of a TiKV cluster: `tikv://pd1:2379,pd2:2379[/KEYSPACE][?OPTION=VALUE&…]`.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `ca`, `cert`, `key` | PEM files for mutual TLS: all three or none | no TLS |
//! | `prefix` | what all keys begin with, so that several stores share a cluster | `unskewed` |
//! | `read_millis` | how long a read may take, tries and all | 2000 |
//! | `write_millis` | how long a write of at most a MiB of rows may take, tries and all | 30000 |
//!
//! Values are taken as they are written; so a file's name cannot hold `&`.

use std::path::PathBuf;
use std::time::Duration;

/// An address, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Hosts and ports of PD.
    pub(super) endpoints: Vec<String>,
    /// The keyspace (API v2); `None` for API v1.
    pub(super) keyspace: Option<String>,
    /// Certificate authority, certificate and private key.
    pub(super) security: Option<[PathBuf; 3]>,
    /// What all keys begin with.
    pub(super) prefix: String,
    /// The limit of a read.
    pub(super) read: Duration,
    /// The limit of a write.
    pub(super) write: Duration,
}

impl Address {
    /// Reads what stands behind `tikv://`; the problem, if it is none.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (place, options) = text.split_once('?').unwrap_or((text, ""));
        let (hosts, keyspace) = match place.split_once('/') {
            Some((hosts, "")) => (hosts, None),
            Some((_, keyspace)) if keyspace.contains('/') => {
                return Err("a keyspace has no / in its name");
            }
            Some((hosts, keyspace)) => (hosts, Some(keyspace.to_owned())),
            None => (place, None),
        };
        let endpoints: Vec<String> = hosts.split(',').map(str::to_owned).collect();
        if !endpoints.iter().all(|endpoint| is_endpoint(endpoint)) {
            return Err("wanted is tikv://HOST:PORT,HOST:PORT: the members of PD");
        }
        let mut address = Self {
            endpoints,
            keyspace,
            security: None,
            prefix: "unskewed".into(),
            read: Duration::from_secs(2),
            write: Duration::from_secs(30),
        };
        address.endpoints.sort();
        address.endpoints.dedup();
        let (mut ca, mut cert, mut key) = (None, None, None);
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("ca", file)) => ca = Some(PathBuf::from(file)),
                Some(("cert", file)) => cert = Some(PathBuf::from(file)),
                Some(("key", file)) => key = Some(PathBuf::from(file)),
                Some(("prefix", prefix)) if prefix.len() <= 255 => address.prefix = prefix.into(),
                Some(("prefix", _)) => return Err("its prefix has more than 255 bytes"),
                Some(("read_millis", millis)) => address.read = limit(millis)?,
                Some(("write_millis", millis)) => address.write = limit(millis)?,
                _ => {
                    return Err(
                        "its options are ca, cert, key, prefix, read_millis and write_millis",
                    );
                }
            }
        }
        address.security = match (ca, cert, key) {
            (None, None, None) => None,
            (Some(ca), Some(cert), Some(key)) => Some([ca, cert, key]),
            _ => return Err("TLS needs all of ca, cert and key"),
        };
        Ok(address)
    }

    /// What it is called in messages: without options.
    pub(super) fn name(&self) -> String {
        let keyspace = self.keyspace.as_deref();
        let keyspace = keyspace.map(|name| format!("/{name}")).unwrap_or_default();
        format!("tikv://{}{keyspace}", self.endpoints.join(","))
    }
}

fn is_endpoint(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_host = !host.is_empty() && !host.contains(['@', ' ']);
    is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn limit(millis: &str) -> Result<Duration, &'static str> {
    let millis = millis.parse::<u64>().ok();
    let millis = millis.filter(|millis| (1..=3_600_000).contains(millis));
    let limit = millis.map(Duration::from_millis);
    limit.ok_or("read_millis and write_millis are whole numbers from 1 to 3600000")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every part of an address is read; what is left out has its default.
    #[test]
    fn addresses_are_read() {
        let plain = Address::parse("pd:2379").unwrap();
        assert_eq!(
            (&plain.endpoints[..], &plain.keyspace, &plain.security),
            (&["pd:2379".to_owned()][..], &None, &None)
        );
        assert_eq!(
            (plain.read, plain.prefix.as_str()),
            (Duration::from_secs(2), "unskewed")
        );
        let text =
            "b:1,[::1]:2,b:1/ks?ca=/x/ca.pem&cert=c&key=k&prefix=p&read_millis=5&write_millis=7";
        let full = Address::parse(text).unwrap();
        assert_eq!(full.name(), "tikv://[::1]:2,b:1/ks");
        assert_eq!(
            full.security,
            Some(["/x/ca.pem".into(), "c".into(), "k".into()])
        );
        assert_eq!(full.prefix, "p");
        assert_eq!((full.read.as_millis(), full.write.as_millis()), (5, 7));
        assert_eq!(Address::parse("pd:2379/").unwrap().keyspace, None);
    }

    /// What cannot be meant is refused.
    #[test]
    fn wrong_addresses_are_refused() {
        let long = format!("pd:1?prefix={}", "x".repeat(256));
        for wrong in [
            "",
            "pd",
            "pd:",
            ":2379",
            "pd:0",
            "pd:port",
            "pd:1,",
            "user@pd:1",
            "pd:1/a/b",
            "pd:1?ca=x",
            "pd:1?ca=x&cert=y",
            "pd:1?read_millis=0",
            "pd:1?read_millis=soon",
            "pd:1?colour=red",
            "pd:1?prefix",
            &long,
        ] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }
}
