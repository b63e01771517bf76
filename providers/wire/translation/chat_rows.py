"""The fields of a chat completion's request, each with a request that uses it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from providers.wire.translation.codec import Row

__all__ = ["chat_rows"]

_MODEL: Final = "gpt-6-sol"
_HELLO: Final[Mapping[str, Any]] = {"role": "user", "content": "Hello"}
_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_TOOL: Final[Mapping[str, Any]] = {
    "type": "function",
    "function": {"name": "weather", "parameters": _SCHEMA},
}
_CUSTOM: Final[Mapping[str, Any]] = {"type": "custom", "custom": {"name": "shell"}}
_CALL: Final[Mapping[str, Any]] = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
}
_PNG: Final = "data:image/png;base64,iVBORw0KGgo="
_PDF: Final = "data:application/pdf;base64,JVBERi0xLjQ="
_BREAKPOINT: Final[Mapping[str, Any]] = {"mode": "explicit", "ttl": "30m"}


def chat_rows() -> Sequence[Row]:
    """Return the fields of a request; see ``Codec.rows``."""
    return (*_top_rows(), *_message_rows(), *_part_rows(), *_tool_rows())


def _request(messages: Sequence[object] = (_HELLO,), **members: object) -> dict[str, object]:
    return {"model": _MODEL, "messages": list(messages), **members}


def _top(name: str, value: object, note: str = "", **others: object) -> Row:
    without = _request((_HELLO,), **others)
    return Row(field=name, example={**without, name: value}, without=without, note=note)


def _top_rows() -> list[Row]:
    plain = _request()
    schema = {"type": "json_schema", "json_schema": {"name": "place", "schema": _SCHEMA}}
    strict = {
        "type": "json_schema",
        "json_schema": {
            "name": "place",
            "description": "A place.",
            "schema": _SCHEMA,
            "strict": True,
        },
    }
    return [
        Row(field="model", example=plain, without=plain, note="The provider's own model is asked."),
        _top("audio", {"voice": "alloy", "format": "mp3"}, modalities=["text", "audio"]),
        _top("frequency_penalty", 0.5),
        _top("function_call", {"name": "weather"}, functions=[_TOOL["function"]]),
        _top(
            "functions",
            [_TOOL["function"]],
            "Asked for as tools, one call at a time; the answer has a function_call.",
        ),
        _top("logit_bias", {"50256": -100}),
        _top("logprobs", value=True),
        _top("max_completion_tokens", 256),
        _top("max_tokens", 256),
        _top("metadata", {"job": "42"}),
        _top("modalities", ["text", "audio"]),
        _top("moderation", {"model": "omni-moderation-latest"}),
        _top("n", 2, "Only one choice comes back from a provider of another API."),
        _top("parallel_tool_calls", value=False, tools=[_TOOL]),
        _top("prediction", {"type": "content", "content": "Hello to you"}),
        _top("presence_penalty", 0.5),
        _top("prompt_cache_key", "job-42"),
        _top("prompt_cache_options", {"mode": "explicit", "ttl": "30m"}),
        _top("prompt_cache_retention", "24h"),
        _top("reasoning_effort", "high"),
        Row(
            field="response_format (text)",
            example=_request(response_format={"type": "text"}),
            without=plain,
        ),
        Row(
            field="response_format (json_object)",
            example=_request(response_format={"type": "json_object"}),
            without=plain,
        ),
        Row(
            field="response_format (json_schema)",
            example=_request(response_format=schema),
            without=plain,
        ),
        Row(
            field="response_format.json_schema.strict",
            example=_request(response_format=strict),
            without=_request(response_format=schema),
        ),
        _top(
            "safety_identifier",
            "u-1",
            "Together with user it is the one that goes to a provider of another API.",
        ),
        _top("seed", 7),
        _top("service_tier", "flex"),
        _top("stop", ["END", "STOP"]),
        _top("store", value=True),
        _top(
            "stream",
            value=True,
            note="Streams are always asked for with usage; it is told to who asked for it.",
        ),
        _top("stream_options", {"include_usage": True}, stream=True),
        Row(
            field="stream_options.include_obfuscation",
            example=_request(stream=True, stream_options={"include_obfuscation": True}),
            without=_request(stream=True),
            note="Padding of events; a translated stream has none.",
        ),
        _top("temperature", 0.5),
        _top("tool_choice", "required", tools=[_TOOL]),
        _top("tools", [_TOOL]),
        _top("top_logprobs", 3, logprobs=True),
        _top("top_p", 0.5, "Newer Claude models refuse it beside temperature: that one is sent."),
        _top("user", "u-1"),
        _top("verbosity", "low"),
        _top("web_search_options", {"search_context_size": "low"}),
    ]


def _said(field: str, message: object, note: str = "", *, without: object = None) -> Row:
    """Return the row of something in the one message between two of the user's."""
    instead = [without] if without is not None else []
    return Row(
        field=field,
        example=_request([_HELLO, message, _HELLO]),
        without=_request([_HELLO, *instead, _HELLO]),
        note=note,
    )


def _message_rows() -> list[Row]:
    answer: dict[str, Any] = {"role": "assistant", "content": "Good day"}
    calling = {"role": "assistant", "content": None, "tool_calls": [_CALL]}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "4 degrees"}
    custom = {"id": "call_2", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    old = {
        "role": "assistant",
        "content": None,
        "function_call": {"name": "weather", "arguments": "{}"},
    }
    detail = {
        "type": "reasoning.text",
        "text": "A greeting.",
        "signature": "c2ln",
        "format": "anthropic-claude-v1",
        "index": 0,
    }
    system = {"role": "system", "content": "Be brief."}
    developer = {"role": "developer", "content": "Be brief."}
    return [
        Row(
            field="messages[] (system, first)",
            example=_request([system, _HELLO]),
            without=_request(),
        ),
        Row(
            field="messages[] (developer, first)",
            example=_request([developer, _HELLO]),
            without=_request(),
            note="To servers of this API other than OpenAI's own it is a system message.",
        ),
        _said("messages[] (system, later)", system),
        _said("messages[] (developer, later)", developer),
        _said("messages[] (assistant)", answer),
        Row(
            field="messages[] (tool)",
            example=_request([_HELLO, calling, result], tools=[_TOOL]),
            without=_request([_HELLO], tools=[_TOOL]),
        ),
        Row(
            field="messages[] (function)",
            example=_request(
                [_HELLO, old, {"role": "function", "name": "weather", "content": "4"}]
            ),
            without=_request([_HELLO]),
            note="The call and its result are given an id that they share.",
        ),
        Row(
            field="messages[].name",
            example=_request([{**_HELLO, "name": "Ann"}]),
            without=_request(),
        ),
        _said("messages[].refusal", {"role": "assistant", "refusal": "No."}),
        _said("messages[].audio", {**answer, "audio": {"id": "audio_1"}}, without=answer),
        _said(
            "messages[].annotations",
            {**answer, "annotations": []},
            "Part of an answer that is sent back; of no effect in any API.",
            without=answer,
        ),
        _said(
            "messages[].reasoning_content",
            {**answer, "reasoning_content": "A greeting."},
            "Not OpenAI's own; read where other servers and translated answers have it.",
            without=answer,
        ),
        _said(
            "messages[].reasoning_details",
            {**answer, "reasoning_details": [detail]},
            without=answer,
        ),
        Row(
            field="messages[].tool_calls[] (custom)",
            example=_request(
                [
                    _HELLO,
                    {"role": "assistant", "tool_calls": [custom]},
                    {"role": "tool", "tool_call_id": "call_2", "content": "a.txt"},
                ],
                tools=[_CUSTOM],
            ),
            without=_request(tools=[_CUSTOM]),
        ),
    ]


def _content(field: str, part: Mapping[str, Any], without: Mapping[str, Any] | None = None) -> Row:
    """Return the row of a part beside a text, or of a member of one, given the part without it."""
    text = {"type": "text", "text": "Hello"}
    rest = [text] if without is None else [text, without]
    return Row(
        field=field,
        example=_request([{"role": "user", "content": [text, part]}]),
        without=_request([{"role": "user", "content": rest}]),
    )


def _part_rows() -> list[Row]:
    image = {"type": "image_url", "image_url": {"url": _PNG}}
    closely = {"type": "image_url", "image_url": {"url": _PNG, "detail": "low"}}
    text = {"type": "text", "text": "Hello again"}
    there = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    prefix = "messages[].content[]"
    return [
        _content(f"{prefix} (text)", text),
        _content(f"{prefix} (image_url, data)", image),
        _content(f"{prefix} (image_url, address)", there),
        _content(f"{prefix}.image_url.detail", closely, image),
        _content(
            f"{prefix} (input_audio)",
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        ),
        _content(
            f"{prefix} (file, data)",
            {"type": "file", "file": {"filename": "a.pdf", "file_data": _PDF}},
        ),
        _content(f"{prefix} (file, id)", {"type": "file", "file": {"file_id": "file-1"}}),
        _said(
            f"{prefix} (refusal)",
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        ),
        _content(
            f"{prefix}.prompt_cache_breakpoint",
            {**text, "prompt_cache_breakpoint": _BREAKPOINT},
            text,
        ),
    ]


def _tool(field: str, tool: object, without: object = None, note: str = "") -> Row:
    return Row(
        field=field,
        example=_request(tools=[tool]),
        without=_request() if without is None else _request(tools=[without]),
        note=note,
    )


def _choice(field: str, choice: object, tools: Sequence[object], note: str = "") -> Row:
    return Row(
        field=field,
        example=_request(tools=list(tools), tool_choice=choice),
        without=_request(tools=list(tools)),
        note=note,
    )


def _tool_rows() -> list[Row]:
    function: Mapping[str, Any] = _TOOL["function"]
    grammar = {
        "type": "grammar",
        "grammar": {"syntax": "regex", "definition": "[a-z]+"},
    }
    named = {"type": "function", "function": {"name": "weather"}}
    other = {"type": "function", "function": {"name": "time"}}
    allowed = {"mode": "required", "tools": [named]}
    return [
        _tool("tools[] (function)", _TOOL),
        _tool(
            "tools[].function.description",
            {"type": "function", "function": {**function, "description": "The weather."}},
            _TOOL,
        ),
        _tool("tools[].function.parameters", _TOOL, named),
        _tool(
            "tools[].function.strict",
            {"type": "function", "function": {**function, "strict": True}},
            _TOOL,
        ),
        _tool("tools[] (custom)", _CUSTOM),
        _tool(
            "tools[].custom.format",
            {"type": "custom", "custom": {"name": "shell", "format": grammar}},
            _CUSTOM,
        ),
        _choice("tool_choice (none)", "none", [_TOOL]),
        _choice("tool_choice (auto)", "auto", [_TOOL]),
        _choice("tool_choice (required)", "required", [_TOOL]),
        _choice("tool_choice (function)", named, [_TOOL]),
        _choice("tool_choice (custom)", {"type": "custom", "custom": {"name": "shell"}}, [_CUSTOM]),
        _choice(
            "tool_choice (allowed_tools)",
            {"type": "allowed_tools", "allowed_tools": allowed},
            [_TOOL, other],
            "To who does not know it, only the tools that are allowed are sent.",
        ),
    ]
