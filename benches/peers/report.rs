//! What is told: every measurement as JSON, tables of medians with their spread, plots.

use super::args::Args;
use super::plan::{Outcome, Row};
use super::samples::{Quantiles, median};
use plotters::prelude::*;
use std::fmt::Write;
use std::path::Path;

/// Writes `raw.json`, `table.md` and the plots.
pub fn write(args: &Args, outcome: &Outcome) -> Result<(), String> {
    let raw = serde_json::to_string_pretty(outcome).map_err(|error| error.to_string())?;
    let to = |name: &str, text: &str| {
        std::fs::write(args.folder.join(name), text).map_err(|error| format!("{}: {error}", args.folder.display()))
    };
    to("raw.json", &raw)?;
    to("table.md", &table(args, outcome))?;
    for scenario in scenarios(outcome) {
        let file = args.folder.join(format!("{scenario}.svg"));
        plot(&file, scenario, outcome).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

/// The tables.
pub fn table(args: &Args, outcome: &Outcome) -> String {
    let mut text = String::new();
    let versions: Vec<String> = outcome.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let _ = writeln!(
        text,
        "{}\n\nMedians of {} rounds of {} s a phase, in brackets the least and the most; one processor for the peer, one for callers and \
         upstream. Times in µs. *Added*: the quantile less that of no gateway, in the same round.\n",
        versions.join(", ").trim(),
        args.rounds,
        args.seconds,
    );
    for scenario in scenarios(outcome) {
        let _ = writeln!(
            text,
            "## {scenario}\n\n| | requests/s, {} connections | CPU µs a request | p50, 1 connection | open loop: rate | CPU µs | added p50 | added p99 | added p99.9 | first byte: added p50 | p99 |\n\
             |---|---|---|---|---|---|---|---|---|---|---|",
            args.connections
        );
        for peer in peers(outcome, scenario) {
            lines(&mut text, args, outcome, (scenario, peer));
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "## Start and memory\n\n| | first answer after ms | RSS idle MB | RSS peak MB |\n|---|---|---|---|"
    );
    for foot in outcome.footprints.iter().filter(|foot| foot.rss_idle_mb > 0.0) {
        let _ = writeln!(
            text,
            "| {} {} | {:.0} | {:.1} | {:.1} |",
            foot.scenario, foot.peer, foot.start_ms, foot.rss_idle_mb, foot.rss_peak_mb
        );
    }
    for (what, why) in &outcome.left_out {
        let _ = writeln!(text, "\nLeft out: {what}: {}", why.lines().next().unwrap_or_default());
    }
    text
}

/// The lines of one peer: one for each rate.
fn lines(text: &mut String, args: &Args, outcome: &Outcome, (scenario, peer): (&str, &str)) {
    let own = outcome.rows.iter().filter(|row| row.scenario == scenario && row.peer == peer);
    let full: Vec<&Row> = own.clone().filter(|row| row.rate.is_none() && row.connections == args.connections).collect();
    let one: Vec<&Row> = own.clone().filter(|row| row.rate.is_none() && row.connections == 1).collect();
    let flat_out = [
        spread(full.iter().map(|row| row.reached), 0),
        spread(full.iter().map(|row| row.cpu_us), 1),
        spread(one.iter().map(|row| row.total.p50), 1),
    ];
    // A peer's half of what it reached differs from round to round; it is one line all the same.
    let mut rates: Vec<Option<f64>> =
        own.clone().filter(|row| !row.half).filter_map(|row| row.rate).map(Some).collect();
    rates.dedup();
    rates.sort_by(|left, right| left.partial_cmp(right).unwrap_or(std::cmp::Ordering::Equal));
    rates.dedup();
    rates.extend(own.clone().any(|row| row.half).then_some(None));
    for (index, rate) in rates.iter().enumerate() {
        let rows: Vec<&Row> =
            own.clone().filter(|row| rate.map_or(row.half, |rate| !row.half && row.rate == Some(rate))).collect();
        let added = |of_what: fn(&Row) -> Quantiles, quantile: fn(&Quantiles) -> f64| {
            let differences = rows.iter().map(|row| {
                // Beside no gateway at the same rate where there is that, else at the lowest.
                let direct = outcome.rows.iter().filter(|other| {
                    other.scenario == scenario
                        && other.peer == "direct"
                        && other.round == row.round
                        && other.rate.is_some()
                });
                let mut direct: Vec<&Row> = direct.filter(|other| !other.half).collect();
                let distance = |other: &&Row| (other.rate.unwrap_or(0.0) - row.rate.unwrap_or(0.0)).abs() as u64;
                direct.sort_by_key(distance);
                // Of what is stored there is nothing direct: all of it is added.
                quantile(&of_what(row)) - direct.first().map_or(0.0, |direct| quantile(&of_what(direct)))
            });
            spread(differences, 0)
        };
        let label = rate.map_or("half".to_owned(), |rate| format!("{rate:.0}"));
        let lead = if index == 0 { flat_out.clone() } else { Default::default() };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            if index == 0 { peer } else { "" },
            lead.join(" | "),
            label,
            spread(rows.iter().map(|row| row.cpu_us), 1),
            [
                added(|row| row.total, |all| all.p50),
                added(|row| row.total, |all| all.p99),
                added(|row| row.total, |all| all.p999)
            ]
            .join(" | "),
            [added(|row| row.first, |all| all.p50), added(|row| row.first, |all| all.p99)].join(" | "),
        );
    }
}

fn scenarios(outcome: &Outcome) -> Vec<&'static str> {
    let mut names: Vec<&str> = outcome.rows.iter().map(|row| row.scenario).collect();
    names.dedup();
    names
}

fn peers(outcome: &Outcome, scenario: &str) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for row in outcome.rows.iter().filter(|row| row.scenario == scenario) {
        if !names.contains(&row.peer) {
            names.push(row.peer);
        }
    }
    // In the order in which they are listed, whoever came first in the first round.
    names.sort_by_key(|name| outcome.versions.iter().position(|(peer, _)| peer == name));
    names
}

/// The median of some values, with the least and the most.
fn spread(values: impl Iterator<Item = f64>, digits: usize) -> String {
    let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    if values.is_empty() {
        return String::new();
    }
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let middle = median(values);
    format!("{middle:.digits$} ({least:.digits$}–{most:.digits$})")
}

/// What a row tells, if it tells of it.
type Measure<'m> = &'m dyn Fn(&Row) -> Option<f64>;

/// Processor time and latency of each peer, as bars on a scale of powers of ten.
fn plot(file: &Path, scenario: &str, outcome: &Outcome) -> Result<(), Box<dyn std::error::Error>> {
    let names = peers(outcome, scenario);
    let of = |peer: &str, value: Measure<'_>| {
        median(outcome.rows.iter().filter(|row| row.scenario == scenario && row.peer == peer).filter_map(value))
    };
    let measures: [(&str, Measure<'_>); 3] = [
        ("CPU µs a request, flat out (streams: all rates)", &|row| {
            (row.rate.is_none() || row.first.p50 < row.total.p50 / 2.0).then_some(row.cpu_us)
        }),
        ("p50 µs at the lowest rate", &|row| lowest(outcome, row).then_some(row.total.p50)),
        ("p99 µs at the lowest rate", &|row| lowest(outcome, row).then_some(row.total.p99)),
    ];
    let root = SVGBackend::new(file, (900, 720)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, (caption, value)) in root.split_evenly((measures.len(), 1)).iter().zip(measures) {
        let bars: Vec<(usize, f64)> = names.iter().enumerate().map(|(at, name)| (at, of(name, value))).collect();
        let bars: Vec<(usize, f64)> = bars.into_iter().filter(|(_, value)| value.is_finite() && *value > 0.0).collect();
        let most = bars.iter().map(|(_, value)| *value).fold(10.0, f64::max) * 2.0;
        let mut chart = ChartBuilder::on(area)
            .caption(format!("{scenario}: {caption}"), ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(24)
            .y_label_area_size(70)
            .build_cartesian_2d((0..names.len()).into_segmented(), (1.0..most).log_scale())?;
        let label = |at: &SegmentValue<usize>| match at {
            SegmentValue::CenterOf(at) => names.get(*at).copied().unwrap_or_default().to_owned(),
            _ => String::new(),
        };
        chart.configure_mesh().disable_x_mesh().x_label_formatter(&label).draw()?;
        chart.draw_series(bars.into_iter().map(|(at, value)| {
            let colour = if names[at].starts_with("askonce") { RGBColor(200, 80, 30) } else { RGBColor(120, 130, 140) };
            Rectangle::new([(SegmentValue::Exact(at), 1.0), (SegmentValue::Exact(at + 1), value)], colour.filled())
        }))?;
    }
    root.present()?;
    Ok(())
}

/// Is this the lowest rate at which its peer was measured in its scenario?
fn lowest(outcome: &Outcome, row: &Row) -> bool {
    let same = outcome.rows.iter().filter(|other| other.scenario == row.scenario && !other.half);
    row.rate.is_some() && !row.half && same.filter_map(|other| other.rate).all(|rate| row.rate <= Some(rate))
}
