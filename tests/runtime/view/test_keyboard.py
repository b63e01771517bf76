"""Keys from the bytes a terminal sends, and the terminal as it was found."""

import os
import pty
import termios
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.view.keyboard import Keyboard, split_keys


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q", ["q"]),
        (b"jk+?", ["j", "k", "+", "?"]),
        (b"\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]),
        (b"\x1bOA\x1b[5~\x1b[6~\x1b[H\x1b[F", ["up", "pageup", "pagedown", "home", "end"]),
        (b"\r\n", ["enter", "enter"]),
        ("ü".encode(), ["ü"]),
        (b"\x1b\x1b[A", ["escape", "up"]),
        (b"\x1b[1;5Aq", ["q"]),
        (b"\x1bxq", ["q"]),
    ],
)
def test_reads_keys(data: bytes, keys: list[str]) -> None:
    assert split_keys(data) == (keys, b"")


@pytest.mark.parametrize("data", [b"\x1b", b"\x1b[", b"\x1b[5"])
def test_keeps_the_start_of_a_sequence(data: bytes) -> None:
    assert split_keys(b"q" + data) == (["q"], data)


@given(st.binary(max_size=40), st.integers(0, 40))
def test_any_bytes_are_read_to_the_end(data: bytes, cut: int) -> None:
    _, rest = split_keys(data)
    assert rest == b"" or rest[0] == 0x1B
    _, first = split_keys(data[:cut])
    assert len(first) <= len(data)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal: the end a person types at, and the end a program reads."""
    person, program = pty.openpty()
    yield person, program
    os.close(person)
    os.close(program)


def test_reads_single_keys_without_echo_and_restores_the_terminal(
    terminal: tuple[int, int],
) -> None:
    person, program = terminal
    before = termios.tcgetattr(program)
    with Keyboard(program) as keyboard:
        during = termios.tcgetattr(program)
        assert not during[3] & (termios.ECHO | termios.ICANON)
        os.write(person, b"j\x1b[A")
        assert keyboard.wait(5.0) == ["j", "up"]
        os.write(person, b"\x1b")
        assert keyboard.wait(5.0) == ["escape"]
        assert keyboard.wait(0.0) == []
    assert termios.tcgetattr(program) == before


def test_restores_the_terminal_after_a_failure(terminal: tuple[int, int]) -> None:
    _, program = terminal
    before = termios.tcgetattr(program)
    with pytest.raises(RuntimeError), Keyboard(program):
        raise RuntimeError
    assert termios.tcgetattr(program) == before
