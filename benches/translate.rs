//! What a translation costs: each wire of conversations into each other, a request of 2 kB and a chunk of a stream; what it costs
//! to let a request pass as it is, with another model's name in it; and what every request costs that is read at all.
//! `cargo bench --bench translate`; microseconds, the median of many rounds.

use askonce::types::completion::Delta;
use askonce::types::surface::Surface;
use askonce::wire::hub::{self, ReplyFor};
use askonce::wire::json::parse;
use askonce::wire::request::{InPath, read};
use askonce::wire::translate;
use bytes::Bytes;
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 300;
/// Calls in one round, so that the clock's own time is nothing.
const CALLS: u32 = 20;

/// A conversation with a system prompt, tools and a few turns: about 2 kB in every wire.
const CHAT: &str = r#"{"model":"m","messages":[
{"role":"system","content":"You are the assistant of a shop for garden tools. Answer in one or two sentences, name the article by its number where there is one, and say so when you do not know. Prices are in euros and include taxes. Orders above 50 euros are sent without charge."},
{"role":"user","content":"Good morning! I have ordered a pair of hedge shears last week, and nothing has arrived so far. Where is my parcel?"},
{"role":"assistant","content":"I am sorry to hear that. Let me look it up.","tool_calls":[{"id":"call_1","type":"function","function":{"name":"find_order","arguments":"{\"customer\":\"4711\",\"since\":\"2026-11-01\"}"}}]},
{"role":"tool","tool_call_id":"call_1","content":"{\"order\":\"A-2231\",\"state\":\"sent\",\"carrier\":\"post\",\"expected\":\"2026-11-23\"}"},
{"role":"assistant","content":"Your order A-2231 was sent by post and is expected tomorrow."},
{"role":"user","content":"Thank you. Can I still change the address, and what would it cost to have it delivered on a Saturday instead?"}],
"tools":[{"type":"function","function":{"name":"find_order","description":"Finds the orders of a customer since a day.","parameters":{"type":"object","properties":{"customer":{"type":"string"},"since":{"type":"string","format":"date"}},"required":["customer"]}}},
{"type":"function","function":{"name":"change_address","description":"Changes the address of an order that has not been sent.","parameters":{"type":"object","properties":{"order":{"type":"string"},"street":{"type":"string"},"city":{"type":"string"},"code":{"type":"string"}},"required":["order","street","city","code"]}}}],
"temperature":0.2,"max_tokens":400}"#;

fn main() {
    let json = parse(CHAT.as_bytes()).expect("the example is JSON");
    let chat = hub::decode(Surface::ChatCompletions, &json, "m", false).expect("the example is a chat");
    println!("| from | bytes | read | as it is | {} |", Surface::CHATS.map(Surface::as_str).join(" | "));
    println!("|---|---|---|---|{}", "---|".repeat(Surface::CHATS.len()));
    for from in Surface::CHATS {
        let body = Bytes::from(hub::encode(from, &chat).expect("every wire has these words").body);
        // Where the path tells the model, the body is let through as it is; elsewhere its name is replaced.
        let in_path = matches!(from, Surface::GenerateContent | Surface::Converse);
        let path = InPath { model: in_path.then(|| "m".to_owned()), stream: false };
        let look = || {
            let json = parse(&body).expect("JSON");
            black_box(read(from, &json, &body, &path).expect("a request"));
        };
        let request = read(from, &parse(&body).expect("JSON"), &body, &path).expect("a request");
        let columns = Surface::CHATS.map(|to| {
            let took = median(|| drop(black_box(translate::request(&request, to, "m").expect("translates"))));
            format!("{took:.1}")
        });
        let pass = median(|| drop(black_box(request.body_for("another"))));
        let (read, columns) = (median(look), columns.join(" | "));
        println!("| {} | {} | {read:.1} | {pass:.2} | {columns} |", from.as_str(), body.len());
    }
    println!("\na chunk of a stream:\n");
    println!("| from | {} |", Surface::CHATS.map(Surface::as_str).join(" | "));
    println!("|---|{}", "---|".repeat(Surface::CHATS.len()));
    for from in Surface::CHATS {
        let columns = Surface::CHATS.map(|to| format!("{:.2}", chunk(from, to)));
        println!("| {} | {} |", from.as_str(), columns.join(" | "));
    }
}

/// What one chunk of a long text takes, microseconds.
fn chunk(from: Surface, to: Surface) -> f64 {
    const CHUNKS: usize = 200;
    let reply = ReplyFor { id: "id_1".to_owned(), model: "m".to_owned(), created_s: 1, ..ReplyFor::default() };
    let mut encoder = hub::encoder(from, reply.clone());
    let mut events = Vec::new();
    encoder.push(&Delta::Begin { id: Some("id_1".to_owned()), model: Some("m".to_owned()) }, &mut events);
    let begun = events.len();
    for _ in 0..CHUNKS {
        encoder.push(&Delta::Text { choice: 0, text: " seven words of a sentence".to_owned() }, &mut events);
    }
    let (begin, chunks) = events.split_at(begun);
    let once = || {
        let mut stream = translate::Stream::new(from, to, reply.clone());
        let _ = black_box(stream.push(begin).expect("a stream"));
        for piece in chunks.chunks((chunks.len() / CHUNKS).max(1)) {
            let _ = black_box(stream.push(piece).expect("a stream"));
        }
    };
    let mut took: Vec<f64> = (0..ROUNDS / 3).map(|_| timed(once) / CHUNKS as f64).collect();
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}

/// The median of one call, microseconds.
fn median(call: impl Fn()) -> f64 {
    let round = || timed(|| (0..CALLS).for_each(|_| call())) / f64::from(CALLS);
    let mut took: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}

fn timed(call: impl FnOnce()) -> f64 {
    let started = Instant::now();
    call();
    started.elapsed().as_secs_f64() * 1e6
}
