//! Sizes as objects of CernVM-FS repositories have them: log-normal between known quantiles.

/// Share of the objects, and the size in bytes that so many are smaller than.
const QUANTILES: [(f64, f64); 5] = [(0.0, 100.0), (0.5, 1.7e3), (0.9, 21e3), (0.99, 436e3), (1.0, 16.8e6)];

/// The size of the object at this quantile, between 0 and 1. Logarithms are interpolated.
pub fn at(quantile: f64) -> u64 {
    let upper = QUANTILES.iter().position(|&(share, _)| share >= quantile).unwrap_or(4).max(1);
    let ((low, small), (high, large)) = (QUANTILES[upper - 1], QUANTILES[upper]);
    let part = (quantile - low) / (high - low);
    (small.ln() + part * (large.ln() - small.ln())).exp() as u64
}
