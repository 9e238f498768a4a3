//! Measures an index on this machine, on vectors that lie as those of sentences do. What `askonce index bench`, the benches
//! and the comparison with other libraries have in common.
//!
//! | file | job |
//! |---|---|
//! | `vectors` | [`Vectors`]: many vectors in one piece of memory, from a file or pushed |
//! | `dice` | [`Dice`]: random numbers that are the same on every run |
//! | `enlarge` | [`enlarge`]: a million vectors from some thousand, by interpolation and noise |
//! | `exact` | [`exact`]: the true nearest, by comparing all |
//! | `measure` | [`measure`]: fill, look up, check, reopen |
//! | `figures` | quantiles, [`Recall`], memory of the process |

mod dice;
mod enlarge;
mod exact;
mod figures;
mod measure;
mod vectors;

pub use dice::Dice;
pub use enlarge::{enlarge, perturbed};
pub use exact::{Best, dot, exact, exact_among, nearest_exact};
pub use figures::{Recall, Times, recall, resident_bytes};
pub use measure::{HIT, K, Options, Report, measure};
pub use vectors::Vectors;
