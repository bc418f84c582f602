//! VARIANCE, SKEW and KURTOSIS of the population.
//!
//! Updates are Welford's, merges are Chan's and Pébay's ("Formulas for robust, one-pass parallel computation of
//! covariances and arbitrary-order statistical moments", 2008). The combined mean of a variance is weighted the way
//! the reference does it, so that long merges keep its precision.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_schema::DataType as ArrowType;
use unskewed_planner::aggregation::{AggregatePart, Operation};

use super::bind::{Shape, type_error};
use super::fold::Visitor;
use super::output::Numbers;
use super::saved::Placed;
use super::stored::Stored;
use super::{Aggregator, WorkOrder};
use crate::error::KernelError;

/// Picks the aggregator.
pub(crate) fn bind<V: Visitor>(
    part: &AggregatePart,
    elements: &ArrayRef,
    shape: Shape<V>,
) -> Result<V::Answer, KernelError> {
    if *elements.data_type() != ArrowType::Float64 {
        return Err(type_error(part, elements.data_type()));
    }
    let values: &[f64] = elements.as_primitive::<Float64Type>().values();
    match part.operation {
        Operation::Variance => shape.with(Variance(values)),
        operation => shape.with(Shapely {
            values,
            skew: operation == Operation::Skew,
        }),
    }
}

struct Variance<'a>(&'a [f64]);

/// Count, mean and sum of squared deviations.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct VarianceState {
    pub(crate) count: i64,
    pub(crate) mean: f64,
    pub(crate) m2: f64,
}

impl VarianceState {
    fn add(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        let after = value - self.mean;
        self.m2 += before * after;
    }

    fn merge(&mut self, later: &Self) {
        let (here, there) = (self.count as f64, later.count as f64);
        let delta = later.mean - self.mean;
        let between = delta * (delta / (here + there)) * here * there;
        self.m2 = self.m2 + later.m2 + between;
        self.mean = combined_mean((here, self.mean), (there, later.mean));
        self.count += later.count;
    }
}

/// The mean of two weighted means, by the heavier one's distance when the lighter one hardly weighs.
fn combined_mean(a: (f64, f64), b: (f64, f64)) -> f64 {
    let ((heavy, heavy_mean), (light, light_mean)) = if a.0 < b.0 { (b, a) } else { (a, b) };
    let total = heavy + light;
    if total == 0.0 {
        return 0.0;
    }
    if total == heavy {
        return heavy_mean;
    }
    let scaling = light / total;
    if scaling < 0.1 {
        heavy_mean + (light_mean - heavy_mean) * scaling
    } else {
        (heavy * heavy_mean + light * light_mean) / total
    }
}

impl Aggregator for Variance<'_> {
    type State = VarianceState;
    type Output = Numbers<Float64Type>;
    const FROM_ROWS: bool = true;

    fn work_order(&self) -> WorkOrder {
        WorkOrder::Digits
    }

    #[inline]
    fn start(&self, element: usize) -> VarianceState {
        let mut state = VarianceState::default();
        state.add(self.0[element]);
        state
    }

    #[inline]
    fn update(&self, state: &mut VarianceState, element: usize) {
        state.add(self.0[element]);
    }

    #[inline]
    fn merge(&self, state: &mut VarianceState, later: &VarianceState) {
        state.merge(later);
    }

    fn store(&self, state: &VarianceState) -> Stored {
        Stored::Struct(vec![
            Stored::Whole(i64::from(state.count as i32)),
            Stored::Floating(state.mean),
            Stored::Floating(state.m2),
        ])
    }

    fn load(&self, stored: Placed<'_>) -> Option<VarianceState> {
        let [count, mean, m2] = stored.fields()?;
        Some(VarianceState {
            count: count.whole()?,
            mean: mean.floating()?,
            m2: m2.floating()?,
        })
    }

    fn output(&self, direct: bool) -> Self::Output {
        Numbers::new(direct)
    }

    fn finish(&self, state: &VarianceState, output: &mut Self::Output) {
        output.append(state.m2 / state.count as f64);
    }
}

/// SKEW and KURTOSIS: what the third and fourth moment say of the distribution's shape.
struct Shapely<'a> {
    values: &'a [f64],
    skew: bool,
}

/// Count and the first four central moments, not yet divided by the count.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moments {
    pub(crate) n: f64,
    pub(crate) m1: f64,
    pub(crate) m2: f64,
    pub(crate) m3: f64,
    pub(crate) m4: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        let before = self.n;
        self.n += 1.0;
        let n = self.n;
        let delta = value - self.m1;
        let delta_n = delta / n;
        let delta_n2 = delta_n * delta_n;
        let term = delta * delta_n * before;
        self.m1 += delta_n;
        self.m4 += term * delta_n2 * (n * n - 3.0 * n + 3.0) + 6.0 * delta_n2 * self.m2
            - 4.0 * delta_n * self.m3;
        self.m3 += term * delta_n * (n - 2.0) - 3.0 * delta_n * self.m2;
        self.m2 += term;
    }

    fn merge(&mut self, later: &Self) {
        let (a, b) = (self.n, later.n);
        let n = a + b;
        let delta = later.m1 - self.m1;
        let delta2 = delta * delta;
        let delta3 = delta * delta2;
        let delta4 = delta2 * delta2;
        let m4 = self.m4
            + later.m4
            + delta4 * a * b * (a * a - a * b + b * b) / (n * n * n)
            + 6.0 * delta2 * (a * a * later.m2 + b * b * self.m2) / (n * n)
            + 4.0 * delta * (a * later.m3 - b * self.m3) / n;
        let m3 = self.m3
            + later.m3
            + delta3 * a * b * (a - b) / (n * n)
            + 3.0 * delta * (a * later.m2 - b * self.m2) / n;
        *self = Self {
            n,
            m1: (a * self.m1 + b * later.m1) / n,
            m2: self.m2 + later.m2 + delta2 * a * b / n,
            m3,
            m4,
        };
    }

    fn skew(&self) -> f64 {
        if self.n < 3.0 || self.m2 == 0.0 {
            return f64::NAN;
        }
        self.n.sqrt() * self.m3 / self.m2.powf(1.5)
    }

    fn kurtosis(&self) -> f64 {
        if self.n < 4.0 || self.m2 == 0.0 {
            return f64::NAN;
        }
        self.n * self.m4 / (self.m2 * self.m2) - 3.0
    }
}

impl Aggregator for Shapely<'_> {
    type State = Moments;
    type Output = Numbers<Float64Type>;

    fn work_order(&self) -> WorkOrder {
        WorkOrder::Rows
    }

    #[inline]
    fn start(&self, element: usize) -> Moments {
        let mut state = Moments::default();
        state.add(self.values[element]);
        state
    }

    #[inline]
    fn update(&self, state: &mut Moments, element: usize) {
        state.add(self.values[element]);
    }

    #[inline]
    fn merge(&self, state: &mut Moments, later: &Moments) {
        state.merge(later);
    }

    fn store(&self, state: &Moments) -> Stored {
        let Moments { n, m1, m2, m3, m4 } = *state;
        Stored::List([n, m1, m2, m3, m4].map(Stored::Floating).into())
    }

    fn load(&self, stored: Placed<'_>) -> Option<Moments> {
        let [n, m1, m2, m3, m4] = stored.fields()?;
        Some(Moments {
            n: n.floating()?,
            m1: m1.floating()?,
            m2: m2.floating()?,
            m3: m3.floating()?,
            m4: m4.floating()?,
        })
    }

    fn output(&self, direct: bool) -> Self::Output {
        Numbers::new(direct)
    }

    fn finish(&self, state: &Moments, output: &mut Self::Output) {
        output.append(if self.skew {
            state.skew()
        } else {
            state.kurtosis()
        });
    }
}
