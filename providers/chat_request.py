"""A request for an answer as a program writes it, and the bodies that the APIs take.

What both APIs have alike can be written once (``ChatRequest``, or a mapping with the same keys) and
is put into either dialect. A mapping that uses anything beyond is taken to be a request in one
dialect, recognised by its keys, and passes as it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from providers.wire import WireError

__all__ = ["DEFAULT_MAX_TOKENS", "AnyRequest", "ChatBody", "ChatRequest", "chat_bodies"]

DEFAULT_MAX_TOKENS: Final = 4096
"""The bound on an answer where a request without one goes to Anthropic's API, which demands one."""


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What can be asked of every provider.

    Attributes:
        messages: ``{"role": "user", "content": "..."}`` and so on, oldest first; roles are
            ``system``, ``user`` and ``assistant``.
        model: A group, an alias, ``provider/model`` or a model; None leaves the choice to whoever
            forwards it.
        system: Instructions that go before the messages.
        max_tokens: The longest answer, in tokens.
        temperature: How freely to choose words.
        top_p: From which share of likely words to choose.
        stop: Texts at which the answer ends.
    """

    messages: Sequence[Mapping[str, Any]]
    model: str | None = None
    system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | Sequence[str] | None = None


AnyRequest = ChatRequest | Mapping[str, Any] | Sequence[Mapping[str, Any]] | str
"""A request: a struct, a mapping with its keys or in either dialect, messages, or one text."""


class ChatBody(msgspec.Struct, frozen=True, kw_only=True):
    """A request in one dialect, ready to send.

    Attributes:
        dialect: The dialect's name.
        model: The model it names.
        stream: Whether it asks for a streamed answer.
        members: Its members.
    """

    dialect: str
    model: str
    stream: bool
    members: Mapping[str, Any]

    def encode(self) -> bytes:
        """Return it as JSON."""
        return msgspec.json.encode(self.members)


_SIMPLE = frozenset({*ChatRequest.__struct_fields__, "stream"})
_ANTHROPIC_KEYS = frozenset(
    {"stop_sequences", "top_k", "thinking", "container", "mcp_servers", "context_management"}
)
_ANTHROPIC_PARTS = frozenset(
    {"image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking"}
)
_ROLES = frozenset({"system", "user", "assistant"})


def chat_bodies(
    request: AnyRequest, *, model: str | None = None, dialect: str | None = None
) -> list[ChatBody]:
    """Return a request in every dialect it can be put into, the likelier first.

    It asks for a stream unless the request itself says ``"stream": False``.

    Args:
        request: The request.
        model: The model to ask for, in place of the one the request names.
        dialect: The dialect the request is in; None finds out by its keys.

    Raises:
        WireError: It is no request; says what and where.
    """
    members = _members(request)
    model = model or members.get("model")
    if not isinstance(model, str) or not model:
        raise WireError("model: say which model or group to ask for", param="model")
    messages = members.get("messages")
    if not _is_list(messages) or not messages:
        raise WireError("messages: a list of messages is expected", param="messages")
    for number, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            where = f"messages[{number}]"
            raise WireError(f'{where}: a mapping with "role" is expected', param=where)
    stream = members.get("stream") is not False
    members = {**members, "model": model, "stream": stream}
    if dialect is None and _is_simple(members):
        return list(_both(members, model, stream=stream))
    found = dialect or ("anthropic" if _is_anthropic(members) else "openai")
    if found not in {"openai", "anthropic"}:
        raise WireError(f"dialect: expected openai or anthropic, not {found!r}", param="dialect")
    if found == "openai":
        _ask_for_usage(members)
    return [ChatBody(dialect=found, model=model, stream=stream, members=members)]


def _members(request: AnyRequest) -> dict[str, Any]:
    if isinstance(request, str):
        return {"messages": [{"role": "user", "content": request}]}
    if isinstance(request, ChatRequest):
        values = msgspec.structs.asdict(request)
        return {key: value for key, value in values.items() if value is not None}
    if isinstance(request, Mapping):
        return dict(request)
    if _is_list(request):
        return {"messages": request}
    raise WireError(f"a request is a mapping, messages or a text, not {type(request).__name__}")


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_simple(members: Mapping[str, Any]) -> bool:
    """Tell whether a request uses only what both APIs have."""
    if not members.keys() <= _SIMPLE or not isinstance(members.get("system", ""), str):
        return False
    for message in members["messages"]:
        if not message.keys() <= {"role", "content"} or message["role"] not in _ROLES:
            return False
        if message["role"] == "system" and not isinstance(message.get("content"), str):
            return False
        if any(part.keys() != {"type", "text"} for part in _parts(message)):
            return False
    return True


def _is_anthropic(members: Mapping[str, Any]) -> bool:
    """Tell a request in Anthropic's dialect by what OpenAI's has no place for."""
    if not _ANTHROPIC_KEYS.isdisjoint(members) or "system" in members:
        return True
    tools = members.get("tools")
    for tool in tools if isinstance(tools, list | tuple) else ():
        if isinstance(tool, Mapping) and ("input_schema" in tool or tool.get("name")):
            return True
    return any(
        part.get("type") in _ANTHROPIC_PARTS or "cache_control" in part
        for message in members["messages"]
        for part in _parts(message)
    )


def _parts(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the parts of a message whose content is a list."""
    content = message.get("content")
    for part in content if isinstance(content, list | tuple) else ():
        yield part if isinstance(part, Mapping) else {}


def _both(members: dict[str, Any], model: str, *, stream: bool) -> Iterator[ChatBody]:
    """Put a request that uses only what both APIs have into each."""
    shared = {
        key: members[key]
        for key in ("model", "max_tokens", "temperature", "top_p", "stream")
        if members.get(key) is not None
    }
    messages = [dict(message) for message in members["messages"]]
    system = members.get("system")
    opening = [{"role": "system", "content": system}] if system else []
    openai = {**shared, "messages": [*opening, *messages]}
    stop = members.get("stop")
    stops = [stop] if isinstance(stop, str) else list(stop or ())
    if stops:
        openai["stop"] = stops
    _ask_for_usage(openai)
    yield ChatBody(dialect="openai", model=model, stream=stream, members=openai)
    told = [message["content"] for message in (*opening, *messages) if message["role"] == "system"]
    anthropic = {
        "max_tokens": DEFAULT_MAX_TOKENS,
        **shared,
        "messages": [message for message in messages if message["role"] != "system"],
    }
    if told:
        anthropic["system"] = "\n\n".join(told)
    if stops:
        anthropic["stop_sequences"] = stops
    yield ChatBody(dialect="anthropic", model=model, stream=stream, members=anthropic)


def _ask_for_usage(members: dict[str, Any]) -> None:
    """Have a streamed completion end with its usage, unless the request says about that itself."""
    if members["stream"] and "stream_options" not in members:
        members["stream_options"] = {"include_usage": True}
