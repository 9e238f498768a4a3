//! What conditions say, and what is refused of them.

use super::*;
use proptest::prelude::*;

fn text(text: &str) -> Fact {
    Fact::Text(text.to_owned())
}

fn map(entries: &[(&str, Fact)]) -> Fact {
    Fact::Map(entries.iter().map(|(name, fact)| ((*name).to_owned(), fact.clone())).collect())
}

/// A request, of which all is known.
fn known(variable: Variable) -> Option<Fact> {
    Some(match variable {
        Variable::Model => text("fast"),
        Variable::Surface => text("chat_completions"),
        Variable::Stream => Fact::Bool(true),
        Variable::Headers => map(&[("x-tier", text("gold")), ("user-agent", text("OpenAI/Python 1.2"))]),
        Variable::Params => map(&[
            ("temperature", Fact::Float(0.2)),
            ("top_p", Fact::Float(1.0)),
            ("max_tokens", Fact::Integer(100)),
            ("user", text("u")),
            ("store", Fact::Bool(false)),
            ("tools", Fact::Integer(2)),
            ("images", Fact::Integer(0)),
        ]),
        Variable::Tokens => Fact::Integer(9000),
        Variable::Tenant => text("team"),
        Variable::Time => {
            map(&[("hour", Fact::Integer(9)), ("minute", Fact::Integer(5)), ("weekday", Fact::Integer(0))])
        }
        Variable::Topic => text("legal"),
        Variable::Complexity => Fact::Float(0.75),
        Variable::Hard => Fact::Bool(true),
        Variable::Budget => map(&[("used", Fact::Float(0.92)), ("left_usd", Fact::Float(1.5))]),
        Variable::Limits => map(&[("requests", Fact::Float(0.5)), ("tokens", Fact::Float(0.0))]),
    })
}

fn said(condition: &str, known: impl Fn(Variable) -> Option<Fact>) -> Result<bool, String> {
    let condition = Condition::new(condition).unwrap_or_else(|why| panic!("{condition}: {why}"));
    condition.holds(&Facts::new(condition.uses(), known))
}

#[test]
fn conditions_are_true_or_false_of_a_request() {
    let table = [
        ("true", true),
        ("budget.used > 0.9 && budget.left_usd < 2.0", true),
        ("limits.requests > 0.5 || limits.tokens > 0.0", false),
        ("stream", true),
        ("!stream", false),
        ("model == 'fast'", true),
        ("model.startsWith(\"fa\") && model.endsWith('st')", true),
        ("surface in ['messages', 'chat_completions']", true),
        ("surface == 'messages'", false),
        ("tokens > 8000", true),
        ("tokens > 8000.5", true),
        ("tokens < 8000 || stream", true),
        ("headers['x-tier'] == 'gold'", true),
        ("'x-tier' in headers", true),
        ("'x-other' in headers", false),
        ("headers['user-agent'].contains('Python')", true),
        ("headers['user-agent'].matches('^OpenAI/.* 1\\\\.[0-9]$')", true),
        ("params.temperature > 0", true),
        ("params.temperature == 0.2", true),
        ("params.temperature < 1", true),
        ("params.top_p == 1", true),
        ("params.max_tokens >= 100.0", true),
        ("params.store", false),
        ("has(params.seed)", false),
        ("has(params.user) && params.user == 'u'", true),
        ("!has(params.seed) || params.seed == 1", true),
        ("params.tools > 0 && params.images == 0", true),
        ("tenant == 'team' ? tokens > 1 : false", true),
        ("time.hour >= 8 && time.hour < 18 && time.weekday in [1, 2, 3, 4, 5]", false),
        ("time.weekday == 0 && time.minute == 5", true),
        ("['gold', 'silver'].exists(tier, tier == headers['x-tier'])", true),
        ("headers.all(name, name.startsWith('x-'))", false),
        ("size(model) == 4 && int('5') == 5 && type(tokens) == int", true),
        ("topic == 'legal' && hard", true),
        ("topic in ['billing', 'legal'] && complexity > 0.5", true),
        ("topic == '' || !hard", false),
        ("matches(model, '^f.st$') && ['^a', 'f'].exists(one, model.matches(one))", true),
        // What cannot be told of one side does not matter where the other one decides.
        ("headers['x-none'] == 'a' || stream", true),
        ("headers['x-none'] == 'a' && !stream", false),
    ];
    for (condition, expected) in table {
        assert_eq!(said(condition, known), Ok(expected), "{condition}");
    }
}

#[test]
fn what_cannot_be_told_is_an_error() {
    let table = [
        ("headers['x-none'] == 'a'", "No such key: x-none"),
        ("!(headers['x-none'] == 'a')", "No such key: x-none"),
        ("params.seed == 1", "No such key: seed"),
        ("params.user > 5", "no matching overload"),
        ("tokens", ""),
        ("params.user", "neither true nor false"),
        ("tokens + 1", "neither true nor false"),
        ("1 / (tokens - 9000) == 1", "Division by zero"),
        ("model.matches(headers['x-tier'] + '(')", "not a valid regex"),
    ];
    for (condition, expected) in table {
        match Condition::new(condition) {
            Ok(_) => {
                let why = said(condition, known).unwrap_err();
                assert!(why.contains(expected), "{condition}: {why}");
            }
            Err(why) => assert!(expected.is_empty() && why.contains("compare it"), "{condition}: {why}"),
        }
    }
    let no_body = |variable| known(variable).filter(|_| !matches!(variable, Variable::Params | Variable::Tokens));
    for condition in ["tokens > 1", "tokens <= 1", "!has(params.seed)"] {
        assert!(said(condition, no_body).is_err(), "{condition}");
    }
    assert_eq!(said("tokens > 1 || model == 'fast'", no_body), Ok(true));
}

#[test]
fn only_what_is_asked_about_is_looked_for() {
    let table: [(&str, &[Variable]); 5] = [
        ("true", &[]),
        ("stream", &[Variable::Stream]),
        ("tokens > 1 && has(params.x)", &[Variable::Params, Variable::Tokens]),
        ("headers.exists(tokens, tokens == 'x-a')", &[Variable::Headers]),
        (
            "[1].exists(x, x == time.hour) || tenant == surface + model",
            &[Variable::Model, Variable::Surface, Variable::Tenant, Variable::Time],
        ),
    ];
    for (condition, expected) in table {
        let uses = Condition::new(condition).unwrap().uses();
        let found: Vec<Variable> = Variable::ALL.into_iter().filter(|variable| uses.has(*variable)).collect();
        assert_eq!(found, expected, "{condition}");
    }
}

#[test]
fn what_takes_an_embedding_is_late_and_topics_that_are_compared_are_known() {
    let table: [(&str, bool, &[&str]); 9] = [
        ("stream", false, &[]),
        ("hard", true, &[]),
        ("complexity > 0.5 && stream", true, &[]),
        ("topic == 'a' || 'b' != topic || stream", true, &["a", "b"]),
        ("topic in ['a', model, 'c'] && model == 'd'", true, &["a", "c"]),
        ("topic == ''", true, &[""]),
        ("topic.startsWith('e')", true, &[]),
        ("['x'].exists(topic, topic == 'f')", false, &[]),
        ("!(stream && (tokens > 5 ? topic == 'g' : hard))", true, &["g"]),
    ];
    for (condition, late, topics) in table {
        let read = Condition::new(condition).unwrap_or_else(|why| panic!("{condition}: {why}"));
        assert_eq!((read.is_late(), read.topics().collect::<Vec<_>>()), (late, topics.to_vec()), "{condition}");
    }
}

#[test]
fn a_regular_expression_is_compiled_once_and_for_as_long_as_a_condition_has_it() {
    let written = "^only-here-[0-9]+$";
    let one = Condition::new(&format!("model.matches('{written}')")).unwrap();
    let other = Condition::new(&format!("matches(tenant, '{written}') || stream")).unwrap();
    let held = matching::pattern(written).unwrap();
    assert!(Arc::ptr_eq(&held, &one._patterns[0]) && Arc::ptr_eq(&held, &other._patterns[0]));
    let told = |name: &str| one.holds(&Facts::new(one.uses(), |_| Some(text(name))));
    assert_eq!((told("only-here-12"), told("only-here-")), (Ok(true), Ok(false)));
    let weak = Arc::downgrade(&held);
    drop((one.clone(), held, other));
    assert!(weak.upgrade().is_some(), "a condition has it");
    drop(one);
    assert!(weak.upgrade().is_none(), "nobody has it");
}

#[test]
fn what_is_no_condition_is_refused_with_its_place() {
    let table = [
        ("stream &&", "it ends too early"),
        ("(stream", "it ends too early"),
        ("stream)", "its column 7 cannot be read: extraneous input ')', expected its end"),
        ("1 ++ 2 == 3", "its column 4 cannot be read: extraneous input '+', expected a value"),
        ("model == §", "its column 10 cannot be read: token recognition error at: '§'"),
        ("model = 'x'", "its column 7 cannot be read"),
        ("'é' == model ]", "its column 14 cannot be read"),
        (
            "tokes > 1",
            "there is no variable `tokes`; there are model, surface, stream, headers, params, tokens, tenant, time, topic, complexity, hard",
        ),
        ("[1].all(x, y > x)", "there is no variable `y`"),
        ("[1].all(x, x > 0) && x > 0", "there is no variable `x`"),
        ("model.lower() == 'x'", "there is no function `lower`; there are bool, bytes, contains"),
        ("has(stream)", "its column"),
        ("Foo{a: 1} == model", "there is no type `Foo`"),
        ("time.day == 1", "`time` has no `day`; it has hour, minute, weekday"),
        ("headers['X-Tier'] == 'a'", "names of headers are in lower case: `x-tier`"),
        ("headers.authorization == 'a'", "the header `authorization` is not told to conditions"),
        ("tokens", "it is neither true nor false"),
        ("topic", "it is neither true nor false"),
        ("complexity", "it is neither true nor false"),
        ("'yes'", "it is neither true nor false"),
        ("[stream]", "it is neither true nor false"),
        ("[1].all(x, [2].all(y, y > x))", "stands inside another one"),
        ("model.matches('a(')", "`a(` is no regular expression"),
        ("matches(model, 'a(')", "`a(` is no regular expression"),
    ];
    for (condition, expected) in table {
        let why = Condition::new(condition).unwrap_err();
        assert!(why.starts_with(expected) || why.contains(expected), "{condition}: {why}");
    }
}

#[test]
fn what_is_too_much_is_refused_and_breaks_nothing() {
    let table = [
        ("long", format!("model == '{}'", "x".repeat(2000)), "2011 characters; 2000 are the most"),
        ("brackets", format!("{}stream{}", "(".repeat(65), ")".repeat(65)), "65 opening brackets; 64"),
        ("signs", vec!["1"; 402].join("+"), "401 signs of operators; 400"),
        ("a sum", format!("{} == 5", vec!["1"; 30].join("+")), "more than 24 deep"),
        ("choices", format!("{}stream", "stream?stream:".repeat(30)), "more than 24 deep"),
        ("indexes", format!("params{} == 1", "[0]".repeat(30)), "more than 24 deep"),
        ("calls", format!("{}1{} == 1", "int(".repeat(30), ")".repeat(30)), "more than 24 deep"),
    ];
    for (what, condition, expected) in table {
        let why = Condition::new(&condition).unwrap_err();
        assert!(why.contains(expected), "{what}: {why}");
    }
    // At the bounds the parser still has enough of a stack, whatever comes of it.
    let bounds = [
        format!("{}stream{}", "(".repeat(64), ")".repeat(64)),
        "(".repeat(64),
        format!("{}{}", "[".repeat(64), "]".repeat(64)),
        format!("{}1{}", "{1:".repeat(64), "}".repeat(64)),
        format!("{}stream{}", "[1].all(x,".repeat(32), ")".repeat(32)),
        vec!["1"; 401].join("+"),
        vec!["1"; 201].join("=="),
        "stream?stream:".repeat(100) + "stream",
        format!("{}1", "-".repeat(400)),
        format!("params{}", ".a".repeat(400)),
    ];
    for condition in bounds {
        let _ = Condition::new(&condition);
    }
    assert_eq!(said(&vec!["stream"; 200].join("&&"), known), Ok(true), "a list of them is not deep");
}

#[test]
fn the_deepest_is_evaluated_on_a_small_stack() {
    let deepest = [
        format!("{} == 22", vec!["1"; 22].join("+")),
        format!("{}stream{}", "!stream ? stream : ".repeat(22), ""),
        format!("{}1{} == 1", "int(".repeat(22), ")".repeat(22)),
    ];
    let all = deepest.map(|text| Condition::new(&text).unwrap_or_else(|why| panic!("{text}: {why}")));
    let small = std::thread::Builder::new().stack_size(1 << 20);
    let run = small.spawn(move || all.map(|one| one.holds(&Facts::new(one.uses(), known))));
    assert_eq!(run.unwrap().join().unwrap(), [Ok(true), Ok(true), Ok(true)]);
}

const WORDS: [&str; 47] = [
    "stream",
    "tokens",
    "headers",
    "params",
    "model",
    "time",
    "topic",
    "hard",
    ".matches('a')",
    ".hour",
    ".x",
    "['x-tier']",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "?",
    "&&",
    "||",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    ">=",
    " in ",
    "1",
    "0",
    "9223372036854775807",
    "2.5",
    "1u",
    "'a'",
    "b'a'",
    "null",
    "true",
    ".size()",
    ".exists(x, x == 'a')",
    "has(params.x)",
    "int(",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_that_is_written_ends_the_process(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 1..12)) {
        if let Ok(condition) = Condition::new(&words.concat()) {
            let _ = condition.holds(&Facts::new(condition.uses(), known));
            let _ = condition.holds(&Facts::new(condition.uses(), |_| None));
        }
    }

    #[test]
    fn nothing_that_is_calculated_ends_the_process(
        values in prop::collection::vec(prop::sample::select(vec![
            "1", "0", "(-9223372036854775807 - 1)", "9223372036854775807", "-1", "2.5", "1u", "18446744073709551615u", "'é'", "b'a'",
            "null", "[1]", "{'a': 1}", "tokens", "params", "headers", "model", "true", "params.temperature", "size(model)", "type(1)",
            "int(2.5)", "double('x')", "uint(-1)", "string(tokens)", "bytes('é')", "[1, 'a'][1]", "headers.map(x, x)",
        ]), 2..6),
        signs in prop::collection::vec(prop::sample::select(vec![
            " + ", " - ", " * ", " / ", " % ", " == ", " < ", " >= ", " in ", " && ", " ? true : ",
        ]), 5),
    ) {
        let text: String = values.iter().zip(&signs).map(|(value, sign)| format!("{value}{sign}")).collect();
        let text = format!("{text}{} == 1", values[0]);
        if let Ok(condition) = Condition::new(&text) {
            let _ = condition.holds(&Facts::new(condition.uses(), known));
        }
    }
}
