"""Simulated answers, as the official SDKs understand them, on a real loopback socket."""

import json
from typing import Any

import anthropic
import openai
import pytest
import trio

from providers.simulator import FaultRule

ASK: list[Any] = [{"role": "user", "content": "Count to five."}]
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Bergen"]},
        "days": {"type": "integer"},
        "units": {"type": "string"},
    },
    "required": ["city", "days"],
}
OPENAI_TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}},
]
ANTHROPIC_TOOLS: list[Any] = [
    {"name": "get_weather", "input_schema": WEATHER},
    {"name": "get_time", "input_schema": {"type": "object"}},
]
GOLDEN = "Before but these she through about to. Very your see never an."

# OpenAI's client leaves its generators to the collector once it has seen [DONE], and trio says so.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:Async generator '(openai|httpx2|httpcore2)\.:ResourceWarning"
)


async def test_the_openai_sdk_gets_the_same_answer_plain_and_streamed(start: Any) -> None:
    async with start() as sim, sim.openai() as client:
        raw = await client.chat.completions.with_raw_response.create(model="sim-1", messages=ASK)
        plain = raw.parse()
        chunks = [
            chunk
            async for chunk in await client.chat.completions.create(
                model="sim-1",
                messages=ASK,
                stream=True,
                stream_options={"include_usage": True},
            )
        ]
        again = await client.chat.completions.create(model="sim-1", messages=ASK)
        other = await client.chat.completions.create(model="sim-2", messages=ASK)
    assert raw.headers["x-request-id"]
    assert plain == again
    assert plain.choices[0].message.content != other.choices[0].message.content
    assert plain.choices[0].finish_reason == "stop"
    texts = [c.choices[0].delta.content for c in chunks if c.choices]
    assert len([text for text in texts if text]) == 12
    assert "".join(text or "" for text in texts) == plain.choices[0].message.content
    assert [c.usage for c in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].usage == plain.usage
    assert plain.usage is not None
    assert plain.usage.completion_tokens == 12
    assert {chunk.id for chunk in chunks} == {plain.id}


async def test_the_anthropic_sdk_gets_the_same_answer_plain_and_streamed(start: Any) -> None:
    async with start() as sim, sim.anthropic() as client:
        raw = await client.messages.with_raw_response.create(
            model="sim-1", max_tokens=50, messages=ASK
        )
        plain = await raw.parse()
        async with client.messages.stream(model="sim-1", max_tokens=50, messages=ASK) as stream:
            pieces = [piece async for piece in stream.text_stream]
            final = await stream.get_final_message()
    assert raw.headers["request-id"]
    assert plain.content[0].text == "".join(pieces)
    assert len(pieces) == 12
    assert plain.stop_reason == final.stop_reason == "end_turn"
    assert plain.usage.output_tokens == final.usage.output_tokens == 12
    assert plain.usage.input_tokens == final.usage.input_tokens


async def test_an_answer_is_a_function_of_seed_and_request(start: Any) -> None:
    texts = []
    for seed in (11, 11, 12):
        async with start(seed=seed) as sim, sim.openai() as client:
            answer = await client.chat.completions.create(model="sim-1", messages=ASK)
            texts.append(answer.choices[0].message.content)
    assert texts[0] == texts[1] == GOLDEN
    assert texts[2] != GOLDEN


async def test_max_tokens_cuts_the_answer_and_says_so(start: Any) -> None:
    async with start() as sim:
        async with sim.openai() as client:
            short = await client.chat.completions.create(
                model="sim-1", messages=ASK, max_completion_tokens=3
            )
        async with sim.anthropic() as other:
            cut = await other.messages.create(model="sim-1", max_tokens=3, messages=ASK)
    assert short.choices[0].finish_reason == "length"
    assert short.usage.completion_tokens == 3
    assert cut.stop_reason == "max_tokens"
    assert cut.usage.output_tokens == 3
    assert GOLDEN.startswith(short.choices[0].message.content)


async def test_a_stop_sequence_ends_the_answer(start: Any) -> None:
    async with start() as sim:
        async with sim.openai() as client:
            answer = await client.chat.completions.create(
                model="sim-1", messages=ASK, stop="through"
            )
        async with sim.anthropic() as other:
            message = await other.messages.create(
                model="sim-1", max_tokens=50, messages=ASK, stop_sequences=["."]
            )
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content == "Before but these she "
    assert message.stop_reason == "stop_sequence"
    assert message.stop_sequence == "."
    assert "." not in message.content[0].text


async def test_several_choices_are_kept_apart(start: Any) -> None:
    async with start() as sim, sim.openai() as client:
        plain = await client.chat.completions.create(model="sim-1", messages=ASK, n=2)
        texts = ["", ""]
        async for chunk in await client.chat.completions.create(
            model="sim-1", messages=ASK, n=2, stream=True
        ):
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
    assert texts == [choice.message.content for choice in plain.choices]
    assert texts[0] != texts[1]


@pytest.mark.parametrize(
    ("text", "more", "called"),
    [
        ("What is the weather?", {}, []),
        ("Please get_weather in Bergen", {}, ["get_weather"]),
        ("get_time, then get_weather", {}, ["get_time", "get_weather"]),
        ("get_time, then get_weather", {"parallel_tool_calls": False}, ["get_time"]),
        ("Use a tool", {}, ["get_weather"]),
        ("Use a tool", {"tool_choice": "none"}, []),
        ("Hello", {"tool_choice": "required"}, ["get_weather"]),
        (
            "Hello",
            {"tool_choice": {"type": "function", "function": {"name": "get_time"}}},
            ["get_time"],
        ),
    ],
)
async def test_openai_tools_are_called_by_the_rule(
    start: Any, text: str, more: dict[str, Any], called: list[str]
) -> None:
    messages: list[Any] = [{"role": "user", "content": text}]
    async with start() as sim, sim.openai() as client:
        answer = await client.chat.completions.create(
            model="sim-1", messages=messages, tools=OPENAI_TOOLS, **more
        )
        async with client.chat.completions.stream(
            model="sim-1", messages=messages, tools=OPENAI_TOOLS, **more
        ) as stream:
            streamed = await stream.get_final_completion()
    choice = answer.choices[0]
    calls = choice.message.tool_calls or []
    assert [call.function.name for call in calls] == called
    assert choice.finish_reason == ("tool_calls" if called else "stop")
    again = streamed.choices[0].message.tool_calls or []
    assert [(c.id, c.function.name, c.function.arguments) for c in again] == [
        (c.id, c.function.name, c.function.arguments) for c in calls
    ]
    for call in calls:
        if call.function.name == "get_weather":
            assert json.loads(call.function.arguments) == {"city": "Bergen", "days": 1}


async def test_an_anthropic_tool_loop_goes_round(start: Any) -> None:
    messages: list[Any] = [{"role": "user", "content": "get_weather and get_time"}]
    async with start() as sim, sim.anthropic() as client:
        plain = await client.messages.create(
            model="sim-1", max_tokens=99, messages=messages, tools=ANTHROPIC_TOOLS
        )
        async with client.messages.stream(
            model="sim-1", max_tokens=99, messages=messages, tools=ANTHROPIC_TOOLS
        ) as stream:
            streamed = await stream.get_final_message()
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": "12 degrees"}
            for block in plain.content
        ]
        messages += [plain.to_param(), {"role": "user", "content": results}]
        last = await client.messages.create(
            model="sim-1", max_tokens=99, messages=messages, tools=ANTHROPIC_TOOLS
        )
    assert plain.stop_reason == streamed.stop_reason == "tool_use"
    assert [(b.id, b.name, b.input) for b in plain.content] == [
        (b.id, b.name, b.input) for b in streamed.content
    ]
    assert plain.content[0].input == {"city": "Bergen", "days": 1}
    assert last.content[0].type == "text"


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ({"type": "auto"}, []),
        ({"type": "none"}, []),
        ({"type": "any"}, ["get_weather"]),
        ({"type": "tool", "name": "get_time"}, ["get_time"]),
    ],
)
async def test_an_anthropic_tool_is_called_when_the_request_demands_it(
    start: Any, choice: dict[str, Any], called: list[str]
) -> None:
    more: dict[str, Any] = {"tools": ANTHROPIC_TOOLS, "tool_choice": choice, "messages": ASK}
    async with start() as sim, sim.anthropic() as client:
        plain = await client.messages.create(model="sim-1", max_tokens=99, **more)
        async with client.messages.stream(model="sim-1", max_tokens=99, **more) as stream:
            streamed = await stream.get_final_message()
    assert [block.name for block in plain.content if block.type == "tool_use"] == called
    assert plain.stop_reason == ("tool_use" if called else "end_turn")
    calls = [
        [(block.id, block.name, block.input) for block in each.content if block.type == "tool_use"]
        for each in (plain, streamed)
    ]
    assert calls[0] == calls[1]
    assert plain.usage.output_tokens == streamed.usage.output_tokens


async def test_both_sdks_list_its_models_and_an_unknown_one_is_a_404(start: Any) -> None:
    async with start(models=("m-a", "m-b")) as sim:
        async with sim.openai() as client:
            assert [model.id async for model in client.models.list()] == ["m-a", "m-b"]
            assert (await client.models.retrieve("m-b")).id == "m-b"
            with pytest.raises(openai.NotFoundError) as missing:
                await client.chat.completions.create(model="gone", messages=ASK)
            with pytest.raises(openai.NotFoundError):
                await client.models.retrieve("gone")
        async with sim.anthropic() as other:
            assert [model.id async for model in other.models.list(limit=1)] == ["m-a", "m-b"]
            with pytest.raises(anthropic.NotFoundError):
                await other.messages.create(model="gone", max_tokens=5, messages=ASK)
            count = await other.messages.count_tokens(model="m-a", messages=ASK)
    assert missing.value.code == "model_not_found"
    assert count.input_tokens > 0


async def test_a_key_is_checked_where_one_is_set(start: Any) -> None:
    async with start(api_key="right") as sim:
        async with sim.openai("wrong") as client:
            with pytest.raises(openai.AuthenticationError) as refused:
                await client.chat.completions.create(model="sim-1", messages=ASK)
        async with sim.anthropic("wrong") as other:
            with pytest.raises(anthropic.AuthenticationError):
                await other.messages.create(model="sim-1", max_tokens=5, messages=ASK)
        async with sim.openai("right") as client:
            await client.chat.completions.create(model="sim-1", messages=ASK)
        async with sim.anthropic("right") as other:
            await other.messages.create(model="sim-1", max_tokens=5, messages=ASK)
    assert refused.value.code == "invalid_api_key"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 99}, "n"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tool_choice": "required"}, "tool_choice"),
    ],
)
async def test_a_bad_openai_request_is_a_400_that_names_the_field(
    start: Any, change: dict[str, Any], param: str
) -> None:
    async with start() as sim, sim.openai() as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(**{"model": "sim-1", "messages": ASK, **change})
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "first message"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"system": 7}, "system"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"stop_sequences": [""]}, "stop_sequences"),
    ],
)
async def test_a_bad_anthropic_request_is_a_400_that_names_the_field(
    start: Any, change: dict[str, Any], words: str
) -> None:
    good = {"model": "sim-1", "messages": ASK, "max_tokens": 5}
    async with start() as sim, sim.anthropic() as client:
        with pytest.raises(anthropic.BadRequestError) as refused:
            await client.messages.create(**{**good, **change})
    assert words in refused.value.message
    assert refused.value.type == "invalid_request_error"


async def test_tokens_come_one_by_one_at_the_set_pace(start: Any) -> None:
    arrivals = []
    async with start(tokens_per_second=50.0, answer_words=10) as sim, sim.openai() as client:
        async for chunk in await client.chat.completions.create(
            model="sim-1", messages=ASK, stream=True
        ):
            arrivals += [trio.current_time() for c in chunk.choices if c.delta.content]
    assert len(arrivals) == 10
    # Nine waits of 20 ms lie between them; a slow machine can only make it more.
    assert arrivals[-1] - arrivals[0] > 0.1
    assert len(set(arrivals)) == 10


async def test_it_comes_back_on_the_same_socket_when_killed(start: Any) -> None:
    async with start() as sim, sim.openai() as client:
        await client.chat.completions.create(model="sim-1", messages=ASK)
        assert sim.system.kill("simulator")
        answer = await client.with_options(max_retries=2).chat.completions.create(
            model="sim-1", messages=ASK
        )
        assert answer.choices[0].message.content == GOLDEN
        assert sim.facts()["requests"] >= 1


async def test_its_counters_are_served_and_shown_in_the_tree(start: Any) -> None:
    async with start(FaultRule(fault="status_500", every=2)) as sim, sim.openai() as client:
        await client.chat.completions.create(model="sim-1", messages=ASK)
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="sim-1", messages=ASK)
        response = await client.with_options(base_url=f"http://{sim.address}").get(
            "/simulator/stats", cast_to=object
        )
        facts = dict(sim.facts())
    assert isinstance(response, dict)
    assert response["requests"] == response["completed"] == 2
    assert response["active"] == response["cancelled"] == 0
    assert response["faults"] == {"status_500": 1}
    assert facts.pop("address") == sim.address
    assert facts == response
