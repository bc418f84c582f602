//! The order in which the reference renders the columns of a query: that of the hash maps it keeps them in.
//!
//! Rows that pass through into an upload are stored by position, so the order is part of the format. Up to four entries
//! a map of Scala 2.12 keeps insertion order; beyond, its entries stand by five bits of their mixed hash after the
//! other. What is inserted comes from a `java.util.HashMap` sized for twice its entries. Source: `HashMap.scala` and
//! `HashMap.java` of those releases.

/// The order of fills overridden by selects.
pub(super) fn rendered_order(fills: &[&str], selects: &[&str]) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    for name in fills.iter().copied().chain(immutable(&java(selects))) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    immutable(&names).into_iter().map(str::to_owned).collect()
}

/// The order of an immutable Scala map of these insertions.
fn immutable<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    if names.len() > 4 {
        names.sort_by_key(|name| trie_path(hash_code(name)));
    }
    names
}

/// The order of a Java hash map of these insertions.
fn java<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let buckets = (names.len() * 2).max(1).next_power_of_two() as u32;
    let bucket = |name: &&str| {
        let hash = hash_code(name);
        (hash ^ (hash >> 16)) & (buckets - 1)
    };
    let mut names = names.to_vec();
    names.sort_by_key(bucket);
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
    use super::rendered_order;

    /// The order of a recorded upload, and a map small enough to keep insertion order.
    #[test]
    fn order_of_a_recorded_upload() {
        let selects = ["user", "amount", "category", "li"];
        let order = rendered_order(&["ds", "user"], &selects);
        assert_eq!(order, ["li", "ds", "amount", "category", "user"]);
        let order = rendered_order(&["ds", "user"], &["user", "amount"]);
        assert_eq!(order, ["ds", "user", "amount"]);
    }
}
