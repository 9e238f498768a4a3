"""Writes vectors of the package wordllama as JSON, to hold ours against.

    python3 -m venv VENV && VENV/bin/pip install wordllama==0.4.0.post1
    VENV/bin/python models/tests/static_vectors.py > vectors.json
    ASKONCE_TEST_WORDLLAMA_DIR=VENV/lib/python3.11/site-packages/wordllama \\
    ASKONCE_TEST_WORDLLAMA_VECTORS=vectors.json cargo test -p askonce-models known_table
"""

import json

from wordllama import WordLlama

TEXTS = [
    "How do I reset my password?",
    "I forgot my password, how can I change it?",
    "What is the best way to roast a chicken?",
    "a",
    "Grüße aus Köln! 🦀 東京",
    "two  spaces\tand\nlines",
    "SELECT name FROM users WHERE id = 42;",
    "Ünïcödé ﬁ ligature",
]

model = WordLlama.load(dim=256)
vectors = model.embed(TEXTS, norm=True)
print(json.dumps({text: vector.tolist() for text, vector in zip(TEXTS, vectors)}, ensure_ascii=False))
