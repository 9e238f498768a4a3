"""Writes vectors of the package wordllama as JSON, to hold ours against.

    python3 -m venv VENV && VENV/bin/pip install wordllama==0.4.0.post1
    VENV/bin/python models/tests/static_vectors.py > vectors.json
    ASKONCE_TEST_WORDLLAMA_DIR=VENV/lib/python3.11/site-packages/wordllama \\
    ASKONCE_TEST_WORDLLAMA_VECTORS=vectors.json cargo test -p askonce-models known_table
"""

import json

from pathlib import Path

import wordllama
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from wordllama.inference import WordLlamaInference

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

# Its own loader would look for the tokenizer on the hub.
folder = Path(wordllama.__file__).parent
table = load_file(folder / "weights/l2_supercat_256.safetensors")["embedding.weight"]
tokenizer = Tokenizer.from_file(str(folder / "tokenizers/l2_supercat_tokenizer_config.json"))
model = WordLlamaInference(table, tokenizer)
vectors = model.embed(TEXTS, norm=True)
print(json.dumps({text: vector.tolist() for text, vector in zip(TEXTS, vectors)}, ensure_ascii=False))
