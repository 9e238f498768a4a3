//! What a terminal is shown: one run in full, and a sweep as tables.

use super::report::{Latency, Report};
use super::sweep::Sweep;
use super::truth::Scoring;
use std::fmt;

fn percent(rate: f64) -> f64 {
    rate * 100.0
}

/// How far the errors of a report can be trusted, where that has to be said.
pub(super) fn caution(scoring: Scoring) -> Option<&'static str> {
    match scoring {
        Scoring::Groups => None,
        Scoring::Answers => Some(
            "The trace has no groups: its recorded answers were compared by the gateway's own judges. Wrong hits are an \
             estimate; what no judge could decide counts as wrong.",
        ),
        Scoring::None => {
            Some("The trace has neither groups nor answers: hits are counted, but nobody knows which are wrong.")
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = |[low, high]: [f64; 2]| format!("95 % interval {:.2} to {:.2}", percent(low), percent(high));
        let repeats = percent(self.repeat_ceiling);
        writeln!(f, "{}: {} requests, {repeats:.1} % of them repeats", self.policy, self.requests)?;
        if let Some(caution) = caution(self.scoring) {
            writeln!(f, "  {caution}")?;
        }
        writeln!(f, "  hits        {:>7.2} %   {}", percent(self.hit_rate), range(self.hit_rate_interval))?;
        writeln!(f, "  wrong hits  {:>7.2} %   {}", percent(self.err_all), range(self.err_all_interval))?;
        if self.estimated {
            let part = percent(self.undecided_hits as f64 / self.requests.max(1) as f64);
            let (undecided, rest) = (self.undecided_hits, percent(self.err_all) - part);
            writeln!(f, "              of these {undecided} that no judge could decide; {rest:.2} % without them")?;
        }
        writeln!(
            f,
            "  precision {:.4}, recall {:.4} ({:.4} of the repeats), F1 {:.4}, wrong among hits {:.2} %",
            self.precision,
            self.recall,
            self.recall_of_ceiling,
            self.f1,
            percent(self.err_hit)
        )?;
        writeln!(
            f,
            "  shadow calls {:.2} % of hits, judge calls {:.2} % of requests, net hits {:.2} %",
            percent(self.shadow_rate),
            percent(self.judge_rate),
            percent(self.net_hit_rate)
        )?;
        self.money(f)?;
        writeln!(f, "  entries     {} in {} bytes, index {} bytes", self.entries, self.bytes, self.index_bytes)?;
        for (step, latency) in &self.latency_us {
            let Latency { p50, p90, p99 } = latency;
            writeln!(f, "  {step:<10}  p50 {p50:.1} µs, p90 {p90:.1} µs, p99 {p99:.1} µs")?;
        }
        self.parts(f)
    }
}

impl Report {
    fn money(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let saved = &self.savings;
        writeln!(f, "  saved       {} input and {} output tokens", saved.input_tokens, saved.output_tokens)?;
        let (Some(usd), Some(net), Some(trace)) = (saved.usd, saved.net_usd, saved.trace_usd) else { return Ok(()) };
        writeln!(f, "              {usd:.4} of {trace:.4} US dollars; {net:.4} after shadow and judge calls")
    }

    fn parts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {:<20} {:>8} {:>8} {:>8}", "tier", "", "hits", "wrong")?;
        for (tier, part) in &self.by_tier {
            writeln!(f, "  {tier:<20} {:>8} {:>8} {:>8}", "", part.hits, part.errors)?;
        }
        writeln!(f, "  {:<20} {:>8} {:>8} {:>8}", "scope", "requests", "hits", "wrong")?;
        for (scope, part) in &self.by_scope {
            writeln!(f, "  {scope:<20} {:>8} {:>8} {:>8}", part.requests, part.hits, part.errors)?;
        }
        if self.by_class.len() > 1 {
            writeln!(f, "  {:<20} {:>8} {:>8} {:>8}", "staleness", "requests", "hits", "wrong")?;
        }
        for (class, part) in self.by_class.iter().filter(|_| self.by_class.len() > 1) {
            writeln!(f, "  {class:<20} {:>8} {:>8} {:>8}", part.requests, part.hits, part.errors)?;
        }
        writeln!(f, "  {:<20} {:>8} {:>8} {:>8}", "tenth of the trace", "requests", "hits", "wrong")?;
        for (at, part) in self.by_decile.iter().enumerate() {
            writeln!(f, "  {:<20} {:>8} {:>8} {:>8}", at + 1, part.requests, part.hits, part.errors)?;
        }
        Ok(())
    }
}

impl fmt::Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} requests, {:.1} % of them repeats", self.requests, percent(self.repeat_ceiling))?;
        if let Some(caution) = caution(self.scoring) {
            writeln!(f, "{caution}")?;
        }
        let head = ["hits %", "wrong %", "95 % of wrong", "of hits %", "shadow %", "net USD"];
        let [hits, wrong, interval, of_hits, shadow, usd] = head;
        writeln!(f, "\n  {:<34} {hits:>8} {wrong:>8} {interval:>16} {of_hits:>10} {shadow:>9} {usd:>10}", "policy")?;
        for (at, run) in self.runs.iter().enumerate() {
            let mark = if self.front.contains(&at) { "*" } else { " " };
            line(f, mark, &run.policy, run)?;
        }
        writeln!(f, "  * nothing else has as many hits at no more errors\n")?;
        for best in &self.best {
            let found = best.run.map(|at| &self.runs[at]);
            let found =
                found.map_or("none".to_owned(), |run| format!("{:.2} % by {}", percent(run.hit_rate), run.policy));
            writeln!(f, "  best hit rate at ≤ {} % wrong: {found}", percent(best.bound))?;
        }
        if !self.knobs.is_empty() {
            let head = ["hits %", "wrong %", "costs"];
            writeln!(f, "\n  {:<34} {:>8} {:>8} {:>8}", "strictness against look-alikes", head[0], head[1], head[2])?;
        }
        for knob in &self.knobs {
            let (hits, wrong, costs) = (percent(knob.hit_rate), percent(knob.err_all), percent(knob.costs));
            let name = format!("δ {}, {}", knob.error_budget, knob.strictness);
            writeln!(f, "  {name:<34} {hits:>8.2} {wrong:>8.3} {costs:>8.2}")?;
        }
        if !self.rooms.is_empty() {
            writeln!(f, "\n  less room and shorter lives, {}:", self.rooms[0].policy)?;
            for run in &self.rooms {
                line(f, " ", &room(run), run)?;
            }
        }
        if let Some(config) = &self.config {
            writeln!(f, "\nTo have what keeps to {} % here, write:\n\n{config}", percent(self.error_budget))?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, mark: &str, name: &str, run: &Report) -> fmt::Result {
    let [low, high] = run.err_all_interval.map(percent);
    let net = run.savings.net_usd.map_or("".to_owned(), |usd| format!("{usd:.4}"));
    writeln!(
        f,
        "{mark} {name:<34} {:>8.2} {:>8.3} {:>16} {:>10.2} {:>9.2} {net:>10}",
        percent(run.hit_rate),
        percent(run.err_all),
        format!("{low:.2} to {high:.2}"),
        percent(run.err_hit),
        percent(run.shadow_rate),
    )
}

/// What bounds a run, in words.
pub(super) fn room(run: &Report) -> String {
    match (run.room_bytes, run.ttl_s) {
        (Some(bytes), _) => format!("{} KiB, {}", bytes >> 10, run.eviction.as_str()),
        (None, Some(ttl_s)) => format!("{ttl_s} s"),
        (None, None) => "no bound".to_owned(),
    }
}
