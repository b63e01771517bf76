"""What the simulator answers: a function of its seed and the request, and of nothing else.

Text is made of ordinary words; a word is a token. Tools are called by this rule: the request has
tools and either ``tool_choice`` demands a call, or the last message is the user's and its text
contains the name of a tool (each one named is called, in the order they are named, or only the
first where parallel calls are off), or it contains the word "tool" (the first tool is called). The
arguments are made from the tool's schema. A message that carries a tool's result is answered with
text. Where the request wants the text to be JSON, it is made from the schema given for it. A
request to go on from the beginning of an answer is answered with the rest of it; one that is
another's is taken for so many words of its own.
"""

import hashlib
import random
import re
from collections.abc import Sequence

import msgspec

from providers.simulator.ask import Ask, Tool
from providers.simulator.schemas import made_up
from providers.simulator.words import WORDS

__all__ = ["Call", "Choice", "Reply", "make_reply"]

_SENTENCE = (5, 12)
_JSON_PIECE = 8


class Call(msgspec.Struct, frozen=True):
    """One tool call: its id without the dialect's prefix, the tool, its arguments as JSON."""

    id: str
    name: str
    arguments: str

    def pieces(self) -> list[str]:
        """Return the arguments as they are streamed."""
        return _pieces(self.arguments)


class Choice(msgspec.Struct, frozen=True):
    """One answer.

    Attributes:
        tokens: Its text, token by token.
        calls: The tools it calls; then it has no text.
        finish: ``stop``, ``length``, ``tool_calls``, ``content_filter``, or ``stop_sequence``.
        stop_sequence: The text that ended it, if one did.
    """

    tokens: tuple[str, ...]
    calls: tuple[Call, ...]
    finish: str
    stop_sequence: str | None = None

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.tokens)


class Reply(msgspec.Struct, frozen=True):
    """A whole answer, before it takes the form of a dialect.

    Attributes:
        id: Its id without the dialect's prefix.
        model: The model that answers.
        choices: The answers, one or more.
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of all answers.
    """

    id: str
    model: str
    choices: tuple[Choice, ...]
    input_tokens: int
    output_tokens: int


def make_reply(ask: Ask, model: str, *, seed: int, words: int, refuse: bool = False) -> Reply:
    """Answer a request.

    Args:
        ask: The request.
        model: The model's name without its fault.
        seed: The simulator's seed.
        words: How many words the text is to have.
        refuse: Whether a content filter is to refuse it.
    """
    digest = hashlib.sha256(b"%d\0%b\0%b" % (seed, model.encode(), ask.fingerprint)).digest()
    choices = tuple(
        Choice((), (), "content_filter") if refuse else _choose(ask, digest, index, words)
        for index in range(ask.choices)
    )
    output = sum(
        len(choice.tokens) + sum(len(call.pieces()) for call in choice.calls) for choice in choices
    )
    return Reply(digest[:12].hex(), model, choices, ask.input_tokens, output)


def _choose(ask: Ask, digest: bytes, index: int, words: int) -> Choice:
    dice = random.Random(digest + bytes([index]))
    called = _called(ask)
    if called:
        calls = tuple(
            Call(dice.randbytes(12).hex(), tool.name, _arguments(tool, dice)) for tool in called
        )
        return Choice((), calls, "tool_calls")
    if ask.answer_schema is None:
        tokens = _sentences(dice, words)
    else:
        tokens = _pieces(msgspec.json.encode(made_up(ask.answer_schema, dice)).decode())
    if ask.continued:
        tokens = _rest(tokens, ask.continued)
    finish = "stop"
    if ask.max_tokens is not None and len(tokens) > ask.max_tokens:
        tokens = tokens[: ask.max_tokens]
        finish = "length"
    found = [(at, stop) for stop in ask.stop if (at := "".join(tokens).find(stop)) >= 0]
    if found:
        end, stop = min(found)
        return Choice(_cut(tokens, end), (), "stop_sequence", stop)
    return Choice(tuple(tokens), (), finish)


def _sentences(dice: random.Random, words: int) -> list[str]:
    tokens: list[str] = []
    left = 0
    for number in range(words):
        word = dice.choice(WORDS)
        if left == 0:
            left = dice.randint(*_SENTENCE)
            word = word.capitalize()
        left -= 1
        if left == 0 or number == words - 1:
            word += "."
            left = 0
        tokens.append(f" {word}" if number else word)
    return tokens


def _pieces(json: str) -> list[str]:
    """Return JSON text as it is streamed."""
    return [json[at : at + _JSON_PIECE] for at in range(0, len(json), _JSON_PIECE)]


def _rest(tokens: Sequence[str], beginning: str) -> list[str]:
    """Return the tokens that follow the beginning of an answer."""
    if not "".join(tokens).startswith(beginning):
        return list(tokens[len(beginning.split()) :])
    left = len(beginning)
    rest = []
    for token in tokens:
        if len(token) > left:
            rest.append(token[left:])
        left = max(0, left - len(token))
    return rest


def _cut(tokens: Sequence[str], end: int) -> tuple[str, ...]:
    """Return the tokens up to a place in their text."""
    kept = []
    for token in tokens:
        if end <= 0:
            break
        kept.append(token[:end])
        end -= len(token)
    return tuple(kept)


def _called(ask: Ask) -> Sequence[Tool]:
    """Return the tools that this answer calls, by the rule of the module."""
    if not ask.tools:
        return ()
    text = ask.last_text.lower()
    named = sorted(
        (at, position)
        for position, tool in enumerate(ask.tools)
        if (at := text.find(tool.name.lower())) >= 0
    )
    if ask.tool_choice == "auto":
        if named:
            chosen = [ask.tools[position] for _, position in named]
            return chosen if ask.parallel_tools else chosen[:1]
        return ask.tools[:1] if re.search(r"\btools?\b", text) else ()
    if ask.tool_choice == "required":
        return [ask.tools[named[0][1] if named else 0]]
    return [tool for tool in ask.tools if tool.name == ask.tool_choice][:1]


def _arguments(tool: Tool, dice: random.Random) -> str:
    value = made_up(tool.schema, dice)
    return msgspec.json.encode(value if isinstance(value, dict) else {}).decode()
