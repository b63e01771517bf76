"""Reading a request as strictly as a real upstream does, in either dialect."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from providers.wire import Dialect, WireError
from providers.wire.continuation import without_continuation

__all__ = ["Ask", "Tool", "read_ask", "tokens_of", "wrong_field"]

_OPENAI_ROLES = frozenset({"developer", "system", "user", "assistant", "tool", "function"})
_ANTHROPIC_ROLES = frozenset({"user", "assistant", "system"})
_MAX_CHOICES = 8
_ANY_OBJECT: Mapping[str, Any] = {"type": "object", "properties": {"answer": {"type": "string"}}}


class Tool(msgspec.Struct, frozen=True):
    """A tool the model may call: its name and the JSON schema of its arguments."""

    name: str
    schema: Mapping[str, Any]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks for.

    Attributes:
        model: The model's name, with its fault suffix.
        stream: Whether events are wanted.
        include_usage: Whether an OpenAI stream is to end with the usage.
        last_text: The text of the last message when it is the user's own, else nothing.
        max_tokens: Tokens of the answer at most; None for no limit.
        stop: Texts that end the answer.
        choices: How many answers are wanted.
        tools: The tools at hand; none when the request forbids their use.
        tool_choice: ``auto``, ``required``, or the name of the tool to call.
        parallel_tools: Whether several may be called at once.
        answer_schema: The JSON schema of the answer's text; None where it may be any text.
        input_tokens: Tokens of the prompt.
        fingerprint: What the answer is a function of: all that bears on its content.
        continued: The beginning of the answer, where the request asks to go on from it.
    """

    model: str
    stream: bool
    include_usage: bool
    last_text: str
    max_tokens: int | None
    stop: tuple[str, ...]
    choices: int
    tools: tuple[Tool, ...]
    tool_choice: str
    parallel_tools: bool
    answer_schema: Mapping[str, Any] | None
    input_tokens: int
    fingerprint: bytes
    continued: str = ""


def read_ask(dialect: Dialect, body: bytes, *, counting: bool = False) -> Ask:
    """Read a request.

    Args:
        dialect: Its dialect.
        body: Its body.
        counting: Whether only its tokens are to be counted, for which ``max_tokens`` is not needed.

    Raises:
        WireError: A real upstream would refuse it; says what and where.
    """
    peek = dialect.peek_request(body)
    request = msgspec.json.decode(body)
    if dialect.name == "openai":
        return _read_openai(request, peek.model, stream=peek.stream)
    return _read_anthropic(request, peek.model, stream=peek.stream, counting=counting)


def _read_openai(request: Mapping[str, Any], model: str, *, stream: bool) -> Ask:
    given = _messages(request, _OPENAI_ROLES)
    messages, continued = without_continuation(given)
    options = request.get("stream_options")
    if options is not None and not stream:
        raise wrong_field("stream_options", "it is only allowed when stream is true")
    if options is not None and not isinstance(options, dict):
        raise wrong_field("stream_options", "an object is expected")
    _number(request, "temperature", 0, 2)
    _number(request, "top_p", 0, 1)
    limit = _integer(request, "max_completion_tokens", 1)
    older = _integer(request, "max_tokens", 1)
    if limit is not None and older is not None:
        raise wrong_field("max_tokens", "it cannot be given together with max_completion_tokens")
    choices = _integer(request, "n", 1) or 1
    if choices > _MAX_CHOICES:
        raise wrong_field("n", f"at most {_MAX_CHOICES} is allowed")
    tools = tuple(
        _tool(entry.get("function"), "parameters", f"tools[{i}].function")
        for i, entry in enumerate(_objects(request, "tools"))
        if entry.get("type") == "function"
    )
    choice = request.get("tool_choice")
    if isinstance(choice, dict):
        function = choice.get("function")
        choice = function.get("name") if isinstance(function, dict) else None
    tool_choice = _tool_choice(choice, tools)
    schema = _openai_schema(request.get("response_format"))
    return Ask(
        model=model,
        stream=stream,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        last_text=_last_text(messages),
        max_tokens=limit if limit is not None else older,
        stop=_stops(request, "stop"),
        choices=choices,
        tools=() if tool_choice == "none" else tools,
        tool_choice=tool_choice,
        parallel_tools=request.get("parallel_tool_calls") is not False,
        answer_schema=schema,
        input_tokens=_tokens(given, request.get("tools")),
        fingerprint=_fingerprint(
            messages, request.get("tools"), request.get("seed"), *_given(schema)
        ),
        continued=continued,
    )


def _read_anthropic(request: Mapping[str, Any], model: str, *, stream: bool, counting: bool) -> Ask:
    limit = _integer(request, "max_tokens", 0)
    if limit is None and not counting:
        raise WireError(
            "max_tokens: Field required", param="max_tokens", code="missing_required_parameter"
        )
    all_messages = _messages(request, _ANTHROPIC_ROLES)
    messages, continued = without_continuation(all_messages)
    if messages[0]["role"] == "assistant":
        raise wrong_field("messages[0].role", "the first message must be the user's")
    _number(request, "temperature", 0, 1)
    system = request.get("system")
    if system is not None and not isinstance(system, str | list):
        raise wrong_field("system", "a string or an array of blocks is expected")
    tools = tuple(
        _tool(entry, "input_schema", f"tools[{i}]")
        for i, entry in enumerate(_objects(request, "tools"))
        if entry.get("type") in {None, "custom"}
    )
    given = request.get("tool_choice")
    parallel = True
    choice: Any = None
    if isinstance(given, dict):
        kind = given.get("type")
        choice = given.get("name") if kind == "tool" else "required" if kind == "any" else kind
        parallel = given.get("disable_parallel_tool_use") is not True
    tool_choice = _tool_choice(choice, tools)
    schema = _anthropic_schema(request.get("output_config"))
    return Ask(
        model=model,
        stream=stream,
        include_usage=True,
        last_text=_last_text(messages),
        max_tokens=limit,
        stop=_stops(request, "stop_sequences"),
        choices=1,
        tools=() if tool_choice == "none" else tools,
        tool_choice=tool_choice,
        parallel_tools=parallel,
        answer_schema=schema,
        input_tokens=_tokens([*all_messages, {"content": system}], request.get("tools")),
        fingerprint=_fingerprint(messages, request.get("tools"), system, *_given(schema)),
        continued=continued,
    )


def wrong_field(param: str, message: str) -> WireError:
    """Return the error that refuses a request for one of its fields."""
    return WireError(f"{param}: {message}", param=param, code="invalid_value")


def _messages(request: Mapping[str, Any], roles: frozenset[str]) -> list[dict[str, Any]]:
    messages = request["messages"]
    if not messages:
        raise wrong_field("messages", "at least one message is expected")
    for i, message in enumerate(messages):
        where = f"messages[{i}]"
        if not isinstance(message, dict):
            raise wrong_field(where, "an object is expected")
        role = message.get("role")
        if role not in roles:
            raise wrong_field(f"{where}.role", f"one of {', '.join(sorted(roles))} is expected")
        content = message.get("content")
        if role == "assistant" and content is None and message.get("tool_calls"):
            continue
        if role == "tool" and not isinstance(message.get("tool_call_id"), str):
            raise wrong_field(f"{where}.tool_call_id", "the id of a tool call is expected")
        if isinstance(content, list):
            for j, part in enumerate(content):
                if not isinstance(part, dict) or not isinstance(part.get("type"), str):
                    raise wrong_field(f"{where}.content[{j}]", "an object with a type is expected")
        elif not isinstance(content, str):
            raise wrong_field(f"{where}.content", "a string or an array of parts is expected")
    checked: list[dict[str, Any]] = messages
    return checked


def _objects(request: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    found = request.get(name)
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise wrong_field(name, "an array of objects is expected")
    return found


def _tool(entry: object, schema_name: str, where: str) -> Tool:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"]:
        raise wrong_field(f"{where}.name", "the name of a tool is expected")
    schema = entry.get(schema_name, {})
    if not isinstance(schema, dict):
        raise wrong_field(f"{where}.{schema_name}", "a JSON schema is expected")
    return Tool(entry["name"], schema)


def _tool_choice(choice: object, tools: Sequence[Tool]) -> str:
    if choice is None or choice == "auto":
        return "auto"
    if choice in {"none", "required"}:
        if not tools and choice == "required":
            raise wrong_field("tool_choice", "a tool is required, but the request has no tools")
        return str(choice)
    if isinstance(choice, str) and any(tool.name == choice for tool in tools):
        return choice
    raise wrong_field("tool_choice", "it names a tool that the request does not have")


def _openai_schema(given: object) -> Mapping[str, Any] | None:
    where = "response_format"
    if given is None:
        return None
    if not isinstance(given, dict):
        raise wrong_field(where, "an object is expected")
    match given.get("type"):
        case "text":
            return None
        case "json_object":
            return _ANY_OBJECT
        case "json_schema":
            inner = given.get("json_schema")
            if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
                raise wrong_field(f"{where}.json_schema", "an object with a name is expected")
            return _schema(inner.get("schema", _ANY_OBJECT), f"{where}.json_schema.schema")
    raise wrong_field(f"{where}.type", "one of text, json_object, json_schema is expected")


def _anthropic_schema(given: object) -> Mapping[str, Any] | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        raise wrong_field("output_config", "an object is expected")
    wanted = given.get("format")
    if wanted is None:
        return None
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        raise wrong_field("output_config.format", "an object of type json_schema is expected")
    return _schema(wanted.get("schema"), "output_config.format.schema")


def _schema(given: object, where: str) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise wrong_field(where, "a JSON schema is expected")
    return given


def _given(schema: object) -> tuple[object, ...]:
    """Return what bears on the answer only where it is there."""
    return () if schema is None else (schema,)


def _integer(request: Mapping[str, Any], name: str, least: int) -> int | None:
    value = request.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise wrong_field(name, f"a whole number from {least} is expected")
    return value


def _number(request: Mapping[str, Any], name: str, least: float, most: float) -> None:
    value = request.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise wrong_field(name, f"a number from {least:g} to {most:g} is expected")


def _stops(request: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = request.get(name)
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
        raise wrong_field(name, "an array of texts that are not empty is expected")
    return tuple(stops)


def _texts(content: object) -> list[str]:
    """Return the texts in a message's content, or in a system prompt."""
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        return []
    return [part["text"] for part in content if isinstance(part.get("text"), str)]


def _last_text(messages: Sequence[Mapping[str, Any]]) -> str:
    last = messages[-1]
    if last["role"] != "user":
        return ""
    content = last.get("content")
    if isinstance(content, list) and any(part.get("type") == "tool_result" for part in content):
        return ""
    return "\n".join(_texts(content))


def tokens_of(characters: int, messages: int = 0) -> int:
    """Count tokens as simply as one can: four characters are one, a message costs three more."""
    return max(1, characters // 4 + 3 * messages)


def _tokens(messages: Sequence[Mapping[str, Any]], tools: object) -> int:
    characters = sum(len(text) for one in messages for text in _texts(one.get("content")))
    if tools:
        characters += len(msgspec.json.encode(tools))
    return tokens_of(characters, len(messages))


def _fingerprint(*parts: object) -> bytes:
    return msgspec.json.encode(parts, order="deterministic")
