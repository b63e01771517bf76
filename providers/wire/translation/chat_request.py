"""Decoding a chat completion's request."""

from operator import attrgetter
from typing import Any, Final

import msgspec

from providers.wire.faults import WireError
from providers.wire.translation.chat_fields import (
    EXTRA_MEMBERS,
    AssistantMessage,
    AudioPart,
    Breakpoint,
    CustomCall,
    DeveloperMessage,
    FilePart,
    Function,
    FunctionMessage,
    ImagePart,
    OpaquePart,
    PartFields,
    RefusalPart,
    RequestFields,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)
from providers.wire.translation.chat_options import (
    decode_choice,
    decode_effort,
    decode_format,
    decode_old_choice,
    decode_tools,
)
from providers.wire.translation.chat_thoughts import thoughts_of
from providers.wire.translation.chat_unknown import Unknown, set_aside
from providers.wire.translation.conversation import (
    Audio,
    CacheControl,
    Conversation,
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Role,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from providers.wire.translation.openai_shared import complaint, source_of_url

__all__ = ["decode_request"]

_decoder = msgspec.json.Decoder(RequestFields)
_extras_of = attrgetter(*EXTRA_MEMBERS)
_NO_EXTRAS: Final = (None,) * len(EXTRA_MEMBERS)
_any_decoder = msgspec.json.Decoder()

_NONE: Final[dict[str, Any]] = {}
_SAID_BY: Final[dict[type[msgspec.Struct], Role]] = {
    SystemMessage: "system",
    DeveloperMessage: "developer",
    UserMessage: "user",
}


def decode_request(body: bytes) -> Conversation:
    """Decode a request; see ``Codec.decode_request``."""
    unknown: Unknown | None = None
    try:
        fields = _decoder.decode(body)
    except msgspec.ValidationError:
        fields, unknown = _decode_with_unknown(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"the body is not JSON: {error}", code="invalid_json") from None
    if not fields.messages:
        raise WireError(
            "messages: at least one message is expected", param="messages", code="invalid_value"
        )
    extras = unknown.request if unknown is not None else {}
    values = _extras_of(fields)
    if values != _NO_EXTRAS:
        for name, value in zip(EXTRA_MEMBERS, values, strict=True):
            if value is not None:
                extras[name] = value
    return _conversation(fields, extras, unknown.messages if unknown is not None else {})


def _decode_with_unknown(body: bytes) -> tuple[RequestFields, Unknown]:
    """Decode a request that is not wholly known, or not as it should be."""
    try:
        request = _any_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"the body is not JSON: {error}", code="invalid_json") from None
    if not isinstance(request, dict):
        raise WireError("the body must be a JSON object", code="invalid_json")
    unknown = set_aside(request)
    try:
        return msgspec.convert(request, RequestFields), unknown
    except msgspec.ValidationError as error:
        raise complaint(error) from None


def _conversation(
    fields: RequestFields, extras: dict[str, Any], unknown: dict[int, dict[str, Any]]
) -> Conversation:
    include_usage: bool | None = None
    options = fields.stream_options
    if options is not None:
        include_usage = options.include_usage
        if options.include_obfuscation is not None:
            extras["stream_options"] = {"include_obfuscation": options.include_obfuscation}
    user = fields.safety_identifier
    if user is None:
        user = fields.user
    elif fields.user is not None:
        extras["user"] = fields.user
    limit = fields.max_completion_tokens
    if limit is None:
        limit = fields.max_tokens
    stop = fields.stop
    effort = decode_effort(fields.reasoning_effort)
    choice = decode_choice(fields.tool_choice)
    parallel = fields.parallel_tool_calls
    if fields.functions:
        choice = choice if choice is not None else decode_old_choice(fields.function_call)
        parallel = False
    elif fields.function_call is not None and fields.function_call not in ("auto", "none"):
        extras["function_call"] = fields.function_call
    return Conversation(
        dialect="openai",
        model=fields.model,
        messages=_messages(fields, unknown),
        tools=decode_tools(fields.tools, fields.functions),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        max_tokens=limit,
        temperature=fields.temperature,
        top_p=fields.top_p,
        stop=(stop,) if isinstance(stop, str) else tuple(stop) if stop else (),
        stream=fields.stream is True,
        include_usage=include_usage,
        output=decode_format(fields.response_format, extras),
        reasoning=Reasoning(effort=effort) if effort is not None else None,
        user=user,
        service_tier=fields.service_tier,
        old_calls=bool(fields.functions) and not fields.tools,
        extras=extras,
    )


def _messages(fields: RequestFields, unknown: dict[int, dict[str, Any]]) -> tuple[Message, ...]:
    messages: list[Message] = []
    open_call = ""
    for number, each in enumerate(fields.messages):
        extras = unknown.get(number, _NONE) if unknown else _NONE
        content = each.content
        if type(each) is AssistantMessage:
            if each.function_call is not None:
                open_call = f"call_{number}"
            messages.append(_assistant(each, number, extras))
            continue
        if content is None and type(each) is not FunctionMessage:
            path = f"messages[{number}].content"
            raise WireError(
                f"{path}: expected str or array, got null", param=path, code="invalid_type"
            )
        plain = isinstance(content, str)
        parts: tuple[Part, ...]
        if isinstance(content, str):
            parts = (Text(content),)
        else:
            parts = tuple([_part(part) for part in content or ()])
        if type(each) is ToolMessage:
            result = ToolResult(call_id=each.tool_call_id, parts=parts)
            messages.append(Message("user", (result,), None, plain, extras))
        elif type(each) is FunctionMessage:
            result = ToolResult(call_id=open_call or f"call_{number}", parts=parts)
            messages.append(Message("user", (result,), None, plain, extras))
        else:
            messages.append(Message(_SAID_BY[type(each)], parts, each.name, plain, extras))
    return tuple(messages)


def _assistant(message: AssistantMessage, number: int, extras: dict[str, Any]) -> Message:
    thought = message.reasoning_content or message.reasoning
    details = message.reasoning_details
    content = message.content
    plain = isinstance(content, str)
    parts: tuple[Part, ...]
    if isinstance(content, str):
        parts = (Text(content),)
    else:
        parts = tuple([_part(part) for part in content]) if content else ()
    if thought or details:
        parts = (*thoughts_of(thought, details), *parts)
    if message.refusal:
        parts = (*parts, Refusal(message.refusal))
    if message.tool_calls:
        calls = [
            ToolCall(call.id, call.custom.name, call.custom.input, custom=True)
            if type(call) is CustomCall
            else ToolCall(call.id, call.function.name, _arguments(call.function))  # type: ignore[union-attr]  # the other of the two
            for call in message.tool_calls
        ]
        parts = (*parts, *calls)
    if message.function_call is not None:
        old = message.function_call
        parts = (*parts, ToolCall(f"call_{number}", old.name, _arguments(old)))
    if message.audio is not None:
        extras = {**extras, "audio": message.audio}
    return Message("assistant", parts, message.name, plain, extras)


def _arguments(function: Function) -> str:
    arguments = function.arguments
    if isinstance(arguments, str):
        return arguments
    return msgspec.json.encode(arguments).decode() if arguments is not None else ""


def _part(part: PartFields) -> Part:
    if isinstance(part, TextPart):
        return Text(part.text, _cache(part.prompt_cache_breakpoint, part.cache_control))
    if isinstance(part, RefusalPart):
        return Refusal(part.refusal)
    if isinstance(part, OpaquePart):
        return Opaque("openai", str(part.body.get("type")), part.body)
    cache = _cache(part.prompt_cache_breakpoint, part.cache_control)
    if isinstance(part, ImagePart):
        image = part.image_url
        if isinstance(image, str):
            return Image(source_of_url(image), None, cache)
        return Image(source_of_url(image.url), image.detail, cache)
    if isinstance(part, AudioPart):
        return Audio(part.input_audio.data, part.input_audio.format, cache)
    return _document(part, cache)


def _document(part: FilePart, cache: CacheControl | None) -> Document:
    file = part.file
    if file.file_data is None:
        return Document(Source(file_id=file.file_id), file.filename, cache=cache)
    source = source_of_url(file.file_data)
    if source.url is not None and "://" not in source.url[:12]:
        source = Source(data=file.file_data, media_type=None)
    return Document(source, file.filename, cache=cache)


def _cache(ours: Breakpoint | None, others: Breakpoint | None) -> CacheControl | None:
    found = ours if ours is not None else others
    return CacheControl(found.ttl) if found is not None else None
