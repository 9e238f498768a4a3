//! How a cache begins: hits and errors of the first requests of many caches that know nothing but the weights.

use super::stream::{Outcome, Pass, World, fixed, order, pass_over};
use crate::cache::judgement::{Settings, Weights};
use rayon::prelude::*;
use serde::Serialize;
use std::sync::Arc;

/// The first so many requests are looked at.
const FIRST: [usize; 3] = [200, 500, 1000];
/// Thresholds to compare with.
const FIXED: [f32; 4] = [0.80, 0.85, 0.92, 0.95];

/// Hits and errors over requests, of the first 200, 500 and 1000.
#[derive(Serialize)]
pub(super) struct Cold {
    what: String,
    first: [[f64; 2]; 3],
}

/// The table: stretches of the stream as it is, of the stream in other orders, and of each scope alone.
pub(super) fn cold(world: &World<'_>, weights: &Arc<Weights>, budgets: &[f64], seeds: u64) -> Vec<Cold> {
    let mut rows = Vec::new();
    for (name, stretches) in [("", stretches(world, seeds)), (", one scope", alone(world))] {
        for threshold in FIXED {
            rows.push(row(format!("fixed {threshold:.2}{name}"), &stretches, &|_, order| {
                fixed(world, threshold, order)
            }));
        }
        for &error_budget in budgets {
            let settings = Settings { error_budget, ..Settings::default() };
            rows.push(row(format!("budget {:.1} %{name}", 100.0 * error_budget), &stretches, &|seed, order| {
                pass_over(world, weights, settings, &Pass { seed, ..Pass::default() }, order)
            }));
        }
    }
    rows
}

fn row(what: String, stretches: &[Vec<usize>], run: &(dyn Fn(u64, &[usize]) -> Outcome + Sync)) -> Cold {
    let first = FIRST.map(|first| {
        let counts = stretches.par_iter().enumerate().map(|(seed, order)| {
            let outcome = run(seed as u64, &order[..first.min(order.len())]);
            [outcome.requests, outcome.hits, outcome.errors]
        });
        let [requests, hits, errors] =
            counts.reduce(|| [0; 3], |one, other| std::array::from_fn(|i| one[i] + other[i]));
        [hits, errors].map(|count| count as f64 / requests.max(1) as f64)
    });
    Cold { what, first }
}

/// A cache for each thousand requests, as recorded and in other orders.
fn stretches(world: &World<'_>, seeds: u64) -> Vec<Vec<usize>> {
    let orders = (0..seeds.max(1)).map(|seed| order(world, &Pass { seed, shuffled: seed > 0, ..Pass::default() }));
    orders.flat_map(|order| order.chunks_exact(FIRST[2]).map(<[usize]>::to_vec).collect::<Vec<_>>()).collect()
}

/// A cache for each thousand requests of one scope.
fn alone(world: &World<'_>) -> Vec<Vec<usize>> {
    let of = |scope: usize| -> Vec<usize> {
        let stream = world.data.stream.iter().enumerate();
        stream.filter(|(_, request)| request.scope as usize == scope).map(|(at, _)| at).collect()
    };
    (0..world.data.scopes.len())
        .flat_map(|scope| of(scope).chunks(FIRST[2]).map(<[usize]>::to_vec).collect::<Vec<_>>())
        .collect()
}

/// Prints the table.
pub(super) fn print(rows: &[Cold]) {
    println!("\n{:<28} {}", "new caches: hits, wrong", FIRST.map(|first| format!("{first:>16}")).join(""));
    for row in rows {
        let cells = row.first.map(|[hits, wrong]| format!("{:>8.2}%{:>6.2}%", 100.0 * hits, 100.0 * wrong));
        println!("{:<28} {}", row.what, cells.join(" "));
    }
}
