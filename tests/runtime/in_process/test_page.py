"""The page's examples are programs: they run, and print what stands below them."""

import re
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import runtime.in_process

PAGE = Path(__file__).parents[3] / "docs" / "in-process.md"
BLOCK = re.compile(r"^```python\n(.*?)^```\n```text\n(.*?)^```\n", re.DOTALL | re.MULTILINE)


def test_the_pages_examples_print_what_it_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(main: Any, *args: Any) -> Any:
        # A virtual clock knows nothing of threads, in which certificates and prices are loaded.
        # Those examples wait for nothing else. In the others the loopback's sockets answer well
        # within the threshold.
        virtual = trio.testing.MockClock(autojump_threshold=0.01)
        return real_run(main, *args, clock=None if "cost" in source else virtual)

    real_run = trio.run
    monkeypatch.setattr(trio, "run", run)
    text = PAGE.read_text(encoding="utf-8")
    examples = list(BLOCK.finditer(text))
    assert len(examples) == text.count("```python") >= 7
    names: dict[str, Any] = {"__name__": "page"}
    source = ""
    for example in examples:
        source = example[1]
        line = text.count("\n", 0, example.start(1))
        # The leading line breaks make a traceback point at the page's own line.
        exec(compile("\n" * line + source, str(PAGE), "exec"), names)
        assert capsys.readouterr().out == example[2], f"{PAGE.name}:{line}"


def test_the_page_names_only_what_the_package_has() -> None:
    text = PAGE.read_text(encoding="utf-8")
    imported = {
        name.strip()
        for names in re.findall(r"^from runtime.in_process import (.*)$", text, re.MULTILINE)
        for name in names.split(",")
    }
    assert imported <= set(runtime.in_process.__all__)
    for name in runtime.in_process.__all__:
        assert hasattr(runtime.in_process, name)
    for owner in ("Standby", "ProviderAdapter", "ProviderFactory"):
        row = re.search(rf"^\| `{owner}` \|(.*)$", text, re.MULTILINE)
        assert row is not None
        named = set(re.findall(r"`(\w+)`", row[1]))
        public = {name for name in vars(getattr(runtime.in_process, owner)) if name[0] != "_"}
        attributes = {"adapter", "providers"} if owner == "Standby" else set()
        assert named == public | attributes, owner
