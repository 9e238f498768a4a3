//! Which route a name means, and what its lanes are.

use super::*;
use crate::routing::{Fault, Look, Moment};
use crate::types::secret::Secret;

fn provider(name: &str, at: &str) -> config::Provider {
    let known = config::known_providers().iter().find(|known| known.name == "openai").unwrap();
    let provider = config::Provider::known(known, at.to_owned(), at == known.base_url);
    config::Provider { name: name.to_owned(), ..provider }
}

fn target(provider: &str, model: &str) -> config::Target {
    config::Target {
        provider: provider.into(),
        model: model.into(),
        key: None,
        weight: 1.0,
        tier: 0,
        after: Vec::new(),
        max_in_flight: None,
        first_token_timeout: None,
        when: None,
        params: Vec::new(),
        canary: None,
    }
}

fn model(name: &str, targets: Vec<config::Target>, price: Option<Price>) -> config::Model {
    config::Model {
        name: name.to_owned(),
        aliases: Vec::new(),
        strategy: Strategy::Ordered,
        targets,
        hedge: None,
        price,
        max_output_tokens: None,
        shadow: None,
    }
}

fn router(models: &[config::Model], providers: &[config::Provider], default: Option<&str>) -> Router {
    Router::over(models, providers, &[], default, DEFAULT_BREAKER, 20, None)
}

#[test]
fn finds_the_targets() {
    let there = "http://127.0.0.1:1/v1";
    let providers = [provider("a", there), provider("b", there)];
    let models = [
        config::Model {
            aliases: vec!["quick".to_owned()],
            ..model("fast", vec![target("a", "small"), target("b", "tiny")], None)
        },
        model("gpt-*", vec![target("a", "*")], None),
        model("gpt-*-mini", vec![target("b", "mini/*@1")], None),
    ];
    let having = |model: &str| (model == "org/known").then_some("b");
    let table = [
        ("fast", None, Some(("a", "small"))),
        ("quick", None, Some(("a", "small"))),
        ("gpt-9", None, Some(("a", "9"))),
        ("gpt-9-mini", None, Some(("b", "mini/9@1"))),
        ("gpt-", None, Some(("a", ""))),
        ("org/known", None, Some(("b", "org/known"))),
        ("a/x/y", None, Some(("a", "x/y"))),
        ("c/x", None, None),
        ("c/x", Some("b"), Some(("b", "c/x"))),
        ("a/", None, None),
        ("unheard", Some("a"), Some(("a", "unheard"))),
        ("unheard", None, None),
    ];
    for (model, default, expected) in table {
        let route = router(&models, &providers, default).plan(model, having);
        let first =
            route.as_ref().ok().map(|route| (route.targets[0].provider.as_str(), route.targets[0].model.as_str()));
        assert_eq!(first, expected, "{model}");
        if let Err(error) = &route {
            assert_eq!((error.status(), error.code), (404, Some("model_not_found")));
        }
    }
}

#[test]
fn routes_of_models_that_nobody_configured_are_kept_up_to_a_number() {
    let vendor = "https://api.openai.com/v1";
    let providers = [provider("a", vendor), provider("b", vendor)];
    let own = Price::new(1, 2);
    let models = [model("gpt-*", vec![target("a", "*")], None), model("own", vec![target("a", "own")], Some(own))];
    let router = router(&models, &providers, Some("a"));
    let plan = |model: &str, having: Option<&'static str>| router.plan(model, |_| having).unwrap();
    let is_kept = |model: &str| Arc::ptr_eq(&plan(model, None), &plan(model, None));
    for model in ["gpt-9", "unheard", "b/unheard", &"x".repeat(Planned::NAME_BYTES)] {
        assert!(is_kept(model), "{model}");
    }
    assert!(
        !is_kept(&"x".repeat(Planned::NAME_BYTES + 1)),
        "no name is too long to be asked for, but some are to be kept"
    );
    // Who has a model may change, and what a name costs is not the name's alone.
    let provider = |route: Arc<Route>| route.targets[0].provider.clone();
    assert_eq!([None, Some("b"), None].map(|having| provider(plan("new", having))), ["a", "b", "a"]);
    assert_eq!((plan("b/own", None).price, router.to("b", "own", None).price), (Some(own), None));
    (0..2 * Planned::MOST).for_each(|n| drop(plan(&format!("m{n}"), None)));
    assert_eq!(router.planned["a"].0.read().len(), Planned::MOST);
    assert!(is_kept("unheard") && !is_kept("one-more"));
    assert_eq!(provider(plan("one-more", None)), "a");
}

#[test]
fn a_price_of_ones_own_comes_before_the_list() {
    let vendor = "https://api.openai.com/v1";
    let providers = [provider("a", vendor), provider("b", vendor), provider("elsewhere", "http://127.0.0.1:1/v1")];
    let own = Price::new(1, 2);
    let listed = config::list_price("openai", "gpt-4o-mini");
    assert!(listed.is_some());
    let models = [
        model("own", vec![target("a", "gpt-4o-mini")], Some(own)),
        model("list", vec![target("a", "gpt-4o-mini"), target("b", "gpt-4o-mini")], None),
        model("differs", vec![target("a", "gpt-4o-mini"), target("b", "gpt-4o")], None),
        model("abroad", vec![target("a", "gpt-4o-mini"), target("elsewhere", "gpt-4o-mini")], None),
    ];
    let router = router(&models, &providers, None);
    let table = [
        ("own", Some(own)),
        ("a/own", Some(own)),
        ("list", listed),
        ("differs", None),
        ("abroad", None),
        ("a/gpt-4o-mini", listed),
        ("a/unheard-of", None),
        ("elsewhere/gpt-4o-mini", None),
    ];
    for (model, expected) in table {
        assert_eq!(router.plan(model, |_| None).unwrap().price, expected, "{model}");
    }
}

#[test]
fn each_key_is_a_lane_and_the_same_lane_in_every_route() {
    let key = |name: &str, weight: f64, models: &[&str]| config::ProviderKey {
        name: name.to_owned(),
        key: Secret::new(name.to_owned()),
        weight,
        models: models.iter().map(|model| (*model).to_owned()).collect(),
        limits: config::KeyLimits::default(),
    };
    let keys = vec![key("k1", 3.0, &[]), key("k2", 1.0, &[]), key("k3", 1.0, &["other"])];
    let providers = [
        config::Provider { keys, api_key: None, ..provider("a", "http://127.0.0.1:1/v1") },
        config::Provider { api_key: None, ..provider("b", "http://127.0.0.1:1/v1") },
    ];
    let only = config::Target { key: Some("k2".to_owned()), ..target("a", "m") };
    let models = [
        model("one", vec![config::Target { weight: 8.0, ..target("a", "m") }, target("b", "m")], None),
        model("two", vec![only], None),
        model("any-*", vec![target("a", "x/*")], None),
    ];
    let router = router(&models, &providers, None);
    let lanes = |name: &str| {
        let route = router.plan(name, |_| None).unwrap();
        let told = |leg: &Leg| (leg.lane.id.key.clone().unwrap_or_default(), leg.weight, leg.target);
        route.legs.iter().map(told).collect::<Vec<_>>()
    };
    assert_eq!(lanes("one"), [("k1".into(), 6.0, 0), ("k2".into(), 2.0, 0), (String::new(), 1.0, 1)]);
    assert_eq!(lanes("two"), [("k2".into(), 1.0, 0)]);
    let lane = |name: &str, at: usize| router.plan(name, |_| None).unwrap().legs[at].lane.clone();
    assert!(Arc::ptr_eq(&lane("one", 1), &lane("two", 0)));
    assert!(Arc::ptr_eq(&lane("a/unheard", 0), &lane("a/of", 0)), "what is not configured shares a lane");
    assert!(!Arc::ptr_eq(&lane("a/m", 0), &lane("a/unheard", 0)));
    assert!(Arc::ptr_eq(&lane("any-1", 0), &lane("any-2", 0)), "whatever the `*` stands for");
    assert_eq!(lane("b/m", 0).id.key, None);
}

#[test]
fn conditions_leave_out_targets_and_parameters_set_them_apart() {
    use crate::config::{Condition, Fact, Facts, Variable};
    use crate::types::params::Param;
    let when = |text: &str| Some(Condition::new(text).unwrap());
    let cold = vec![Param { name: "t".to_owned(), value: Some("0".to_owned()) }];
    let targets = vec![
        config::Target { when: when("tokens > 100"), ..target("a", "m") },
        config::Target { when: when("stream"), params: cold, ..target("a", "m") },
        config::Target { when: when("stream"), after: vec![After::ContextLength], ..target("b", "m") },
        config::Target { tier: 1, when: when("tokens <= 100 || stream"), ..target("b", "m") },
    ];
    let there = "http://127.0.0.1:1/v1";
    let models =
        [model("m", targets.clone(), None), model("p-*", targets, None), model("plain", vec![target("a", "x")], None)];
    let router = router(&models, &[provider("a", there), provider("b", there)], None);
    assert_eq!(router.plan("plain", |_| None).unwrap().asks(), None);
    // Tokens, stream; the lanes left out, and the providers left.
    type Row<'r> = (Option<i64>, bool, &'r [usize], &'r [(&'r str, usize)]);
    let table: [Row<'_>; 5] = [
        (Some(101), true, &[], &[("a", 0), ("a", 1), ("b", 0)]),
        (Some(101), false, &[1, 2, 3], &[("a", 0)]),
        (Some(100), false, &[0, 1, 2], &[("b", 0)]),
        (Some(100), true, &[0], &[("a", 1), ("b", 0)]),
        (None, true, &[0], &[("a", 1), ("b", 0)]),
    ];
    for name in ["m", "p-1"] {
        let route = router.plan(name, |_| None).unwrap();
        let uses = route.asks().unwrap();
        assert!(uses.has(Variable::Tokens) && uses.has(Variable::Stream) && !uses.has(Variable::Headers));
        for (tokens, stream, out, left) in table {
            let facts = Facts::new(uses, |variable| match variable {
                Variable::Tokens => tokens.map(Fact::Integer),
                _ => Some(Fact::Bool(stream)),
            });
            let found = route.left_out(&facts);
            let targets: Vec<(&str, usize)> = route
                .targets_left(&found)
                .into_iter()
                .map(|target| (target.provider.as_str(), target.params.len()))
                .collect();
            assert_eq!((found.as_slice(), targets.as_slice()), (out, left), "{name} {tokens:?} {stream}");
            assert!(route.some_are_left(&found, name).is_ok());
        }
        // Who is asked only after another is nobody to begin with.
        let error = route.some_are_left(&[0, 1, 3], name).unwrap_err();
        assert_eq!((error.status(), error.code), (404, Some("no_target_for_request")));
    }
}

#[test]
fn late_conditions_are_told_last_and_leave_nobody_out_before() {
    use crate::config::{Condition, Fact, Facts, Variable};
    let when = |text: &str| Some(Condition::new(text).unwrap());
    let targets = vec![
        config::Target { when: when("topic == 'legal' && stream"), ..target("a", "one") },
        config::Target { when: when("hard"), ..target("a", "two") },
        config::Target { when: when("tokens > 5"), ..target("a", "three") },
    ];
    let models = [model("m", targets, None)];
    let router = router(&models, &[provider("a", "http://127.0.0.1:1/v1")], None);
    let route = router.plan("m", |_| None).unwrap();
    let (early, late) = (route.asks().unwrap(), route.asks_late().unwrap());
    assert!(early.has(Variable::Tokens) && !early.has(Variable::Topic) && !early.has(Variable::Stream));
    assert!(late.has(Variable::Topic) && late.has(Variable::Stream) && late.has(Variable::Hard));
    let facts = |topic: Option<&str>, hard: bool| {
        let topic = topic.map(str::to_owned);
        Facts::new(late.and(early), move |variable| match variable {
            Variable::Topic => topic.clone().map(Fact::Text),
            Variable::Hard => Some(Fact::Bool(hard)),
            Variable::Stream => Some(Fact::Bool(true)),
            _ => Some(Fact::Integer(1)),
        })
    };
    assert_eq!(route.left_out(&facts(None, false)), [2], "of those that are told now");
    assert_eq!(route.left_out_late(&facts(Some("legal"), false)), [1]);
    assert_eq!(route.left_out_late(&facts(Some(""), true)), [0]);
    assert_eq!(route.left_out_late(&facts(None, true)), [0], "what cannot be told is false");
    assert_eq!(router.plan("a/other", |_| None).unwrap().asks_late(), None);
}

#[test]
fn a_lane_that_a_model_names_twice_gets_both_weights() {
    let key = |name: &str| config::ProviderKey {
        name: name.to_owned(),
        key: Secret::new(name.to_owned()),
        weight: 1.0,
        models: Vec::new(),
        limits: config::KeyLimits::default(),
    };
    let keyed =
        config::Provider { keys: vec![key("k1"), key("k2")], api_key: None, ..provider("a", "http://127.0.0.1:1/v1") };
    let only = config::Target { key: Some("k2".to_owned()), weight: 3.0, ..target("a", "m") };
    let later = config::Target { key: Some("k1".to_owned()), tier: 1, ..target("a", "m") };
    let router = router(&[model("one", vec![target("a", "m"), only, later], None)], &[keyed], None);
    let route = router.plan("one", |_| None).unwrap();
    let told = |leg: &Leg| (leg.lane.id.key.clone().unwrap_or_default(), leg.tier, leg.weight);
    let legs: Vec<_> = route.legs.iter().map(told).collect();
    assert_eq!(legs, [("k1".into(), 0, 0.5), ("k2".into(), 0, 3.5), ("k1".into(), 1, 1.0)]);
}

#[test]
fn what_was_learned_of_what_stays_stays() {
    let there = "http://127.0.0.1:1/v1";
    let trial = config::Canary { percent: 5.0, error_percent: 5.0, min_requests: 20 };
    let models = |most: u32, percent: f64| {
        let bounded = config::Target { max_in_flight: Some(most), ..target("a", "m") };
        let canary = config::Target { canary: Some(config::Canary { percent, ..trial }), ..target("b", "m") };
        [model("one", vec![bounded, canary], None)]
    };
    let over = |models: &[config::Model], b: &str, before: Option<&Router>| {
        Router::over(models, &[provider("a", there), provider("b", b)], &[], None, DEFAULT_BREAKER, 20, before)
    };
    let first = over(&models(4, 5.0), there, None);
    let lane = |router: &Router, name: &str| {
        let route = router.plan("one", |_| None).unwrap();
        route.legs.iter().find(|leg| leg.lane.id.provider == name).unwrap().lane.clone()
    };
    let canary = |router: &Router| router.plan("one", |_| None).unwrap().canary().unwrap().1.clone();
    let same = |one: &Router, other: &Router| {
        let lanes = ["a", "b"].map(|name| Arc::ptr_eq(&lane(one, name), &lane(other, name)));
        (lanes, Arc::ptr_eq(&canary(one), &canary(other)))
    };
    assert_eq!(same(&first, &over(&models(4, 5.0), there, Some(&first))), ([true, true], true));
    assert_eq!(same(&first, &over(&models(5, 5.0), there, Some(&first))), ([false, true], true), "another limit");
    assert_eq!(same(&first, &over(&models(4, 6.0), there, Some(&first))), ([true, true], false), "another share");
    let elsewhere = over(&models(4, 5.0), "http://127.0.0.1:2/v1", Some(&first));
    assert_eq!(same(&first, &elsewhere), ([true, false], false), "another address");
    assert_eq!(same(&first, &over(&models(4, 5.0), there, None)), ([false, false], false));
}

fn shadow(provider: &str, model: &str) -> config::Shadow {
    config::Shadow {
        provider: provider.to_owned(),
        model: model.to_owned(),
        key: None,
        params: Vec::new(),
        price: None,
        percent: 5.0,
        judge: false,
        usd_per_day: None,
        max_in_flight: 4,
        labels: false,
    }
}

#[test]
fn a_shadow_has_a_route_and_lanes_of_its_own() {
    let there = "http://127.0.0.1:1/v1";
    let providers = [provider("a", there), provider("b", there)];
    let models = [
        config::Model {
            aliases: vec!["quick".to_owned()],
            shadow: Some(shadow("a", "small")),
            ..model("fast", vec![config::Target { max_in_flight: Some(1), ..target("a", "small") }], None)
        },
        config::Model { shadow: Some(shadow("b", "openai/*")), ..model("gpt-*", vec![target("a", "*")], None) },
        model("gpt-4*", vec![target("a", "*")], None),
    ];
    let router = router(&models, &providers, Some("a"));
    let found = |model: &str| {
        let (shadow, stands_for) = router.shadow(model)?;
        let route = shadow.route(stands_for);
        Some((shadow.model.clone(), route.targets[0].provider.clone(), route.targets[0].model.clone()))
    };
    let owned = |words: [&str; 3]| Some(<(String, String, String)>::from(words.map(str::to_owned)));
    assert_eq!(found("fast"), owned(["fast", "a", "small"]));
    assert_eq!(found("quick"), found("fast"));
    assert_eq!(found("gpt-5"), owned(["gpt-*", "b", "openai/5"]));
    // Another entry is meant, a provider is named, or no entry at all.
    assert_eq!([found("gpt-41"), found("a/small"), found("unheard")], [None, None, None]);
    // Lanes: not those of callers, and the same ones each time.
    let now = Moment::since_start(Duration::from_secs(1));
    let route = router.shadow("fast").unwrap().0.route(None);
    let real = &router.plan("fast", |_| None).unwrap().legs[0].lane;
    assert!(
        !Arc::ptr_eq(&route.legs[0].lane, real) && router.lanes().all(|lane| !Arc::ptr_eq(lane, &route.legs[0].lane))
    );
    let held: Vec<_> = (0..3).map(|_| Shadow::begin(&route, now, 0.5).unwrap()).collect();
    assert_eq!((real.in_flight(), router.shadow("quick").unwrap().0.route(None).legs[0].lane.in_flight()), (0, 3));
    drop(held);
    // A reload knows it again; with other settings it is another.
    let over =
        |models: &[config::Model]| Router::over(models, &providers, &[], Some("a"), DEFAULT_BREAKER, 20, Some(&router));
    let own = |router: &Router| router.shadow("quick").unwrap().0.clone();
    assert!(Arc::ptr_eq(&own(&over(&models)), &own(&router)));
    let mut others = models.clone();
    others[0].shadow = Some(config::Shadow { percent: 6.0, ..shadow("a", "small") });
    assert!(!Arc::ptr_eq(&own(&over(&others)), &own(&router)));
    // Who keeps failing is left alone, and then asked by one request.
    for _ in 0..10 {
        if let Some((_, mut pass)) = Shadow::begin(&route, now, 0.0) {
            pass.failed(Fault::Passing, now, 0.0);
        }
    }
    assert!(Shadow::begin(&route, now, 0.0).is_none());
    let later = now.after(Duration::from_secs(120));
    let probe = Shadow::begin(&route, later, 0.0);
    assert!(probe.is_some_and(|(_, pass)| pass.is_probe() && Shadow::begin(&route, later, 0.0).is_none()));
    assert!(matches!(real.look(now), Look::Ready(_)));
}

#[test]
fn a_shadow_goes_by_the_weight_of_keys_and_with_one_where_that_is_named() {
    let key = |name: &str, weight: f64| config::ProviderKey {
        name: name.to_owned(),
        key: Secret::new("sk"),
        weight,
        models: Vec::new(),
        limits: config::KeyLimits::default(),
    };
    let keyed = config::Provider { keys: vec![key("x", 1.0), key("y", 3.0)], ..provider("a", "http://127.0.0.1:1/v1") };
    let named = |key: Option<&str>| {
        let shadow = config::Shadow { key: key.map(str::to_owned), ..shadow("a", "m") };
        let models = [config::Model { shadow: Some(shadow), ..model("m", vec![target("a", "m")], None) }];
        router(&models, std::slice::from_ref(&keyed), None).shadow("m").unwrap().0.route(None)
    };
    let now = Moment::since_start(Duration::from_secs(1));
    let route = named(None);
    let chosen = |chance: f64| Shadow::begin(&route, now, chance).unwrap().1.lane().id.key.clone().unwrap();
    assert_eq!([0.0, 0.2, 0.3, 0.99].map(chosen), ["x", "x", "y", "y"]);
    assert_eq!(named(Some("y")).legs.len(), 1);
}
