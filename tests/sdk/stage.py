"""Sets the stage, runs the stories on it, and clears it away.

On the stage: the real language model, the scripted upstreams, and askonce in front of them: one for the stories of the
OpenAI client, one for those of every wire. `run.sh` installs what this needs and calls it: the first arguments are names of
suites, the others go to pytest.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gateway import Gateway, answers, free_port, tail, wait_until
from upstream import Upstream
from vendors.server import Vendors

HERE = Path(__file__).resolve().parent

KEYS = """\
# Written by the stories' stage.
auth:
  keys:
    - {name: tester, key: "${STORY_KEY}", tenant: team}
    - {name: colleague, key: "${STORY_COLLEAGUE_KEY}", tenant: team}
    - {name: stranger, key: "${STORY_STRANGER_KEY}"}
admin: {key: "${STORY_ADMIN_KEY}"}
embedding: {deadline_ms: 10000}
"""

CONFIG = KEYS + """\
providers:
  - {name: llm, kind: openai_compatible, base_url: "${STORY_LLM_URL}/v1", models: [smollm2], stream_usage: true}
  - name: scripted
    kind: openai_compatible
    base_url: "${STORY_UPSTREAM_URL}/v1"
    api_key: "${STORY_UPSTREAM_KEY}"
    models: [scripted, slow, busy, picky, broken, scripted-embedding]
  - {name: down, kind: openai_compatible, base_url: "${STORY_DOWN_URL}/v1", models: [down], connect_timeout_ms: 500}
models:
  - name: priced
    targets: [{provider: scripted, model: scripted}]
    price: {input_usd_per_million_tokens: 1.00, output_usd_per_million_tokens: 2.00}
  - name: falls-back
    targets: [{provider: down, model: down}, {provider: scripted, model: scripted}]
retry: {attempts: 2, backoff_ms: 20, budget_percent: 100}
# A model this small answers a rewording otherwise each time: what is learned from that, and when, must not decide a story.
cache: {error_budget: 0.1, semantic: {shadow_calls: 0}}
"""

WIRES = KEYS + """\
providers:
  - {name: llm, kind: openai_compatible, base_url: "${STORY_LLM_URL}/v1", models: [smollm2], stream_usage: true}
  - name: openai
    kind: openai
    base_url: "${STORY_VENDORS_URL}/openai/v1"
    api_key: "${STORY_UPSTREAM_KEY}"
    surfaces: [chat, responses, embeddings]
    models: [gpt-5-mini, text-embedding-3-small]
  - name: chat
    kind: openai_compatible
    base_url: "${STORY_VENDORS_URL}/openai/v1"
    api_key: "${STORY_UPSTREAM_KEY}"
    surfaces: [chat]
    models: [chat-model, mistral-large-latest]
    stream_usage: true
  - name: responses
    kind: openai_compatible
    base_url: "${STORY_VENDORS_URL}/openai/v1"
    api_key: "${STORY_UPSTREAM_KEY}"
    surfaces: [responses]
    models: [responses-model]
  - name: anthropic
    kind: anthropic
    base_url: "${STORY_VENDORS_URL}/anthropic"
    api_key: "${STORY_UPSTREAM_KEY}"
    models: [claude-sonnet-4-5]
  - name: gemini
    kind: gemini
    base_url: "${STORY_VENDORS_URL}/gemini"
    api_key: "${STORY_UPSTREAM_KEY}"
    models: [gemini-2.5-flash, gemini-embedding-001]
  - name: bedrock
    kind: bedrock
    base_url: "${STORY_VENDORS_URL}/bedrock"
    aws: {region: eu-central-1, access_key_id: AKIASCRIPTED, secret_access_key: "${STORY_UPSTREAM_KEY}"}
    models: ["anthropic.claude-sonnet-4-5-20250929-v1:0"]
  - name: cohere
    kind: cohere
    base_url: "${STORY_VENDORS_URL}/cohere"
    api_key: "${STORY_UPSTREAM_KEY}"
    models: [command-a-03-2025, embed-v4.0, rerank-v3.5]
  - name: ollama
    kind: ollama-native
    base_url: "${STORY_VENDORS_URL}/ollama"
    api_key: "${STORY_UPSTREAM_KEY}"
    # Its models are those that it lists.
  - name: azure
    kind: azure
    base_url: "${STORY_VENDORS_URL}/azure"
    api_key: "${STORY_UPSTREAM_KEY}"
    azure: {api_version: "2024-10-21"}
    models: [my-deployment]
  - name: vertex
    kind: vertex
    base_url: "${STORY_VENDORS_URL}/vertex"
    google: {project: our-project, region: europe-west4, credentials_file: "${STORY_GOOGLE_FILE}", token_url: "${STORY_VENDORS_URL}/token"}
    models: [gemini-2.5-pro]
models:
  - {name: any-openai-embedding, targets: [{provider: openai, model: text-embedding-3-small}]}
  - {name: any-openai, targets: [{provider: openai, model: gpt-5-mini}]}
  - {name: any-chat, targets: [{provider: chat, model: chat-model}]}
  - {name: any-mistral, targets: [{provider: chat, model: mistral-large-latest}]}
  - {name: any-responses, targets: [{provider: responses, model: responses-model}]}
  - {name: any-anthropic, targets: [{provider: anthropic, model: claude-sonnet-4-5}]}
  - {name: any-gemini, targets: [{provider: gemini, model: gemini-2.5-flash}]}
  - {name: any-bedrock, targets: [{provider: bedrock, model: "anthropic.claude-sonnet-4-5-20250929-v1:0"}]}
  - {name: any-cohere, targets: [{provider: cohere, model: command-a-03-2025}]}
  - {name: any-ollama, targets: [{provider: ollama, model: "qwen3:8b"}]}
  - {name: any-azure, targets: [{provider: azure, model: my-deployment}]}
  - {name: any-vertex, targets: [{provider: vertex, model: gemini-2.5-pro}]}
retry: {attempts: 1}
cache:
  error_budget: 0.1
  semantic: {shadow_calls: 0}
  # Most stories ask much the same of every wire, and each wants an answer of its own.
  overrides: [{tenant: team, semantic: false}]
"""

# What an operator who has signed in with Google's tools has in a file.
GOOGLE = {"type": "authorized_user", "client_id": "scripted", "client_secret": "scripted", "refresh_token": "scripted"}

# Name, folder, and whether it is pytest that runs it.
SUITES = {"python": True, "wires": True, "frameworks": True, "cli": True, "stores": True, "node": False}

# Suites that want other packages than the rest, and the variable that names their Python.
OWN_PYTHON = {"frameworks": "ASKONCE_SDK_FRAMEWORKS", "stores": "ASKONCE_SDK_STORES"}


def start_llm(folder):
    port = free_port()
    log = folder / "llm.log"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, HERE / "llm.py", str(port)], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/health"), process, "the language model", log)
    except BaseException:
        process.kill()
        raise
    return process, url


def command_of(name, folder, pytest_arguments):
    """What runs a suite, and where."""
    if not SUITES[name]:
        home = Path(os.environ["ASKONCE_SDK_NODE"])
        return ["node", "--test", "--test-reporter=spec", *sorted(path.name for path in home.glob("*.test.js"))], home
    python = os.environ[OWN_PYTHON[name]] if name in OWN_PYTHON else sys.executable
    pytest = ["-m", "pytest", "-p", "no:cacheprovider", "-q", "-W", "ignore", "--durations=5", "--rootdir", HERE / name]
    return [python, *pytest, "--basetemp", folder / f"pytest-{name}", *pytest_arguments], HERE / name


def run_story(name, command, folder, environment):
    """Runs one suite; gives a line of summary and whether it went well."""
    print(f"\n--- {name}", flush=True)
    started = time.monotonic()
    suite = subprocess.Popen(command, cwd=folder, env=environment)
    try:
        code = suite.wait()
    except BaseException as stopped:
        # It has processes of its own to end. Ctrl-C has reached it already; any other stop is told to it as one.
        if not isinstance(stopped, KeyboardInterrupt):
            suite.send_signal(signal.SIGINT)
        suite.wait()
        raise
    took = time.monotonic() - started
    return f"{name}: {'ok' if code == 0 else f'FAILED (exit code {code})'} in {took:.0f} s", code == 0


def judged(gateway, given):
    """How a gateway ended, and what its log says that it should not."""
    died = gateway.process.poll()
    code = died if died is not None else gateway.stop()
    name = f"askonce for {gateway.folder.name}"
    results = [(f"{name}: {'ended cleanly' if code == 0 else f'FAILED: exit code {code}'}", code == 0)]
    log = gateway.log.read_text(errors="replace")
    upset = [line for line in log.splitlines() if "panicked" in line]
    leaked = [name for name, value in given.items() if name.endswith("_KEY") and value in log]
    if upset or leaked:
        results.append((f"{name}, its log: FAILED: panics {upset}, secrets {leaked}", False))
    return results


def perform(folder, suites, pytest_arguments):
    """Starts everything, runs the suites, stops everything. Gives whether all went well."""
    llm, llm_url = start_llm(folder)
    upstream, vendors = Upstream().start(), Vendors().start()
    key = lambda: "sk-" + secrets.token_hex(16)
    google = folder / "google.json"
    google.write_text(json.dumps(GOOGLE))
    given = {
        "STORY_LLM_URL": llm_url,
        "STORY_UPSTREAM_URL": upstream.url,
        "STORY_VENDORS_URL": vendors.url,
        "STORY_UPSTREAM_KEY": key(),
        "STORY_GOOGLE_FILE": str(google),
        "STORY_DOWN_URL": f"http://127.0.0.1:{free_port()}",
        "STORY_KEY": key(),
        "STORY_COLLEAGUE_KEY": key(),
        "STORY_STRANGER_KEY": key(),
        "STORY_ADMIN_KEY": key(),
    }
    gateways = [Gateway(folder / "openai", CONFIG, given), Gateway(folder / "wires", WIRES, given)]
    try:
        for gateway in gateways:
            gateway.start()
        environment = {**os.environ, **given, "STORY_URL": gateways[0].url, "STORY_WIRES_URL": gateways[1].url, "PYTHONPATH": str(HERE)}
        results = [run_story(name, *command_of(name, folder, pytest_arguments), environment) for name in suites]
        results += [result for gateway in gateways for result in judged(gateway, given)]
    finally:
        for gateway in gateways:
            if gateway.process and gateway.process.poll() is None:
                gateway.kill()
        upstream.shutdown()
        vendors.shutdown()
        llm.kill()
        llm.wait()
    well = all(ok for _, ok in results)
    if not well:
        for gateway in gateways:
            print(f"\n--- the log of askonce for {gateway.folder.name} ends\n{tail(gateway.log)}")
    print("\n--- summary")
    for line, _ in results:
        print(line)
    return well


def main():
    # So that a stop from outside clears the stage too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A shell ignores Ctrl-C on behalf of what it starts in the background, and children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = sys.argv[1:]
    suites = []
    while arguments and arguments[0] in SUITES:
        suites.append(arguments.pop(0))
    # What is said to pytest is said of its stories.
    suites = suites or [name for name, is_pytest in SUITES.items() if is_pytest or not arguments]
    folder = Path(tempfile.mkdtemp(prefix="askonce-sdk-"))
    try:
        well = perform(folder, suites, arguments)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
