//! Moments of one number and statistics of two, updated row by row as the reference does.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array, Int64Array};
use unskewed_planner::query::tree::{Moment, PairStatistic};

use super::Fold;
use super::number::doubles;
use crate::sql::step::Stepped;

/// Central moments up to the fourth.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Central {
    n: f64,
    mean: f64,
    m2: f64,
    m3: f64,
    m4: f64,
}

impl Central {
    /// Welford's update, extended to higher moments (Chan, Golub and LeVeque; Pébay).
    fn add(&mut self, value: f64) {
        let n = self.n + 1.0;
        let delta = value - self.mean;
        let step = delta / n;
        let (m2, m3) = (self.m2, self.m3);
        self.mean += step;
        self.m2 = m2 + delta * (delta - step);
        let squared = step * step;
        self.m3 = m3 - 3.0 * step * self.m2 + delta * (delta * delta - squared);
        self.m4 = self.m4 - 4.0 * step * self.m3 - 6.0 * squared * self.m2
            + delta * (delta * delta * delta - step * squared);
        self.n = n;
    }
}

/// A moment.
pub(super) struct Moments(pub(super) Moment);

impl Moments {
    fn value(&self, c: &Central) -> Option<f64> {
        let some = c.n > 0.0;
        let sample = c.n > 1.0;
        match self.0 {
            Moment::VariancePopulation => some.then(|| c.m2 / c.n),
            Moment::StddevPopulation => some.then(|| (c.m2 / c.n).sqrt()),
            Moment::VarianceSample => sample.then(|| c.m2 / (c.n - 1.0)),
            Moment::StddevSample => sample.then(|| (c.m2 / (c.n - 1.0)).sqrt()),
            Moment::Skewness => {
                (some && c.m2 != 0.0).then(|| c.n.sqrt() * c.m3 / (c.m2 * c.m2 * c.m2).sqrt())
            }
            Moment::Kurtosis => (some && c.m2 != 0.0).then(|| c.n * c.m4 / (c.m2 * c.m2) - 3.0),
        }
    }
}

impl Fold for Moments {
    type State = Central;
    type Input = Float64Array;

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Float64Array> {
        doubles(&columns[0])
    }

    fn add(&self, state: &mut Central, input: &Float64Array, row: usize) {
        if input.is_valid(row) {
            state.add(input.value(row));
        }
    }

    fn finish(&self, states: Vec<Central>) -> Stepped<ArrayRef> {
        let values = states.iter().map(|state| self.value(state));
        Ok(Arc::new(values.collect::<Float64Array>()))
    }
}

/// Co-moments of pairs; `x` is the first argument, and for regressions `y` is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Joint {
    n: f64,
    x: f64,
    y: f64,
    xy: f64,
    xx: f64,
    yy: f64,
}

impl Joint {
    fn add(&mut self, x: f64, y: f64) {
        self.n += 1.0;
        let (dx, dy) = (x - self.x, y - self.y);
        self.x += dx / self.n;
        self.y += dy / self.n;
        self.xy += dx * (y - self.y);
        self.xx += dx * (x - self.x);
        self.yy += dy * (y - self.y);
    }
}

/// A statistic of pairs in which neither is null.
pub(super) struct Pairs(pub(super) PairStatistic);

impl Pairs {
    fn value(&self, j: &Joint) -> Option<f64> {
        use PairStatistic as P;
        // Regressions take the dependent variable first: it is `x` here.
        let (dependent, independent) = (j.xx, j.yy);
        let slope = || j.xy / independent;
        if j.n == 0.0 {
            return None;
        }
        match self.0 {
            P::Correlation => (j.n > 1.0).then(|| j.xy / (j.xx * j.yy).sqrt()),
            P::CovariancePopulation => Some(j.xy / j.n),
            P::CovarianceSample => (j.n > 1.0).then(|| j.xy / (j.n - 1.0)),
            P::RegressionCount => Some(j.n),
            P::RegressionAverageX => Some(j.y),
            P::RegressionAverageY => Some(j.x),
            P::RegressionSxx => Some(independent),
            P::RegressionSyy => Some(dependent),
            P::RegressionSxy => Some(j.xy),
            P::RegressionSlope => (independent != 0.0).then(slope),
            P::RegressionIntercept => (independent != 0.0).then(|| j.x - slope() * j.y),
            P::RegressionR2 => match (independent == 0.0, dependent == 0.0) {
                (true, _) => None,
                (_, true) => Some(1.0),
                _ => Some(j.xy * j.xy / (independent * dependent)),
            },
        }
    }
}

impl Fold for Pairs {
    type State = Joint;
    type Input = (Float64Array, Float64Array);

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Self::Input> {
        Ok((doubles(&columns[0])?, doubles(&columns[1])?))
    }

    fn add(&self, state: &mut Joint, (x, y): &Self::Input, row: usize) {
        if x.is_valid(row) && y.is_valid(row) {
            state.add(x.value(row), y.value(row));
        }
    }

    fn finish(&self, states: Vec<Joint>) -> Stepped<ArrayRef> {
        if self.0 == PairStatistic::RegressionCount {
            #[expect(clippy::cast_possible_truncation, reason = "a count of rows")]
            let counts = states.iter().map(|state| state.n as i64);
            return Ok(Arc::new(Int64Array::from_iter_values(counts)));
        }
        let values = states.iter().map(|state| self.value(state));
        Ok(Arc::new(values.collect::<Float64Array>()))
    }
}
