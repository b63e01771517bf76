"""Embeddings by the official SDK, from servers that know one form of a vector only."""

import base64
import struct
from typing import Any

import pytest

from tests.integration.conftest import StartDaemon
from tests.support import clients
from tests.support.configs import config, upstream
from tests.support.scripted import Exchange, Scripted

VECTOR = [0.5, -0.25]
PACKED = base64.b64encode(struct.pack("<2f", *VECTOR)).decode()


def giving(vector: object) -> Scripted:
    """Return a server that gives one vector, whatever form it is asked for."""

    def embed(exchange: Exchange) -> None:
        data = [{"object": "embedding", "index": 0, "embedding": vector}]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        exchange.answer(200, {"object": "list", "data": data, "model": "e", "usage": usage})

    return Scripted(embed)


@pytest.mark.parametrize("own", [VECTOR, PACKED], ids=["lists", "base64"])
def test_the_sdk_gets_the_form_that_it_names(start_daemon: StartDaemon, own: object) -> None:
    with giving(own) as scripted:
        running = start_daemon(config({"other": upstream("openai", scripted.url)}))
        with clients.openai_client(running.socket) as client:
            floats = client.embeddings.create(model="other/e", input="x", encoding_format="float")
            packed = client.embeddings.create(model="other/e", input="x", encoding_format="base64")
    assert floats.data[0].embedding == VECTOR
    shown: object = packed.data[0].embedding  # the SDK unpacks only what it asked for by itself
    assert shown == PACKED


@pytest.mark.parametrize("given", [[1, 2, 3], [[1, 2], [3]], "x", ["x", "y"]])
def test_inputs_and_dimensions_reach_the_server_as_the_sdk_wrote_them(
    start_daemon: StartDaemon, given: Any
) -> None:
    with giving(VECTOR) as scripted:
        running = start_daemon(config({"other": upstream("openai", scripted.url)}))
        with clients.openai_client(running.socket) as client:
            client.embeddings.create(model="other/e", input=given, dimensions=2)
        (received,) = scripted.requests
    assert received.json == {
        "input": given,
        "dimensions": 2,
        "encoding_format": "base64",
        "model": "e",
    }
