"""The fields of a Responses request, each with a request that uses it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from providers.wire.translation.codec import Row

__all__ = ["responses_rows"]

_MODEL: Final = "gpt-6-sol"
_HELLO: Final[Mapping[str, Any]] = {"role": "user", "content": "Hello"}
_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_TOOL: Final[Mapping[str, Any]] = {"type": "function", "name": "weather", "parameters": _SCHEMA}
_CUSTOM: Final[Mapping[str, Any]] = {"type": "custom", "name": "shell"}
_CALL: Final[Mapping[str, Any]] = {
    "type": "function_call",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city":"Oslo"}',
}
_RESULT: Final[Mapping[str, Any]] = {
    "type": "function_call_output",
    "call_id": "call_1",
    "output": "4 degrees",
}
_PNG: Final = "data:image/png;base64,iVBORw0KGgo="
_PDF: Final = "data:application/pdf;base64,JVBERi0xLjQ="
_KEPT: Final = "What OpenAI keeps is known to OpenAI only; it goes through where OpenAI is asked."


def responses_rows() -> Sequence[Row]:
    """Return the fields of a request; see ``FrontCodec.rows``."""
    return (*_top_rows(), *_item_rows(), *_part_rows(), *_tool_rows())


def _request(items: Sequence[object] = (_HELLO,), **members: object) -> dict[str, object]:
    return {"model": _MODEL, "input": list(items), **members}


def _top(name: str, value: object, note: str = "", **others: object) -> Row:
    without = {**_request(), **others}
    return Row(field=name, example={**without, name: value}, without=without, note=note)


def _inner(field: str, name: str, value: object, without: object = None, note: str = "") -> Row:
    rest = _request() if without is None else {**_request(), name: without}
    return Row(field=field, example={**_request(), name: value}, without=rest, note=note)


def _top_rows() -> list[Row]:
    plain = _request()
    schema = {"type": "json_schema", "name": "place", "schema": _SCHEMA}
    return [
        _top("access_programs", {"cyber": "standard"}),
        _top("background", value=True, note=_KEPT),
        _top("context_management", [{"type": "compaction", "compact_threshold": 100_000}]),
        _top("conversation", "conv_1", _KEPT),
        _inner(
            "include (reasoning.encrypted_content)",
            "include",
            ["reasoning.encrypted_content"],
            note="Thoughts of a translated answer have it in any case.",
        ),
        _inner(
            "include (message.output_text.logprobs)",
            "include",
            ["message.output_text.logprobs"],
            note="A translated stream has no place for it: there it is left out and named.",
        ),
        _inner("include (others)", "include", ["file_search_call.results"]),
        Row(
            field="input (string)",
            example={"model": _MODEL, "input": "Good day"},
            without={"model": _MODEL, "input": "Hello"},
        ),
        _top("instructions", "Be brief."),
        _top("max_output_tokens", 256),
        _top("max_tool_calls", 3),
        _top("metadata", {"job": "42"}),
        Row(field="model", example=plain, without=plain, note="The provider's own model is asked."),
        _top("moderation", {"model": "omni-moderation-latest"}),
        _top("parallel_tool_calls", value=False, tools=[_TOOL]),
        _top("previous_response_id", "resp_1", _KEPT),
        _top("prompt", {"id": "pmpt_1"}, _KEPT),
        _top("prompt_cache_key", "job-42"),
        _top("prompt_cache_options", {"mode": "explicit", "ttl": "30m"}),
        _top("prompt_cache_retention", "24h"),
        _inner("reasoning.effort", "reasoning", {"effort": "high"}),
        _inner(
            "reasoning.summary",
            "reasoning",
            {"effort": "high", "summary": "auto"},
            {"effort": "high"},
            "Thoughts that a provider tells are given as summaries in any case.",
        ),
        _inner(
            "reasoning.mode", "reasoning", {"effort": "high", "mode": "pro"}, {"effort": "high"}
        ),
        _inner(
            "reasoning.context",
            "reasoning",
            {"effort": "high", "context": "all_turns"},
            {"effort": "high"},
        ),
        _top(
            "safety_identifier",
            "u-1",
            "Together with user it is the one that goes to a provider of another API.",
        ),
        _top("service_tier", "flex"),
        _top("store", value=True, note="A translated answer is kept by nobody."),
        _top("stream", value=True),
        Row(
            field="stream_options.include_obfuscation",
            example=_request(stream=True, stream_options={"include_obfuscation": True}),
            without=_request(stream=True),
            note="Padding of events; a translated stream has none.",
        ),
        _top("temperature", 0.5),
        _inner("text.format (text)", "text", {"format": {"type": "text"}}),
        _inner("text.format (json_object)", "text", {"format": {"type": "json_object"}}),
        _inner("text.format (json_schema)", "text", {"format": schema}),
        _inner(
            "text.format.strict", "text", {"format": {**schema, "strict": True}}, {"format": schema}
        ),
        _inner("text.verbosity", "text", {"verbosity": "low"}),
        _top("tool_choice", "required", tools=[_TOOL]),
        _top("tools", [_TOOL]),
        _top(
            "top_logprobs",
            3,
            "A translated stream has no place for it: there it is left out and named.",
        ),
        _top("top_p", 0.5),
        _top("truncation", "auto"),
        _top("user", "u-1"),
    ]


def _item(
    field: str, items: Sequence[object], note: str = "", *, without: Sequence[object] = ()
) -> Row:
    """Return the row of items that follow a first message of the user's."""
    return Row(
        field=field,
        example=_request([_HELLO, *items], tools=[_TOOL]),
        without=_request([_HELLO, *without], tools=[_TOOL]),
        note=note,
    )


def _item_rows() -> list[Row]:
    answer = {"role": "assistant", "content": "Good day"}
    said = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Good day", "annotations": []}],
    }
    custom = {"type": "custom_tool_call", "call_id": "call_2", "name": "shell", "input": "ls"}
    output = {"type": "custom_tool_call_output", "call_id": "call_2", "output": "a.txt"}
    picture = {**_RESULT, "output": [{"type": "input_image", "image_url": _PNG}]}
    encrypted = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    return [
        _item("input[] (message, user)", [answer, _HELLO], without=[answer]),
        _item("input[] (message, assistant)", [said, _HELLO], without=[_HELLO]),
        Row(
            field="input[] (message, system, first)",
            example=_request([{"role": "system", "content": "Be brief."}, _HELLO]),
            without=_request(),
        ),
        Row(
            field="input[] (message, developer, first)",
            example=_request([{"role": "developer", "content": "Be brief."}, _HELLO]),
            without=_request(),
            note="To servers of chat completions other than OpenAI's own it is a system message.",
        ),
        _item(
            "input[] (message, developer, later)",
            [answer, {"role": "developer", "content": "Be brief."}, _HELLO],
            without=[answer, _HELLO],
        ),
        _item(
            "input[].phase",
            [{**said, "phase": "final_answer"}, _HELLO],
            without=[said, _HELLO],
        ),
        _item("input[] (function_call)", [_CALL, _RESULT]),
        _item(
            "input[] (function_call_output, picture)", [_CALL, picture], without=[_CALL, _RESULT]
        ),
        _item("input[] (custom_tool_call)", [custom, output]),
        _item(
            "input[] (reasoning)",
            [encrypted, said, _HELLO],
            "Thoughts of translated answers come back to the provider that had them.",
            without=[said, _HELLO],
        ),
        _item("input[] (web_search_call and others)", [search, _HELLO], without=[_HELLO]),
        _item("input[] (item_reference)", [{"type": "item_reference", "id": "msg_1"}], _KEPT),
        _item("input[] (compaction)", [{"type": "compaction", "encrypted_content": "gAAA"}], _KEPT),
    ]


def _part(field: str, part: Mapping[str, Any], without: Mapping[str, Any] | None = None) -> Row:
    """Return the row of a part beside a text, or of a member of one, given the part without it."""
    text = {"type": "input_text", "text": "Hello"}
    rest = [text] if without is None else [text, without]
    return Row(
        field=field,
        example=_request([{"role": "user", "content": [text, part]}]),
        without=_request([{"role": "user", "content": rest}]),
    )


def _part_rows() -> list[Row]:
    text = {"type": "input_text", "text": "Hello again"}
    image = {"type": "input_image", "image_url": _PNG}
    sound = {"data": "UklGRg==", "format": "wav"}
    prefix = "input[].content[]"
    return [
        _part(f"{prefix} (input_text)", text),
        _part(
            f"{prefix}.prompt_cache_breakpoint",
            {**text, "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
            text,
        ),
        _part(f"{prefix} (input_image, data)", image),
        _part(
            f"{prefix} (input_image, address)",
            {"type": "input_image", "image_url": "https://example.com/a.png"},
        ),
        _part(f"{prefix} (input_image, id)", {"type": "input_image", "file_id": "file-1"}),
        _part(f"{prefix}.detail", {**image, "detail": "low"}, image),
        _part(
            f"{prefix} (input_file, data)",
            {"type": "input_file", "filename": "a.pdf", "file_data": _PDF},
        ),
        _part(
            f"{prefix} (input_file, address)",
            {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        ),
        _part(f"{prefix} (input_file, id)", {"type": "input_file", "file_id": "file-1"}),
        _part(f"{prefix} (input_audio)", {"type": "input_audio", "input_audio": sound}),
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
    named = {"type": "function", "name": "weather"}
    other = {"type": "function", "name": "time"}
    grammar = {"type": "grammar", "syntax": "regex", "definition": "[a-z]+"}
    return [
        _tool("tools[] (function)", _TOOL),
        _tool("tools[].description", {**_TOOL, "description": "The weather."}, _TOOL),
        _tool("tools[].parameters", _TOOL, named),
        _tool("tools[].strict", {**_TOOL, "strict": True}, _TOOL),
        _tool("tools[].output_schema", {**_TOOL, "output_schema": {"type": "string"}}, _TOOL),
        _tool("tools[].defer_loading", {**_TOOL, "defer_loading": True}, _TOOL),
        _tool("tools[] (custom)", _CUSTOM),
        _tool("tools[].format", {**_CUSTOM, "format": grammar}, _CUSTOM),
        _tool("tools[] (web_search and others)", {"type": "web_search"}),
        _choice("tool_choice (none)", "none", [_TOOL]),
        _choice("tool_choice (auto)", "auto", [_TOOL]),
        _choice("tool_choice (required)", "required", [_TOOL]),
        _choice("tool_choice (function)", named, [_TOOL]),
        _choice("tool_choice (custom)", {"type": "custom", "name": "shell"}, [_CUSTOM]),
        _choice(
            "tool_choice (allowed_tools)",
            {"type": "allowed_tools", "mode": "required", "tools": [named]},
            [_TOOL, other],
            "To who does not know it, only the tools that are allowed are sent.",
        ),
        _choice("tool_choice (others)", {"type": "web_search_preview"}, [_TOOL]),
    ]
