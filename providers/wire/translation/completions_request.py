"""Decoding and encoding a legacy completion's request.

A prompt is what the user says; what is asked for is the assistant's next message. Several prompts,
and prompts that are tokens of some model's own, can only be put to a provider of this same API.
"""

from typing import Any, Final

import msgspec

from providers.wire.faults import WireError
from providers.wire.translation.codec import Dropped, Encoded, Target
from providers.wire.translation.conversation import Conversation, Message, Refusal, Text, Thinking
from providers.wire.translation.openai_shared import (
    asker_name,
    complaint,
    effort_of,
    fit_user,
    message_path,
    says_nothing,
)

__all__ = ["decode_request", "encode_request"]

_MOST_STOPS: Final = 4
_KNOWN: Final = frozenset(
    {"model", "prompt", "max_tokens", "temperature", "top_p", "stop", "stream", "user"}
)
_SHARED: Final = frozenset({"frequency_penalty", "logit_bias", "presence_penalty", "seed"})
"""Members that chat completions have in common with this API."""
_SPEAKERS: Final = {"system": "", "developer": "", "user": "User: ", "assistant": "Assistant: "}


class _Options(msgspec.Struct, gc=False):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class _Request(msgspec.Struct, gc=False):
    model: str
    prompt: str | list[str | int | list[int]] | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: _Options | None = None
    user: str | None = None


_decoder = msgspec.json.Decoder(_Request)
_members_decoder = msgspec.json.Decoder(dict[str, Any])


def decode_request(body: bytes) -> Conversation:
    """Decode a request; see ``Codec.decode_request``.

    Raises:
        WireError: Besides what is no such request: its prompt is missing, empty, more than one, or
            tokens.
    """
    try:
        fields = _decoder.decode(body)
        members = _members_decoder.decode(body)
    except msgspec.ValidationError as error:
        raise complaint(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"the body is not JSON: {error}", code="invalid_json") from None
    extras = {
        name: value
        for name, value in members.items()
        if name not in _KNOWN and name != "stream_options" and not says_nothing(name, value)
    }
    options = fields.stream_options
    if options is not None and options.include_obfuscation is not None:
        extras["stream_options"] = {"include_obfuscation": options.include_obfuscation}
    stop = fields.stop
    return Conversation(
        dialect="completions",
        model=fields.model,
        messages=(Message("user", (Text(_prompt(fields.prompt)),), plain=True),),
        max_tokens=fields.max_tokens,
        temperature=fields.temperature,
        top_p=fields.top_p,
        stop=(stop,) if isinstance(stop, str) else tuple(stop) if stop else (),
        stream=fields.stream is True,
        include_usage=options.include_usage if options is not None else None,
        user=fields.user,
        extras=extras,
    )


def _prompt(prompt: str | list[Any] | None) -> str:
    if isinstance(prompt, list):
        if len(prompt) > 1 and all(isinstance(each, str) for each in prompt):
            raise _refused("the provider that is asked takes one prompt at a time")
        if prompt and not isinstance(prompt[0], str):
            raise _refused("the provider that is asked takes text, not tokens")
        if len(prompt) > 1:
            raise _refused("a string, or an array of strings or of tokens, is expected")
        prompt = prompt[0] if prompt else None
    if not prompt:
        raise _refused("the provider that is asked needs a text to go on from")
    return prompt


def _refused(why: str) -> WireError:
    return WireError(f"prompt: {why}", param="prompt", code="invalid_value")


def encode_request(request: Conversation, target: Target) -> Encoded:
    """Encode a request; see ``Codec.encode_request``.

    One message of the user is the prompt as it is. A conversation becomes a script in which each
    speaker is named and the assistant has the next word.

    Raises:
        WireError: A message is not text alone.
    """
    dropped = Dropped()
    body: dict[str, Any] = {"model": target.model, "prompt": _script(request, dropped)}
    if request.max_tokens is not None:
        body["max_tokens"] = max(request.max_tokens, 1)
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.stop:
        body["stop"] = request.stop[:_MOST_STOPS]
        for number in range(_MOST_STOPS, len(request.stop)):
            dropped.add(f"{asker_name(request, 'stop')}[{number}]")
    if request.user is not None:
        body["user"] = fit_user(request.user)
    _unsaid(request, dropped)
    for name, value in request.extras.items():
        if request.dialect == "completions" or (request.dialect == "openai" and name in _SHARED):
            body[name] = value
        elif not says_nothing(name, value):
            dropped.add(name)
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {**body.get("stream_options", {}), "include_usage": True}
    else:
        body.pop("stream_options", None)
    return Encoded(msgspec.json.encode(body), dropped)


def _unsaid(request: Conversation, dropped: Dropped) -> None:
    """Note what this API has no member for."""
    if request.tools:
        dropped.add("tools")
    if request.tool_choice is not None and request.tool_choice.mode in {"required", "tool"}:
        dropped.add("tool_choice")
    if request.top_k is not None:
        dropped.add("top_k")
    if request.output is not None and request.output.kind != "text":
        dropped.add(asker_name(request, "output"))
    if effort_of(request.reasoning) not in {None, "none"}:
        dropped.add(asker_name(request, "reasoning"))
    if request.service_tier not in {None, "auto", "default", "standard_only"}:
        dropped.add("service_tier")
    if request.cache is not None:
        dropped.add(asker_name(request, "cache"))


def _script(request: Conversation, dropped: Dropped) -> str:
    messages = request.messages
    lines: list[str] = []
    for number, message in enumerate(messages):
        path = message_path(request, number)
        for name in message.extras:
            dropped.add(f"{path}.{name}")
        if message.name is not None:
            dropped.add(f"{path}.name")
        texts: list[str] = []
        for part in message.parts:
            if isinstance(part, Text | Refusal):
                texts.append(part.text)
            elif isinstance(part, Thinking):
                dropped.add("messages[].content[].thinking")
            else:
                raise WireError(
                    f"{path}: the provider takes text only", param=path, code="unsupported_content"
                )
        text = "\n".join(texts)
        if len(messages) == 1 and message.role == "user":
            return text
        lines.append(_SPEAKERS[message.role] + text)
    return "\n\n".join([*lines, "Assistant:"])
