//! Aggregate functions: names, arguments and types by Spark's rules.
//!
//! **Adding one touches** [`typed`] here, its name in [`NAMES`], and its state in the engine's `sql/aggregate/`.

use super::tree::{Aggregate, AggregateFunction, Moment, PairStatistic};
use crate::expr::coerce::{Takes, bounded_decimal, is_integral, is_orderable};
use crate::expr::{Expr, ExprKind, Literal};
use crate::schema::{DataType, IntervalField};

const NAMES: [&str; 57] = [
    "any",
    "any_value",
    "approx_count_distinct",
    "approx_percentile",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "collect_list",
    "collect_set",
    "corr",
    "count",
    "count_if",
    "covar_pop",
    "covar_samp",
    "every",
    "first",
    "first_value",
    "kurtosis",
    "last",
    "last_value",
    "max",
    "max_by",
    "mean",
    "median",
    "min",
    "min_by",
    "mode",
    "percentile",
    "percentile_approx",
    "percentile_cont",
    "percentile_disc",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "skewness",
    "some",
    "std",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "sum",
    "try_avg",
    "try_sum",
    "var_pop",
    "var_samp",
    "variance",
    "histogram_numeric",
];

/// Aggregates of Spark that are refused by name.
const REFUSED: [&str; 1] = ["histogram_numeric"];

/// True if the name is an aggregate's.
pub(crate) fn is_aggregate(name: &str) -> bool {
    NAMES.contains(&name)
}

/// The names, for hints.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter().filter(|name| !REFUSED.contains(name))
}

/// A call of an aggregate, its arguments typed.
pub(crate) struct Call<'a> {
    pub(crate) name: &'a str,
    pub(crate) arguments: Vec<Expr>,
    pub(crate) distinct: bool,
    pub(crate) filter: Option<Expr>,
    /// `WITHIN GROUP (ORDER BY expression)`, and whether it falls.
    pub(crate) within: Option<(Expr, bool)>,
    pub(crate) ignore_nulls: bool,
}

type Typed = Result<Aggregate, String>;

/// Types a call.
pub(crate) fn typed(mut call: Call<'_>) -> Typed {
    let name = call.name;
    if REFUSED.contains(&name) {
        return Err(format!("the aggregate {name} is not supported"));
    }
    if call.within.is_some() && !matches!(name, "percentile_cont" | "percentile_disc") {
        return Err(format!("{name} has no WITHIN GROUP"));
    }
    if call.ignore_nulls
        && !matches!(
            name,
            "first" | "first_value" | "last" | "last_value" | "any_value"
        )
    {
        return Err(format!("{name} has no IGNORE NULLS"));
    }
    match name {
        "count" => count(call),
        "count_if" => {
            call.exactly(1)?;
            call.take(0, &Takes::Type(DataType::Boolean))?;
            let yes = Expr::literal(Literal::Boolean(true), DataType::Boolean);
            let condition = call.arguments.remove(0);
            let kind = ExprKind::Case {
                branches: vec![(condition, yes)],
                otherwise: None,
            };
            call.arguments = vec![Expr::new(DataType::Boolean, kind)];
            call.make(AggregateFunction::Count, DataType::Long)
        }
        "sum" | "try_sum" => sum(call),
        "avg" | "mean" | "try_avg" => average(call),
        "min" | "max" => extreme(call),
        "first" | "first_value" | "any_value" | "last" | "last_value" => end_value(call),
        "collect_list" | "array_agg" => {
            call.exactly(1)?;
            let data_type = DataType::array(call.argument_type(0));
            call.make(AggregateFunction::CollectList, data_type)
        }
        "collect_set" => {
            call.exactly(1)?;
            let element = call.argument_type(0);
            if has_map(&element) {
                return Err(format!("collect_set cannot take {element}"));
            }
            call.make(AggregateFunction::CollectSet, DataType::array(element))
        }
        "min_by" | "max_by" => extreme_by(call),
        "bool_and" | "every" | "bool_or" | "some" | "any" => {
            call.exactly(1)?;
            call.take(0, &Takes::Type(DataType::Boolean))?;
            let and = matches!(name, "bool_and" | "every");
            let function = match and {
                true => AggregateFunction::BoolAnd,
                false => AggregateFunction::BoolOr,
            };
            call.make(function, DataType::Boolean)
        }
        "bit_and" | "bit_or" | "bit_xor" => bits(call),
        "mode" => {
            call.exactly(1)?;
            let data_type = call.argument_type(0);
            call.make(AggregateFunction::Mode, data_type)
        }
        "percentile" | "median" | "percentile_cont" | "percentile_disc" => percentile(call),
        "percentile_approx" | "approx_percentile" => approximate_percentile(call),
        "approx_count_distinct" => approximate_count(call),
        _ => statistic(call),
    }
}

fn has_map(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(..) => true,
        DataType::Array(element) => has_map(element),
        DataType::Struct(fields) => fields.iter().any(|f| has_map(&f.data_type)),
        _ => false,
    }
}

impl Call<'_> {
    fn argument_type(&self, index: usize) -> DataType {
        self.arguments[index].data_type.clone()
    }

    fn exactly(&self, count: usize) -> Result<(), String> {
        self.between(count, count)
    }

    fn between(&self, least: usize, most: usize) -> Result<(), String> {
        let found = self.arguments.len();
        if (least..=most).contains(&found) {
            return Ok(());
        }
        let wanted = match least == most {
            true => least.to_string(),
            false => format!("{least} to {most}"),
        };
        Err(format!(
            "{} takes {wanted} arguments, not {found}",
            self.name
        ))
    }

    fn take(&mut self, index: usize, takes: &Takes) -> Result<(), String> {
        let from = self.argument_type(index);
        let Some(to) = takes.implicit(&from) else {
            return Err(format!(
                "argument {} of {} must be {}, this is {from}",
                index + 1,
                self.name,
                takes.describe()
            ));
        };
        let argument = self.arguments[index].clone();
        self.arguments[index] = argument.cast(&to);
        Ok(())
    }

    fn make(self, function: AggregateFunction, data_type: DataType) -> Typed {
        Ok(Aggregate {
            function,
            arguments: self.arguments,
            distinct: self.distinct,
            filter: self.filter,
            data_type,
        })
    }

    /// A constant number, taken out of the arguments.
    fn constants(&mut self, index: usize) -> Result<(Vec<f64>, bool), String> {
        let fail = || {
            Err(format!(
                "argument {} of {} must be a constant number or an array of them",
                index + 1,
                self.name
            ))
        };
        let expr = self.arguments[index].clone();
        let (items, array) = match &expr.kind {
            ExprKind::Call {
                function: "array",
                arguments,
            } => (arguments.clone(), true),
            _ => (vec![expr], false),
        };
        let mut values = Vec::new();
        for item in &items {
            match constant(item) {
                Some(value) => values.push(value),
                None => return fail(),
            }
        }
        self.arguments.remove(index);
        Ok((values, array))
    }

    fn fractions(&mut self, index: usize) -> Result<(Vec<f64>, bool), String> {
        let (fractions, array) = self.constants(index)?;
        if fractions.is_empty() || fractions.iter().any(|f| !(0.0..=1.0).contains(f)) {
            return Err(format!(
                "the fractions of {} lie between 0 and 1",
                self.name
            ));
        }
        Ok((fractions, array))
    }
}

/// The value of a constant number, through casts.
fn constant(expr: &Expr) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "as Spark reads a constant")]
    match (&expr.kind, &expr.data_type) {
        (ExprKind::Literal(Literal::Integer(value)), _) => Some(*value as f64),
        (ExprKind::Literal(Literal::Double(value)), _) => Some(*value),
        (ExprKind::Literal(Literal::Decimal(value)), DataType::Decimal(_, scale)) => {
            // By way of text, which rounds once.
            format!("{value}e-{scale}").parse().ok()
        }
        (ExprKind::Literal(Literal::String(text)), _) => text.trim().parse().ok(),
        (ExprKind::Cast(input), _) => constant(input),
        _ => None,
    }
}

fn count(call: Call<'_>) -> Typed {
    if call.distinct && call.arguments.is_empty() {
        return Err("count(DISTINCT *) needs columns".into());
    }
    call.make(AggregateFunction::Count, DataType::Long)
}

fn interval_type(data_type: &DataType) -> Option<DataType> {
    use IntervalField::{Day, Month, Second, Year};
    match data_type {
        DataType::DayTimeInterval(..) => Some(DataType::DayTimeInterval(Day, Second)),
        DataType::YearMonthInterval(..) => Some(DataType::YearMonthInterval(Year, Month)),
        _ => None,
    }
}

fn sum(mut call: Call<'_>) -> Typed {
    call.exactly(1)?;
    if interval_type(&call.argument_type(0)).is_some() {
        return Err("sum of intervals is not supported".into());
    }
    call.take(0, &Takes::Numeric)?;
    let data_type = match call.argument_type(0) {
        DataType::Decimal(p, s) => bounded_decimal(i32::from(p) + 10, i32::from(s)),
        integral if is_integral(&integral) => DataType::Long,
        _ => DataType::Double,
    };
    let function = match call.name {
        "try_sum" => AggregateFunction::TrySum,
        _ => AggregateFunction::Sum,
    };
    call.make(function, data_type)
}

fn average(mut call: Call<'_>) -> Typed {
    call.exactly(1)?;
    if interval_type(&call.argument_type(0)).is_some() {
        return Err("avg of intervals is not supported".into());
    }
    call.take(0, &Takes::Numeric)?;
    let data_type = match call.argument_type(0) {
        DataType::Decimal(p, s) => bounded_decimal(i32::from(p) + 4, i32::from(s) + 4),
        _ => DataType::Double,
    };
    call.make(AggregateFunction::Average, data_type)
}

fn extreme(mut call: Call<'_>) -> Typed {
    call.exactly(1)?;
    // Twice the same value changes nothing.
    call.distinct = false;
    let data_type = call.argument_type(0);
    if !is_orderable(&data_type) {
        return Err(format!("values of {data_type} cannot be compared"));
    }
    let function = match call.name {
        "min" => AggregateFunction::Min,
        _ => AggregateFunction::Max,
    };
    call.make(function, data_type)
}

fn end_value(mut call: Call<'_>) -> Typed {
    call.between(1, 2)?;
    let mut ignore_nulls = call.ignore_nulls;
    if call.arguments.len() == 2 {
        match call.arguments.remove(1).as_literal() {
            Some(Literal::Boolean(ignore)) => ignore_nulls |= ignore,
            _ => return Err(format!("argument 2 of {} must be true or false", call.name)),
        }
    }
    let data_type = call.argument_type(0);
    let function = match call.name.starts_with("last") {
        true => AggregateFunction::Last { ignore_nulls },
        false => AggregateFunction::First { ignore_nulls },
    };
    call.make(function, data_type)
}

fn extreme_by(call: Call<'_>) -> Typed {
    call.exactly(2)?;
    let order = call.argument_type(1);
    if !is_orderable(&order) {
        return Err(format!("values of {order} cannot be compared"));
    }
    let data_type = call.argument_type(0);
    let function = match call.name {
        "min_by" => AggregateFunction::MinBy,
        _ => AggregateFunction::MaxBy,
    };
    call.make(function, data_type)
}

fn bits(mut call: Call<'_>) -> Typed {
    call.exactly(1)?;
    call.take(0, &Takes::Integral)?;
    let data_type = call.argument_type(0);
    let function = match call.name {
        "bit_and" => AggregateFunction::BitAnd,
        "bit_or" => AggregateFunction::BitOr,
        _ => AggregateFunction::BitXor,
    };
    call.make(function, data_type)
}

fn percentile(mut call: Call<'_>) -> Typed {
    let name = call.name;
    let (fractions, array, mut descending) = match (name, call.within.take()) {
        ("median", None) => {
            call.exactly(1)?;
            (vec![0.5], false, false)
        }
        ("percentile", None) => {
            call.between(2, 3)?;
            let (fractions, array) = call.fractions(1)?;
            if call.arguments.len() == 2 {
                call.take(1, &Takes::Integral)?;
                let counts = call.arguments.remove(1);
                call.arguments.push(counts.cast(&DataType::Long));
            }
            (fractions, array, false)
        }
        ("percentile_cont" | "percentile_disc", Some((expr, descending))) => {
            call.exactly(1)?;
            let (fractions, array) = call.fractions(0)?;
            call.arguments = vec![expr];
            (fractions, array, descending)
        }
        _ => return Err(format!("{name} needs WITHIN GROUP (ORDER BY …)")),
    };
    let discrete = name == "percentile_disc";
    call.take(0, &Takes::Numeric)?;
    call.arguments[0] = call.arguments[0].clone().cast(&DataType::Double);
    let mut fractions = fractions;
    if descending && !discrete {
        fractions.iter_mut().for_each(|f| *f = 1.0 - *f);
        descending = false;
    }
    let data_type = match array {
        true => DataType::array(DataType::Double),
        false => DataType::Double,
    };
    let function = AggregateFunction::Percentile {
        fractions,
        array,
        discrete,
        descending,
    };
    call.make(function, data_type)
}

fn approximate_percentile(mut call: Call<'_>) -> Typed {
    call.between(2, 3)?;
    let mut accuracy = 10_000;
    if call.arguments.len() == 3 {
        match call.arguments.remove(2).as_literal() {
            Some(Literal::Integer(value)) if (1..=i64::from(i32::MAX)).contains(value) => {
                accuracy = *value;
            }
            _ => return Err("the accuracy must be a positive constant integer".into()),
        }
    }
    let (fractions, array) = call.fractions(1)?;
    let from = call.argument_type(0);
    let ordered = matches!(
        from,
        DataType::Date | DataType::Timestamp | DataType::TimestampNtz
    ) || interval_type(&from).is_some();
    if !ordered {
        call.take(0, &Takes::Numeric)?;
    }
    let element = call.argument_type(0);
    let data_type = match array {
        true => DataType::array(element),
        false => element,
    };
    let function = AggregateFunction::ApproximatePercentile {
        fractions,
        array,
        accuracy,
    };
    call.make(function, data_type)
}

/// The values are hashed as Spark's sketch does; nulls stay null and do not count.
fn approximate_count(mut call: Call<'_>) -> Typed {
    call.between(1, 2)?;
    let mut relative_error = 0.05;
    if call.arguments.len() == 2 {
        let (values, _) = call.constants(1)?;
        relative_error = values[0];
    }
    if !(relative_error > 0.000_017 && relative_error <= 0.39) {
        return Err("the relative error lies between 0.000017 and 0.39".into());
    }
    let value = call.arguments.remove(0);
    if has_map(&value.data_type) {
        return Err(format!("{} cannot take {}", call.name, value.data_type));
    }
    let present = Expr::call("isnotnull", vec![value.clone()], DataType::Boolean);
    let hash = Expr::call("xxhash64", vec![value], DataType::Long);
    let kind = ExprKind::Case {
        branches: vec![(present, hash)],
        otherwise: None,
    };
    call.arguments = vec![Expr::new(DataType::Long, kind)];
    // The sketch sees a value once, however often it comes.
    call.distinct = false;
    let function = AggregateFunction::ApproximateCountDistinct { relative_error };
    call.make(function, DataType::Long)
}

fn statistic(mut call: Call<'_>) -> Typed {
    let moment = match call.name {
        "std" | "stddev" | "stddev_samp" => Some(Moment::StddevSample),
        "stddev_pop" => Some(Moment::StddevPopulation),
        "variance" | "var_samp" => Some(Moment::VarianceSample),
        "var_pop" => Some(Moment::VariancePopulation),
        "skewness" => Some(Moment::Skewness),
        "kurtosis" => Some(Moment::Kurtosis),
        _ => None,
    };
    if let Some(moment) = moment {
        call.exactly(1)?;
        call.take(0, &Takes::Type(DataType::Double))?;
        return call.make(AggregateFunction::Moment(moment), DataType::Double);
    }
    let pair = match call.name {
        "corr" => PairStatistic::Correlation,
        "covar_pop" => PairStatistic::CovariancePopulation,
        "covar_samp" => PairStatistic::CovarianceSample,
        "regr_count" => PairStatistic::RegressionCount,
        "regr_avgx" => PairStatistic::RegressionAverageX,
        "regr_avgy" => PairStatistic::RegressionAverageY,
        "regr_r2" => PairStatistic::RegressionR2,
        "regr_slope" => PairStatistic::RegressionSlope,
        "regr_intercept" => PairStatistic::RegressionIntercept,
        "regr_sxx" => PairStatistic::RegressionSxx,
        "regr_sxy" => PairStatistic::RegressionSxy,
        "regr_syy" => PairStatistic::RegressionSyy,
        other => return Err(format!("the aggregate {other} is not supported")),
    };
    call.exactly(2)?;
    call.take(0, &Takes::Type(DataType::Double))?;
    call.take(1, &Takes::Type(DataType::Double))?;
    let data_type = match pair {
        PairStatistic::RegressionCount => DataType::Long,
        _ => DataType::Double,
    };
    call.make(AggregateFunction::Pair(pair), data_type)
}
