//! A static threshold: the nearest entry above it that the veto lets pass. What the gateway's own `StaticThreshold` does.

use super::super::stream::Stream;
use super::{Candidate, Choice, Policy};
use crate::cache::verify;

pub(super) struct Fixed {
    pub(super) threshold: f32,
    pub(super) veto: bool,
}

impl Policy for Fixed {
    fn candidates(&self) -> usize {
        16
    }

    fn choose(&mut self, stream: &Stream<'_>, _: u128, node: u32, near: &[Candidate]) -> Choice {
        let passes =
            |candidate: &Candidate| !self.veto || !verify::differs(stream.text(node), stream.text(candidate.node));
        let serve = near.iter().take_while(|candidate| candidate.similarity >= self.threshold).position(passes);
        Choice { serve, ..Choice::default() }
    }
}
