"""The manual's examples are programs: they run, and print what stands below them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import supervision

MANUAL = Path(__file__).parents[2] / "docs" / "supervision.md"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)


def test_the_manuals_examples_print_what_it_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_on_virtual_time(main: Any, *args: Any) -> Any:
        clock = trio.testing.MockClock(autojump_threshold=0)
        return real_run(main, *args, clock=clock)

    real_run = trio.run
    monkeypatch.setattr(trio, "run", run_on_virtual_time)
    text = MANUAL.read_text(encoding="utf-8")
    examples = list(BLOCK.finditer(text))
    assert len(examples) >= 10
    names: dict[str, Any] = {"__name__": "manual"}
    for example in examples:
        line = text.count("\n", 0, example.start(1))
        # The leading line breaks make a traceback point at the manual's own line.
        exec(compile("\n" * line + example[1], str(MANUAL), "exec"), names)
        assert capsys.readouterr().out == (example[2] or ""), f"{MANUAL.name}:{line}"


def test_the_manual_names_only_what_the_package_has() -> None:
    text = MANUAL.read_text(encoding="utf-8")
    imported = {
        name.strip()
        for names in re.findall(r"^from supervision import (.*)$", text, re.MULTILINE)
        for name in names.split(",")
    }
    assert imported <= set(supervision.__all__)
    assert sorted(supervision.__all__) == sorted(set(supervision.__all__))
    for name in supervision.__all__:
        assert hasattr(supervision, name)
