//! The order in which the reference renders the columns of a query: that of the hash map it keeps them in.
//!
//! Rows that pass through into an upload are stored by position, so the order is part of the format. Up to four entries
//! a map of Scala 2.12 keeps insertion order; beyond, its entries stand by five bits of their mixed hash after the
//! other. Fills are inserted first, then selects as they stand in the file, which is how the reference reads them.
//! Source: `Map.scala` and `HashMap.scala` of that release.

/// The order of an immutable Scala map of these insertions; a name that comes again keeps its place.
pub(super) fn of_map<'a>(inserted: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for name in inserted {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.len() > 4 {
        names.sort_by_key(|name| trie_path(hash_code(name)));
    }
    names
}

/// `String.hashCode`.
fn hash_code(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash: u32, unit| {
        hash.wrapping_mul(31).wrapping_add(u32::from(unit))
    })
}

/// The mixed hash, five bits a level, lowest first.
fn trie_path(hash: u32) -> [u32; 7] {
    let mut mixed = hash.wrapping_add(!(hash << 9));
    mixed ^= mixed >> 14;
    mixed = mixed.wrapping_add(mixed << 4);
    mixed ^= mixed >> 10;
    std::array::from_fn(|level| (mixed >> (5 * level)) & 31)
}

#[cfg(test)]
mod tests {
    use super::of_map;

    fn order<'a>(names: &[&'a str]) -> Vec<&'a str> {
        of_map(names.iter().copied())
    }

    /// The orders of recorded uploads: a trie, and maps small enough to keep insertion order.
    #[test]
    fn orders_of_recorded_uploads() {
        let found = order(&["ds", "user", "user", "amount", "category", "li"]);
        assert_eq!(found, ["li", "ds", "amount", "category", "user"]);
        let found = order(&["ds", "user", "user", "grade", "category"]);
        assert_eq!(found, ["ds", "user", "grade", "category"]);
    }

    /// The order of a map of Scala 2.12.18: hashes that share their first five bits, or all of them, and names beyond
    /// ASCII.
    #[test]
    fn order_of_a_deep_trie() {
        let found = order(&["Aa", "BB", "C", "D", "E", "F"]);
        assert_eq!(found, ["E", "F", "Aa", "BB", "C", "D"]);
        let found = order(&[
            "ds",
            "ts",
            "user",
            "größe",
            "日本",
            "price_cents",
            "qty",
            "last_seen",
            "is_active",
            "score",
            "plan",
            "region",
            "signup_day",
            "n_items",
            "a",
            "b",
            "c",
            "d",
            "e",
        ]);
        let expected = [
            "e",
            "is_active",
            "日本",
            "signup_day",
            "ts",
            "score",
            "a",
            "größe",
            "ds",
            "price_cents",
            "b",
            "qty",
            "region",
            "c",
            "n_items",
            "last_seen",
            "user",
            "plan",
            "d",
        ];
        assert_eq!(found, expected);
    }
}
