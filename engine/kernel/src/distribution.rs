//! Distributions of numbers as statistics keep them: the bytes of a quantile sketch, merged, read and held against
//! each other.
//!
//! Promises: what was merged in one order gives the same answers on every machine; bytes that are no sketch are `None`
//! and never a panic. Measures of drift are defined for any two distributions that hold a number each.

use crate::aggregate::kll::Kll;

/// So many quantiles of each side are the edges of the bins that drift is measured over.
const BINS: u32 = 128;
/// What takes the place of nothing in a bin, so that a ratio is defined.
const EPSILON: f64 = 1e-6;

/// A distribution of numbers.
#[derive(Clone, Debug)]
pub struct Distribution(Kll);

impl Distribution {
    /// Reads the bytes of a sketch of quantiles.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Kll::from_bytes(bytes).map(Self)
    }

    /// The bytes of the sketch.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    /// Adds the numbers of another.
    pub fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    /// How many numbers it holds.
    pub fn count(&self) -> u64 {
        self.0.count()
    }

    /// The numbers at these fractions of the whole; `None` if there is none.
    pub fn quantiles(&self, fractions: &[f64]) -> Option<Vec<f32>> {
        self.0.quantiles(fractions)
    }

    /// The edges of bins for a comparison with another: quantiles of both, sorted, each once.
    fn edges(&self, other: &Self) -> Option<Vec<f32>> {
        let last = f64::from(BINS - 1);
        let fractions: Vec<f64> = (0..BINS).map(|i| f64::from(i) / last).collect();
        let mut edges = self.quantiles(&fractions)?;
        edges.extend(other.quantiles(&fractions)?);
        edges.sort_by(f32::total_cmp);
        edges.dedup();
        Some(edges)
    }

    /// The share of numbers in each bin: below the first edge, between edges, from the last on.
    fn masses(&self, edges: &[f32]) -> Vec<f64> {
        let ranks = self.0.ranks(edges);
        let mut upto = 0.0;
        let between = ranks.iter().chain([&1.0]).map(|rank| {
            let mass = rank - upto;
            upto = *rank;
            mass
        });
        between.collect()
    }
}

/// The population stability index of two distributions (D. Siddiqi, "Credit Risk Scorecards", 2006): below 0.1 little
/// has moved, above 0.25 much. `None` if either is empty.
pub fn stability_index(reference: &Distribution, other: &Distribution) -> Option<f64> {
    let edges = reference.edges(other)?;
    let p = without_zeros(reference.masses(&edges));
    let q = without_zeros(other.masses(&edges));
    Some(p.iter().zip(&q).map(|(p, q)| (p - q) * (p / q).ln()).sum())
}

/// The greatest difference of two distribution functions (Kolmogorov and Smirnov). `None` if either is empty.
pub fn l_infinity(reference: &Distribution, other: &Distribution) -> Option<f64> {
    let edges = reference.edges(other)?;
    let pairs = reference
        .0
        .ranks(&edges)
        .into_iter()
        .zip(other.0.ranks(&edges));
    Some(pairs.map(|(p, q)| (p - q).abs()).fold(0.0, f64::max))
}

/// Masses with a little taken from what there is and given to what is empty.
fn without_zeros(masses: Vec<f64>) -> Vec<f64> {
    let zeros = masses.iter().filter(|mass| **mass == 0.0).count() as f64;
    let others = masses.len() as f64 - zeros;
    let given = EPSILON * others / zeros;
    let regular = |mass: f64| match mass {
        _ if zeros == 0.0 => mass,
        0.0 => given,
        mass => mass - EPSILON,
    };
    masses.into_iter().map(regular).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = f32>) -> Distribution {
        let mut sketch = Kll::new(128);
        values.into_iter().for_each(|value| sketch.update(value));
        Distribution(sketch)
    }

    /// Equal distributions have not drifted; distant ones have nothing in common; order does not matter for how far.
    #[test]
    fn drift_of_distributions() {
        let numbers = || (0..100).map(|i| i as f32);
        let (a, b) = (of(numbers()), of(numbers().map(|value| value + 1_000.0)));
        assert_eq!(stability_index(&a, &a), Some(0.0));
        assert_eq!(l_infinity(&a, &a), Some(0.0));
        assert_eq!(l_infinity(&a, &b), Some(1.0));
        let index = stability_index(&a, &b).unwrap();
        assert!(index > 5.0, "{index}");
        assert!((index - stability_index(&b, &a).unwrap()).abs() < 1e-9);
        let near = of(numbers().map(|value| value + 5.0));
        assert!((l_infinity(&a, &near).unwrap() - 0.05).abs() < 0.02);
        assert!(stability_index(&a, &near).unwrap() < index);
        assert_eq!(stability_index(&a, &of([])), None);
    }

    /// A few values by hand: masses of bins, the empty ones lifted.
    #[test]
    fn the_index_by_hand() {
        let (a, b) = (of([1.0, 1.0, 2.0, 2.0]), of([1.0, 2.0, 2.0, 2.0]));
        // Edges 1 and 2; bins below 1, of 1, of 2: shares 0, 1/2, 1/2 and 0, 1/4, 3/4.
        let e = EPSILON;
        let p = [2.0 * e, 0.5 - e, 0.5 - e];
        let q = [2.0 * e, 0.25 - e, 0.75 - e];
        let want: f64 = p.iter().zip(&q).map(|(p, q)| (p - q) * (p / q).ln()).sum();
        let got = stability_index(&a, &b).unwrap();
        assert!((got - want).abs() < 1e-12, "{got} {want}");
        assert_eq!(l_infinity(&a, &b), Some(0.25));
    }

    /// Merging is adding, and bytes come back.
    #[test]
    fn merged_and_stored() {
        let mut a = of((0..500).map(|i| i as f32));
        a.merge(&of((500..1_000).map(|i| i as f32)));
        let back = Distribution::from_bytes(&a.to_bytes()).unwrap();
        assert_eq!((a.count(), back.count()), (1_000, 1_000));
        let median = back.quantiles(&[0.5]).unwrap()[0];
        assert!((median - 500.0).abs() < 40.0, "{median}");
        assert!(Distribution::from_bytes(b"no sketch").is_none());
    }
}
