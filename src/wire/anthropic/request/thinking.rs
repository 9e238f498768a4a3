//! How much to think, both ways: `thinking` and `output_config.effort`
//! (<https://platform.claude.com/docs/en/build-with-claude/thinking>).

use super::super::claude::{self, Claude, Off, Thinks};
use super::{extra, tools};
use crate::types::chat::{Chat, Content, Reasoning, Role};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::hub::Losses;
use crate::wire::read::{maybe_integer, maybe_object, maybe_text, missing, text, unknown_value};
use crate::wire::write::Object;

/// The least budget that the vendor takes.
const LEAST_BUDGET: u64 = 1_024;

/// The budget where thinking is on and nobody said how much.
const USUAL_BUDGET: u64 = 12_288;

/// Room for the answer beside a budget, where the request has no limit.
const ROOM: u64 = 8_192;

/// Reads `thinking` and `output_config.effort`.
pub(super) fn read(json: &Json<'_>, chat: &mut Chat) -> Result<(), Error> {
    let mut reasoning = Reasoning::default();
    if let Some(thinking) = maybe_object(json, "", "thinking")? {
        reasoning.enabled = Some(match text(thinking, "thinking", "type")? {
            "enabled" => {
                let budget = maybe_integer(thinking, "thinking", "budget_tokens")?;
                reasoning.budget_tokens = Some(budget.ok_or_else(|| missing("thinking.budget_tokens", "an integer"))?);
                true
            }
            "adaptive" => true,
            "disabled" => false,
            "between_tools" => {
                extra(&mut chat.extra, "thinking.between_tools".to_owned(), &Json::Bool(true), false);
                false
            }
            other => {
                let expected = "`enabled`, `adaptive`, `disabled` or `between_tools`";
                return Err(unknown_value("thinking.type", expected, other));
            }
        });
        reasoning.include = maybe_text(thinking, "thinking", "display")?.map(|display| display != "omitted");
    }
    if let Some(config) = maybe_object(json, "", "output_config")? {
        reasoning.effort = maybe_text(config, "output_config", "effort")?.map(str::to_owned);
    }
    chat.reasoning = Some(reasoning).filter(|reasoning| *reasoning != Reasoning::default());
    Ok(())
}

/// What is written of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Plan<'c> {
    pub(super) thinking: Thinking,
    pub(super) effort: Option<&'c str>,
    pub(super) max_tokens: u64,
    told: Option<bool>,
}

/// The kinds of `thinking`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Thinking {
    #[default]
    Unsaid,
    Disabled,
    BetweenTools,
    Adaptive,
    Enabled {
        budget: u64,
    },
}

impl<'c> Plan<'c> {
    /// What is written for that model. Thinking that it cannot do beside what else is asked for is left out and reported.
    pub(super) fn of(chat: &'c Chat, model: Option<Claude>, losses: &mut Losses) -> Plan<'c> {
        let max_tokens = chat.max_tokens.unwrap_or_else(|| claude::max_tokens_for(model));
        let plan = Plan { max_tokens, ..Plan::default() };
        let Some(reasoning) = &chat.reasoning else { return plan };
        let plan = Plan { told: reasoning.include, ..plan };
        let effort = reasoning.effort.as_deref().filter(|word| *word != "none").map(known_effort);
        match model {
            None => Plan { thinking: as_asked(reasoning), effort, ..plan },
            Some(model) if reasoning.is_off() => plan.off(model, effort, losses),
            Some(model) => plan.on(chat, reasoning, model, losses),
        }
    }

    fn off(self, model: Claude, effort: Option<&'c str>, losses: &mut Losses) -> Plan<'c> {
        match model.off() {
            Off::Unasked => Plan { effort: effort.filter(|_| model.thinks() >= Thinks::Either), ..self },
            Off::Disabled => Plan { thinking: Thinking::Disabled, effort, ..self },
            Off::BetweenTools => Plan { thinking: Thinking::BetweenTools, effort, ..self },
            Off::Never => {
                losses.drop("reasoning");
                Plan { effort: Some("low"), ..self }
            }
        }
    }

    fn on(self, chat: &Chat, reasoning: &'c Reasoning, model: Claude, losses: &mut Losses) -> Plan<'c> {
        let asked = reasoning.enabled == Some(true) || reasoning.effort.is_some() || reasoning.budget_tokens.is_some();
        let thinks = model.thinks();
        if !asked {
            return self;
        }
        if thinks == Thinks::No {
            losses.drop("reasoning");
            return self;
        }
        let by_budget = thinks == Thinks::Budget || (thinks == Thinks::Either && reasoning.budget_tokens.is_some());
        if by_budget {
            return self.budgeted(chat, reasoning, model, losses);
        }
        let effort = match reasoning.effort_word().map(known_effort) {
            Some("xhigh") if !model.has_xhigh() => Some("high"),
            other => other,
        };
        // A model that is to call a tool at once cannot think before.
        let thinking = if tools::is_forced(chat) { Thinking::Unsaid } else { Thinking::Adaptive };
        losses.drop_if(thinking == Thinking::Unsaid, "reasoning");
        Plan { thinking, effort, ..self }
    }

    /// Thinking by a budget, which is a part of the limit of tokens.
    fn budgeted(self, chat: &Chat, reasoning: &Reasoning, model: Claude, losses: &mut Losses) -> Plan<'c> {
        let budget = reasoning.budget().unwrap_or(USUAL_BUDGET).max(LEAST_BUDGET);
        let max_tokens = match chat.max_tokens {
            Some(limit) => limit,
            None => self.max_tokens.max(budget.saturating_add(ROOM)).min(model.most_tokens()),
        };
        let budget = budget.min(max_tokens.saturating_sub(1));
        if budget < LEAST_BUDGET || tools::is_forced(chat) || in_unsigned_calls(chat) {
            losses.drop("reasoning");
            return self;
        }
        Plan { thinking: Thinking::Enabled { budget }, max_tokens, ..self }
    }

    /// The model is asked to think.
    pub(super) fn thinks(&self) -> bool {
        matches!(self.thinking, Thinking::Adaptive | Thinking::Enabled { .. })
    }

    /// Writes `thinking`.
    pub(super) fn write(&self, object: &mut Object<'_>) {
        let (kind, budget) = match self.thinking {
            Thinking::Unsaid => return,
            Thinking::Disabled => ("disabled", None),
            Thinking::BetweenTools => ("between_tools", None),
            Thinking::Adaptive => ("adaptive", None),
            Thinking::Enabled { budget } => ("enabled", Some(budget)),
        };
        object.object("thinking", |thinking| {
            thinking.text("type", kind);
            thinking.maybe_integer("budget_tokens", budget);
            if self.thinks() {
                let display = self.told.map(|told| if told { "summarized" } else { "omitted" });
                thinking.maybe_text("display", display);
            }
        });
    }
}

/// What was asked for, for a model that nothing is known of.
fn as_asked(reasoning: &Reasoning) -> Thinking {
    match (reasoning.is_off(), reasoning.budget_tokens, reasoning.enabled) {
        (true, ..) => Thinking::Disabled,
        (_, Some(budget), _) => Thinking::Enabled { budget },
        (_, _, Some(true)) => Thinking::Adaptive,
        _ => Thinking::Unsaid,
    }
}

fn known_effort(word: &str) -> &str {
    if word == "minimal" { "low" } else { word }
}

/// Results of tools are sent back for calls that no signed thoughts lead up to: a model that thinks by a budget refuses
/// them while it is to think.
fn in_unsigned_calls(chat: &Chat) -> bool {
    let in_calls = chat.messages.last().is_some_and(|last| last.role == Role::Tool);
    let last = chat.messages.iter().rev().find(|message| message.role == Role::Assistant);
    let thought = |content: &Content, signed: bool| match content {
        Content::Thinking(_) => signed,
        Content::RedactedThinking(_) => true,
        _ => false,
    };
    in_calls && last.is_some_and(|last| !last.parts.iter().any(|part| thought(&part.content, part.signature.is_some())))
}
