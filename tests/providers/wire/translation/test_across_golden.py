"""Whole bodies as they are asked and as they are sent, for people to read: golden/*.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from providers.wire.translation.codec import Target
from providers.wire.translation.codecs import codec_of
from providers.wire.translation.translation import Translation

GOLDEN = Path(__file__).parent / "golden"
OTHER = {"openai": "anthropic", "anthropic": "openai"}
MODELS = {"openai": "gpt-5.5", "anthropic": "claude-opus-4-6"}
ASK: dict[str, Any] = {
    "model": "x",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Hello"}],
}


def translation(front: str, body: object) -> Translation:
    back = OTHER[front]
    return Translation(
        codec_of(front),
        codec_of(back),
        json.dumps(body).encode(),
        Target(model=MODELS[back], official=True),
        answer_id="id",
        created=7,
    )


def golden(kind: str) -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in sorted(GOLDEN.glob(f"{kind}-*.json"))]


@pytest.mark.parametrize("path", golden("request"))
def test_a_request_is_sent_as_it_is_written_down(path: Path) -> None:
    case = json.loads(path.read_bytes())
    done = translation(case["asked_at"], case["asked"])
    assert json.loads(done.body) == case["sent"]
    assert list(done.dropped) == case["left_out"]


@pytest.mark.parametrize("path", golden("answer"))
def test_an_answer_is_given_as_it_is_written_down(path: Path) -> None:
    case = json.loads(path.read_bytes())
    done = translation(case["asked_at"], ASK)
    assert json.loads(done.answer(json.dumps(case["answered"]).encode())) == case["given"]
    assert list(done.dropped) == case["left_out"]


def test_there_are_bodies_of_both_apis() -> None:
    cases = [json.loads(path.read_bytes())["asked_at"] for path in GOLDEN.glob("*.json")]
    assert set(cases) == set(OTHER)
    assert len(cases) >= 12
