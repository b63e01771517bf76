"""Decoding a Responses request.

Each item is a message of its own here, so that what is said of a message names the item. Encoders
put together what their API wants in one.
"""

from operator import attrgetter
from typing import Any, Final

import msgspec

from providers.wire.faults import WireError
from providers.wire.translation.conversation import (
    Audio,
    CacheControl,
    Conversation,
    Document,
    Image,
    Message,
    Opaque,
    Refusal,
    Role,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from providers.wire.translation.conversation import Part as InnerPart
from providers.wire.translation.openai_shared import complaint, source_of_url
from providers.wire.translation.responses_fields import (
    EXTRA_MEMBERS,
    OPAQUE,
    Item,
    Part,
    RequestFields,
    SetAside,
    set_aside,
)
from providers.wire.translation.responses_options import (
    decode_choice,
    decode_format,
    decode_reasoning,
    decode_tools,
)
from providers.wire.translation.responses_thoughts import unpacked

__all__ = ["decode_request"]

_decoder = msgspec.json.Decoder(RequestFields)
_extras_of = attrgetter(*EXTRA_MEMBERS)
_NO_EXTRAS: Final = (None,) * len(EXTRA_MEMBERS)
_any_decoder = msgspec.json.Decoder()

_NONE: Final[dict[str, Any]] = {}
_ROLES: Final[dict[str, Role]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "developer",
}
_ENCRYPTED: Final = "reasoning.encrypted_content"
_TEXTS: Final = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})

_KEPT: Final[tuple[tuple[str, str], ...]] = (
    ("previous_response_id", "an earlier response that only OpenAI has"),
    ("conversation", "a conversation that only OpenAI has"),
    ("prompt", "a prompt template that only OpenAI has"),
)
"""Members that point at what OpenAI keeps: without it there is no telling what is asked."""


def decode_request(body: bytes) -> Conversation:
    """Decode a request; see ``FrontCodec.decode_request``."""
    aside: SetAside | None = None
    try:
        fields = _decoder.decode(body)
    except msgspec.ValidationError:
        fields, aside = _decode_with_unknown(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"the body is not JSON: {error}", code="invalid_json") from None
    for name, what in _KEPT:
        if getattr(fields, name) is not None:
            raise WireError(
                f"{name}: it is {what}; other providers need the whole conversation in input",
                param=name,
                code="unsupported_parameter",
            )
    if fields.background:
        raise WireError(
            "background: only OpenAI answers in the background",
            param="background",
            code="unsupported_parameter",
        )
    if not fields.input:
        raise WireError(
            "input: a string or an array of at least one item is expected",
            param="input",
            code="missing_required_parameter" if fields.input is None else "invalid_value",
        )
    extras = aside.request if aside is not None else {}
    values = _extras_of(fields)
    if values != _NO_EXTRAS:
        for name, value in zip(EXTRA_MEMBERS, values, strict=True):
            if value is not None:
                extras[name] = value
    return _conversation(fields, extras, aside.items if aside is not None else {})


def _decode_with_unknown(body: bytes) -> tuple[RequestFields, SetAside]:
    """Decode a request that is not wholly known, or not as it should be."""
    try:
        request = _any_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"the body is not JSON: {error}", code="invalid_json") from None
    if not isinstance(request, dict):
        raise WireError("the body must be a JSON object", code="invalid_json")
    found = set_aside(request)
    try:
        return msgspec.convert(request, RequestFields), found
    except msgspec.ValidationError as error:
        raise complaint(error) from None


def _conversation(
    fields: RequestFields, extras: dict[str, Any], unknown: dict[int, dict[str, Any]]
) -> Conversation:
    options, text = fields.stream_options, fields.text
    if options is not None and options.include_obfuscation is not None:
        extras["stream_options"] = {"include_obfuscation": options.include_obfuscation}
    if fields.include:
        # Thoughts that can be sent back are always part of a translated answer.
        rest = [each for each in fields.include if each != _ENCRYPTED]
        if rest:
            extras["include"] = rest
    user = fields.safety_identifier
    if user is None:
        user = fields.user
    elif fields.user is not None:
        extras["user"] = fields.user
    output = None
    if text is not None:
        output = decode_format(text.format, extras)
        if text.verbosity is not None:
            extras["text.verbosity"] = text.verbosity
    return Conversation(
        dialect="responses",
        model=fields.model,
        messages=_messages(fields, unknown),
        tools=decode_tools(fields.tools),
        tool_choice=decode_choice(fields.tool_choice, extras),
        parallel_tool_calls=fields.parallel_tool_calls,
        max_tokens=fields.max_output_tokens,
        temperature=fields.temperature,
        top_p=fields.top_p,
        stream=fields.stream is True,
        output=output,
        reasoning=decode_reasoning(fields.reasoning, extras),
        user=user,
        service_tier=fields.service_tier,
        extras=extras,
    )


def _messages(fields: RequestFields, unknown: dict[int, dict[str, Any]]) -> tuple[Message, ...]:
    messages: list[Message] = []
    if fields.instructions:
        messages.append(Message("system", (Text(fields.instructions),), plain=True))
    items = fields.input
    if isinstance(items, str):
        messages.append(Message("user", (Text(items),), plain=True))
        return tuple(messages)
    for number, item in enumerate(items or ()):
        extras = unknown.get(number, _NONE) if unknown else _NONE
        messages.append(_item(item, number, extras))
    return tuple(messages)


def _item(item: Item, number: int, extras: dict[str, Any]) -> Message:
    kind = item.type
    if kind == "message" or kind is None:
        return _message(item, number, extras)
    if extras:
        extras = {
            name: value
            for name, value in extras.items()
            if not (name == "caller" and value == {"type": "direct"})
        }
    if kind in {"function_call", "custom_tool_call"}:
        custom = kind == "custom_tool_call"
        text = item.input if custom else item.arguments
        call = ToolCall(
            _needed(item.call_id, number, "call_id"),
            _needed(item.name, number, "name"),
            text or "",
            custom=custom,
        )
        return Message("assistant", (call,), extras=extras)
    if kind in {"function_call_output", "custom_tool_call_output"}:
        output = item.output
        if output is None:
            raise _missing(number, "output")
        plain = isinstance(output, str)
        result = ToolResult(
            _needed(item.call_id, number, "call_id"),
            _parts(output, f"input[{number}].output"),
            custom=kind == "custom_tool_call_output",
        )
        return Message("user", (result,), plain=plain, extras=extras)
    if kind == "reasoning":
        texts = [part.text or "" for part in item.summary or ()]
        if isinstance(item.content, str):
            texts.append(item.content)
        else:
            texts += [part.text or "" for part in item.content or ()]
        thought = unpacked("\n\n".join(texts), item.encrypted_content, item.id)
        return Message("assistant", (thought,), extras=extras)
    if kind == "item_reference":
        raise _elsewhere(number, "an item that only OpenAI has")
    if kind == "compaction":
        raise _elsewhere(number, "a conversation in a form that only OpenAI can read")
    body = item.body
    if kind != OPAQUE or body is None:
        body = msgspec.to_builtins(item)
    # Where it is left out, plain tells that it is the item that is, not a part of a message.
    opaque = Opaque("responses", str(body.get("type")), body)
    return Message("assistant", (opaque,), plain=True, extras=extras)


def _message(item: Item, number: int, extras: dict[str, Any]) -> Message:
    role = _ROLES.get(item.role or "")
    if role is None:
        path = f"input[{number}].role"
        if item.role is None:
            raise _missing(number, "role" if item.type or item.content is not None else "type")
        raise WireError(
            f"{path}: user, assistant, system or developer is expected",
            param=path,
            code="invalid_value",
        )
    if item.phase is not None:
        extras = {**extras, "phase": item.phase}
    content = item.content
    if isinstance(content, str):
        # What a system message is told apart from ``instructions`` by.
        return Message(role, (Text(content),), plain=role != "system", extras=extras)
    if content is None:
        raise _missing(number, "content")
    return Message(role, _parts(content, f"input[{number}].content"), extras=extras)


def _needed(value: str | None, number: int, name: str) -> str:
    if value is None:
        raise _missing(number, name)
    return value


def _missing(number: int, name: str) -> WireError:
    path = f"input[{number}].{name}"
    return WireError(f"{path}: the field is missing", param=path, code="missing_required_parameter")


def _elsewhere(number: int, what: str) -> WireError:
    path = f"input[{number}]"
    return WireError(
        f"{path}: it is {what}; other providers need the whole conversation in input",
        param=path,
        code="unsupported_value",
    )


def _parts(content: str | list[Part], path: str) -> tuple[InnerPart, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple([_part(part, path, number) for number, part in enumerate(content)])


def _part(part: Part, path: str, number: int) -> InnerPart:
    kind = part.type
    wish = part.prompt_cache_breakpoint
    cache = CacheControl(wish.ttl) if wish is not None else None
    if kind in _TEXTS:
        if part.text is None:
            raise _without(path, number, "text")
        return Text(part.text, cache)
    if kind == "input_image":
        if part.image_url is not None:
            return Image(source_of_url(part.image_url), part.detail, cache)
        if part.file_id is None:
            raise _without(path, number, "image_url")
        return Image(Source(file_id=part.file_id), part.detail, cache)
    if kind == "input_file":
        return Document(_file_source(part, path, number), part.filename, cache=cache)
    if kind == "input_audio":
        if part.input_audio is None:
            raise _without(path, number, "input_audio")
        return Audio(part.input_audio.data, part.input_audio.format, cache)
    if kind == "refusal":
        return Refusal(part.refusal or "")
    body = part.body
    if kind != OPAQUE or body is None:
        body = msgspec.to_builtins(part)
    return Opaque("responses", str(body.get("type")), body)


def _file_source(part: Part, path: str, number: int) -> Source:
    data = part.file_data
    if data is not None:
        source = source_of_url(data)
        if source.url is not None:
            source = Source(data=data)  # without a head: base64 as it is
        return source
    if part.file_url is not None:
        return Source(url=part.file_url)
    if part.file_id is None:
        raise _without(path, number, "file_data")
    return Source(file_id=part.file_id)


def _without(path: str, number: int, name: str) -> WireError:
    where = f"{path}[{number}].{name}"
    return WireError(
        f"{where}: the field is missing", param=where, code="missing_required_parameter"
    )
