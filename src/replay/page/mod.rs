//! The report as one page of HTML that needs nothing else: no script, no request, light and dark, wide and narrow.
//!
//! - `svg`: scales, axes and marks; escaping
//! - `plots`: the plots

mod plots;
mod svg;

use super::print::{caution, room};
use super::report::{FalseHit, Report};
use super::sweep::Sweep;
use std::fmt::Write;
use svg::escape;

/// Where the figures come from.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The trace's file.
    pub name: &'a str,
    /// The format it was read as.
    pub format: &'a str,
    /// Rows of it that ask nothing.
    pub skipped: usize,
}

fn percent(rate: f64) -> f64 {
    rate * 100.0
}

/// The page of `sweep`. `timed` went through the real cache, for the latencies.
pub fn page(about: &About<'_>, sweep: &Sweep, timed: &Report) -> String {
    let chosen = sweep.chosen.map(|at| &sweep.runs[at]);
    let words = sweep.runs.iter().filter(|run| run.family == "words").max_by(|a, b| a.hit_rate.total_cmp(&b.hit_rate));
    let mut body = String::new();
    head(&mut body, about, sweep, chosen);
    figure(
        &mut body,
        "Hits against wrong hits",
        "Each point is one setting of one policy; up and to the left is better. Thin bars are 95 % intervals, from 200 \
         resamples of whole groups. Dashed lines are at 0.5, 1, 2 and 5 %. Points further right are in the table only.",
        &plots::hits_against_errors(sweep),
    );
    bests(&mut body, sweep);
    if let Some(run) = chosen {
        let caption = "In the order of the trace, from an empty cache.";
        figure(&mut body, "Over time", caption, &plots::over_time(run, words));
        if !run.by_scope.is_empty() {
            let caption = format!("Hit rate of {}, and in brackets how much of it was wrong.", run.policy);
            figure(&mut body, "By scope", &caption, &plots::by_scope(run));
        }
    }
    let mut shown: Vec<&Report> = words.into_iter().collect();
    for run in sweep.best.iter().filter_map(|best| best.run).map(|at| &sweep.runs[at]).chain(chosen) {
        if !shown.iter().any(|other| other.policy == run.policy) {
            shown.push(run);
        }
    }
    let caption = "The best under each bound. Shadow calls are paid like any call; judge calls by the judge's price.";
    figure(&mut body, "Savings", caption, &plots::savings(&shown));
    let mut steps = timed.clone();
    steps.latency_us.extend(chosen.and_then(|run| run.latency_us.get("score")).map(|took| ("score".to_owned(), *took)));
    let caption = format!(
        "Median, 90 and 99 of 100. From {} requests through the real cache on this machine; score is the policy's own part.",
        timed.requests
    );
    figure(&mut body, "What a lookup takes", &caption, &plots::latency(&steps));
    knobs(&mut body, sweep);
    classes(&mut body, chosen);
    rooms(&mut body, sweep);
    false_hits(&mut body, chosen);
    runs(&mut body, sweep);
    let title = escape(about.name);
    let style = include_str!("style.css");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<link rel=\"icon\" href=\"data:,\">\n<title>askonce replay: \
         {title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

fn head(body: &mut String, about: &About<'_>, sweep: &Sweep, chosen: Option<&Report>) {
    let (name, format) = (escape(about.name), escape(about.format));
    let _ = write!(body, "<h1>askonce replay</h1>\n<p class=\"soft\">{name}, read as {format}");
    if about.skipped > 0 {
        let _ = write!(body, "; {} rows that ask nothing were left out", about.skipped);
    }
    body.push_str(".</p>\n");
    if let Some(caution) = caution(sweep.scoring) {
        let _ = writeln!(body, "<p class=\"caution\">{}</p>", escape(caution));
    }
    body.push_str("<div class=\"tiles\">");
    let mut tile = |name: &str, value: String, more: String| {
        let (name, value, more) = (escape(name), escape(&value), escape(&more));
        let _ = write!(body, "<div class=\"tile\">{name}<b>{value}</b><span class=\"soft\">{more}</span></div>");
    };
    tile("requests", sweep.requests.to_string(), format!("{:.1} % repeats", percent(sweep.repeat_ceiling)));
    if let Some(run) = chosen {
        let range = |[low, high]: [f64; 2]| format!("95 %: {:.2} to {:.2}", percent(low), percent(high));
        let budget = format!("within {} % wrong", percent(sweep.error_budget));
        tile("recommended", run.policy.clone(), budget);
        tile("hits", format!("{:.1} %", percent(run.hit_rate)), range(run.hit_rate_interval));
        tile("wrong", format!("{:.2} %", percent(run.err_all)), range(run.err_all_interval));
        let checked = format!("{:.1} % of hits checked", percent(run.shadow_rate));
        match run.savings.net_usd.zip(run.savings.trace_usd) {
            Some((net, whole)) => tile("saved", format!("{net:.2} $"), format!("of {whole:.2} $; {checked}")),
            None => tile("saved", format!("{} tokens", run.savings.output_tokens), format!("of answers; {checked}")),
        }
    }
    body.push_str("</div>\n");
    if let Some(config) = &sweep.config {
        let _ = writeln!(body, "<h2>To have it</h2>\n<pre>{}</pre>", escape(config));
    }
}

fn figure(body: &mut String, title: &str, caption: &str, svg: &str) {
    let (title, caption) = (escape(title), escape(caption));
    let _ = writeln!(
        body,
        "<h2>{title}</h2>\n<figure><div class=\"wide\">{svg}</div><figcaption>{caption}</figcaption></figure>"
    );
}

fn bests(body: &mut String, sweep: &Sweep) {
    body.push_str("<h2>Best hit rate under a bound</h2>\n<div class=\"wide\"><table><tr><th>wrong at most</th><th>hits</th><th>wrong</th><th>policy</th></tr>");
    for best in &sweep.best {
        let _ = write!(body, "<tr><td>{} %</td>", percent(best.bound));
        match best.run.map(|at| &sweep.runs[at]) {
            Some(run) => {
                let (hits, wrong, name) = (percent(run.hit_rate), percent(run.err_all), escape(&run.policy));
                let _ = write!(body, "<td>{hits:.2} %</td><td>{wrong:.2} %</td><td>{name}</td></tr>");
            }
            None => body.push_str("<td>none</td><td></td><td></td></tr>"),
        }
    }
    body.push_str("</table></div>\n");
}

fn knobs(body: &mut String, sweep: &Sweep) {
    if sweep.knobs.is_empty() {
        return;
    }
    body.push_str(
        "<h2>What strictness costs</h2>\n<p class=\"soft\">Hits that the trap score gives up on this trace, for fewer \
         answers to questions that only look alike.</p>\n<div class=\"wide\"><table><tr><th>error budget</th>\
         <th>strictness</th><th>hits</th><th>wrong</th><th>costs</th></tr>",
    );
    for knob in &sweep.knobs {
        let (hits, wrong, costs) = (percent(knob.hit_rate), percent(knob.err_all), percent(knob.costs));
        let (budget, word) = (percent(knob.error_budget), knob.strictness);
        let _ = write!(
            body,
            "<tr><td>{budget} %</td><td>{word}</td><td>{hits:.2} %</td><td>{wrong:.3} %</td><td>{costs:.2} %</td></tr>"
        );
    }
    body.push_str("</table></div>\n");
}

fn classes(body: &mut String, chosen: Option<&Report>) {
    let Some(run) = chosen.filter(|run| run.by_class.len() > 1) else { return };
    body.push_str(
        "<h2>By how soon answers are out of date</h2>\n<p class=\"soft\">By the words of the question. What is never \
         the same twice is neither looked up nor stored.</p>\n<div class=\"wide\"><table><tr><th>class</th>\
         <th>requests</th><th>hits</th><th>wrong</th></tr>",
    );
    for (class, part) in &run.by_class {
        let (requests, hits, errors) = (part.requests, part.hits, part.errors);
        let _ = write!(body, "<tr><td>{class}</td><td>{requests}</td><td>{hits}</td><td>{errors}</td></tr>");
    }
    body.push_str("</table></div>\n");
}

fn rooms(body: &mut String, sweep: &Sweep) {
    let Some(plot) = plots::rooms(sweep) else { return };
    figure(body, "With less room", "The recommended policy, by which entries leave when there is no room.", &plot);
    body.push_str(
        "<div class=\"wide\"><table><tr><th>room or life</th><th>hits</th><th>wrong</th><th>left for room</th></tr>",
    );
    for run in &sweep.rooms {
        let (name, hits, wrong) = (escape(&room(run)), percent(run.hit_rate), percent(run.err_all));
        let _ =
            write!(body, "<tr><td>{name}</td><td>{hits:.2} %</td><td>{wrong:.2} %</td><td>{}</td></tr>", run.evicted);
    }
    body.push_str("</table></div>\n");
}

fn false_hits(body: &mut String, chosen: Option<&Report>) {
    let Some(run) = chosen.filter(|run| !run.false_hits.is_empty()) else { return };
    let name = escape(&run.policy);
    let _ = write!(
        body,
        "<h2>Wrong hits, the surest first</h2>\n<p class=\"soft\">What {name} served wrongly: at the left what was asked, at \
         the right whose answer was given.</p>\n<div class=\"pairs\">"
    );
    for hit in &run.false_hits {
        pair(body, hit);
    }
    body.push_str("</div>\n");
}

fn pair(body: &mut String, hit: &FalseHit) {
    let (asked, served) = (escape(&cut(&hit.question)), escape(&cut(&hit.served)));
    let _ = write!(
        body,
        "<div class=\"pair\"><div class=\"sides\"><p>{asked}</p><p>{served}</p></div><div class=\"chips\">"
    );
    let mut chip = |text: String| {
        let _ = write!(body, "<span>{}</span>", escape(&text));
    };
    chip(hit.tier.to_owned());
    if let Some(similarity) = hit.similarity {
        chip(format!("similarity {similarity:.3}"));
    }
    if let Some(p) = hit.p {
        chip(format!("sure to {p:.3}"));
    }
    chip(format!("shared words {:.2}", hit.shared_words));
    chip(format!("lengths {:.2}", hit.length_ratio));
    if hit.facts_differ {
        chip("numbers differ".to_owned());
    }
    if hit.undecided {
        chip("no judge could decide".to_owned());
    }
    if let Some(scope) = &hit.scope {
        chip(format!("scope {scope}"));
    }
    let [wanted, given] = &hit.wanted_and_given;
    chip(format!("{} ≠ {}", cut(wanted), cut(given)));
    body.push_str("</div></div>");
}

fn runs(body: &mut String, sweep: &Sweep) {
    body.push_str("<h2>All runs</h2>\n<details><summary>Table; a star marks what nothing beats</summary><div class=\"wide\"><table><tr>");
    for name in ["policy", "hits %", "wrong %", "95 %", "of hits %", "F1", "shadow %", "judge %", "net hits %", "net $"]
    {
        let _ = write!(body, "<th>{name}</th>");
    }
    body.push_str("</tr>");
    for (at, run) in sweep.runs.iter().enumerate() {
        let class = if sweep.front.contains(&at) { " class=\"front\"" } else { "" };
        let ([low, high], name) = (run.err_all_interval.map(percent), escape(&run.policy));
        let net = run.savings.net_usd.map_or(String::new(), |usd| format!("{usd:.2}"));
        let _ = write!(
            body,
            "<tr{class}><td>{name}</td><td>{:.2}</td><td>{:.3}</td><td>{low:.2}–{high:.2}</td><td>{:.2}</td><td>{:.3}</td>\
             <td>{:.1}</td><td>{:.1}</td><td>{:.2}</td><td>{net}</td></tr>",
            percent(run.hit_rate),
            percent(run.err_all),
            percent(run.err_hit),
            run.f1,
            percent(run.shadow_rate),
            percent(run.judge_rate),
            percent(run.net_hit_rate),
        );
    }
    body.push_str("</table></div></details>\n");
}

/// As much of a text as is read at a glance.
fn cut(text: &str) -> String {
    match text.char_indices().nth(400) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
