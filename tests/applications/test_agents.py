"""Coding agents: one in Anthropic's API towards OpenAI's, one in Responses towards both."""

from pathlib import Path

import pytest

from tests.applications.conftest import TOKEN, Door
from tests.support.applications import node_program, run_program

COMMAND = "echo treasure-$((6*7))"
QUIET = {
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
}
CONFIG = """
model = "{model}"
model_provider = "standby"
approval_policy = "never"
sandbox_mode = "danger-full-access"

[model_providers.standby]
name = "Standby"
base_url = "{url}/v1"
env_key = "STANDBY_TOKEN"
wire_api = "responses"
"""


def test_claude_code_works_with_a_model_of_openais_api(door: Door, place: Path) -> None:
    door.caller.call = "Bash", {"command": COMMAND, "description": "Look for it"}
    settings = {**QUIET, "ANTHROPIC_BASE_URL": door.url, "ANTHROPIC_API_KEY": TOKEN}
    command = [*node_program("claude"), "-p", "--model", "gpt-own", "--allowedTools", "Bash"]
    done = run_program(command, place, settings, "Where is the treasure?")
    assert (done.returncode, done.stdout.strip()) == (0, "All is said."), done.stderr
    assert "treasure-42" in door.caller.results[-1]


@pytest.mark.parametrize("model", ["gpt-own", "claude-own"])
def test_codex_works_with_models_of_both_apis(door: Door, place: Path, model: str) -> None:
    door.caller.call = "exec_command", {"cmd": COMMAND}
    home = place / ".codex"
    home.mkdir()
    (home / "config.toml").write_text(CONFIG.format(model=model, url=door.url))
    settings = {"CODEX_HOME": str(home), "STANDBY_TOKEN": TOKEN}
    command = [*node_program("codex"), "exec", "--skip-git-repo-check", "Where is the treasure?"]
    done = run_program(command, place, settings)
    assert (done.returncode, done.stdout.strip()) == (0, "All is said."), done.stderr
    assert "treasure-42" in door.caller.results[-1]
