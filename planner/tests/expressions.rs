//! Expressions: what is refused and how it is said, and that no text breaks the parser.

use proptest::prelude::*;
use unskewed_planner::expr::{
    ExprKind, Literal, Scope, Selected, bind, bind_select, parse, parse_data_type,
};
use unskewed_planner::schema::{DataType, Field, Schema};

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("i", DataType::Int),
        Field::new("s", DataType::String),
        Field::new("d", DataType::Date),
        Field::new("dc", DataType::Decimal(10, 2)),
        Field::new("ai", DataType::array(DataType::Int)),
        Field::new("m", DataType::map(DataType::String, DataType::Int)),
        Field::new("st", DataType::Struct(vec![Field::new("x", DataType::Int)])),
    ])
}

fn type_of(text: &str) -> String {
    let bound = parse(text).and_then(|ast| bind(&ast, &schema()));
    match bound {
        Ok(expr) => expr.data_type.to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn types_are_those_of_spark() {
    for (text, wanted) in [
        ("i + 1", "int"),
        ("i / 2", "double"),
        ("i DIV 2", "bigint"),
        ("10 DIV 3 * 2", "bigint"),
        ("dc * dc", "decimal(21,4)"),
        ("dc / 3", "decimal(14,6)"),
        ("s + 1", "double"),
        ("d - INTERVAL 1 DAY", "date"),
        ("d + INTERVAL 2 HOURS", "timestamp"),
        ("CASE WHEN i > 0 THEN 1 ELSE 'x' END", "string"),
        ("transform(ai, x -> x + 0.5)", "array<decimal(12,1)>"),
        ("st.X", "int"),
        ("m['a']", "int"),
        ("m.a", "int"),
        ("(i, s)", "struct<i:int,s:string>"),
        ("exists(ai, x -> x = i)", "boolean"),
        ("s LIKE ANY ('a%', 'b%')", "boolean"),
        ("year(d)", "int"),
        ("'a' 'b'", "string"),
        (
            "INTERVAL '1 2:03:04' DAY TO SECOND",
            "interval day to second",
        ),
    ] {
        assert_eq!(type_of(text), wanted, "{text}");
    }
}

#[test]
fn all_problems_are_told_at_once_with_their_places() {
    assert_eq!(
        type_of("concat(nosuch, uper(s),\n  i + m)"),
        "line 1 column 8: unknown column nosuch; \
         line 1 column 16: unknown function uper; did you mean upper?; \
         line 2 column 3: + cannot take int and map<string,int>"
    );
    assert_eq!(
        type_of("i ="),
        "line 1 column 4: expected an expression, found the end of the expression"
    );
    assert_eq!(
        type_of("i::string"),
        "line 1 column 2: Spark 3.5 has no '::': write CAST(… AS …)"
    );
    assert_eq!(
        type_of("st.z"),
        "line 1 column 1: no field z; did you mean x?"
    );
    assert_eq!(
        type_of("explode(ai)"),
        "line 1 column 1: explode makes rows: it may only stand at the top of a select"
    );
}

#[test]
fn names_that_differ_in_case_only_are_ambiguous() {
    let schema = Schema::new(vec![
        Field::new("a", DataType::Int),
        Field::new("A", DataType::Int),
    ]);
    let error = bind(&parse("a").unwrap(), &schema).unwrap_err();
    assert_eq!(error.problems[0].message, "column a is ambiguous");
}

#[test]
fn generators_stand_at_the_top_of_a_select() {
    let schema = schema();
    let scope = Scope {
        schema: Some(&schema),
        relation: None,
    };
    let Selected::Generator(generator) =
        bind_select(&parse("posexplode_outer(m)").unwrap(), &scope).unwrap()
    else {
        panic!("a generator");
    };
    assert!(generator.outer);
    let names: Vec<&str> = generator.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["pos", "key", "value"]);
}

#[test]
fn the_least_integers_can_be_written() {
    let expr = bind(&parse("-9223372036854775808").unwrap(), &schema()).unwrap();
    assert_eq!(expr.kind, ExprKind::Literal(Literal::Integer(i64::MIN)));
}

#[test]
fn nesting_is_bounded() {
    for deep in [
        "(".repeat(100_000),
        "-".repeat(100_000).replace("--", "- -"),
        "NOT ".repeat(100_000),
        format!("1{}", "+1".repeat(100_000)),
        "CASE WHEN ".repeat(50_000),
        "array(".repeat(50_000),
        "x -> ".repeat(50_000),
        format!("a{}", "[0]".repeat(50_000)),
    ] {
        assert!(parse(&deep).is_err());
    }
    assert!(parse_data_type(&"array<".repeat(100_000)).is_err());
    let wide = vec!["i = 1"; 5_000].join(" OR ");
    assert!(bind(&parse(&wide).unwrap(), &schema()).is_ok());
}

const PIECES: [&str; 62] = [
    "i",
    "s",
    "d",
    "dc",
    "ai",
    "m",
    "st",
    "st.x",
    "ai[0]",
    "m['a']",
    "1",
    "2L",
    "1.5",
    "1e3",
    "'a'",
    "''",
    "NULL",
    "TRUE",
    "DATE'2024-02-29'",
    "INTERVAL 1 DAY",
    "X'1F'",
    "(",
    ")",
    "[",
    "]",
    ",",
    ".",
    "+",
    "-",
    "*",
    "/",
    "%",
    "DIV",
    "||",
    "=",
    "<=>",
    "<",
    ">=",
    "!=",
    "!",
    "~",
    "&",
    "^",
    "|",
    "AND",
    "OR",
    "NOT",
    "IN",
    "BETWEEN",
    "LIKE",
    "RLIKE",
    "IS",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST(",
    "AS INT)",
    "x ->",
    "transform(",
    "concat(",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Any text is parsed and bound, or refused within its bounds.
    #[test]
    fn no_text_breaks_the_parser(text in ".{0,60}") {
        try_text(&text);
    }

    /// Nearly right texts go further.
    #[test]
    fn no_sequence_of_tokens_breaks_the_binder(
        pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..14)
    ) {
        try_text(&pieces.join(" "));
    }
}

fn try_text(text: &str) {
    match parse(text).and_then(|ast| bind(&ast, &schema())) {
        Ok(_) => {}
        Err(error) => {
            assert!(!error.problems.is_empty());
            for problem in &error.problems {
                assert!(problem.span.start <= problem.span.end && problem.span.end <= text.len());
                assert!(text.is_char_boundary(problem.span.start), "{text:?}");
            }
            let _text = error.to_string();
        }
    }
    let _type = parse_data_type(text);
}
