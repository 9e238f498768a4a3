//! [`Rival`]: a library with its vectors in it; and the three of them.

use askonce_index::bench::{HIT, K, Vectors};
use askonce_index::{Index, IndexConfig, ScopeKey};
use hnsw_rs::prelude::{Distance, Hnsw};
use simsimd::SpatialSimilarity;

use crate::args::Args;

/// Links of a node, and candidates kept while one is linked: the same for all.
const M: usize = 16;
const EF_CONSTRUCTION: usize = 128;

/// A library, filled.
pub trait Rival {
    /// The ids found, best first, as a cache asks: ours is told the least similarity, the others know none.
    fn nearest(&self, query: &[f32]) -> Result<Vec<usize>, String>;

    /// The same without a least similarity.
    fn nearest_unbound(&self, query: &[f32]) -> Result<Vec<usize>, String> {
        self.nearest(query)
    }

    /// Memory in bytes as the library reckons it, if it does.
    fn bytes(&self) -> Option<u64>;
}

/// Builds the library of this name, one vector after another.
pub fn build(name: &str, args: &Args, stored: &Vectors) -> Result<Box<dyn Rival>, String> {
    match name {
        "ours" => Ok(Box::new(Ours::build(args, stored)?)),
        "usearch" => Ok(Box::new(Usearch::build(args, stored)?)),
        "hnsw_rs" => Ok(Box::new(HnswRs::build(args, stored))),
        _ => Err(format!("{name} is none of ours, usearch, hnsw_rs")),
    }
}

const SCOPE: ScopeKey = ScopeKey([7; 16]);

struct Ours(Index);

impl Ours {
    fn build(args: &Args, stored: &Vectors) -> Result<Ours, String> {
        let mut config = IndexConfig::new(stored.width(), "bench");
        (config.m, config.ef_construction) = (M, EF_CONSTRUCTION);
        config.ef_search = args.own_ef.unwrap_or(config.ef_search);
        let index = Index::in_memory(config).map_err(|error| error.to_string())?;
        for (id, vector) in stored.iter().enumerate() {
            index.insert(SCOPE, id as u64, vector).map_err(|error| error.to_string())?;
        }
        index.settle();
        Ok(Ours(index))
    }

    fn ask(&self, query: &[f32], bound: f32) -> Result<Vec<usize>, String> {
        let found = self.0.nearest(SCOPE, query, K, bound).map_err(|error| error.to_string())?;
        Ok(found.iter().map(|near| near.id as usize).collect())
    }
}

impl Rival for Ours {
    fn nearest(&self, query: &[f32]) -> Result<Vec<usize>, String> {
        self.ask(query, HIT)
    }

    fn nearest_unbound(&self, query: &[f32]) -> Result<Vec<usize>, String> {
        self.ask(query, -1.0)
    }

    fn bytes(&self) -> Option<u64> {
        Some(self.0.stats().bytes)
    }
}

struct Usearch(usearch::Index);

impl Usearch {
    fn build(args: &Args, stored: &Vectors) -> Result<Usearch, String> {
        let options = usearch::IndexOptions {
            dimensions: stored.width(),
            metric: usearch::MetricKind::Cos,
            quantization: usearch::ScalarKind::I8,
            connectivity: M,
            expansion_add: EF_CONSTRUCTION,
            expansion_search: args.ef,
            multi: false,
        };
        let index = usearch::Index::new(&options).map_err(|error| error.to_string())?;
        index.reserve(stored.len()).map_err(|error| error.to_string())?;
        for (id, vector) in stored.iter().enumerate() {
            index.add(id as u64, vector).map_err(|error| error.to_string())?;
        }
        Ok(Usearch(index))
    }
}

impl Rival for Usearch {
    fn nearest(&self, query: &[f32]) -> Result<Vec<usize>, String> {
        let found = self.0.search(query, K).map_err(|error| error.to_string())?;
        Ok(found.keys.iter().map(|key| *key as usize).collect())
    }

    fn bytes(&self) -> Option<u64> {
        Some(self.0.memory_usage() as u64)
    }
}

struct HnswRs {
    graph: Hnsw<'static, f32, OneMinusDot>,
    ef: usize,
}

impl HnswRs {
    fn build(args: &Args, stored: &Vectors) -> HnswRs {
        let graph = Hnsw::new(M, stored.len(), 16, EF_CONSTRUCTION, OneMinusDot);
        stored.iter().enumerate().for_each(|(id, vector)| graph.insert((vector, id)));
        HnswRs { graph, ef: args.ef }
    }
}

impl Rival for HnswRs {
    fn nearest(&self, query: &[f32]) -> Result<Vec<usize>, String> {
        Ok(self.graph.search(query, K, self.ef).iter().map(|near| near.d_id).collect())
    }

    fn bytes(&self) -> Option<u64> {
        None
    }
}

/// Cosine distance of unit vectors.
#[derive(Clone, Copy)]
struct OneMinusDot;

impl Distance<f32> for OneMinusDot {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        // Only slices of different lengths have no dot product; a distance below 0 would end the process.
        f32::dot(a, b).map_or(1.0, |dot| (1.0 - dot as f32).max(0.0))
    }
}
