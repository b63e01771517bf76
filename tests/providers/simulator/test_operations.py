"""Simulated embeddings and token counts, as the official SDKs understand them."""

import base64
import json
import math
import struct
from typing import Any

import anthropic
import openai
import pytest
import trio

from providers.simulator import FAULTS, FaultRule
from providers.wire import ANTHROPIC, OPENAI, AnswerFault

ASK: list[Any] = [{"role": "user", "content": "Count to five, and then tell me what time it is."}]
TOOLS: list[Any] = [{"name": "get_time", "input_schema": {"type": "object", "properties": {}}}]
BODIES: dict[str, dict[str, object]] = {
    "embeddings": {"model": "sim-1", "input": "hello"},
    "count_tokens": {"model": "sim-1", "messages": ASK},
}
OPERATIONS = {
    "embeddings": OPENAI.operations["embeddings"],
    "count_tokens": ANTHROPIC.operations["count_tokens"],
}


async def test_an_embedding_is_a_function_of_seed_model_and_input(start: Any) -> None:
    async def embed(model: str, text: str, seed: int = 11) -> list[float]:
        async with start(seed=seed) as sim, sim.openai() as client:
            answer = await client.embeddings.create(model=model, input=text)
            found: list[float] = answer.data[0].embedding
            return found

    first = await embed("e-1", "hello")
    assert first == await embed("e-1", "hello")
    assert math.isclose(math.hypot(*first), 1.0, rel_tol=1e-5)
    others = [
        await embed("e-2", "hello"),
        await embed("e-1", "bye"),
        await embed("e-1", "hello", 3),
    ]
    assert first not in others


async def test_each_input_gets_its_own_vector_in_order(start: Any) -> None:
    async with start() as sim, sim.openai() as client:
        many = await client.embeddings.create(model="e", input=["one", "two", "three words here"])
        alone = await client.embeddings.create(model="e", input="two")
        tokens = await client.embeddings.create(model="e", input=[[1, 2, 3], [4]])
    assert [each.index for each in many.data] == [0, 1, 2]
    assert many.data[1].embedding == alone.data[0].embedding
    assert len({tuple(each.embedding) for each in many.data}) == 3
    assert many.usage.prompt_tokens == many.usage.total_tokens == 1 + 1 + 4
    assert tokens.usage.prompt_tokens == 4
    assert many.model == "e"


@pytest.mark.parametrize(("asked", "length"), [(None, 24), (5, 5)])
async def test_vectors_have_the_set_size_or_the_one_asked_for_in_either_encoding(
    start: Any, asked: int | None, length: int
) -> None:
    more = {} if asked is None else {"dimensions": asked}
    async with start(embedding_dimensions=24) as sim, sim.openai() as client:
        # The SDK asks for base64 by itself where the caller names no encoding.
        usual = await client.embeddings.create(model="e", input="x", **more)
        floats = await client.embeddings.create(
            model="e", input="x", encoding_format="float", **more
        )
        packed = await client.embeddings.create(
            model="e", input="x", encoding_format="base64", **more
        )
    assert isinstance(packed.data[0].embedding, str)
    raw = base64.b64decode(packed.data[0].embedding)
    assert list(struct.unpack(f"<{length}f", raw)) == floats.data[0].embedding
    assert usual.data[0].embedding == floats.data[0].embedding


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": ""}, "input[0]"),
        ({"input": []}, "input"),
        ({"input": 7}, "input"),
        ({"input": ["x", ""]}, "input[1]"),
        ({"input": ["x", 7]}, "input[1]"),
        ({"input": ["x"] * 2049}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 10_000}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
    ],
)
async def test_a_bad_request_for_embeddings_is_a_400_that_names_the_field(
    start: Any, change: dict[str, Any], param: str
) -> None:
    async with start() as sim, sim.openai() as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.embeddings.create(**{"model": "e", "input": "x", **change})
    assert refused.value.param == param


@pytest.mark.parametrize("more", [{}, {"system": "Be brief."}, {"tools": TOOLS}])
async def test_the_count_of_tokens_is_what_the_answer_then_reports(
    start: Any, more: dict[str, Any]
) -> None:
    async with start() as sim, sim.anthropic() as client:
        counted = await client.messages.count_tokens(model="sim-1", messages=ASK, **more)
        plain = await client.messages.create(model="sim-1", max_tokens=9, messages=ASK, **more)
        async with client.messages.stream(
            model="sim-1", max_tokens=9, messages=ASK, **more
        ) as stream:
            streamed = await stream.get_final_message()
    assert counted.input_tokens > 10
    assert counted.input_tokens == plain.usage.input_tokens == streamed.usage.input_tokens


async def test_a_model_it_does_not_have_is_a_404_for_every_operation(start: Any) -> None:
    async with start(models=("m", "maker/e-*")) as sim:
        async with sim.openai() as client:
            with pytest.raises(openai.NotFoundError):
                await client.embeddings.create(model="gone", input="x")
            assert (await client.embeddings.create(model="maker/e-1", input="x")).data
            assert (await client.models.retrieve("maker/e-1")).id == "maker/e-1"
        async with sim.anthropic() as other:
            with pytest.raises(anthropic.NotFoundError):
                await other.messages.count_tokens(model="gone", messages=ASK)
            assert (await other.models.retrieve("m")).id == "m"


async def ask(sim: Any, operation: str, fault: str, patience: float = 5.0) -> tuple[bytes, bytes]:
    """Return head and body of the answer, as far as they come."""
    payload = json.dumps(BODIES[operation]).encode()
    head = (
        f"POST {OPERATIONS[operation].path} HTTP/1.1\r\nhost: h\r\nanthropic-version: x\r\n"
        f"x-simulator-fault: {fault}\r\ncontent-length: {len(payload)}\r\nconnection: close\r\n\r\n"
    )
    got = b""
    async with await trio.open_tcp_stream(sim.host, sim.port) as stream:
        await stream.send_all(head.encode() + payload)
        with trio.move_on_after(patience):
            try:
                while piece := await stream.receive_some():
                    got += piece
            except trio.BrokenResourceError:
                pass
    return got.partition(b"\r\n\r\n")[0], got.partition(b"\r\n\r\n")[2]


_BAD = {
    "error_body_200": "holds an error",
    "error_first_event": "holds an error",
    "error_midstream": "holds an error",
    "html_200": "text/html",
    "non_json": "not JSON",
    "wrong_content_type": "text/plain",
    "empty_completion": "empty list|not a count",
    "malformed_event": "not JSON",
    "truncated_json": "not JSON",
    "cut_midstream": "not JSON",
    "reset_midstream": "not JSON",
    "stall_midstream": "not JSON",
}
_NOTHING = {"hang", "connect_reset", "slow_first_token"}


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
@pytest.mark.parametrize("fault", sorted(FAULTS))
async def test_every_fault_applies_to_every_operation(
    start: Any, operation: str, fault: str
) -> None:
    quiet = fault in {"hang", "slow_first_token", "stall_midstream"}
    async with start() as sim:
        head, body = await ask(sim, operation, fault, patience=0.3 if quiet else 5.0)
        assert sim.facts()["faults"] == ({} if fault == "none" else {fault: 1})
    if fault in _NOTHING:
        assert head == b""
        return
    status = int(head.split(b" ")[1])
    media = next(
        line[14:] for line in head.split(b"\r\n") if line.lower().startswith(b"content-type: ")
    )
    if fault in _BAD:
        assert status == 200
        with pytest.raises(AnswerFault, match=_BAD[fault]):
            OPERATIONS[operation].peek_answer(body, media)
    elif fault in {"none", "no_done", "no_finish_marker"}:
        assert status == 200
        OPERATIONS[operation].peek_answer(body, media)
    else:
        expected = {"insufficient_quota": 429, "content_filter": 400}
        assert status == (expected[fault] if fault in expected else int(fault[7:]))
        assert json.loads(body)["error"]["message"]


async def test_rules_count_every_operation_alike(start: Any) -> None:
    async with start(FaultRule(fault="status_500", every=2)) as sim:
        async with sim.openai() as client:
            await client.embeddings.create(model="e", input="x")
        async with sim.anthropic() as other:
            with pytest.raises(anthropic.InternalServerError):
                await other.messages.count_tokens(model="m", messages=ASK)
        assert (sim.facts()["requests"], sim.facts()["faults"]) == (2, {"status_500": 1})


async def test_its_answers_are_dated_and_to_head_they_have_no_body(start: Any) -> None:
    async with start() as sim, await trio.open_tcp_stream(sim.host, sim.port) as stream:
        got = []
        for method, path in (("HEAD", "/v1/models"), ("HEAD", "/nowhere"), ("GET", "/v1/models")):
            await stream.send_all(f"{method} {path} HTTP/1.1\r\nhost: h\r\n\r\n".encode())
            got.append(await stream.receive_some())
    assert [each.split(b" ")[1] for each in got] == [b"200", b"404", b"200"]
    assert [each.endswith(b"\r\n\r\n") for each in got] == [True, True, False]
    assert all(b"\r\ndate: " in each and each.count(b"GMT\r\n") == 1 for each in got)
