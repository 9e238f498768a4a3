//! What the load generator asks: numbered questions, questions to fill a cache with, and pairs of a question and its
//! rewording.

use serde_json::json;

/// The body of a chat request.
pub fn chat_body(model: &str, question: &str, stream: bool) -> String {
    let mut body = json!({
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant. Answer in one short paragraph."},
            {"role": "user", "content": question},
        ],
        "temperature": 0.2,
    });
    if stream {
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
    }
    body.to_string()
}

const TOPICS: [&str; 20] = [
    "garden",
    "harbour",
    "library",
    "railway",
    "bakery",
    "museum",
    "vineyard",
    "hospital",
    "airport",
    "orchestra",
    "glacier",
    "lighthouse",
    "market",
    "printing press",
    "theatre",
    "observatory",
    "workshop",
    "aquarium",
    "post office",
    "football club",
];

const ASPECTS: [&str; 18] = [
    "opening hours",
    "founder",
    "annual budget",
    "largest room",
    "oldest record",
    "heating system",
    "floor plan",
    "opening ceremony",
    "ticket price",
    "safety rules",
    "insurance",
    "working language",
    "visitor count",
    "colour scheme",
    "restoration",
    "night shift",
    "delivery schedule",
    "main entrance",
];

const PLACES: [&str; 16] = [
    "Lisbon", "Oslo", "Nairobi", "Quito", "Hanoi", "Krakow", "Dakar", "Perth", "Leipzig", "Osaka", "Tunis", "Bergen",
    "Cork", "Lima", "Riga", "Ghent",
];

/// The question with number `index`; no two are alike, and none is a rewording of another, as the numbers differ.
pub fn numbered(index: usize) -> String {
    let topic = TOPICS[index % TOPICS.len()];
    let aspect = ASPECTS[index / TOPICS.len() % ASPECTS.len()];
    let place = PLACES[index / (TOPICS.len() * ASPECTS.len()) % PLACES.len()];
    format!("What is known about the {aspect} of the {topic} in {place}, file {index}?")
}

/// A stored question and ways to put it in other words. None of the rewordings differs from its question only in
/// case, spaces, punctuation or courtesies, so that the exact tiers cannot serve it.
#[derive(Debug)]
pub struct Reworded {
    /// What is asked first.
    pub question: &'static str,
    /// What is asked then.
    pub rewordings: [&'static str; 2],
}

/// Everyday questions with their rewordings.
pub const REWORDED: [Reworded; 40] = [
    reworded("How do I reset my password?", "How can I reset my password?", "What do I do to reset my password?"),
    reworded("What is the capital of France?", "Which city is the capital of France?", "What's France's capital city?"),
    reworded("How do I boil an egg?", "How should I boil an egg?", "How does one boil an egg?"),
    reworded("Why is the sky blue?", "Why does the sky look blue?", "What makes the sky blue?"),
    reworded(
        "How do I cancel my subscription?",
        "How can I cancel my subscription?",
        "What's the way to cancel my subscription?",
    ),
    reworded("How long does a cow live?", "How long do cows live?", "How long does a cow usually live?"),
    reworded(
        "What is the boiling point of water?",
        "What's the boiling point of water?",
        "At what temperature does water boil?",
    ),
    reworded(
        "How do I change a flat tyre?",
        "How can I change a flat tyre?",
        "How do you change a flat tyre on a car?",
    ),
    reworded("Who wrote Don Quixote?", "Who was the author of Don Quixote?", "Who is the writer of Don Quixote?"),
    reworded("How do I track my order?", "How can I track my order?", "How do I track the order I placed?"),
    reworded("What causes thunder?", "What is the cause of thunder?", "What is it that causes thunder?"),
    reworded(
        "How do I remove a coffee stain?",
        "How can I remove a coffee stain?",
        "How do I get rid of a coffee stain?",
    ),
    reworded("What is a hash table?", "What exactly is a hash table?", "Could you explain what a hash table is?"),
    reworded("How far away is the moon?", "How far is the moon from here?", "How far away from us is the moon?"),
    reworded("How do I learn to play chess?", "How can I learn to play chess?", "How do I learn how to play chess?"),
    reworded("When should I plant tomatoes?", "When is the time to plant tomatoes?", "When do I plant tomatoes?"),
    reworded("What does inflation mean?", "What is meant by inflation?", "What is the meaning of inflation?"),
    reworded("How do I delete my account?", "How can I delete my account?", "How do I get my account deleted?"),
    reworded("How do vaccines work?", "How does a vaccine work?", "In what way do vaccines work?"),
    reworded("How do I make pizza dough?", "How can I make pizza dough?", "What is the way to make pizza dough?"),
    reworded("What is the speed of light?", "What's the speed of light?", "How fast is the speed of light?"),
    reworded("How do I cook brown rice?", "How should I cook brown rice?", "How do you cook brown rice?"),
    reworded("Why do cats purr?", "Why does a cat purr?", "What makes cats purr?"),
    reworded(
        "How do I update my billing address?",
        "How can I update my billing address?",
        "How do I change my billing address?",
    ),
    reworded(
        "What is the tallest mountain?",
        "Which mountain is the tallest?",
        "Which is the tallest of all mountains?",
    ),
    reworded("How do I sharpen a knife?", "How can I sharpen a knife?", "How should one sharpen a knife?"),
    reworded("What is photosynthesis?", "What exactly is photosynthesis?", "How would you define photosynthesis?"),
    reworded("How do I tie a bow tie?", "How can I tie a bow tie?", "How does one tie a bow tie?"),
    reworded("How do bees make honey?", "How does a bee make honey?", "In what way do bees make honey?"),
    reworded(
        "How do I start a vegetable garden?",
        "How can I start a vegetable garden?",
        "How do I begin a vegetable garden?",
    ),
    reworded(
        "What is the difference between a virus and a bacterium?",
        "How does a virus differ from a bacterium?",
        "What are the differences between a virus and a bacterium?",
    ),
    reworded("How do I export my data?", "How can I export my data?", "What do I do to export my data?"),
    reworded("What is compound interest?", "What exactly is compound interest?", "What does compound interest mean?"),
    reworded("How do I fix a leaking tap?", "How can I fix a leaking tap?", "How do I repair a leaking tap?"),
    reworded(
        "Why do leaves change colour in autumn?",
        "Why do the leaves change their colour in autumn?",
        "What makes leaves change colour in autumn?",
    ),
    reworded("How do I write a cover letter?", "How can I write a cover letter?", "How should I write a cover letter?"),
    reworded(
        "How do I set up two-factor authentication?",
        "How can I set up two-factor authentication?",
        "How do I turn on two-factor authentication?",
    ),
    reworded("What is the largest ocean?", "Which ocean is the largest?", "Which of the oceans is the largest?"),
    reworded(
        "How do I contact customer support?",
        "How can I contact customer support?",
        "How do I get in touch with customer support?",
    ),
    reworded("What is a black hole?", "What exactly is a black hole?", "How would you describe what a black hole is?"),
];

const fn reworded(question: &'static str, first: &'static str, second: &'static str) -> Reworded {
    Reworded { question, rewordings: [first, second] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_questions_are_alike() {
        let letters = |text: &str| text.to_lowercase().replace(|letter: char| !letter.is_alphanumeric(), "");
        let pairs = REWORDED.iter().flat_map(|pair| pair.rewordings.into_iter().chain([pair.question]));
        let folded: HashSet<String> = pairs.map(letters).collect();
        assert_eq!(folded.len(), REWORDED.len() * 3);
        assert_eq!((0..20_000).map(|index| letters(&numbered(index))).collect::<HashSet<_>>().len(), 20_000);
    }

    #[test]
    fn bodies_are_json_whatever_is_asked() {
        let body: serde_json::Value = serde_json::from_str(&chat_body("m", "say \"a\\b\"\n\u{1}", true)).unwrap();
        assert_eq!(body["messages"][1]["content"], "say \"a\\b\"\n\u{1}");
        assert_eq!(body["stream_options"]["include_usage"], true);
    }
}
