"""Simulated answers that keep to a JSON schema, as the official SDKs ask for them and read them."""

import json
from typing import Any

import openai
import pydantic
import pytest

ASK: list[Any] = [{"role": "user", "content": "Who is it?"}]

# OpenAI's client leaves its generators to the collector once it has seen [DONE], and trio says so.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:Async generator '(openai|httpx2|httpcore2)\.:ResourceWarning"
)


class Pet(pydantic.BaseModel):
    name: str
    age: int | None


class Person(pydantic.BaseModel):
    name: str
    height: float
    pets: list[Pet]


class Node(pydantic.BaseModel):
    """A schema that refers to itself, and to itself again."""

    label: str
    left: "Node | None"
    right: "Node | None"
    others: list["Node"]


@pytest.mark.parametrize("form", [Person, Node])
async def test_the_openai_sdk_parses_a_structured_answer(
    start: Any, form: type[pydantic.BaseModel]
) -> None:
    async with start() as sim, sim.openai() as client:
        plain = await client.chat.completions.parse(
            model="sim-1", messages=ASK, response_format=form
        )
        async with client.chat.completions.stream(
            model="sim-1", messages=ASK, response_format=form
        ) as stream:
            final = await stream.get_final_completion()
    assert isinstance(plain.choices[0].message.parsed, form)
    assert final.choices[0].message.parsed == plain.choices[0].message.parsed


async def test_the_anthropic_sdk_parses_a_structured_answer(start: Any) -> None:
    async with start() as sim, sim.anthropic() as client:
        plain = await client.messages.parse(
            model="sim-1", max_tokens=500, messages=ASK, output_format=Person
        )
        async with client.messages.stream(
            model="sim-1", max_tokens=500, messages=ASK, output_format=Person
        ) as stream:
            final = await stream.get_final_message()
    assert isinstance(plain.parsed_output, Person)
    assert final.parsed_output == plain.parsed_output


async def test_json_mode_is_answered_with_a_json_object(start: Any) -> None:
    async with start() as sim, sim.openai() as client:
        reply = await client.chat.completions.create(
            model="sim-1", messages=ASK, response_format={"type": "json_object"}
        )
    assert isinstance(json.loads(reply.choices[0].message.content), dict)


async def test_a_structured_answer_is_cut_like_any_other(start: Any) -> None:
    async with start() as sim, sim.openai() as client:
        with pytest.raises(openai.LengthFinishReasonError):
            await client.chat.completions.parse(
                model="sim-1", messages=ASK, response_format=Person, max_completion_tokens=1
            )


async def test_a_schema_that_unfolds_without_end_gets_an_answer_of_bounded_size(
    start: Any,
) -> None:
    again = {"$ref": "#/$defs/all"}
    names = [f"p{n}" for n in range(60)]
    schema = {
        "$defs": {
            "all": {"type": "object", "properties": dict.fromkeys(names, again)},
            "loop": {"$ref": "#/$defs/loop"},
        },
        "type": "object",
        "properties": {"wide": again, "loop": {"$ref": "#/$defs/loop"}, "gone": {"$ref": "#/no"}},
    }
    asked: Any = {"type": "json_schema", "json_schema": {"name": "wide", "schema": schema}}
    async with start() as sim, sim.openai() as client:
        reply = await client.chat.completions.create(
            model="sim-1", messages=ASK, response_format=asked
        )
    content = reply.choices[0].message.content
    assert isinstance(json.loads(content), dict)
    assert len(content) < 100_000


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ("json", "response_format"),
        ({"type": "yaml"}, "response_format.type"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": {"schema": {}}}, "response_format.json_schema"),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": 1}},
            "response_format.json_schema.schema",
        ),
    ],
)
async def test_a_wrong_response_format_is_a_400_that_names_it(
    start: Any, given: Any, field: str
) -> None:
    async with start() as sim, sim.openai() as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(model="sim-1", messages=ASK, response_format=given)
    assert caught.value.param == field
