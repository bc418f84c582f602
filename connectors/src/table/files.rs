//! Where a table keeps what is not data, and what the parts of a file's name say.
//!
//! Promises: staged files and locks lie beside the tables, in hidden folders of the database, so a
//! reader that lists a table never meets them.

use std::hash::{BuildHasher, Hasher};

use super::layout::TableName;

/// Sixteen hexadecimal digits that nobody else has drawn; never part of an answer.
pub(crate) fn unique_id() -> String {
    use std::hash::RandomState;
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("{:016x}", hasher.finish())
}

impl TableName {
    /// Where this table's writers stage files.
    pub(super) fn staging_folder(&self) -> String {
        format!("{}.db/_staging/{}", self.database, self.name)
    }

    pub(super) fn properties_file(&self) -> String {
        format!("{}/_properties.json", self.folder())
    }
}

/// The name of a part on a disk, where a whole folder is moved in.
pub(super) fn local_part(part: u32) -> String {
    format!("part-{part:05}.zstd.parquet")
}

/// The name of a part in an object store, where the writer's id tells which commit it belongs to.
pub(super) fn object_part(part: u32, id: &str) -> String {
    format!("part-{part:05}-{id}.zstd.parquet")
}

/// The id in a part's name, if it was written by us into an object store.
pub(super) fn id_of_part(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("part-")?;
    let (number, rest) = rest.split_once('-')?;
    let id = rest.strip_suffix(".zstd.parquet")?;
    let plain = number.len() >= 5 && number.bytes().all(|b| b.is_ascii_digit());
    (plain && is_id(id)).then_some(id)
}

fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A commit in an object store: the object whose creation made it so. The latest sequence number
/// holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Marker {
    pub(super) sequence: u64,
    pub(super) id: String,
    pub(super) file_count: usize,
}

impl Marker {
    pub(super) fn name(&self) -> String {
        format!(
            "_committed-{:08}-{}-{}",
            self.sequence, self.file_count, self.id
        )
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix("_committed-")?.split('-');
        let sequence = parts.next()?.parse().ok()?;
        let file_count = parts.next()?.parse().ok()?;
        let id = parts.next().filter(|id| is_id(id))?.to_owned();
        parts.next().is_none().then_some(Self {
            sequence,
            id,
            file_count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names say what they were made of, and foreign names say nothing.
    #[test]
    fn names_round_trip() {
        let id = unique_id();
        assert_ne!(id, unique_id());
        assert_eq!(id_of_part(&object_part(7, &id)), Some(id.as_str()));
        assert_eq!(id_of_part(&local_part(7)), None);
        assert_eq!(id_of_part("part-00000-c000.snappy.parquet"), None);
        let marker = Marker {
            sequence: 12,
            id,
            file_count: 3,
        };
        assert_eq!(Marker::parse(&marker.name()), Some(marker));
        assert_eq!(Marker::parse("_committed-x-1-2"), None);
        assert_eq!(Marker::parse("_SUCCESS"), None);
    }
}
