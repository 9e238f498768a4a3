//! The links of a graph as bytes, for a checkpoint, and back. All numbers are little-endian.
//!
//! ```text
//! piece 0     version u32 | m u32 | slots u32 | entrance level + 1, or 0, u32 | entrance node u32
//!             vacant slots: count u32, u32 each | twins: count u32, (leader u32, slot u32) each
//!             for each upper layer: nodes u32 | vacant nodes: count u32, u32 each
//! piece 1 …   the ground layer: 4096 slots each: degree × u32 (node + 1, 0 ends), then the counts of links in, u8 each
//! last piece  the upper layers: for each node slot u32 | below u32 | m × u32
//! ```
//!
//! A reader believes nothing: a link to a slot that is not there is an error, and the graph is built anew from its rows.

use rayon::prelude::*;

use super::layer::Layer;
use super::{Entrance, LAYERS, Packed};
use crate::IndexConfig;
use crate::files::image::{GraphImage, Group};

/// What a checkpoint calls this graph.
pub(crate) const KIND: u32 = 1;

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
        let twins = self.twins.pairs();
        put(bytes, twins.len() as u32);
        twins.iter().flat_map(|(leader, slot)| [*leader, *slot]).for_each(|slot| put(bytes, slot));
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

    /// The graph of an image, in parallel on the thread pool that this is called in.
    ///
    /// # Errors
    /// Says what is wrong with the links; the rows may be well.
    pub(crate) fn restore(image: &GraphImage<'_>, config: &IndexConfig) -> Result<Packed, String> {
        let graph = Packed::new(config);
        if image.width != config.width {
            return Err(format!("the rows have {} numbers, expected {}", image.width, config.width));
        }
        let slots = image.slots as usize;
        if image.groups.iter().map(|group| group.count).sum::<usize>() != slots {
            return Err("rows are missing".to_owned());
        }
        let (head, rest) = image.links.split_first().ok_or("the links are missing")?;
        let (grounds, upper) = rest.split_at_checked(slots.div_ceil(SLOTS)).ok_or("links are missing")?;
        let &[upper] = upper else { return Err(format!("expected one last piece of links, got {}", upper.len())) };
        if !(graph.rows.make_room(slots) && graph.layers[0].make_room(slots)) {
            return Err("there is not enough memory".to_owned());
        }
        graph.rows.set_upto(slots);
        image.groups.par_iter().for_each(|group| graph.restore_rows(group));
        graph.restore_head(&mut Words(head), image.slots)?;
        let pieces = grounds.par_iter().enumerate();
        pieces.try_for_each(|(piece, bytes)| graph.restore_ground(piece * SLOTS, bytes))?;
        graph.restore_upper(&mut Words(upper))?;
        Ok(graph)
    }

    #[allow(unsafe_code)] // Writes rows that nobody reads yet.
    fn restore_rows(&self, group: &Group<'_>) {
        for i in 0..group.count {
            let slot = group.first + i as u32;
            let plane = i * self.width..(i + 1) * self.width;
            let (high, low) = (&group.high[plane.clone()], &group.low[plane]);
            // SAFETY: there is room; each slot is in one group, and nobody knows the graph yet.
            unsafe { self.rows.place(slot, group.id(i), group.scale(i), high, low) };
            if group.is_live(i) {
                self.rows.revive(slot);
            }
        }
    }

    fn restore_head(&self, words: &mut Words<'_>, slots: u32) -> Result<(), String> {
        let (version, m) = (words.next()?, words.next()?);
        if version != VERSION {
            return Err(format!("the links have version {version}, expected {VERSION}"));
        }
        if m as usize != self.m {
            return Err(format!("the links were made with m = {m}, the configuration says {}", self.m));
        }
        if words.next()? != slots {
            return Err("the links are for another number of slots".to_owned());
        }
        let (level, node) = (words.next()?, words.next()?);
        let vacant = words.many(slots)?;
        if vacant.iter().any(|slot| !self.rows.is_dead(*slot)) {
            return Err("a live slot is said to be vacant".to_owned());
        }
        self.rows.set_vacant(vacant);
        for _ in 0..words.next()? {
            let (leader, slot) = (words.below(slots)?, words.below(slots)?);
            self.twins.join(leader, slot);
        }
        for layer in &self.layers[1..] {
            let upto = words.next()?;
            let vacant = words.many(upto)?;
            if upto > slots || !layer.make_room(upto as usize) {
                return Err(format!("a layer has {upto} nodes of {slots} slots"));
            }
            layer.set_upto(upto as usize, vacant);
        }
        let upto = match level {
            0 => return Ok(()),
            1 => slots,
            level if (level as usize) <= LAYERS => self.layers[level as usize - 1].upto() as u32,
            level => return Err(format!("the entrance is on layer {level} of {LAYERS}")),
        };
        if node >= upto {
            return Err("the entrance is a node that is not there".to_owned());
        }
        self.entrance.store(Some(Entrance { level: level as usize - 1, node }));
        Ok(())
    }

    fn restore_ground(&self, first: usize, bytes: &[u8]) -> Result<(), String> {
        let (layer, slots) = (&self.layers[0], self.rows.upto());
        let count = SLOTS.min(slots - first);
        if bytes.len() != count * (4 * layer.degree() + 1) {
            return Err("a piece of the links has the wrong length".to_owned());
        }
        let (links, counts) = bytes.split_at(count * 4 * layer.degree());
        let mut words = Words(links);
        for slot in first..first + count {
            restore_links(layer, slot as u32, slots as u32, &mut words)?;
        }
        (first as u32..).zip(counts).for_each(|(slot, count)| self.rows.set_count_in(slot, *count));
        Ok(())
    }

    fn restore_upper(&self, words: &mut Words<'_>) -> Result<(), String> {
        let mut below_upto = self.rows.upto() as u32;
        for layer in &self.layers[1..] {
            let upto = layer.upto() as u32;
            for node in 0..upto {
                let (slot, below) = (words.below(self.rows.upto() as u32)?, words.below(below_upto)?);
                layer.set_origin(node, slot, below);
                restore_links(layer, node, upto, words)?;
            }
            below_upto = upto;
        }
        if words.0.is_empty() { Ok(()) } else { Err("bytes follow the links".to_owned()) }
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

fn restore_links(layer: &Layer, node: u32, upto: u32, words: &mut Words<'_>) -> Result<(), String> {
    let mut links = [0; crate::kernels::MANY];
    let mut count = 0;
    for _ in 0..layer.degree() {
        match words.next()? {
            0 => (),
            word if word <= upto => {
                links[count] = word - 1;
                count += 1;
            }
            word => return Err(format!("a link leads to node {} of {upto}", word - 1)),
        }
    }
    layer.lock(node).set(&links[..count]);
    Ok(())
}

fn put(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn put_all(bytes: &mut Vec<u8>, numbers: &[u32]) {
    put(bytes, numbers.len() as u32);
    numbers.iter().for_each(|number| put(bytes, *number));
}

/// Numbers read one after the other.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn next(&mut self) -> Result<u32, String> {
        let (word, rest) = self.0.split_first_chunk::<4>().ok_or("the links end too early")?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*word))
    }

    /// A number that has to be below `upto`.
    fn below(&mut self, upto: u32) -> Result<u32, String> {
        let number = self.next()?;
        if number < upto { Ok(number) } else { Err(format!("expected a number below {upto}, got {number}")) }
    }

    /// A count, and as many numbers below `upto`.
    fn many(&mut self, upto: u32) -> Result<Vec<u32>, String> {
        let count = self.below(upto.saturating_add(1))?;
        (0..count).map(|_| self.below(upto)).collect()
    }
}
