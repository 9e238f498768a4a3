"""What the operator sees: health, metrics, a log without secrets, reloading, and a start that fails with a clear word."""

import os
import signal
import socket
import subprocess
import time
import urllib.request

import openai
import pytest
from conftest import Voice, calls, client_of
from gateway import Gateway

CONFIG = """\
auth: {keys: [{name: tester, key: "${STORY_KEY}"}]}
providers:
  - name: scripted
    kind: openai_compatible
    base_url: "${STORY_UPSTREAM_URL}/v1"
    api_key: "${STORY_UPSTREAM_KEY}"
    models: [scripted]
  - {name: down, kind: openai_compatible, base_url: "${STORY_DOWN_URL}/v1", models: [down]}
cache: {semantic: {enabled: false}}
"""

RENAMED = "models: [{name: renamed, targets: [{provider: scripted, model: scripted}]}]\n"


def get(url):
    with urllib.request.urlopen(url, timeout=10) as reply:
        return reply.read().decode()


def soon(check, seconds=10):
    """Waits until `check()` is true."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.1)


@pytest.fixture
def gateway(tmp_path):
    gateway = Gateway(tmp_path, CONFIG).start()
    yield gateway
    gateway.close()


def test_health_and_metrics(scripted):
    url = os.environ["STORY_URL"]
    assert get(f"{url}/healthz") and get(f"{url}/readyz")
    scripted.ask("Is this counted?", model="priced")
    scripted.ask("Is this counted?", model="priced")
    metrics = get(f"{url}/metrics")
    for name in ("gen_ai_server_request_duration_seconds", "gen_ai_client_token_usage", "askonce_cache_lookups_total", "askonce_cache_entries"):
        assert f"# TYPE {name} " in metrics
    assert 'tier="exact"' in metrics
    assert not [value for name, value in os.environ.items() if name.startswith("STORY_") and name.endswith("_KEY") and value in metrics]
    assert "Is this counted?" not in metrics


def test_neither_prompts_nor_keys_are_logged(gateway):
    Voice(client_of(os.environ["STORY_KEY"], gateway.url), model="scripted").ask("My secret is a pink elephant")
    with pytest.raises(openai.APIStatusError):
        Voice(client_of("sk-wrong-but-still-a-secret", gateway.url), model="scripted").ask("My secret is a pink elephant")
    log = gateway.log.read_text()
    secrets = ["pink elephant", "sk-wrong-but-still-a-secret", os.environ["STORY_KEY"], os.environ["STORY_UPSTREAM_KEY"]]
    assert log and not [secret for secret in secrets if secret in log]


@pytest.mark.parametrize("how", ["the file changes", "SIGHUP"])
def test_a_changed_configuration_is_taken(gateway, how):
    client = client_of(os.environ["STORY_KEY"], gateway.url)
    names = lambda: [model.id for model in client.models.list()]
    assert "renamed" not in names()
    gateway.config.write_text(CONFIG + RENAMED)
    if how == "SIGHUP":
        gateway.process.send_signal(signal.SIGHUP)
    soon(lambda: "renamed" in names())
    assert Voice(client, model="renamed").ask(f"Did {how} matter?").words.endswith(f"Did {how} matter?")
    assert calls(f"Did {how} matter?")[0]["body"]["model"] == "scripted"


def test_a_wrong_configuration_is_not_taken(gateway):
    gateway.config.write_text(CONFIG + "cahce: {}\n")
    soon(lambda: "did you mean `cache`" in gateway.log.read_text())
    heard = Voice(client_of(os.environ["STORY_KEY"], gateway.url), model="scripted").ask("Are the old settings in force?")
    assert heard.words.endswith("Are the old settings in force?")


def run(tmp_path, *arguments):
    command = [os.environ["ASKONCE_BIN"], *arguments, "--config", str(tmp_path / "askonce.yaml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("cahce: {}\n", ["cahce", "did you mean `cache`", "line 1"]),
        ("listen: 127.0.0.1:0\nproviders:\n  - {name: x, kind: opnai}\n", ["opnai", "openai", "line 3"]),
        ("admin: {key: \"${STORY_NOBODY_SET_THIS}\"}\n", ["STORY_NOBODY_SET_THIS", "line 1"]),
        ("listen: [\n", ["line"]),
    ],
    ids=["unknown key", "unknown kind", "unset variable", "no YAML"],
)
def test_a_wrong_file_is_refused_at_its_place(tmp_path, config, expected):
    (tmp_path / "askonce.yaml").write_text(config)
    for command in ("check", "serve"):
        ended = run(tmp_path, command)
        assert ended.returncode == 1 and not [word for word in expected if word not in ended.stderr], ended.stderr
        assert "panicked" not in ended.stderr


def test_check_shows_settings_without_secrets(tmp_path):
    (tmp_path / "askonce.yaml").write_text(CONFIG)
    ended = run(tmp_path, "check")
    assert ended.returncode == 0 and "base_url" in ended.stdout
    assert os.environ["STORY_KEY"] not in ended.stdout and os.environ["STORY_UPSTREAM_KEY"] not in ended.stdout


def test_a_port_that_is_taken(tmp_path):
    (tmp_path / "askonce.yaml").write_text(CONFIG)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        ended = run(tmp_path, "serve", "--listen", address, "--data-dir", str(tmp_path / "data"))
    assert ended.returncode == 1 and address in ended.stderr and "panicked" not in ended.stderr
