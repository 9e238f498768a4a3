//! Which hits are checked by a fresh answer: a sample whose probabilities are known, so that what it says of the sample
//! can be said of all hits.

/// How hits are sampled.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sampling {
    /// Shadow calls over hits of all tiers that are aimed at.
    pub budget: f64,
    /// No hit is checked less often than this: what the model is sure of may be wrong too.
    pub least: f64,
    /// The first hits of a scope: checked with probability `first / (2·first + hits of the scope)`.
    pub first: f64,
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling { budget: 0.06, least: 0.02, first: 20.0 }
    }
}

/// The sampler: κ, and the dice.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Shadow {
    pub(super) kappa: f64,
    /// Hits and shadow calls, both fading.
    pub(super) hits: f64,
    pub(super) calls: f64,
    pub(super) dice: u64,
}

const FADING: f64 = 0.9995;

impl Shadow {
    pub(super) fn new(seed: u64) -> Shadow {
        Shadow { kappa: 0.2, hits: 0.0, calls: 0.0, dice: seed ^ 0x9E37_79B9_7F4A_7C15 }
    }

    /// A hit of a tier before the judgement: never checked, and yet it brings in budget.
    pub(super) fn count(&mut self) {
        self.hits = self.hits * FADING + 1.0;
        self.calls *= FADING;
    }

    /// Is this hit to be checked? Gives the probability that it was chosen with.
    pub(super) fn choose(&mut self, p: f32, hits_of_scope: u64, sampling: &Sampling) -> Option<f32> {
        if sampling.budget <= 0.0 {
            return None;
        }
        self.count();
        let p = f64::from(p);
        let doubt = self.kappa * (p * (1.0 - p)).max(0.0).sqrt();
        let new = sampling.first / (2.0 * sampling.first + hits_of_scope as f64);
        let mut chance = doubt.max(sampling.least).max(new).min(1.0);
        // Many new scopes at once must not cost more than was agreed.
        let over = (self.calls + 1.0) / (sampling.budget * self.hits + 12.0);
        if over > 1.0 {
            chance = (chance / over.powi(3)).max(sampling.least / 4.0);
        }
        let chosen = self.roll() < chance;
        self.calls += f64::from(u8::from(chosen));
        let share = (self.calls + 1.0) / (self.hits * sampling.budget + 1.0);
        self.kappa = (self.kappa * share.clamp(0.5, 2.0).powf(-0.01)).clamp(0.001, 4.0);
        chosen.then_some(chance as f32)
    }

    /// Uniform in [0, 1), by splitmix64.
    fn roll(&mut self) -> f64 {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((z ^ (z >> 31)) >> 11) as f64) / (1u64 << 53) as f64
    }
}
