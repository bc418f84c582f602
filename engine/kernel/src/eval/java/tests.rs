//! No text makes a routine panic, and LIKE agrees with its plain meaning. Seeded loops over texts
//! made of the characters that mean something to each routine.

use super::date_pattern::DatePattern;
use super::decimal_format::DecimalFormat;
use super::formatter::{self, FormatArgument};
use super::json::path::JsonPath;
use super::json::{JsonSyntax, parse};
use super::like::LikePattern;
use super::regex::JavaRegex;
use super::url::{self, Url, UrlPart};
use super::{encode, text};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }

    fn text(&mut self, alphabet: &str, longest: usize) -> String {
        let alphabet: Vec<char> = alphabet.chars().collect();
        let length = self.below(longest + 1);
        (0..length)
            .map(|_| alphabet[self.below(alphabet.len())])
            .collect()
    }
}

#[test]
fn patterns_and_formats_never_panic() {
    let mut random = Random(1);
    for _ in 0..600 {
        let pattern = random.text("ab()[]{}|?*+.^$\\d\\w0123,:<=!>-&pLQE é😀i", 12);
        let subject = random.text("ab01 é😀\n\r-", 8);
        if let Ok(regex) = JavaRegex::new(&pattern) {
            drop(regex.find_all(&subject));
            drop(regex.replace_all(&subject, &random.text("a$1\\{}", 5)));
            drop(regex.split(&subject, random.below(5) as i32 - 1));
        }
        let pattern = random.text("#0,.;%'E-$é", 8);
        if let Ok(format) = DecimalFormat::parse(&pattern) {
            format.format_double(f64::from_bits(random.0.rotate_left(17)));
            format.format_decimal(i128::from(random.0) * 1000, random.below(38) as i32);
        }
        let pattern = random.text("%sdfxegcb-+#(0, .1234$<n%é", 10);
        let number = f64::from_bits(random.0.rotate_left(9));
        let arguments = [
            FormatArgument::Integer(random.0 as i64, 64),
            FormatArgument::Floating(number, super::number::double_to_string(number)),
            FormatArgument::Other("é😀".into(), "UTF8String"),
            FormatArgument::Null,
        ];
        drop(formatter::format(&pattern, &arguments));
        let pattern = random.text("yMdHhmsSaEDwWFuzZXGkK'-: ", 10);
        if let Ok(pattern) = DatePattern::parse(&pattern) {
            let micros = (random.0 as i64).rotate_left(20);
            let written = pattern.format(micros);
            pattern.parse_micros(&written);
            pattern.parse_micros(&random.text("0123456789-:+ TZAPMayé", 14));
        }
    }
}

#[test]
fn readers_never_panic() {
    let mut random = Random(2);
    for _ in 0..4_000 {
        let json = random.text("{}[]\"':,\\u00e9truefalsn -+.123E é😀\n", 16);
        drop(parse(&json, JsonSyntax::SCHEMA));
        drop(parse(&json, JsonSyntax::PATH));
        if let Some(path) = JsonPath::parse(&random.text("$.[]*'a0é ", 8)) {
            path.find(&json);
        }
        let link = random.text("http://a.b:80@[]?x=1&y#%20é ", 16);
        if let Some(url) = Url::parse(&link) {
            url.part(UrlPart::Host);
            url.query_value("x");
        }
        url::decode(&link);
        encode::unbase64(&link);
        encode::unhex(&link);
        encode::convert_base(&link, random.below(40) as i32, random.below(80) as i32 - 40);
        let (a, b) = (random.text("abé😀,.", 8), random.text("aé.", 3));
        let number = random.below(14) as i32 - 7;
        text::substring(&a, number, random.below(9) as i32 - 2);
        text::substring_index(&a, &b, number);
        text::overlay(&a, &b, number, random.below(9) as i32 - 2);
        text::locate(&b, &a, number);
        text::pad(&a, number, &b, true);
        text::initcap(&a);
        text::soundex(&a);
    }
}

/// LIKE by its definition: each token tried at each place.
fn like_plainly(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('%', rest)) => (0..=text.len()).any(|skip| like_plainly(rest, &text[skip..])),
        Some((wanted, rest)) => match text.split_first() {
            Some((c, left)) if *wanted == '_' || wanted == c => like_plainly(rest, left),
            _ => false,
        },
    }
}

#[test]
fn like_is_what_it_means() {
    let mut random = Random(3);
    for _ in 0..4_000 {
        let pattern = random.text("ab%_é", 7);
        let text = random.text("abé", 7);
        let compiled = LikePattern::parse(&pattern, '\\').expect("no escape in it");
        let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
        assert_eq!(
            compiled.matches(&text),
            like_plainly(&p, &t),
            "{pattern} {text}"
        );
    }
}
