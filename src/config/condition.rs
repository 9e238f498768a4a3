//! `Condition`: whether a target takes part in a request, written in CEL (<https://github.com/google/cel-spec>). With what is below it
//! the only file that knows the crate `cel`.
//!
//! It is compiled once, when the settings are read, and evaluated for each request of its model. What an operator writes is
//! bounded, so that neither can take long: its length, its brackets and operators, how deep it is, and no loop inside a loop.

use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};
use cel::{Context, Env, Program, Value};
use regex::Regex;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, LazyLock};

mod matching;

/// A condition may be this long.
const MOST_CHARS: usize = 2000;
/// The parser goes into itself for each bracket, and for each operator.
const MOST_BRACKETS: usize = 64;
const MOST_SIGNS: usize = 400;
/// What is evaluated goes into itself this often at most: it runs on the stacks of requests.
const MOST_DEPTH: usize = 24;
/// What the parser takes of a stack at the bounds above is less than this, even where nothing was optimised.
const STACK_BYTES: usize = 64 << 20;

/// The functions of the language's standard library that are here, and the types that are functions, too.
const FUNCTIONS: [&str; 13] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];
const TYPES: [&str; 10] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];
/// What `time` has.
const TIME: [&str; 3] = ["hour", "minute", "weekday"];

static LIBRARY: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::default().with_optional_support(false).with_stdlib();
    if let Err(error) = matching::add_to(&mut env) {
        tracing::error!(%error, "conditions are without `matches`");
    }
    Arc::new(env)
});

/// What a condition may ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// The model, as the caller named it.
    Model,
    /// The word of the surface.
    Surface,
    /// Whether a stream is asked for.
    Stream,
    /// Headers of the caller, by names in lower case.
    Headers,
    /// Fields of the request.
    Params,
    /// About how many tokens the request has.
    Tokens,
    /// The name of the caller's tenant.
    Tenant,
    /// The time of day and the day of the week, in UTC.
    Time,
    /// The topic of the question.
    Topic,
    /// How probable it is that the question needs the stronger model.
    Complexity,
    /// Whether that is probable enough.
    Hard,
    /// How far the caller's budgets are used up.
    Budget,
    /// The same of its rate limits.
    Limits,
}

impl Variable {
    /// All of them.
    pub const ALL: [Variable; 13] = [
        Variable::Model,
        Variable::Surface,
        Variable::Stream,
        Variable::Headers,
        Variable::Params,
        Variable::Tokens,
        Variable::Tenant,
        Variable::Time,
        Variable::Topic,
        Variable::Complexity,
        Variable::Hard,
        Variable::Budget,
        Variable::Limits,
    ];

    /// Those that take an embedding of the question to tell.
    pub const LATE: [Variable; 3] = [Variable::Topic, Variable::Complexity, Variable::Hard];

    /// What conditions call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Variable::Model => "model",
            Variable::Surface => "surface",
            Variable::Stream => "stream",
            Variable::Headers => "headers",
            Variable::Params => "params",
            Variable::Tokens => "tokens",
            Variable::Tenant => "tenant",
            Variable::Time => "time",
            Variable::Topic => "topic",
            Variable::Complexity => "complexity",
            Variable::Hard => "hard",
            Variable::Budget => "budget",
            Variable::Limits => "limits",
        }
    }

    fn named(name: &str) -> Option<Variable> {
        Variable::ALL.into_iter().find(|variable| variable.as_str() == name)
    }
}

/// The variables that conditions ask about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uses(u16);

impl Uses {
    /// Is `variable` among them?
    pub fn has(self, variable: Variable) -> bool {
        self.0 & 1 << variable as u8 != 0
    }

    /// Is one among them that takes an embedding of the question?
    pub fn has_late(self) -> bool {
        Variable::LATE.into_iter().any(|variable| self.has(variable))
    }

    /// These and those.
    #[must_use]
    pub fn and(self, other: Uses) -> Uses {
        Uses(self.0 | other.0)
    }

    fn add(&mut self, variable: Variable) {
        self.0 |= 1 << variable as u8;
    }
}

/// What a variable holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// Names and what they stand for.
    Map(Vec<(String, Fact)>),
}

impl From<Fact> for Value {
    fn from(fact: Fact) -> Value {
        match fact {
            Fact::Bool(value) => value.into(),
            Fact::Integer(number) => number.into(),
            Fact::Float(number) => number.into(),
            Fact::Text(text) => text.into(),
            Fact::Map(entries) => {
                entries.into_iter().map(|(name, fact)| (name, fact.into())).collect::<HashMap<String, Value>>().into()
            }
        }
    }
}

/// What is known of one request.
pub struct Facts(Context<'static, 'static>);

impl Facts {
    /// Those that `uses` asks for and that `of` knows.
    pub fn new(uses: Uses, of: impl Fn(Variable) -> Option<Fact>) -> Facts {
        let mut context = Context::with_env(LIBRARY.clone());
        for variable in Variable::ALL.into_iter().filter(|variable| uses.has(*variable)) {
            if let Some(fact) = of(variable) {
                context.add_variable_from_value(variable.as_str(), fact);
            }
        }
        Facts(context)
    }
}

/// A condition, ready to be evaluated. Two are the same where they are written alike.
#[derive(Clone)]
pub struct Condition {
    text: String,
    program: Arc<Program>,
    uses: Uses,
    topics: Arc<BTreeSet<String>>,
    /// Held, so that they need not be compiled again.
    _patterns: Arc<Vec<Arc<Regex>>>,
}

impl PartialEq for Condition {
    fn eq(&self, other: &Condition) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.text).finish()
    }
}

impl Condition {
    /// Reads `text`. The error says what is wrong with it.
    pub fn new(text: &str) -> Result<Condition, String> {
        bounded(text)?;
        // The parser needs more of a stack than a thread that serves requests, or a program's first, is sure to have.
        let own = text.to_owned();
        let thread = std::thread::Builder::new().name("askonce-condition".to_owned()).stack_size(STACK_BYTES);
        let running =
            thread.spawn(move || compiled(&own)).map_err(|error| format!("it cannot be read now: {error}"))?;
        let (program, found) = running.join().map_err(|_| "it cannot be read".to_owned())??;
        let Found { uses, topics, patterns } = found;
        let (topics, _patterns) = (Arc::new(topics), Arc::new(patterns));
        Ok(Condition { text: text.to_owned(), program: Arc::new(program), uses, topics, _patterns })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The variables that it asks about.
    pub fn uses(&self) -> Uses {
        self.uses
    }

    /// Does it take an embedding of the question to tell? Such a condition is told last.
    pub fn is_late(&self) -> bool {
        self.uses.has_late()
    }

    /// The texts that it compares `topic` with, as far as that is plain to see.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().map(String::as_str)
    }

    /// Is it true of `facts`? The error says why that cannot be told.
    pub fn holds(&self, facts: &Facts) -> Result<bool, String> {
        match self.program.execute(&facts.0) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("it is {:?}, which is neither true nor false", other.type_of())),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn bounded(text: &str) -> Result<(), String> {
    let count = |signs: &str| text.chars().filter(|sign| signs.contains(*sign)).count();
    let (chars, brackets, signs) = (text.chars().count(), count("([{"), count("+-*/%<>=!&|?:.,"));
    for (most, found, what) in [
        (MOST_CHARS, chars, "characters"),
        (MOST_BRACKETS, brackets, "opening brackets"),
        (MOST_SIGNS, signs, "signs of operators"),
    ] {
        if found > most {
            return Err(format!("it has {found} {what}; {most} are the most"));
        }
    }
    Ok(())
}

/// What was found in a condition.
#[derive(Default)]
struct Found {
    uses: Uses,
    topics: BTreeSet<String>,
    patterns: Vec<Arc<Regex>>,
}

fn compiled(text: &str) -> Result<(Program, Found), String> {
    let program = Program::compile(text).map_err(|errors| {
        let first = errors.errors.into_iter().min_by_key(|error| error.pos);
        first.map_or_else(|| "it cannot be read".to_owned(), |error| unread(text, error.pos.1, &error.msg))
    })?;
    let found = {
        let root = program.expression();
        if is_no_question(&root.expr) {
            return Err("it is neither true nor false: compare it with something".to_owned());
        }
        let mut check = Check { found: Found::default() };
        check.below(root, &mut Vec::new(), Around { depth: 1, looped: false })?;
        check.found
    };
    Ok((program, found))
}

/// What the parser says of the column `column`, from 1, in fewer words.
fn unread(text: &str, column: isize, message: &str) -> String {
    let column = usize::try_from(column).unwrap_or(1).max(1);
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let (found, expected) = message.split_once(" expecting ").unwrap_or((message, ""));
    if column > text.chars().count() {
        return "it ends too early".to_owned();
    }
    // The parser names every sign that could stand there; few of them say more than this.
    let expected = match expected {
        "<EOF>" => ", expected its end",
        list if list.len() > 40 => ", expected a value",
        _ => "",
    };
    format!("its column {column} cannot be read: {found}{expected}")
}

/// Is it a value by itself that is no `true` and no `false`?
fn is_no_question(expr: &Expr) -> bool {
    match expr {
        Expr::Ident(name) => {
            Variable::named(name).is_some_and(|variable| !matches!(variable, Variable::Stream | Variable::Hard))
        }
        Expr::Literal(literal) => !matches!(literal, LiteralValue::Boolean(_)),
        Expr::List(_) | Expr::Map(_) | Expr::Struct(_) => true,
        _ => false,
    }
}

/// Looks for what a condition must not have.
struct Check {
    found: Found,
}

/// Where in it one stands.
#[derive(Clone, Copy)]
struct Around {
    depth: usize,
    /// Inside of what a macro does to each of a list.
    looped: bool,
}

impl Check {
    /// `names` are those that the macros around it have given.
    fn below<'e>(&mut self, expr: &'e IdedExpr, names: &mut Vec<&'e str>, around: Around) -> Result<(), String> {
        if around.depth > MOST_DEPTH {
            return Err(format!("its parts stand within each other more than {MOST_DEPTH} deep"));
        }
        let inside = Around { depth: around.depth + 1, ..around };
        match &expr.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name, names),
            Expr::Select(select) => {
                field(&select.operand.expr, &select.field)?;
                self.below(&select.operand, names, inside)
            }
            Expr::Call(call) => {
                let is_word = call.func_name.starts_with(|first: char| first.is_ascii_alphabetic());
                if is_word && !FUNCTIONS.contains(&call.func_name.as_str()) {
                    let all = FUNCTIONS.join(", ");
                    return Err(format!("there is no function `{}`; there are {all}", call.func_name));
                }
                if let ("_[_]", [map, IdedExpr { expr: Expr::Literal(LiteralValue::String(key)), .. }]) =
                    (call.func_name.as_str(), call.args.as_slice())
                {
                    field(&map.expr, key.inner())?;
                }
                if let ("matches", Some(Expr::Literal(LiteralValue::String(pattern)))) =
                    (call.func_name.as_str(), call.args.last().map(|last| &last.expr))
                {
                    self.found.patterns.push(matching::pattern(pattern.inner())?);
                }
                if !names.contains(&Variable::Topic.as_str()) {
                    self.found.topics.extend(compared_with_topic(&call.func_name, &call.args));
                }
                call.target.iter().try_for_each(|target| self.below(target, names, inside))?;
                call.args.iter().try_for_each(|argument| self.below(argument, names, inside))
            }
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.below(element, names, inside)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::StructField(field) => self.below(&field.value, names, inside),
                EntryExpr::MapEntry(entry) => {
                    self.below(&entry.key, names, inside)?;
                    self.below(&entry.value, names, inside)
                }
            }),
            Expr::Struct(made) => Err(format!("there is no type `{}`", made.type_name)),
            Expr::Comprehension(each) => self.each(each, names, inside),
        }
    }

    /// A macro that goes through a list.
    fn each<'e>(
        &mut self,
        each: &'e ComprehensionExpr,
        names: &mut Vec<&'e str>,
        around: Around,
    ) -> Result<(), String> {
        if around.looped {
            return Err("a macro (`all`, `exists`, `map`, …) stands inside another one, which may take long".to_owned());
        }
        self.below(&each.iter_range, names, around)?;
        let known = names.len();
        names.extend([each.iter_var.as_str(), each.accu_var.as_str()]);
        names.extend(each.iter_var2.as_deref());
        let inside = Around { looped: true, ..around };
        for part in [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result] {
            self.below(part, names, inside)?;
        }
        names.truncate(known);
        Ok(())
    }

    fn name(&mut self, name: &str, names: &[&str]) -> Result<(), String> {
        if names.contains(&name) {
            return Ok(());
        }
        match Variable::named(name) {
            Some(variable) => self.found.uses.add(variable),
            None if TYPES.contains(&name) => {}
            None => {
                let all = Variable::ALL.map(Variable::as_str).join(", ");
                return Err(format!("there is no variable `{name}`; there are {all}"));
            }
        }
        Ok(())
    }
}

/// The texts that `topic` is compared with, by `==`, `!=` or `in`.
fn compared_with_topic(function: &str, args: &[IdedExpr]) -> Vec<String> {
    let is_topic = |expr: &Expr| matches!(expr, Expr::Ident(name) if name == Variable::Topic.as_str());
    let text = |expr: &IdedExpr| match &expr.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
        _ => None,
    };
    match (function, args) {
        ("_==_" | "_!=_", [one, other]) if is_topic(&one.expr) => text(other).into_iter().collect(),
        ("_==_" | "_!=_", [one, other]) if is_topic(&other.expr) => text(one).into_iter().collect(),
        ("@in", [one, IdedExpr { expr: Expr::List(list), .. }]) if is_topic(&one.expr) => {
            list.elements.iter().filter_map(text).collect()
        }
        _ => Vec::new(),
    }
}

/// Refuses a field that is never there.
fn field(of: &Expr, name: &str) -> Result<(), String> {
    let Expr::Ident(map) = of else { return Ok(()) };
    match Variable::named(map) {
        Some(Variable::Time) if !TIME.contains(&name) => {
            Err(format!("`time` has no `{name}`; it has {}", TIME.join(", ")))
        }
        Some(Variable::Headers) if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            Err(format!("names of headers are in lower case: `{}`", name.to_ascii_lowercase()))
        }
        Some(Variable::Headers) if !name.starts_with("x-") && name != "user-agent" => Err(format!(
            "the header `{name}` is not told to conditions; those that begin with `x-` are, and `user-agent`"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
