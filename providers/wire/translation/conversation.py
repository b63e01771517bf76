"""A request in the inner representation: the union of what the APIs can ask for.

Every API's request is decoded into it and every API's request is encoded from it, so that a
further API needs one decoder and one encoder, not one for each of the others. What only one API
knows travels in ``extras`` or as ``Opaque`` and comes out again in that API, and in no other.

Nothing here changes once it has been decoded: encoders read, and leave what they were given.
"""

from typing import Any, Literal

import msgspec

__all__ = [
    "Audio",
    "CacheControl",
    "Conversation",
    "Document",
    "Effort",
    "Image",
    "Message",
    "Opaque",
    "OutputFormat",
    "Part",
    "Reasoning",
    "Refusal",
    "Role",
    "Source",
    "Text",
    "Thinking",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "ToolResult",
]

Role = Literal["system", "developer", "user", "assistant"]
"""Who speaks. What tools returned is said by the user, as ``ToolResult`` parts."""

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""How much a model is to think, in the words of both APIs."""


class CacheControl(msgspec.Struct, frozen=True, omit_defaults=True):
    """A wish that the prompt be cached up to and including what carries it.

    Attributes:
        ttl: For how long (``5m``, ``30m``, ``1h``, ``12h``); None leaves it to the provider.
    """

    ttl: str | None = None


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the content of an image or a document is; exactly one place is given.

    Attributes:
        data: The content in base64.
        media_type: The content's type, for instance ``image/png``.
        url: An address to fetch it from.
        file_id: The id of a file that was uploaded to the provider; of no use to another one.
        text: The content of a document, as plain text.
        parts: The content of a document, as parts (``Text`` and ``Image``).
    """

    data: str | None = None
    media_type: str | None = None
    url: str | None = None
    file_id: str | None = None
    text: str | None = None
    parts: tuple["Part", ...] | None = None


class Text(msgspec.Struct, frozen=True, omit_defaults=True, tag="text"):
    """A piece of text.

    Attributes:
        text: The text.
        cache: A wish to cache up to here.
        citations: What it cites, each in the words and shape of the API in ``citations_of``.
        citations_of: The name of the dialect the citations are in.
    """

    text: str
    cache: CacheControl | None = None
    citations: tuple[dict[str, Any], ...] = ()
    citations_of: str = ""


class Image(msgspec.Struct, frozen=True, omit_defaults=True, tag="image"):
    """A picture.

    Attributes:
        source: Where it is.
        detail: How closely to look: ``auto``, ``low``, ``high``, ``original``.
        cache: A wish to cache up to here.
    """

    source: Source
    detail: str | None = None
    cache: CacheControl | None = None


class Document(msgspec.Struct, frozen=True, omit_defaults=True, tag="document"):
    """A document, mostly a PDF.

    Attributes:
        source: Where it is.
        title: Its title, or its file name.
        context: What is to be known about it, not to be cited.
        citations: Whether the model is to cite it; None where nothing was said.
        cache: A wish to cache up to here.
    """

    source: Source
    title: str | None = None
    context: str | None = None
    citations: bool | None = None
    cache: CacheControl | None = None


class Audio(msgspec.Struct, frozen=True, omit_defaults=True, tag="audio"):
    """A stretch of sound.

    Attributes:
        data: The content in base64.
        format: ``wav`` or ``mp3``.
        cache: A wish to cache up to here.
    """

    data: str
    format: str
    cache: CacheControl | None = None


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True, tag="tool_call"):
    """A model's wish to have a tool called.

    Attributes:
        id: Its id, as the API that made it named it.
        name: The tool.
        arguments: The arguments: JSON text of an object, exactly as it came; free text of a custom
            tool. Empty stands for no arguments.
        custom: Whether it is a custom tool, which takes free text.
        cache: A wish to cache up to here.
    """

    id: str
    name: str
    arguments: str = ""
    custom: bool = False
    cache: CacheControl | None = None


class ToolResult(msgspec.Struct, frozen=True, omit_defaults=True, tag="tool_result"):
    """What a tool returned; said by the user.

    Attributes:
        call_id: The id of the call.
        parts: What it returned: ``Text``, ``Image``, ``Document`` or ``Opaque``.
        is_error: Whether it failed; None where nothing was said.
        custom: Whether it is a custom tool's.
        cache: A wish to cache up to here.
    """

    call_id: str
    parts: tuple["Part", ...] = ()
    is_error: bool | None = None
    custom: bool = False
    cache: CacheControl | None = None


class Thinking(msgspec.Struct, frozen=True, omit_defaults=True, tag="thinking"):
    """What a model thought before it went on.

    Attributes:
        text: The thoughts, or their summary; may be empty.
        signature: The provider's proof that they are its own; None where there is none, or where
            the one it had was another provider's and is of no use.
        redacted: Thoughts that only the provider can read (Anthropic's ``redacted_thinking`` data,
            the Responses API's ``encrypted_content``).
        made_by: The name of the dialect whose provider made ``signature`` or ``redacted``.
        id: The id of the item (Responses).
        summary: Whether ``text`` is a summary of the thoughts (Responses).
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    made_by: str = ""
    id: str | None = None
    summary: bool = False


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True, tag="refusal"):
    """A model's own words why it does not answer.

    Attributes:
        text: The words.
    """

    text: str


class Opaque(msgspec.Struct, frozen=True, omit_defaults=True, tag="opaque"):
    """A part that only one API knows: a server tool's call or result, for instance.

    Attributes:
        dialect: That API's dialect.
        kind: What it calls the part: its ``type``.
        body: The part, whole, as it came.
    """

    dialect: str
    kind: str
    body: dict[str, Any]


Part = Text | Image | Document | Audio | ToolCall | ToolResult | Thinking | Refusal | Opaque
"""What a message is made of."""


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message.

    Attributes:
        role: Who speaks.
        parts: What is said, in order.
        name: The speaker's own name (OpenAI).
        plain: Whether the content was one string, not a list of parts: it is written the same way
            where that is possible.
        extras: Members that only the asker's dialect knows.
    """

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None
    plain: bool = False
    extras: dict[str, Any] = {}


class Tool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tool that the model may call.

    Attributes:
        name: Its name; a server tool's type where it has no name.
        description: What it does.
        schema: The JSON Schema of its arguments; None where none was given.
        strict: Whether the arguments must follow the schema exactly; None where nothing was said.
        custom: The definition of a custom tool's free text (``{"type": "text"}`` or a grammar), in
            OpenAI's shape; None for a function.
        cache: A wish to cache up to here.
        extras: Further members that only the asker's dialect knows.
        opaque: The whole definition of a tool that runs at the provider or that only one API knows;
            then name is all else that counts.
        opaque_of: The dialect of ``opaque``.
    """

    name: str
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    custom: dict[str, Any] | None = None
    cache: CacheControl | None = None
    extras: dict[str, Any] = {}
    opaque: dict[str, Any] | None = None
    opaque_of: str = ""


class ToolChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which tools the model may or must call.

    Attributes:
        mode: ``auto`` leaves it to the model, ``none`` forbids, ``required`` demands some tool,
            ``tool`` the one called ``name``.
        name: That tool.
        custom: Whether that tool is a custom one.
        allowed: The only tools to choose among (OpenAI's ``allowed_tools``); None for all.
    """

    mode: Literal["auto", "none", "required", "tool"]
    name: str | None = None
    custom: bool = False
    allowed: tuple[str, ...] | None = None


class OutputFormat(msgspec.Struct, frozen=True, omit_defaults=True):
    """What form the answer must have.

    Attributes:
        kind: ``text``, any JSON object, or JSON by a schema.
        schema: The schema.
        name: Its name.
        description: What it is for.
        strict: Whether it must be followed exactly; None where nothing was said.
    """

    kind: Literal["text", "json_object", "json_schema"]
    schema: dict[str, Any] | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Reasoning(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the model is to think.

    Attributes:
        effort: How much; None where nothing was said.
        mode: Anthropic's ``thinking.type``; None where the dialect has no such thing.
        budget: Tokens of thought at most, with ``enabled``.
        display: Anthropic's ``thinking.display``: ``summarized`` or ``omitted``.
        summary: The Responses API's ``reasoning.summary``: ``auto``, ``concise``, ``detailed``.
    """

    effort: Effort | None = None
    mode: Literal["enabled", "disabled", "adaptive", "between_tools"] | None = None
    budget: int | None = None
    display: str | None = None
    summary: str | None = None


class Conversation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One request for the next message of a conversation.

    What is None was not said. Tool ids, names and texts are as the asker wrote them.

    Attributes:
        dialect: The dialect it was written in.
        model: The model named in it.
        messages: Oldest first. System and developer messages stand where they were said; those
            that a dialect keeps in a field of its own (``system``, ``instructions``) come first.
        tools: The tools the model may call.
        tool_choice: Which of them it may or must call.
        parallel_tool_calls: Whether it may call several at once.
        max_tokens: The longest answer, thoughts included, in tokens.
        temperature: Between 0 and 2; the dialects' bounds differ.
        top_p: From which share of likely words to choose.
        top_k: Among how many words to choose.
        stop: Texts at which the answer ends.
        stream: Whether a streamed answer is asked for.
        include_usage: Whether a streamed answer is to end with its usage, where that is a choice.
        output: The form of the answer.
        reasoning: How to think.
        user: Who is asking, as the provider's abuse watch wants to know it.
        service_tier: The class of service, in the dialect's own word.
        cache: A wish to cache the whole prompt, wherever that is possible (top level).
        old_calls: Whether the asker knows calls of functions only as they were before there were
            tools (``functions``, ``function_call``): one at a time, without an id.
        extras: All other members, by name as they were, with their values: known to the asker's
            dialect only, or to no dialect yet.
    """

    dialect: str
    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool | None = None
    output: OutputFormat | None = None
    reasoning: Reasoning | None = None
    user: str | None = None
    service_tier: str | None = None
    cache: CacheControl | None = None
    old_calls: bool = False
    extras: dict[str, Any] = {}
