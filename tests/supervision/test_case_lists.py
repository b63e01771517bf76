"""Every case of OTP's and Elixir's own lists has a test of ours, or a reason why it has none.

A list is a Markdown table of three columns, `case | what it says | our test`. The third holds
one or more tests, each in backquotes as `tests/path/test_x.py::test_name` (or with the class,
`::TestClass::test_name`), or `does not apply: ` and the reason.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LISTS = ROOT / "docs" / "otp-cases"
HEADER = ["case", "what it says", "our test"]
TEST = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")
REASON = re.compile(r"does not apply: \S+")
CELL = re.compile(r"(?<!\\)\|")


@cache
def named_in(path: Path) -> frozenset[str]:
    """The names of a file's tests, as pytest says them: `test_x`, `TestY::test_x`, `TestY`.

    A state machine's test is an assignment (`TestY = Machine.TestCase`), so those count too.
    """
    names: set[str] = set()

    def collect(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                names.add(prefix + node.name)
                collect(node.body, f"{prefix}{node.name}::")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names.add(prefix + node.name)
            elif isinstance(node, ast.Assign):
                names.update(t.id for t in node.targets if isinstance(t, ast.Name))

    collect(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return frozenset(name for name in names if name.rpartition("::")[2].lower().startswith("test"))


def rows_of(text: str) -> list[tuple[int, list[str]]]:
    """The lines of a list's tables and the cells of each, without the headers."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    rows = [
        (number, [cell.strip() for cell in CELL.split(line.strip("|"))])
        for number, line in lines
        if line.startswith("|")
    ]
    return [(n, cells) for n, cells in rows if cells != HEADER and set("".join(cells)) - set("-: ")]


def faults_of(text: str, root: Path) -> list[str]:
    """What is wrong with a list: a sentence for each fault, with its line."""
    faults: list[str] = []
    seen: set[str] = set()
    rows = rows_of(text)
    for number, cells in rows:
        if len(cells) != 3 or not all(cells):
            faults.append(f"line {number}: not three filled cells: {cells}")
            continue
        case, _, ours = cells
        if case in seen:
            faults.append(f"line {number}: {case} is listed twice")
        seen.add(case)
        tests = TEST.findall(ours)
        if not tests and not REASON.search(ours):
            faults.append(f"line {number}: {case} has neither a test nor a reason: {ours}")
        if ours.count("::") != sum(1 + name.count("::") for _, name in tests):
            faults.append(f"line {number}: {case} names a test in another form: {ours}")
        for file, name in tests:
            if not (root / file).is_file():
                faults.append(f"line {number}: {case}: there is no {file}")
            elif name not in named_in(root / file):
                faults.append(f"line {number}: {case}: {file} has no {name}")
    if not rows:
        faults.append("it has no table")
    return faults


@pytest.mark.parametrize("path", sorted(LISTS.glob("*.md")), ids=lambda path: path.stem)
def test_every_case_has_a_test_of_ours_or_a_reason(path: Path) -> None:
    assert faults_of(path.read_text(encoding="utf-8"), ROOT) == []


def test_there_are_lists() -> None:
    assert LISTS.is_dir()
    assert list(LISTS.glob("*.md"))


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("| a | b |", "not three filled cells"),
        ("| a | | `tests/test_x.py::test_one` |", "not three filled cells"),
        ("| a | b | later |", "neither a test nor a reason"),
        ("| a | b | does not apply: |", "neither a test nor a reason"),
        ("| a | b | tests/test_x.py::test_one |", "neither a test nor a reason"),
        ("| a | b | `tests/test_x.py::test_one`, test_x.py::test_two |", "another form"),
        ("| a | b | `tests/test_y.py::test_one` |", "there is no tests/test_y.py"),
        ("| a | b | `tests/test_x.py::test_three` |", "has no test_three"),
        ("| a | b | `tests/test_x.py::helper` |", "has no helper"),
        ("| a | b | `tests/test_x.py::TestIt::test_one` |", "has no TestIt::test_one"),
        ("", "no table"),
    ],
)
def test_a_row_that_proves_nothing_is_a_fault(row: str, fault: str, tmp_path: Path) -> None:
    faults = faults_of(written(tmp_path, row), tmp_path)
    assert len(faults) >= 1
    assert fault in faults[0]


def test_a_case_listed_twice_is_a_fault(tmp_path: Path) -> None:
    row = "| a | b | does not apply: there is no code to change |"
    assert faults_of(written(tmp_path, row), tmp_path) == []
    assert len(faults_of(written(tmp_path, f"{row}\n{row}"), tmp_path)) == 1


@pytest.mark.parametrize(
    "ours",
    [
        "`tests/test_x.py::test_one`",
        "`tests/test_x.py::test_one` `tests/test_x.py::TestIt::test_two`",
        "`tests/test_x.py::TestMachine`",
        "does not apply: Python has no code change",
    ],
)
def test_a_row_with_tests_or_a_reason_is_in_order(ours: str, tmp_path: Path) -> None:
    assert faults_of(written(tmp_path, f"| a \\| c | b | {ours} |"), tmp_path) == []


def written(root: Path, row: str) -> str:
    """A list with this row, and a test file under `root` that it may name."""
    (root / "tests").mkdir(exist_ok=True)
    (root / "tests" / "test_x.py").write_text(
        "def helper(): ...\n"
        "async def test_one(): ...\n"
        "class TestIt:\n"
        "    def test_two(self): ...\n"
        "TestMachine = object\n"
    )
    return f"# A list\n\n| case | what it says | our test |\n| --- | --- | --- |\n{row}\n"
