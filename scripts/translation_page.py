"""Write the tables of docs/translation.md: what becomes of each field in the other APIs.

Each codec has an example of every field of its API. The example is translated with and without the
field, and the difference is what became of it.

    python scripts/translation_page.py            writes the tables
    python scripts/translation_page.py --check    ends with 1 when they are not as they would be
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from providers.wire import WireError
from providers.wire.translation.codec import Row, Target
from providers.wire.translation.codecs import codec_of, front_codec_of
from providers.wire.translation.translation import Translation

PAGE = Path(__file__).parents[1] / "docs" / "translation.md"
BEGIN, END = "<!-- tables: begin -->\n", "<!-- tables: end -->\n"

NAMES = {
    "openai": "OpenAI chat completions",
    "anthropic": "Anthropic messages",
    "responses": "OpenAI Responses",
    "completions": "OpenAI completions (legacy)",
}
DIRECTIONS = (
    ("openai", "anthropic"),
    ("anthropic", "openai"),
    ("responses", "openai"),
    ("responses", "anthropic"),
    ("completions", "anthropic"),
)
MODELS = {"openai": "gpt-5.5", "anthropic": "claude-opus-4-6"}
"""The provider's model in the examples."""

LONGEST = 160
"""Characters of a value that are shown."""


def translated(front: str, back: str, body: Mapping[str, object]) -> Translation:
    """Translate a request; raises WireError where there is no way."""
    target = Target(model=MODELS[back], official=True)
    return Translation(
        front_codec_of(front),
        codec_of(back),
        json.dumps(body).encode(),
        target,
        answer_id="example",
        created=0,
    )


def differences(before: object, after: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield where two values differ: the path, and what is there after."""
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in after:
            inner = f"{path}.{key}" if path else key
            if key in before:
                yield from differences(before[key], after[key], inner)
            else:
                yield inner, shown(after[key])
        for key in before:
            if key not in after:
                yield f"{path}.{key}" if path else key, "(not sent)"
        return
    if isinstance(before, list) and isinstance(after, list):
        if len(before) == len(after):
            for number, (old, new) in enumerate(zip(before, after, strict=True)):
                yield from differences(old, new, f"{path}[{number}]")
            return
        first = shared(before, after)
        last = shared(before[first:][::-1], after[first:][::-1])
        if first + last == len(before):
            for number in range(first, len(after) - last):
                yield f"{path}[{number}]", shown(after[number])
            return
    yield path, shown(after)


def shared(one: list[object], other: list[object]) -> int:
    """Return how many values two lists begin with in common."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def shown(value: object) -> str:
    """Return a value as short JSON."""
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def fate(front: str, back: str, row: Row) -> str:
    """Return what becomes of one field."""
    try:
        found = translated(front, back, row.example)
    except WireError as error:
        return f"refused: {error.message}"
    try:
        plain: Any = json.loads(translated(front, back, row.without).body)
        dropped_without = set(translated(front, back, row.without).dropped)
    except WireError:
        plain, dropped_without = {}, set()
    told = [f"`{path}: {value}`" for path, value in differences(plain, json.loads(found.body))]
    left_out = [name for name in found.dropped if name not in dropped_without]
    if left_out:
        names = ", ".join(f"`{name}`" for name in left_out)
        told.append(f"{'named' if told else 'left out, named'} {names}")
    return "; ".join(told) or "means nothing there, or is the default"


def cell(text: str) -> str:
    """Return a text as it may stand in a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def tables() -> str:
    """Return all tables."""
    parts = []
    for front, back in DIRECTIONS:
        parts.append(f"### {NAMES[front]} to {NAMES[back]}\n\n")
        parts.append("| field | what becomes of it |\n|---|---|\n")
        for row in front_codec_of(front).rows():
            note = f" {row.note}" if row.note else ""
            parts.append(f"| `{cell(row.field)}` | {cell(fate(front, back, row))}.{cell(note)} |\n")
        parts.append("\n")
    return "".join(parts)


def page() -> str:
    """Return the whole page as it should be."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}{END}{after}"


def main() -> int:
    """Write the page, or check it; return the exit code."""
    wanted = page()
    if "--check" in sys.argv[1:]:
        if PAGE.read_text(encoding="utf-8") == wanted:
            return 0
        print("docs/translation.md is not up to date: run scripts/translation_page.py")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
