"""The command-line tool `llm`, in OpenAI's API towards Anthropic's and the other way."""

from pathlib import Path

import pytest

from tests.applications.conftest import TOKEN, Door
from tests.support.applications import python_program, run_program

MODELS = """
- model_id: through
  model_name: claude-own
  api_base: {url}/v1
  api_key_name: standby
  supports_tools: true
"""
TOOL = 'def treasure(place: str) -> str:\n    return f"a chest in {place.upper()}"\n'


@pytest.fixture(params=["openai", "anthropic"])
def asked(
    request: pytest.FixtureRequest, door: Door, place: Path
) -> tuple[list[str], dict[str, str]]:
    """The program's arguments and environment to ask a provider of the other API."""
    settings = {"LLM_USER_PATH": str(place)}
    if request.param == "openai":
        (place / "extra-openai-models.yaml").write_text(MODELS.format(url=door.url))
        return ["-m", "through", "--key", TOKEN], settings
    settings |= {"ANTHROPIC_BASE_URL": door.url, "ANTHROPIC_API_KEY": TOKEN}
    return ["-m", "claude-sonnet-4.5"], settings


def test_it_prints_the_answer(
    asked: tuple[list[str], dict[str, str]], door: Door, place: Path
) -> None:
    arguments, settings = asked
    done = run_program([*python_program("llm"), *arguments, "Hello"], place, settings)
    assert (done.returncode, done.stdout.strip()) == (0, "All is said."), done.stderr
    (body,) = door.caller.bodies
    assert body["stream"] is True


def test_it_runs_a_tool_and_tells_what_it_returned(
    asked: tuple[list[str], dict[str, str]], door: Door, place: Path
) -> None:
    arguments, settings = asked
    door.caller.call = "treasure", {"place": "the é cave"}
    command = [*python_program("llm"), *arguments, "--functions", TOOL, "Where is it?"]
    done = run_program(command, place, settings)
    assert (done.returncode, done.stdout.strip()) == (0, "All is said."), done.stderr
    assert len(door.caller.bodies) == 2
    (result,) = door.caller.results
    assert "a chest in THE \\u00c9 CAVE" in result
