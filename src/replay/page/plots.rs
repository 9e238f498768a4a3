//! The plots of the page.

use super::super::report::Report;
use super::super::sweep::Sweep;
use super::super::tally::{Part, ratio};
use super::svg::{Anchor, Drawing, Scale, WIDTH};

/// Scopes that are drawn, those with most requests.
const SCOPES: usize = 16;

fn percent(rate: f64) -> f64 {
    rate * 100.0
}

/// The colour of a family of policies.
fn colour(family: &str) -> String {
    let number = match family {
        "static" => 1,
        "static, veto" => 2,
        "vCache" => 3,
        "vCache, with tiers" => 4,
        "learned" => 5,
        "learned, traps off" => 6,
        "learned, traps strict" => 7,
        _ => 0,
    };
    format!("var(--c{number})")
}

/// Axes with their grid: values of `x` below, of `y` at the left, and what they are.
fn axes(drawing: &mut Drawing, x: Scale, y: Scale, names: [&str; 2], frame: [f64; 4]) {
    let [left, top, right, bottom] = frame;
    for tick in y.ticks(6) {
        drawing.line([left, y.at(tick)], [right, y.at(tick)], r#"class="grid""#);
        drawing.text([left - 6.0, y.at(tick) + 4.0], Anchor::End, "tick", &short(tick));
    }
    for tick in x.ticks(7) {
        drawing.line([x.at(tick), bottom], [x.at(tick), bottom + 5.0], r#"class="grid""#);
        drawing.text([x.at(tick), bottom + 18.0], Anchor::Middle, "tick", &short(tick));
    }
    drawing.line([left, bottom], [right, bottom], r#"stroke="var(--soft)""#);
    drawing.text([right, bottom + 36.0], Anchor::End, "", names[0]);
    drawing.text([left - 40.0, top - 10.0], Anchor::Start, "", names[1]);
}

fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Hit rate against error, every policy, with intervals.
pub(super) fn hits_against_errors(sweep: &Sweep) -> String {
    let frame = [56.0, 74.0, WIDTH - 12.0, 430.0];
    let most_hits = sweep.runs.iter().map(|run| percent(run.hit_rate_interval[1])).fold(10.0, f64::max);
    let most_errors = sweep.runs.iter().map(|run| percent(run.err_all)).fold(0.5, f64::max).min(6.0);
    let x = Scale::new(0.0, most_errors, [frame[0], frame[2]]);
    let y = Scale::new(0.0, most_hits, [frame[3], frame[1]]);
    let mut drawing = Drawing::new(476.0);
    axes(&mut drawing, x, y, ["wrong hits, % of all requests", "hits, % of all requests"], frame);
    for bound in [0.5, 1.0, 2.0, 5.0].into_iter().filter(|bound| x.holds(*bound)) {
        drawing.line([x.at(bound), frame[1]], [x.at(bound), frame[3]], r#"class="bound""#);
    }
    let mut families: Vec<&str> = Vec::new();
    for run in &sweep.runs {
        if !families.contains(&run.family.as_str()) {
            families.push(&run.family);
        }
    }
    // What is the default is drawn last, on top.
    families.sort_by_key(|family| *family == "learned");
    for family in &families {
        let of: Vec<&Report> =
            sweep.runs.iter().filter(|run| run.family == *family && x.holds(percent(run.err_all))).collect();
        let colour = colour(family);
        let mut places: Vec<[f64; 2]> =
            of.iter().map(|run| [x.at(percent(run.err_all)), y.at(percent(run.hit_rate))]).collect();
        places.sort_by(|one, other| one[0].total_cmp(&other[0]));
        drawing.path(&places, &format!(r#"fill="none" stroke="{colour}" stroke-width="1.5""#));
        for run in of {
            let [left, right] = run.err_all_interval.map(|rate| x.at(percent(rate)));
            let [low, high] = run.hit_rate_interval.map(|rate| y.at(percent(rate)));
            let [at_x, at_y] = [x.at(percent(run.err_all)), y.at(percent(run.hit_rate))];
            let faint = format!(r#"stroke="{colour}" stroke-width="1" opacity=".35""#);
            drawing.line([left, at_y], [right, at_y], &faint);
            drawing.line([at_x, low], [at_x, high], &faint);
            drawing.dot([at_x, at_y], 3.5, &format!(r#"fill="{colour}""#), &said(run));
        }
    }
    let names: Vec<(&str, String)> = families.iter().map(|family| (*family, colour(family))).collect();
    drawing.legend([frame[0], 20.0], &names);
    drawing.finish("Hit rate against error rate of every policy")
}

fn said(run: &Report) -> String {
    let ([low, high], name) = (run.err_all_interval.map(percent), &run.policy);
    let (hits, errors) = (percent(run.hit_rate), percent(run.err_all));
    format!("{name}: {hits:.2} % hits, {errors:.2} % wrong (95 %: {low:.2} to {high:.2})")
}

/// Hits and wrong hits along the trace, of one run and of words alone.
pub(super) fn over_time(run: &Report, words: Option<&Report>) -> String {
    let frame = [56.0, 54.0, WIDTH - 12.0, 260.0];
    let rates = |run: &Report, of: fn(&Part) -> usize| -> Vec<f64> {
        run.by_time.iter().map(|part| percent(ratio(of(part), part.requests))).collect()
    };
    let (hits, wrong) = (rates(run, |part| part.hits), rates(run, |part| part.errors));
    let words = words.map(|words| rates(words, |part| part.hits));
    let most = hits.iter().copied().fold(10.0, f64::max);
    let x = Scale::new(0.0, 100.0, [frame[0], frame[2]]);
    let y = Scale::new(0.0, most * 1.05, [frame[3], frame[1]]);
    let mut drawing = Drawing::new(304.0);
    axes(&mut drawing, x, y, ["% of the trace", "% of the requests at that time"], frame);
    let mut series = |values: &[f64], colour: &str| {
        let place =
            |(at, value): (usize, &f64)| [x.at((at as f64 + 0.5) * 100.0 / values.len().max(1) as f64), y.at(*value)];
        let points: Vec<[f64; 2]> = values.iter().enumerate().map(place).collect();
        drawing.path(&points, &format!(r#"fill="none" stroke="{colour}" stroke-width="2""#));
    };
    let mut names = vec![(run.policy.as_str(), "var(--good)".to_owned())];
    if let Some(words) = &words {
        series(words, "var(--c0)");
        names.push(("same words only", "var(--c0)".to_owned()));
    }
    series(&hits, "var(--good)");
    series(&wrong, "var(--bad)");
    names.push(("wrong", "var(--bad)".to_owned()));
    drawing.legend([frame[0], 20.0], &names);
    drawing.finish("Hits and wrong hits over time")
}

/// Hit rate by scope, with the wrong part of it.
pub(super) fn by_scope(run: &Report) -> String {
    let mut scopes: Vec<(&String, &Part)> = run.by_scope.iter().collect();
    scopes.sort_by_key(|(_, part)| std::cmp::Reverse(part.requests));
    scopes.truncate(SCOPES);
    let (left, row) = (190.0, 24.0);
    let height = 40.0 + row * scopes.len() as f64;
    let x = Scale::new(0.0, 100.0, [left, WIDTH - 120.0]);
    let mut drawing = Drawing::new(height);
    drawing.legend([left, 16.0], &[("right", "var(--good)".to_owned()), ("wrong", "var(--bad)".to_owned())]);
    for (at, (scope, part)) in scopes.into_iter().enumerate() {
        let y = 32.0 + row * at as f64;
        let (hits, wrong) = (percent(ratio(part.hits, part.requests)), percent(ratio(part.errors, part.requests)));
        drawing.text([left - 8.0, y + 13.0], Anchor::End, "", &cut(scope, 24));
        let title = format!("{scope}: {} requests, {} hits, {} wrong", part.requests, part.hits, part.errors);
        let right = x.at(hits - wrong);
        drawing.bar([left, y], [right - left, 16.0], r#"fill="var(--good)""#, &title);
        drawing.bar([right, y], [x.at(hits) - right, 16.0], r#"fill="var(--bad)""#, &title);
        let label = format!("{hits:.1} % ({wrong:.2})");
        drawing.text([x.at(hits) + 6.0, y + 13.0], Anchor::Start, "tick", &label);
    }
    drawing.finish("Hit rate by scope")
}

/// Dollars that each of `runs` saves, and what checking costs; tokens where there are no prices.
pub(super) fn savings(runs: &[&Report]) -> String {
    let (left, row) = (230.0, 26.0);
    let priced = runs.iter().any(|run| run.savings.usd.is_some());
    let gross = |run: &Report| match run.savings.usd {
        Some(usd) => usd,
        None => (run.savings.input_tokens + run.savings.output_tokens) as f64,
    };
    let most = runs.iter().map(|run| gross(run)).fold(1e-9, f64::max);
    let x = Scale::new(0.0, most, [left, WIDTH - 150.0]);
    let mut drawing = Drawing::new(46.0 + row * runs.len() as f64);
    let mut names = vec![(if priced { "kept, US dollars" } else { "tokens not sent" }, "var(--good)".to_owned())];
    if priced {
        names.push(("shadow calls", "var(--c1)".to_owned()));
        names.push(("judge calls", "var(--c2)".to_owned()));
    }
    drawing.legend([left, 16.0], &names);
    for (at, run) in runs.iter().enumerate() {
        let y = 34.0 + row * at as f64;
        drawing.text([left - 8.0, y + 14.0], Anchor::End, "", &cut(&run.policy, 32));
        let costs = [run.savings.judge_usd, run.savings.shadow_usd].map(|usd| usd.unwrap_or(0.0));
        let net = gross(run) - costs[0] - costs[1];
        let mut from = x.at(0.0);
        for (amount, colour) in [(net.max(0.0), "var(--good)"), (costs[1], "var(--c1)"), (costs[0], "var(--c2)")] {
            let width = x.at(amount) - x.at(0.0);
            drawing.bar([from, y], [width, 17.0], &format!(r#"fill="{colour}""#), &format!("{amount:.4}"));
            from += width;
        }
        let label = if priced { format!("{net:.2} of {:.2} $", gross(run)) } else { format!("{:.0}", gross(run)) };
        drawing.text([from + 6.0, y + 14.0], Anchor::Start, "tick", &label);
    }
    drawing.finish("Savings")
}

/// Median and tails of each step, on a scale of powers of ten.
pub(super) fn latency(run: &Report) -> String {
    let (left, row) = (110.0, 44.0);
    let steps: Vec<_> = ["hash", "embed", "search", "score"]
        .into_iter()
        .filter_map(|step| Some((step, run.latency_us.get(step)?)))
        .collect();
    let most = steps.iter().map(|(_, took)| took.p99).fold(10.0, f64::max).log10().ceil();
    let x = Scale::new(0.0, most, [left, WIDTH - 80.0]);
    let bottom = 30.0 + row * steps.len() as f64;
    let mut drawing = Drawing::new(bottom + 40.0);
    for power in 0..=most as i32 {
        let at = x.at(f64::from(power));
        drawing.line([at, 20.0], [at, bottom], r#"class="grid""#);
        let label = match power {
            0..=2 => format!("{} µs", 10u64.pow(power as u32)),
            3..=5 => format!("{} ms", 10u64.pow(power as u32 - 3)),
            _ => format!("{} s", 10u64.pow(power.min(18) as u32 - 6)),
        };
        drawing.text([at, bottom + 18.0], Anchor::Middle, "tick", &label);
    }
    for (at, (step, took)) in steps.into_iter().enumerate() {
        let y = 24.0 + row * at as f64;
        drawing.text([left - 8.0, y + 16.0], Anchor::End, "", step);
        let place = |us: f64| x.at(us.max(1.0).log10());
        let title = format!("{step}: p50 {:.1} µs, p90 {:.1} µs, p99 {:.1} µs", took.p50, took.p90, took.p99);
        for (us, opacity) in [(took.p99, ".25"), (took.p90, ".5"), (took.p50, "1")] {
            let attributes = format!(r#"fill="var(--c5)" opacity="{opacity}""#);
            drawing.bar([left, y], [place(us) - left, 22.0], &attributes, &title);
        }
        let label = format!("{} / {} / {} µs", round(took.p50), round(took.p90), round(took.p99));
        drawing.text([left + 4.0, y + 36.0], Anchor::Start, "tick", &label);
    }
    drawing.finish("What the steps of a lookup take")
}

fn round(us: f64) -> String {
    if us < 10.0 { format!("{us:.1}") } else { format!("{us:.0}") }
}

/// Hit rate with less room, a line for each eviction policy.
pub(super) fn rooms(sweep: &Sweep) -> Option<String> {
    let bounded: Vec<&Report> = sweep.rooms.iter().filter(|run| run.room_bytes.is_some()).collect();
    let whole = sweep.chosen.map(|at| &sweep.runs[at])?;
    let most = whole.bytes as f64;
    if bounded.is_empty() || most <= 0.0 {
        return None;
    }
    let frame = [56.0, 54.0, WIDTH - 12.0, 260.0];
    let x = Scale::new(0.0, 100.0, [frame[0], frame[2]]);
    let y = Scale::new(0.0, percent(whole.hit_rate) * 1.05, [frame[3], frame[1]]);
    let mut drawing = Drawing::new(304.0);
    axes(&mut drawing, x, y, ["room, % of what it takes without a bound", "hits, % of all requests"], frame);
    let mut names = Vec::new();
    for (number, eviction) in super::super::shelf::Eviction::ALL.into_iter().enumerate() {
        let colour = format!("var(--c{})", [5, 1, 2][number]);
        let mut places: Vec<[f64; 2]> = Vec::new();
        for run in bounded.iter().filter(|run| run.eviction == eviction) {
            let share = percent(run.room_bytes.unwrap_or(0) as f64 / most);
            let place = [x.at(share), y.at(percent(run.hit_rate))];
            drawing.dot(place, 3.5, &format!(r#"fill="{colour}""#), &said(run));
            places.push(place);
        }
        places.push([x.at(100.0), y.at(percent(whole.hit_rate))]);
        places.sort_by(|one, other| one[0].total_cmp(&other[0]));
        drawing.path(&places, &format!(r#"fill="none" stroke="{colour}" stroke-width="1.5""#));
        names.push((eviction.as_str(), colour));
    }
    drawing.legend([frame[0], 20.0], &names);
    Some(drawing.finish("Hit rate with less room, by eviction policy"))
}

/// At most `most` characters of `text`.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
