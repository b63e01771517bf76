"""The members of a chat completion's request, as they are decoded.

They are decoded strictly: a member that is not here is an error of the quick decoder, and is set
aside by ``chat_unknown`` before the rest is decoded again. So an ordinary request is decoded in one
go and nothing in any request is overlooked.
"""

from typing import Any, Final

import msgspec

__all__ = [
    "CALLS",
    "EXTRA_MEMBERS",
    "OPAQUE",
    "PARTS",
    "ROLES",
    "TOOLS",
    "AssistantMessage",
    "AudioPart",
    "Breakpoint",
    "CustomCall",
    "CustomTool",
    "DeveloperMessage",
    "FilePart",
    "FunctionCall",
    "FunctionMessage",
    "FunctionTool",
    "ImagePart",
    "ImageURL",
    "OldFunction",
    "OpaquePart",
    "OpaqueTool",
    "PartFields",
    "RefusalPart",
    "RequestFields",
    "SystemMessage",
    "TextPart",
    "ToolMessage",
    "UserMessage",
]

OPAQUE: Final = "opaque"
"""The type under which ``chat_unknown`` hands on a part or a tool of a type it does not know."""


class Breakpoint(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """``prompt_cache_breakpoint``, or ``cache_control`` as other servers of this API have it."""

    mode: str | None = None
    ttl: str | None = None
    type: str | None = None


class TextPart(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag="text"):
    """A part of type ``text``."""

    text: str
    prompt_cache_breakpoint: Breakpoint | None = None
    cache_control: Breakpoint | None = None


class ImageURL(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """Where a picture is."""

    url: str
    detail: str | None = None


class ImagePart(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag="image_url"):
    """A part of type ``image_url``."""

    image_url: ImageURL | str
    prompt_cache_breakpoint: Breakpoint | None = None
    cache_control: Breakpoint | None = None


class InputAudio(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A stretch of sound."""

    data: str
    format: str


class AudioPart(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag="input_audio"):
    """A part of type ``input_audio``."""

    input_audio: InputAudio
    prompt_cache_breakpoint: Breakpoint | None = None
    cache_control: Breakpoint | None = None


class File(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A file, or where it is."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag="file"):
    """A part of type ``file``."""

    file: File
    prompt_cache_breakpoint: Breakpoint | None = None
    cache_control: Breakpoint | None = None


class RefusalPart(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag="refusal"):
    """A part of type ``refusal``."""

    refusal: str


class OpaquePart(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag=OPAQUE):
    """A part of another type."""

    body: dict[str, Any]


PartFields = TextPart | ImagePart | AudioPart | FilePart | RefusalPart | OpaquePart
Content = str | list[PartFields] | None


class Function(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A call of a function."""

    name: str
    arguments: str | dict[str, Any] | None = None


class FunctionCall(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag="function"):
    """A tool call of type ``function``."""

    id: str
    function: Function
    index: int | None = None


class Custom(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A call of a custom tool."""

    name: str
    input: str = ""


class CustomCall(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag="custom"):
    """A tool call of type ``custom``."""

    id: str
    custom: Custom
    index: int | None = None


class SystemMessage(
    msgspec.Struct, gc=False, forbid_unknown_fields=True, tag_field="role", tag="system"
):
    """A message with role ``system``."""

    content: Content
    name: str | None = None


class DeveloperMessage(
    msgspec.Struct, gc=False, forbid_unknown_fields=True, tag_field="role", tag="developer"
):
    """A message with role ``developer``."""

    content: Content
    name: str | None = None


class UserMessage(
    msgspec.Struct, gc=False, forbid_unknown_fields=True, tag_field="role", tag="user"
):
    """A message with role ``user``."""

    content: Content
    name: str | None = None


class AssistantMessage(
    msgspec.Struct, gc=False, forbid_unknown_fields=True, tag_field="role", tag="assistant"
):
    """A message with role ``assistant``.

    ``annotations`` are part of an answer that is sent back as it came, and of no effect. The
    members from ``reasoning_content`` on are those of other servers of this API.
    """

    content: Content = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[FunctionCall | CustomCall] | None = None
    function_call: Function | None = None
    audio: dict[str, Any] | None = None
    annotations: Any = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[dict[str, Any]] | None = None


class ToolMessage(
    msgspec.Struct, gc=False, forbid_unknown_fields=True, tag_field="role", tag="tool"
):
    """A message with role ``tool``."""

    content: Content
    tool_call_id: str
    name: str | None = None


class FunctionMessage(
    msgspec.Struct, gc=False, forbid_unknown_fields=True, tag_field="role", tag="function"
):
    """A message with the role ``function``, which came before ``tool``."""

    content: Content
    name: str


class OldFunction(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A function as ``functions`` has it, or a tool's ``function``."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag="function"):
    """A tool of type ``function``."""

    function: OldFunction
    cache_control: Breakpoint | None = None
    extras: dict[str, Any] = {}


class CustomDefinition(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """What a custom tool is."""

    name: str
    description: str | None = None
    format: dict[str, Any] | None = None


class CustomTool(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag="custom"):
    """A tool of type ``custom``."""

    custom: CustomDefinition
    cache_control: Breakpoint | None = None
    extras: dict[str, Any] = {}


class OpaqueTool(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag=OPAQUE):
    """A tool of another type."""

    body: dict[str, Any]


class StreamOptions(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """``stream_options``."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class RequestFields(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The request."""

    model: str
    messages: list[
        SystemMessage
        | DeveloperMessage
        | UserMessage
        | AssistantMessage
        | ToolMessage
        | FunctionMessage
    ]
    tools: list[FunctionTool | CustomTool | OpaqueTool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    functions: list[OldFunction] | None = None
    function_call: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    service_tier: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    audio: Any = None
    frequency_penalty: Any = None
    logit_bias: Any = None
    logprobs: Any = None
    metadata: Any = None
    modalities: Any = None
    moderation: Any = None
    n: Any = None
    prediction: Any = None
    presence_penalty: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    seed: Any = None
    store: Any = None
    top_logprobs: Any = None
    verbosity: Any = None
    web_search_options: Any = None


EXTRA_MEMBERS: Final = (
    "audio",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "metadata",
    "modalities",
    "moderation",
    "n",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "seed",
    "store",
    "top_logprobs",
    "verbosity",
    "web_search_options",
)
"""Those that have no attribute of their own in ``Conversation``."""

ROLES: Final[dict[str, type[msgspec.Struct]]] = {
    "system": SystemMessage,
    "developer": DeveloperMessage,
    "user": UserMessage,
    "assistant": AssistantMessage,
    "tool": ToolMessage,
    "function": FunctionMessage,
}
PARTS: Final[dict[str, type[msgspec.Struct]]] = {
    "text": TextPart,
    "image_url": ImagePart,
    "input_audio": AudioPart,
    "file": FilePart,
    "refusal": RefusalPart,
}
CALLS: Final[dict[str, type[msgspec.Struct]]] = {"function": FunctionCall, "custom": CustomCall}
TOOLS: Final[dict[str, type[msgspec.Struct]]] = {"function": FunctionTool, "custom": CustomTool}
"""What is decoded into what, by role and type."""
