//! Logistic regression with a penalty on the squares of its weights (L2), by L-BFGS (Nocedal and Wright, Numerical Optimization,
//! algorithms 7.4 and 7.5). Every sum has one order, so that the same rows give the same weights to the last bit.

/// Steps at most; some tens are usual.
const STEPS: usize = 300;
/// Earlier steps that tell of the loss's curvature.
const REMEMBERED: usize = 10;
/// The loss is at its least where its slope is below this, for each row.
const FLAT: f64 = 1e-7;
/// A step has to gain this share of what the slope promises (Armijo).
const GAIN: f64 = 1e-4;
/// Halvings of a step.
const HALVINGS: usize = 40;

/// 1 / (1 + e^−x).
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Labelled inputs, standardised: row by row, each of the same width.
pub(super) struct Samples {
    inputs: Vec<f64>,
    labels: Vec<bool>,
    width: usize,
}

/// Weights for inputs as they come, and the bias.
#[derive(Clone, Debug)]
pub(super) struct Fitted {
    pub(super) weights: Vec<f64>,
    pub(super) bias: f64,
}

impl Fitted {
    /// The probability of `input`.
    pub(super) fn of(&self, input: &[f64]) -> f64 {
        sigmoid(dot(input, &self.weights) + self.bias)
    }
}

/// The weights that fit `rows` best under `penalty`. Inputs are standardised first, and so the penalty is fair to all of them.
pub(super) fn fit(rows: &[(&[f64], bool)], penalty: f64) -> Fitted {
    let width = rows.first().map_or(0, |(input, _)| input.len());
    let (means, scales) = standard(rows, width);
    let inputs = rows.iter().flat_map(|(input, _)| {
        let moved = input.iter().zip(&means).map(|(value, mean)| value - mean);
        moved.zip(&scales).map(|(value, scale)| value * scale).collect::<Vec<_>>()
    });
    let samples = Samples { inputs: inputs.collect(), labels: rows.iter().map(|(_, label)| *label).collect(), width };
    let mut found = descend(&samples, penalty);
    let bias = found.pop().unwrap_or_default();
    // For inputs as they come.
    let weights: Vec<f64> = found.iter().zip(&scales).map(|(weight, scale)| weight * scale).collect();
    Fitted { bias: bias - dot(&weights, &means), weights }
}

/// Mean of each input, and one over its standard deviation; of one that never changes zero.
fn standard(rows: &[(&[f64], bool)], width: usize) -> (Vec<f64>, Vec<f64>) {
    let count = rows.len().max(1) as f64;
    let sums = |of: &dyn Fn(usize, f64) -> f64| {
        let mut sums = vec![0.0; width];
        for (input, _) in rows {
            sums.iter_mut().zip(*input).enumerate().for_each(|(at, (sum, value))| *sum += of(at, *value));
        }
        sums
    };
    let means: Vec<f64> = sums(&|_, value| value).into_iter().map(|sum| sum / count).collect();
    let squares = sums(&|at, value| (value - means[at]).powi(2));
    let scale = |square: f64| if square / count > 1e-12 { (square / count).sqrt().recip() } else { 0.0 };
    let scales = squares.into_iter().map(scale).collect();
    (means, scales)
}

/// The loss at `at` (weights, then the bias, which is not penalised), and its slope.
fn loss(samples: &Samples, penalty: f64, at: &[f64]) -> (f64, Vec<f64>) {
    let (weights, bias) = at.split_at(samples.width);
    let bias = bias.first().copied().unwrap_or_default();
    let mut slope: Vec<f64> = weights.iter().map(|weight| penalty * weight).collect();
    slope.push(0.0);
    let mut sum = penalty / 2.0 * dot(weights, weights);
    for (input, label) in samples.inputs.chunks_exact(samples.width.max(1)).zip(&samples.labels) {
        let score = dot(input, weights) + bias;
        // ln(1 + e^x), for any x.
        sum += score.max(0.0) + (-score.abs()).exp().ln_1p() - if *label { score } else { 0.0 };
        let off = sigmoid(score) - f64::from(u8::from(*label));
        slope.iter_mut().zip(input.iter().chain([&1.0])).for_each(|(slope, value)| *slope += off * value);
    }
    (sum, slope)
}

/// Goes down to where the loss is least.
fn descend(samples: &Samples, penalty: f64) -> Vec<f64> {
    let mut at = vec![0.0; samples.width + 1];
    let (mut height, mut slope) = loss(samples, penalty, &at);
    let mut past: Vec<Past> = Vec::new();
    let flat = FLAT * samples.labels.len() as f64;
    for _ in 0..STEPS {
        if dot(&slope, &slope).sqrt() <= flat {
            break;
        }
        let way = direction(&slope, &past);
        let promised = dot(&way, &slope);
        let mut share = if past.is_empty() { 1.0 / dot(&slope, &slope).sqrt() } else { 1.0 };
        let better = (0..HALVINGS).find_map(|_| {
            let next: Vec<f64> = at.iter().zip(&way).map(|(at, way)| at + share * way).collect();
            let (there, slope) = loss(samples, penalty, &next);
            let gained = there <= height + GAIN * share * promised;
            share /= 2.0;
            gained.then_some((next, there, slope))
        });
        let Some((next, there, next_slope)) = better else { break };
        let step: Vec<f64> = next.iter().zip(&at).map(|(next, at)| next - at).collect();
        let turn: Vec<f64> = next_slope.iter().zip(&slope).map(|(next, slope)| next - slope).collect();
        past.extend(Past::new(step, turn));
        if past.len() > REMEMBERED {
            past.remove(0);
        }
        (at, height, slope) = (next, there, next_slope);
    }
    at
}

/// One step that was made, and how the slope turned on it.
struct Past {
    step: Vec<f64>,
    turn: Vec<f64>,
    /// One over their product.
    rho: f64,
}

impl Past {
    /// `None` where it tells nothing of the curvature.
    fn new(step: Vec<f64>, turn: Vec<f64>) -> Option<Past> {
        let product = dot(&step, &turn);
        (product > 1e-12).then(|| Past { step, turn, rho: product.recip() })
    }
}

/// Down, by the slope and what is remembered of the curvature.
fn direction(slope: &[f64], past: &[Past]) -> Vec<f64> {
    let mut way: Vec<f64> = slope.iter().map(|slope| -slope).collect();
    let add = |way: &mut [f64], share: f64, of: &[f64]| way.iter_mut().zip(of).for_each(|(way, of)| *way += share * of);
    let mut shares = Vec::with_capacity(past.len());
    for one in past.iter().rev() {
        let share = one.rho * dot(&one.step, &way);
        add(&mut way, -share, &one.turn);
        shares.push(share);
    }
    if let Some(last) = past.last() {
        let scale = (last.rho * dot(&last.turn, &last.turn)).recip();
        way.iter_mut().for_each(|way| *way *= scale);
    }
    for (one, share) in past.iter().zip(shares.iter().rev()) {
        let back = one.rho * dot(&one.turn, &way);
        add(&mut way, share - back, &one.step);
    }
    way
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fit_is_where_the_loss_is_least() {
        // One input, no penalty: of each value two thirds, or one third, are labelled.
        let inputs = [[-1.0], [1.0]];
        let labels = [(0, false), (0, false), (0, true), (1, true), (1, true), (1, false)];
        let rows: Vec<(&[f64], bool)> = labels.iter().map(|(at, label)| (inputs[*at].as_slice(), *label)).collect();
        let fitted = fit(&rows, 0.0);
        // The log of the odds of two thirds.
        assert!((fitted.weights[0] - 2f64.ln()).abs() < 1e-6 && fitted.bias.abs() < 1e-6, "{fitted:?}");
        let shy = fit(&rows, 10.0);
        assert!(shy.weights[0] > 0.0 && shy.weights[0] < 0.5 * fitted.weights[0], "{shy:?}");
    }

    #[test]
    fn inputs_are_weighed_whatever_their_scale() {
        let inputs: Vec<[f64; 3]> = (0..40).map(|n| [f64::from(n) * 1e4 + 5e5, f64::from(n % 2), 7.0]).collect();
        let rows: Vec<(&[f64], bool)> =
            inputs.iter().enumerate().map(|(n, input)| (input.as_slice(), n >= 20)).collect();
        let fitted = fit(&rows, 1.0);
        assert!(rows.iter().all(|(input, label)| (fitted.of(input) > 0.5) == *label), "{fitted:?}");
        assert_eq!(fitted.weights[2], 0.0, "what never changes tells nothing");
    }

    #[test]
    fn the_slope_is_that_of_the_loss() {
        let samples =
            Samples { inputs: vec![0.5, -1.0, 2.0, 0.25, -0.75, 1.5], labels: vec![true, false, true], width: 2 };
        let at = [0.3, -0.2, 0.1];
        let (_, slope) = loss(&samples, 0.7, &at);
        for (n, slope) in slope.iter().enumerate() {
            let beside = |by: f64| {
                let mut beside = at;
                beside[n] += by;
                loss(&samples, 0.7, &beside).0
            };
            assert!((slope - (beside(1e-6) - beside(-1e-6)) / 2e-6).abs() < 1e-6, "{n}");
        }
    }
}
