"""Scripted upstreams in the wires of the vendors: OpenAI (chat completions and responses), Anthropic, Gemini, Bedrock, Cohere,
Ollama.

`script` decides what is answered, in no vendor's words; each vendor's module reads its requests and writes that answer;
`server` is the HTTP around them.
"""
