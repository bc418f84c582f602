//! A row as stores of bytes keep it: two numbers (its time and its expiry), then the value.
//!
//! Every row carries its expiry, so an answer does not depend on when a store gets round to removing it.

/// The numbers before the value.
pub(super) const HEAD_BYTES: usize = 16;

/// A row as it is stored.
pub(super) fn packed(value: &[u8], millis: i64, expires_millis: Option<i64>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + value.len());
    bytes.extend(millis.to_be_bytes());
    bytes.extend(expires_millis.unwrap_or(i64::MAX).to_be_bytes());
    bytes.extend(value);
    bytes
}

/// Two numbers and the rest.
pub(super) fn unpacked(bytes: &[u8]) -> Option<(i64, i64, &[u8])> {
    let (head, value) = bytes.split_at_checked(HEAD_BYTES)?;
    let (first, second) = head.split_at(HEAD_BYTES / 2);
    let number = |bytes: &[u8]| bytes.try_into().ok().map(i64::from_be_bytes);
    Some((number(first)?, number(second)?, value))
}
