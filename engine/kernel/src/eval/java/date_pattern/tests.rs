//! Date patterns against answers of Java.

use super::*;

const TIME: i64 = 1_709_210_096_789_012;

#[test]
fn formats_as_java() {
    for (pattern, text) in [
        ("yyyy-MM-dd", "2024-02-29"),
        ("yy", "24"),
        ("yyy", "2024"),
        ("yyyyy", "02024"),
        ("MMM MMMM L", "Feb February 2"),
        ("EEE EEEE u", "Thu Thursday 4"),
        ("h hh k K a", "12 12 12 0 PM"),
        ("S SS SSS SSSSSS", "789 789 789 000789"),
        (
            "z zzzz Z X XX XXX",
            "UTC Coordinated Universal Time +0000 Z Z Z",
        ),
        ("D DDD W F w YYYY G", "60 060 5 5 9 2024 AD"),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2024-02-29T12:34:56.789Z"),
        ("''yyyy''", "'2024'"),
        ("", ""),
    ] {
        assert_eq!(
            DatePattern::parse(pattern).unwrap().format(TIME),
            text,
            "{pattern}"
        );
    }
    let eve = DatePattern::parse("YYYY w W yyyy-ww S").unwrap();
    assert_eq!(eve.format(-1), "1970 1 5 1969-01 999");
    assert_eq!(
        DatePattern::parse_fast("SSSSSS").unwrap().format(TIME),
        "789012"
    );
}

#[test]
fn refuses_patterns_that_java_refuses() {
    use DatePatternError::{IllegalCharacter, IsoOffset, UnterminatedQuote};
    assert_eq!(DatePattern::parse("Q"), Err(IllegalCharacter('Q')));
    assert_eq!(DatePattern::parse("bad"), Err(IllegalCharacter('b')));
    assert_eq!(DatePattern::parse("'literal"), Err(UnterminatedQuote));
    assert_eq!(DatePattern::parse("XXXX"), Err(IsoOffset(4)));
}

#[test]
fn parses_as_java() {
    const DAY: i64 = 86_400_000_000;
    for (pattern, text, expected) in [
        ("yyyy-MM-dd", "2024-02-29", Some(19_782 * DAY)),
        ("yyyyMMdd", "20240229", Some(19_782 * DAY)),
        ("yyyy-MM-dd", "2024-02-30", None),
        ("yyyy-MM-dd", "2024-2-3", Some(19_756 * DAY)),
        ("yyyy-MM-dd", "2024-02-29 extra", Some(19_782 * DAY)),
        ("dd MMM yyyy", "29 Feb 2024", Some(19_782 * DAY)),
        ("dd MMM yyyy", "29 FEBRUARY 2024", Some(19_782 * DAY)),
        ("yy-MM-dd", "24-02-29", Some(19_782 * DAY)),
        ("yy-MM-dd", "99-02-28", Some(10_650 * DAY)),
        ("yyyy-DDD", "2024-060", Some(19_782 * DAY)),
        ("yyyy-MM-dd", "", None),
        ("yyyy-MM", "2024-02-29", Some(19_754 * DAY)),
        ("yyyy-MM-dd HH:mm:ss", "2024-02-29 10:11:60", None),
        (
            "yyyy-MM-dd HH:mm:ss.SSSSSS",
            "2024-02-29 10:11:12.123456",
            None,
        ),
        (
            "yyyy-MM-dd HH:mm:ss.SSS",
            "2024-02-29 10:11:12.5",
            Some(1_709_201_472_005_000),
        ),
        (
            "yyyy-MM-dd hh:mm a",
            "2024-02-29 10:11 PM",
            Some(1_709_244_660_000_000),
        ),
        (
            "yyyy-MM-dd'T'HH:mm:ssZ",
            "2024-02-29T10:11:12+0530",
            Some(1_709_181_672_000_000),
        ),
        (
            "yyyy-MM-dd'T'HH:mm:ssXXX",
            "2024-02-29T10:11:12+05:30",
            Some(1_709_181_672_000_000),
        ),
        (
            "yyyy-MM-dd HH:mm:ss z",
            "2024-02-29 10:11:12 PST",
            Some(1_709_230_272_000_000),
        ),
        ("EEE yyyy-MM-dd", "Thu 2024-02-29", Some(19_782 * DAY)),
        ("EEE yyyy-MM-dd", "Fri 2024-02-29", None),
        ("HH:mm", "24:00", None),
        ("kk:mm", "24:00", Some(0)),
    ] {
        assert_eq!(
            DatePattern::parse(pattern).unwrap().parse_micros(text),
            expected,
            "{pattern} {text}"
        );
    }
}

#[test]
fn formats_read_back() {
    let pattern = DatePattern::parse("G yyyy MM dd DDD EEE ww HH:mm:ss.SSS Z").unwrap();
    let mut seed = 3i64;
    for _ in 0..2000 {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let micros = (seed >> 8) / 1000 * 1000;
        let text = pattern.format(micros);
        let days = micros.div_euclid(86_400_000_000);
        if (-141_437..-141_427).contains(&days) {
            continue;
        }
        let read = pattern.parse_micros(&text);
        // A leap day of one calendar alone, or a week that belongs to the next year, does not read
        // back.
        if read.is_some() {
            assert_eq!(read, Some(micros), "{text}");
        }
    }
}
