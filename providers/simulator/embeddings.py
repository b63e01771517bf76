"""Simulated embeddings: vectors of length one, a function of the seed, the model and the input.

They are made up. Texts that mean the same have no more in common than any others.
"""

import base64
import hashlib
import math
import random
import struct
from collections.abc import Mapping
from typing import Any

import msgspec

from providers.simulator.ask import tokens_of, wrong_field
from providers.wire import OPENAI

__all__ = ["EmbeddingsAsk", "embeddings_body", "read_embeddings_ask"]

_MOST_INPUTS = 2048
"""Inputs of one request, as the real API has it."""


class EmbeddingsAsk(msgspec.Struct, frozen=True, kw_only=True):
    """What a request for embeddings asks for.

    Attributes:
        model: The model's name, with its fault suffix.
        inputs: What each vector is to stand for: a text or token numbers, as JSON.
        dimensions: Numbers in a vector.
        base64: Whether vectors are wanted in base64.
        input_tokens: Tokens of all inputs.
    """

    model: str
    inputs: tuple[bytes, ...]
    dimensions: int
    base64: bool
    input_tokens: int


def read_embeddings_ask(body: bytes, dimensions: int) -> EmbeddingsAsk:
    """Read a request.

    Args:
        body: Its body.
        dimensions: Numbers in a vector where the request does not ask for fewer.

    Raises:
        WireError: A real upstream would refuse it; says what and where.
    """
    peek = OPENAI.operations["embeddings"].peek_request(body)
    request = msgspec.json.decode(body)
    inputs = _inputs(request.get("input"))
    wanted = request.get("dimensions")
    if wanted is not None and not (
        isinstance(wanted, int) and not isinstance(wanted, bool) and 1 <= wanted <= dimensions
    ):
        raise wrong_field("dimensions", f"a whole number from 1 to {dimensions} is expected")
    form = request.get("encoding_format")
    if form not in {None, "float", "base64"}:
        raise wrong_field("encoding_format", "float or base64 is expected")
    return EmbeddingsAsk(
        model=peek.model,
        inputs=tuple(msgspec.json.encode(each) for each in inputs),
        dimensions=dimensions if wanted is None else wanted,
        base64=form == "base64",
        input_tokens=sum(
            tokens_of(len(each)) if isinstance(each, str) else len(each) for each in inputs
        ),
    )


def embeddings_body(ask: EmbeddingsAsk, model: str, *, seed: int) -> Mapping[str, object]:
    """Return the answer to a request.

    Args:
        ask: The request.
        model: The model's name without its fault.
        seed: The simulator's seed.
    """
    data = []
    for index, each in enumerate(ask.inputs):
        packed = _vector(b"%d\0%b\0%b" % (seed, model.encode(), each), ask.dimensions)
        shown: object = list(struct.unpack(f"<{ask.dimensions}f", packed))
        if ask.base64:
            shown = base64.b64encode(packed).decode("ascii")
        data.append({"object": "embedding", "index": index, "embedding": shown})
    usage = {"prompt_tokens": ask.input_tokens, "total_tokens": ask.input_tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def _vector(subject: bytes, dimensions: int) -> bytes:
    """Return a vector of length one, as 32-bit numbers, little end first.

    Shorter vectors of the same subject are the beginnings of longer ones, made to that length.
    """
    dice = random.Random(hashlib.sha256(subject).digest())
    numbers = [dice.uniform(-1.0, 1.0) for _ in range(dimensions)]
    length = math.hypot(*numbers) or 1.0
    return struct.pack(f"<{dimensions}f", *(number / length for number in numbers))


def _inputs(given: Any) -> list[Any]:
    """Return the inputs one by one: each a text, or a list of token numbers."""
    inputs = [given] if isinstance(given, str) or _are_tokens(given) else given
    if not isinstance(inputs, list) or not inputs:
        raise wrong_field("input", "a text, or an array of texts or of token numbers, is expected")
    if len(inputs) > _MOST_INPUTS:
        raise wrong_field("input", f"at most {_MOST_INPUTS} inputs are allowed")
    for i, each in enumerate(inputs):
        if not (isinstance(each, str) or _are_tokens(each)):
            raise wrong_field(f"input[{i}]", "a text or an array of token numbers is expected")
        if not each:
            raise wrong_field(f"input[{i}]", "it must not be empty")
    return inputs


def _are_tokens(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, int) and not isinstance(each, bool) for each in value)
    )
