//! The operations by name and by code. Says nothing of types; those are in `signature`.

use std::fmt;

use super::Arguments;

/// What an aggregation computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(
    missing_docs,
    reason = "the names are Chronon's own words, their meaning is in docs/semantics.md"
)]
pub enum Operation {
    Min,
    Max,
    First,
    Last,
    UniqueCount,
    ApproxUniqueCount,
    Count,
    Sum,
    Average,
    Variance,
    Skew,
    Kurtosis,
    ApproxPercentile,
    LastK,
    FirstK,
    TopK,
    BottomK,
    Histogram,
    ApproxHistogramK,
    BoundedUniqueCount,
}

impl Operation {
    /// Every operation, in the order of its code.
    pub const ALL: [Self; 20] = [
        Self::Min,
        Self::Max,
        Self::First,
        Self::Last,
        Self::UniqueCount,
        Self::ApproxUniqueCount,
        Self::Count,
        Self::Sum,
        Self::Average,
        Self::Variance,
        Self::Skew,
        Self::Kurtosis,
        Self::ApproxPercentile,
        Self::LastK,
        Self::FirstK,
        Self::TopK,
        Self::BottomK,
        Self::Histogram,
        Self::ApproxHistogramK,
        Self::BoundedUniqueCount,
    ];

    /// The operation of a code in a compiled definition.
    pub fn from_code(code: i64) -> Option<Self> {
        usize::try_from(code)
            .ok()
            .and_then(|index| Self::ALL.get(index).copied())
    }

    /// The code in a compiled definition.
    pub fn code(self) -> i64 {
        self as i64
    }

    /// Chronon's name: `APPROX_UNIQUE_COUNT`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Min => "MIN",
            Self::Max => "MAX",
            Self::First => "FIRST",
            Self::Last => "LAST",
            Self::UniqueCount => "UNIQUE_COUNT",
            Self::ApproxUniqueCount => "APPROX_UNIQUE_COUNT",
            Self::Count => "COUNT",
            Self::Sum => "SUM",
            Self::Average => "AVERAGE",
            Self::Variance => "VARIANCE",
            Self::Skew => "SKEW",
            Self::Kurtosis => "KURTOSIS",
            Self::ApproxPercentile => "APPROX_PERCENTILE",
            Self::LastK => "LAST_K",
            Self::FirstK => "FIRST_K",
            Self::TopK => "TOP_K",
            Self::BottomK => "BOTTOM_K",
            Self::Histogram => "HISTOGRAM",
            Self::ApproxHistogramK => "APPROX_HISTOGRAM_K",
            Self::BoundedUniqueCount => "BOUNDED_UNIQUE_COUNT",
        }
    }

    /// The middle of a column's name: `sum`, `last5`, `approx_unique_count`. Only the kept-k operations carry k.
    pub fn suffix(self, arguments: &Arguments) -> String {
        let k = arguments.k.unwrap_or(0);
        match self {
            Self::LastK => format!("last{k}"),
            Self::FirstK => format!("first{k}"),
            Self::TopK => format!("top{k}"),
            Self::BottomK => format!("bottom{k}"),
            other => other.name().to_ascii_lowercase(),
        }
    }

    /// Whether the order of the rows in time decides the value.
    pub fn is_timed(self) -> bool {
        matches!(self, Self::First | Self::Last | Self::FirstK | Self::LastK)
    }

    /// Whether a row can be taken back out of a state.
    pub fn is_deletable(self) -> bool {
        matches!(
            self,
            Self::Count | Self::Sum | Self::Average | Self::Histogram
        )
    }

    /// The size argument when none is given; `None` where it is mandatory or has no meaning.
    pub fn default_k(self) -> Option<u32> {
        match self {
            Self::ApproxUniqueCount | Self::ApproxHistogramK | Self::BoundedUniqueCount => Some(8),
            Self::ApproxPercentile => Some(128),
            Self::Histogram => Some(0),
            _ => None,
        }
    }

    /// Whether `k` must be given.
    pub fn needs_k(self) -> bool {
        matches!(
            self,
            Self::LastK | Self::FirstK | Self::TopK | Self::BottomK
        )
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
