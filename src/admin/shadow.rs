//! What `GET /admin/routes` tells of a model's shadow: its settings, how its lanes are, and how it compares.

use super::routes::of_lane;
use crate::edge::Doors;
use crate::pipeline::{Counts, Quantiles, ShadowReport, Sums};
use crate::routing::{Moment, Router};
use serde_json::{Value, json};

/// The shadow of the first of `names` that has one; null where none has.
pub(super) fn of_names(doors: &Doors, router: &Router, names: &[&str], now: Moment) -> Value {
    let found = names.iter().find_map(|name| Some((*name, doors.pipeline.shadow(name)?)));
    let Some((name, report)) = found else { return Value::Null };
    let mut shown = shown(&report);
    let lanes = router.shadows().find(|(known, _)| *known == name).map(|(_, shadow)| shadow.lanes());
    shown["lanes"] = lanes.into_iter().flatten().map(|lane| of_lane(lane, now)).collect();
    shown
}

fn shown(report: &ShadowReport) -> Value {
    let ShadowReport { settings, in_flight, spent_today_micro_usd, sums } = report;
    let Sums { counts, mean_cosine, timed, streamed, took, first } = sums;
    let [full, over_budget, left_alone] = counts.dropped;
    json!({
        "provider": settings.provider,
        "model": settings.model,
        "percent": settings.percent,
        "in_flight": in_flight,
        "asked": counts.asked,
        "answered": counts.answered,
        "failed": counts.failed,
        "dropped": {"full": full, "over_budget": over_budget, "left_alone": left_alone},
        "compared": counts.compared,
        "same": counts.same,
        "different": counts.different,
        "undecided": counts.undecided,
        "mean_cosine": mean_cosine,
        "cut_off": of_both(counts.cut_off.map(Value::from)),
        "tokens": tokens(counts),
        "times": {"pairs": timed, "streams": streamed, "took": times(took), "first_token": times(first)},
        "cost": {
            "spent_micro_usd": counts.spent_micro_usd,
            "spent_today_micro_usd": spent_today_micro_usd,
            "unpriced": counts.unpriced,
            "pairs": counts.priced,
            "micro_usd": of_both(counts.micro_usd.map(Value::from)),
            "ratio": ratio(counts),
        },
    })
}

fn tokens(counts: &Counts) -> Value {
    let sides = counts.tokens.map(|[input, output]| json!({"input": input, "output": output}));
    let mut shown = of_both(sides);
    shown["pairs"] = counts.counted.into();
    shown
}

/// What the shadow costs for each dollar of the real answers.
fn ratio(counts: &Counts) -> Option<f64> {
    let [real, shadow] = counts.micro_usd;
    (real > 0).then(|| shadow as f64 / real as f64)
}

fn times(quantiles: &Option<[Quantiles; 2]>) -> Value {
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let side = |one: Quantiles| json!({"p50_ms": ms(one.p50), "p95_ms": ms(one.p95)});
    quantiles.map_or(Value::Null, |both| of_both(both.map(side)))
}

fn of_both([real, shadow]: [Value; 2]) -> Value {
    json!({"real": real, "shadow": shadow})
}
