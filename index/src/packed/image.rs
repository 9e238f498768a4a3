//! The links of a graph as bytes, for a checkpoint, and back. All numbers are little-endian.
//!
//! ```text
//! piece 0     version u32 | m u32 | slots u32 | entrance level + 1, or 0, u32 | entrance node u32 | vacant slots: count u32, u32 each
//!             for each upper layer: nodes u32 | vacant nodes: count u32, u32 each
//! piece 1 …   the ground layer: 4096 slots each: degree × u32 (node + 1, 0 ends), then the counts of links in, u8 each
//! last piece  the upper layers: for each node slot u32 | below u32 | m × u32
//! ```
//!
//! A reader believes nothing: a link to a slot that is not there is an error, and the graph is built anew from its rows.

use super::Packed;
use super::layer::Layer;

const VERSION: u32 = 1;

/// Slots of a piece.
const SLOTS: usize = 4096;

impl Packed {
    /// Appends a piece; false past the last.
    pub(super) fn save_piece(&self, piece: usize, bytes: &mut Vec<u8>) -> bool {
        let upto = self.rows.upto();
        let grounds = upto.div_ceil(SLOTS);
        match piece {
            0 => self.save_head(bytes),
            piece if piece <= grounds => self.save_ground((piece - 1) * SLOTS..(piece * SLOTS).min(upto), bytes),
            piece if piece == grounds + 1 => self.layers[1..].iter().for_each(|layer| save_upper(layer, bytes)),
            _ => return false,
        }
        true
    }

    fn save_head(&self, bytes: &mut Vec<u8>) {
        let entrance = self.entrance.load();
        put(bytes, VERSION);
        put(bytes, self.m as u32);
        put(bytes, self.rows.upto() as u32);
        put(bytes, entrance.map_or(0, |entrance| entrance.level as u32 + 1));
        put(bytes, entrance.map_or(0, |entrance| entrance.node));
        let vacant: Vec<u32> = (0..self.rows.upto() as u32).filter(|slot| self.rows.is_vacant(*slot)).collect();
        put_all(bytes, &vacant);
        for layer in &self.layers[1..] {
            put(bytes, layer.upto() as u32);
            put_all(bytes, &layer.vacant());
        }
    }

    fn save_ground(&self, slots: std::ops::Range<usize>, bytes: &mut Vec<u8>) {
        let layer = &self.layers[0];
        slots.clone().for_each(|slot| save_links(layer, slot as u32, bytes));
        bytes.extend(slots.map(|slot| self.rows.count_in(slot as u32)));
    }
}

fn save_upper(layer: &Layer, bytes: &mut Vec<u8>) {
    for node in 0..layer.upto() as u32 {
        put(bytes, layer.slot(node));
        put(bytes, layer.below(node));
        save_links(layer, node, bytes);
    }
}

fn save_links(layer: &Layer, node: u32, bytes: &mut Vec<u8>) {
    let begin = bytes.len();
    layer.links(node).for_each(|link| put(bytes, link + 1));
    bytes.resize(begin + 4 * layer.degree(), 0);
}

fn put(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn put_all(bytes: &mut Vec<u8>, numbers: &[u32]) {
    put(bytes, numbers.len() as u32);
    numbers.iter().for_each(|number| put(bytes, *number));
}
