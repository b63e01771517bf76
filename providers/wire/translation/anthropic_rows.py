"""The fields of an Anthropic request, each with a request that uses it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from providers.wire.translation.codec import Row

__all__ = ["anthropic_rows"]

_HELLO: Final[Mapping[str, Any]] = {"role": "user", "content": "Hello"}
_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_TOOL: Final[Mapping[str, Any]] = {"name": "weather", "input_schema": _SCHEMA}
_CACHE: Final[Mapping[str, Any]] = {"type": "ephemeral"}
_CALL: Final[Mapping[str, Any]] = {
    "type": "tool_use",
    "id": "toolu_1",
    "name": "weather",
    "input": {"city": "Oslo"},
}
_RESULT: Final[Mapping[str, Any]] = {
    "type": "tool_result",
    "tool_use_id": "toolu_1",
    "content": "rain",
}
_PNG: Final[Mapping[str, Any]] = {
    "type": "base64",
    "media_type": "image/png",
    "data": "iVBORw0KGgo=",
}
_PDF: Final[Mapping[str, Any]] = {
    "type": "base64",
    "media_type": "application/pdf",
    "data": "JVBERi0xLjQ=",
}


def anthropic_rows() -> Sequence[Row]:
    """Return the fields of a request; see ``Codec.rows``."""
    return (*_top_rows(), *_message_rows(), *_block_rows(), *_tool_rows())


def _request(messages: Sequence[object] = (_HELLO,), **members: object) -> dict[str, object]:
    return {
        "model": "claude-opus-5",
        "max_tokens": 1000,
        "messages": list(messages),
        **members,
    }


def _top(field: str, value: object, *, name: str = "", note: str = "", **others: object) -> Row:
    without: dict[str, object] = {**_request(), **others}
    top = name or field
    return Row(field=field, example={**without, top: value}, without=without, note=note)


def _top_rows() -> list[Row]:
    plain = _request()
    blocks = [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]
    thinking = {"type": "enabled", "budget_tokens": 4000}
    tokens = {key: value for key, value in plain.items() if key != "max_tokens"}
    return [
        Row(field="model", example=plain, without=plain, note="The provider's own model is asked."),
        Row(field="max_tokens", example=plain, without=tokens),
        _top("system", "Be brief."),
        _top("system[]", blocks, name="system"),
        _top("temperature", 0.5),
        _top("top_p", 0.9),
        _top("top_k", 40),
        _top("stop_sequences", ["END"]),
        _top(
            "stop_sequences: five",
            ["a", "b", "c", "d", "e"],
            name="stop_sequences",
            note="OpenAI takes four at most.",
        ),
        _top("stream", value=True, note="Usage is always asked for: an Anthropic stream tells it."),
        _top("metadata.user_id", {"user_id": "u-1"}, name="metadata"),
        _top("service_tier", "auto"),
        _top("service_tier: standard_only", "standard_only", name="service_tier"),
        _top("cache_control", _CACHE),
        _top("container", {"id": "container_1"}),
        _top("diagnostics", {"previous_message_id": "msg_1"}),
        _top("inference_geo", "eu"),
        _top("speed", "fast"),
        _top("user_profile_id", "profile_1"),
        _top("mcp_servers", [{"type": "url", "url": "https://example.org", "name": "m"}]),
        _top("output_config.effort", {"effort": "high"}, name="output_config"),
        _top(
            "output_config.format",
            {"format": {"type": "json_schema", "schema": _SCHEMA}},
            name="output_config",
        ),
        _top("thinking: enabled", thinking, name="thinking"),
        _top("thinking: adaptive", {"type": "adaptive"}, name="thinking"),
        _top("thinking: between_tools", {"type": "between_tools"}, name="thinking"),
        _top("thinking: disabled", {"type": "disabled"}, name="thinking"),
        Row(
            field="thinking.display",
            example=_request(thinking={**thinking, "display": "summarized"}),
            without=_request(thinking=thinking),
        ),
    ]


def _message(field: str, *messages: object, note: str = "") -> Row:
    example = _request((*messages, _HELLO))
    return Row(field=field, example=example, without=_request(), note=note)


def _message_rows() -> list[Row]:
    said = {"role": "assistant", "content": "Hi"}
    system = {"role": "system", "content": "Be brief now."}
    return [
        _message("messages[]: user, assistant", _HELLO, said),
        Row(
            field="messages[]: assistant last",
            example=_request([_HELLO, said]),
            without=_request(),
            note="Claude goes on from there; to others it is a message that has been said.",
        ),
        Row(
            field="messages[]: system between",
            example=_request([_HELLO, said, system, _HELLO]),
            without=_request([_HELLO, said, _HELLO]),
        ),
        _message("messages[]: same role twice", _HELLO),
    ]


def _block(
    field: str, block: object, rest: object = None, *, role: str = "user", note: str = ""
) -> Row:
    """Return the row of a block after a text, or of a member of one, given the block without it."""
    text = {"type": "text", "text": "See:"}
    others = [text] if rest is None else [text, rest]
    without: list[object] = [{"role": role, "content": others}]
    example: list[object] = [{"role": role, "content": [text, block]}]
    if role == "assistant":
        without, example = [_HELLO, *without, _HELLO], [_HELLO, *example, _HELLO]
    return Row(field=field, example=_request(example), without=_request(without), note=note)


def _document(source: object, **members: object) -> dict[str, object]:
    return {"type": "document", "source": source, **members}


def _block_rows() -> list[Row]:
    text = {"type": "text", "text": "More."}
    parts = {"type": "content", "content": [{"type": "text", "text": "A page."}]}
    plain = {"type": "text", "media_type": "text/plain", "data": "A page."}
    cited = {**text, "citations": [{"type": "char_location", "cited_text": "More."}]}
    calls = [_HELLO, {"role": "assistant", "content": [_CALL]}]
    unanswered = _request([*calls], tools=[_TOOL])
    picture = {"type": "image", "source": _PNG}
    return [
        _block("text", text),
        _block("text.cache_control", {**text, "cache_control": _CACHE}, text),
        _block("text.citations", cited, text, role="assistant"),
        _block("image: base64", picture),
        _block("image: url", {"type": "image", "source": {"type": "url", "url": "https://a.b/c"}}),
        _block("image: file", {"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
        _block(
            "image.transformations",
            {**picture, "transformations": {"oversized_image": "error"}},
            picture,
        ),
        _block("document: base64", _document(_PDF, title="Paper")),
        _block("document: url", _document({"type": "url", "url": "https://a.b/c.pdf"})),
        _block("document: text", _document(plain, title="Page")),
        _block("document: content", _document(parts)),
        _block("document: file", _document({"type": "file", "file_id": "file_1"})),
        _block("document.context", _document(plain, context="Old."), _document(plain)),
        _block(
            "document.citations",
            _document(plain, citations={"enabled": True}),
            _document(plain),
        ),
        _block(
            "search_result",
            {
                "type": "search_result",
                "source": "https://a.b/c",
                "title": "Page",
                "content": [{"type": "text", "text": "A page."}],
            },
        ),
        _block("container_upload", {"type": "container_upload", "file_id": "file_1"}),
        _block(
            "thinking",
            {"type": "thinking", "thinking": "Hm.", "signature": "EqoB"},
            role="assistant",
        ),
        _block("redacted_thinking", {"type": "redacted_thinking", "data": "Eqo"}, role="assistant"),
        Row(
            field="tool_use",
            example=unanswered,
            without=_request([_HELLO], tools=[_TOOL]),
        ),
        *(
            Row(
                field=f"tool_use.{name}",
                example=_request(
                    [_HELLO, {"role": "assistant", "content": [{**_CALL, name: value}]}]
                ),
                without=_request(calls),
            )
            for name, value in (
                ("caller", {"type": "code_execution_20260120", "tool_id": "srvtoolu_1"}),
                ("toolset_name", "computer"),
            )
        ),
        *(
            Row(
                field=f"tool_result{name}",
                example=_request(
                    [*calls, {"role": "user", "content": [{**_RESULT, **members}]}], tools=[_TOOL]
                ),
                without=unanswered,
                note=note,
            )
            for name, members, note in (
                ("", {}, ""),
                (".content[]: text", {"content": [text]}, ""),
                (".content[]: image", {"content": [text, picture]}, ""),
                (".toolset_name", {"toolset_name": "computer"}, ""),
                (".is_error", {"is_error": True}, "OpenAI has no field for it: its text says so."),
            )
        ),
        _block(
            "server_tool_use",
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
            role="assistant",
        ),
    ]


def _tool(field: str, tool: Mapping[str, object]) -> Row:
    return Row(field=field, example=_request(tools=[tool]), without=_request(tools=[_TOOL]))


def _choice(field: str, choice: Mapping[str, object]) -> Row:
    return Row(
        field=field,
        example=_request(tools=[_TOOL], tool_choice=choice),
        without=_request(tools=[_TOOL]),
    )


def _tool_rows() -> list[Row]:
    search = {"type": "web_search_20260318", "name": "web_search"}
    return [
        Row(field="tools[]", example=_request(tools=[_TOOL]), without=_request()),
        _tool("tools[].description", {**_TOOL, "description": "Tells the weather."}),
        _tool("tools[].strict", {**_TOOL, "strict": True}),
        _tool("tools[].cache_control", {**_TOOL, "cache_control": _CACHE}),
        _tool("tools[].input_examples", {**_TOOL, "input_examples": [{"city": "Oslo"}]}),
        _tool("tools[].defer_loading", {**_TOOL, "defer_loading": True}),
        _tool("tools[].eager_input_streaming", {**_TOOL, "eager_input_streaming": True}),
        _tool("tools[].allowed_callers", {**_TOOL, "allowed_callers": ["direct"]}),
        Row(
            field="tools[]: server tools",
            example=_request(tools=[_TOOL, search]),
            without=_request(tools=[_TOOL]),
        ),
        _choice("tool_choice: auto", {"type": "auto"}),
        _choice("tool_choice: any", {"type": "any"}),
        _choice("tool_choice: tool", {"type": "tool", "name": "weather"}),
        _choice("tool_choice: none", {"type": "none"}),
        _choice(
            "tool_choice.disable_parallel_tool_use",
            {"type": "auto", "disable_parallel_tool_use": True},
        ),
    ]
