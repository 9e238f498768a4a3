"""Sets the stage, runs the stories on it, and clears it away.

On the stage: the real language model, the scripted upstream, and askonce in front of both. `run.sh` installs what this
needs and calls it; arguments go to pytest.
"""

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

HERE = Path(__file__).resolve().parent

CONFIG = """\
# Written by the stories' stage.
auth:
  keys:
    - {name: tester, key: "${STORY_KEY}", tenant: team}
    - {name: colleague, key: "${STORY_COLLEAGUE_KEY}", tenant: team}
    - {name: stranger, key: "${STORY_STRANGER_KEY}"}
admin: {key: "${STORY_ADMIN_KEY}"}
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
embedding: {deadline_ms: 10000}
# A model this small answers a rewording otherwise each time: what is learned from that, and when, must not decide a story.
cache: {error_budget: 0.1, semantic: {shadow_calls: 0}}
"""


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


def perform(folder, pytest_arguments):
    """Starts everything, runs both suites, stops everything. Gives whether all went well."""
    llm, llm_url = start_llm(folder)
    upstream = Upstream().start()
    key = lambda: "sk-" + secrets.token_hex(16)
    given = {
        "STORY_LLM_URL": llm_url,
        "STORY_UPSTREAM_URL": upstream.url,
        "STORY_UPSTREAM_KEY": key(),
        "STORY_DOWN_URL": f"http://127.0.0.1:{free_port()}",
        "STORY_KEY": key(),
        "STORY_COLLEAGUE_KEY": key(),
        "STORY_STRANGER_KEY": key(),
        "STORY_ADMIN_KEY": key(),
    }
    gateway = Gateway(folder / "gateway", CONFIG, given)
    try:
        gateway.start()
        environment = {**os.environ, **given, "STORY_URL": gateway.url, "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
        python = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--durations=5", "--basetemp", folder / "pytest", *pytest_arguments]
        results = [run_story("python", python, HERE / "python", environment)]
        if not pytest_arguments:
            node = ["node", "--test", "--test-reporter=spec", "story.test.js"]
            results.append(run_story("node", node, os.environ["ASKONCE_SDK_NODE"], environment))
        died = gateway.process.poll()
        code = died if died is not None else gateway.stop()
        results.append((f"askonce: {'ended cleanly' if code == 0 else f'FAILED: exit code {code}'}", code == 0))
        upset = [line for line in gateway.log.read_text(errors="replace").splitlines() if "panicked" in line]
        leaked = [name for name, value in given.items() if name.endswith("_KEY") and value in gateway.log.read_text(errors="replace")]
        if upset or leaked:
            results.append((f"askonce's log: FAILED: panics {upset}, secrets {leaked}", False))
    finally:
        if gateway.process and gateway.process.poll() is None:
            gateway.kill()
        upstream.shutdown()
        llm.kill()
        llm.wait()
    well = all(ok for _, ok in results)
    if not well:
        print(f"\n--- askonce's log ends\n{tail(gateway.log)}")
    print("\n--- summary")
    for line, _ in results:
        print(line)
    return well


def main():
    # So that a stop from outside clears the stage too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A shell ignores Ctrl-C on behalf of what it starts in the background, and children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="askonce-sdk-"))
    try:
        well = perform(folder, sys.argv[1:])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
