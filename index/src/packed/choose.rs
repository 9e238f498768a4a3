//! Which of the nodes near a node become its links: the heuristic of Malkov & Yashunin (2018, algorithm 4). A candidate is
//! taken if it is nearer to the node than to any taken before it, so that links lead in all directions, and crowds stay connected.

use super::layer::Layer;
use super::walk::{Ground, Near};

/// Chooses at most `most` of `candidates` (nearest first, none twice).
pub(super) fn choose(ground: Ground<'_>, layer: &Layer, candidates: &[Near], most: usize, chosen: &mut Vec<Near>) {
    chosen.clear();
    choose_more(ground, layer, candidates, most, chosen);
}

/// Chooses more of `candidates` beside those already chosen, up to `most` in all.
pub(super) fn choose_more(ground: Ground<'_>, layer: &Layer, candidates: &[Near], most: usize, chosen: &mut Vec<Near>) {
    for candidate in candidates {
        if chosen.len() >= most {
            return;
        }
        if !is_shadowed(ground, layer, *candidate, chosen) {
            chosen.push(*candidate);
        }
    }
}

/// Fills up to `most` with the nearest of `candidates` that were not chosen.
pub(super) fn fill(candidates: &[Near], most: usize, chosen: &mut Vec<Near>) {
    for candidate in candidates {
        if chosen.len() >= most {
            return;
        }
        if !chosen.iter().any(|near| near.node() == candidate.node()) {
            chosen.push(*candidate);
        }
    }
}

/// Whether `candidate` is at least as near to one of `chosen` as to the node that chooses.
fn is_shadowed(ground: Ground<'_>, layer: &Layer, candidate: Near, chosen: &[Near]) -> bool {
    let row = ground.rows.view(layer.slot(candidate.node()));
    let scale = crate::quantize::scale(row.scale);
    chosen.iter().any(|other| {
        let other = ground.rows.view(layer.slot(other.node()));
        let between = ground.kernels.between(row.high, other.high) as f32;
        between * (scale * crate::quantize::scale(other.scale)) >= candidate.similarity
    })
}

/// Puts nodes that must not be lost among `chosen` again: each of `kept` takes a free place, or that of the chosen one, but for
/// the nearest, which most links lead to. `count` tells how many, and gives `None` for one that has to stay.
pub(super) fn keep(chosen: &mut Vec<Near>, kept: &[Near], most: usize, count: impl Fn(u32) -> Option<u8>) {
    for near in kept {
        if chosen.len() < most {
            chosen.push(*near);
            continue;
        }
        let others = chosen.iter_mut().skip(1);
        let counted = others.filter_map(|other| count(other.node()).map(|count| (count, other)));
        if let Some((_, place)) = counted.max_by_key(|(count, _)| *count) {
            *place = *near;
        }
    }
}
