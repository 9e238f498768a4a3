//! Moves a scope's fresh chunks into its graph, one chunk a call, so that scopes take turns.

use std::sync::Arc;

use crate::partition::Partition;
use crate::workshop::Workshop;

/// Takes the next fresh chunk of `partition` into its graph, which is begun if there is none.
pub(crate) fn drain(partition: &Partition, shop: &Workshop) {
    let (view, live, begun) = {
        let body = partition.body.read();
        (body.view(), body.live(), body.graph.is_some())
    };
    let number = view.graphed;
    if number >= view.chunks.len() {
        return;
    }
    let graph = view.graph.clone().unwrap_or_else(|| shop.new_graph(live));
    if !shop.link(partition, &*graph, &view, number) {
        // The index or the scope is going away: nobody will look for the rest.
        if !begun {
            shop.release(graph);
        }
        return;
    }
    let mut strays = shop.strays(&*graph, &view, number);
    // Later nodes take links from earlier ones: look again at one older chunk for each new one.
    let again = revisit(number);
    if let Some(older) = again {
        strays.extend(shop.strays(&*graph, &view, older));
    }
    let mut body = partition.body.write();
    if !begun {
        body.graph = Some(graph);
    }
    body.graphed = number + 1;
    let rows = body.rows();
    let mut kept: Vec<u32> = body
        .strays
        .iter()
        .copied()
        .filter(|s| Some(*s as usize / rows) != again)
        .collect();
    kept.extend(strays);
    body.strays = Arc::new(kept);
}

/// Which older chunk to check again after chunk `number` was added: every one in turn, again and again.
fn revisit(number: usize) -> Option<usize> {
    // Between powers of two the older half is walked through once.
    let half = (number + 1).checked_next_power_of_two()? / 2;
    (number > 0)
        .then(|| number - half.max(1))
        .filter(|older| *older < number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_looked_at_again_in_each_doubling() {
        assert_eq!(revisit(0), None);
        for doubling in [1, 2, 4, 8, 64] {
            let seen: Vec<usize> = (doubling..2 * doubling).filter_map(revisit).collect();
            assert_eq!(seen, (0..doubling).collect::<Vec<_>>());
        }
    }
}
