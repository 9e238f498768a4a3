//! Which settings take effect only at a restart.

use super::resolved::Resolved;

impl Resolved {
    /// The keys that differ in `new` and take effect only when the process starts again: those that size or bind
    /// something that lives as long as the process. All others may change while it runs.
    pub fn restart_needed(&self, new: &Resolved) -> Vec<&'static str> {
        macro_rules! differing {
            ($($key:literal: $($field:ident).+,)+) => {
                [$(($key, self.$($field).+ != new.$($field).+)),+]
            };
        }
        let differing = differing! {
            "listen": listen,
            "admin.listen": admin.listen,
            "store": store,
            "data_dir": data_dir,
            "log.format": log.format,
            "log.level": log.level,
            "limits.body_bytes": limits.body_bytes,
            "limits.upload_bytes": limits.upload_bytes,
            "limits.in_flight": limits.in_flight,
            "limits.header_timeout_ms": limits.header_timeout,
            "embedding.model": embedding.model,
            "embedding.model_dir": embedding.model_dir,
            "embedding.device": embedding.device,
            "embedding.precision": embedding.precision,
            "embedding.kernels": embedding.kernels,
            "embedding.threads": embedding.threads,
            "embedding.pin": embedding.pin,
            "embedding.batch_tokens": embedding.batch_tokens,
            "embedding.batch_wait_us": embedding.batch_wait,
            "embedding.queue": embedding.queue,
            "embedding.queue_bytes": embedding.queue_bytes,
            "embedding.long_text": embedding.long_text,
            "embedding.max_windows": embedding.max_windows,
            "embedding.memo_bytes": embedding.memo_bytes,
            "index.graph": index.graph,
            "index.ef_search": index.ef_search,
            "index.threads": index.threads,
            "cache.semantic.weights": cache.semantic.weights,
            "cache.feedback_answers": cache.feedback_answers,
            "cache.eviction": cache.eviction,
            "cache.wait_usd_per_hour": cache.wait_usd_per_hour,
            "cache.quota": cache.quota,
            "cache.sync.interval_ms": cache.sync.interval,
            "responses": responses,
            "recording": recording,
        };
        differing.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }
}
