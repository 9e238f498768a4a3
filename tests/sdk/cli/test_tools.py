"""Coding tools at their work through askonce: a question, a call of a tool on this machine, its result, the last word.

They are set up as README.md says that users set them up, and run in a home of their own.
"""

import json
import os
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

MODULES = Path(os.environ["ASKONCE_SDK_CLI"])
CLAUDE = ["node", str(MODULES / "@anthropic-ai/claude-code/cli-wrapper.cjs")]
CODEX = [str(MODULES / ".bin/codex")]
PROOF = "written by a tool"

CODEX_CONFIG = """\
model_provider = "askonce"
{more}
[model_providers.askonce]
name = "askonce"
base_url = "{url}/v1"
env_key = "ASKONCE_KEY"
wire_api = "responses"
"""


class Place:
    """A home and a folder to work in."""

    def __init__(self, folder):
        self.home, self.work = folder / "home", folder / "work"
        self.home.mkdir()
        self.work.mkdir()

    def run(self, *command, **environment):
        """Runs a tool; gives the JSON lines that it wrote."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), **environment}
        done = subprocess.run(command, cwd=self.work, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def vendor_calls(question):
    query = urllib.parse.urlencode({"question": question})
    with urllib.request.urlopen(f"{os.environ['STORY_VENDORS_URL']}/calls?{query}", timeout=10) as reply:
        return json.load(reply)


def claude(place, model, prompt):
    return place.run(
        *CLAUDE, "-p", prompt, "--output-format", "json", "--allowedTools", "Bash",
        ANTHROPIC_BASE_URL=os.environ["STORY_WIRES_URL"], ANTHROPIC_API_KEY=os.environ["STORY_KEY"], ANTHROPIC_MODEL=model,
        ANTHROPIC_SMALL_FAST_MODEL=model, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
    )


def codex(place, model, prompt, more=""):
    config = place.home / ".codex"
    config.mkdir(exist_ok=True)
    (config / "config.toml").write_text(CODEX_CONFIG.format(url=os.environ["STORY_WIRES_URL"], more=more))
    return place.run(
        *CODEX, "exec", "--skip-git-repo-check", "--json", "--dangerously-bypass-approvals-and-sandbox", "-m", model, prompt,
        ASKONCE_KEY=os.environ["STORY_KEY"], CODEX_HOME=str(config),
    )


@pytest.mark.parametrize("provider", ["anthropic", "bedrock", "openai", "gemini"])
def test_claude_code_calls_a_tool(place, provider):
    call = json.dumps({"command": f"echo {PROOF} | tee proof.txt", "description": "Leaves a proof"})
    (result,) = claude(place, f"any-{provider}", f"Leave a proof for {place.home}. #call Bash {call}")
    assert (place.work / "proof.txt").exists(), str(result)[:2000]
    assert (place.work / "proof.txt").read_text().strip() == PROOF
    assert result["subtype"] == "success" and result["num_turns"] == 2 and not result["permission_denials"]
    assert result["result"].startswith("Heard:") and PROOF in result["result"]
    assert result["usage"]["output_tokens"] > 0
    assert len(vendor_calls(str(place.home))) == 2, "the question, and the tool's result"


@pytest.mark.parametrize("provider", ["openai", "anthropic", "chat"])
def test_codex_calls_a_tool(place, provider):
    call = json.dumps({"cmd": f"echo {PROOF} | tee proof.txt"})
    # Only OpenAI itself can search the web for the model.
    more = "" if provider == "openai" else 'web_search = "disabled"\n'
    events = codex(place, f"any-{provider}", f"Leave a proof for {place.home}. #call exec_command {call}", more)
    assert (place.work / "proof.txt").read_text().strip() == PROOF
    done = [event["item"] for event in events if event["type"] == "item.completed"]
    (command,) = [item for item in done if item["type"] == "command_execution"]
    assert command["exit_code"] == 0 and PROOF in command["aggregated_output"]
    words = [item["text"] for item in done if item["type"] == "agent_message"]
    assert words[-1].startswith("Heard:") and PROOF in words[-1]
    assert events[-1]["type"] == "turn.completed" and events[-1]["usage"]["output_tokens"] > 0
    assert len(vendor_calls(str(place.home))) == 2, "the question, and the tool's result"
