"""The official SDKs for Python, each behind the same few methods: `chat`, `stream`, `parse`, `results`.

`ERRORS` are the SDK's exceptions by HTTP status, `BROKEN` those of a stream that fails, `PATH` what its users put behind
the host of the base URL, `DIRECT` where and under which name the scripted vendor of its wire is spoken to without askonce.
"""

from .anthropic_messages import AnthropicMessages
from .bedrock_converse import BedrockConverse
from .cohere_chat import CohereChat
from .google_genai import GoogleGenai
from .mistral_chat import MistralChat
from .ollama_chat import OllamaChat
from .openai_chat import OpenAiChat
from .openai_responses import OpenAiResponses

OFFICIAL = (OpenAiChat, OpenAiResponses, AnthropicMessages, GoogleGenai, BedrockConverse, CohereChat, MistralChat, OllamaChat)
SDKS = {sdk.name: sdk for sdk in OFFICIAL}
