"""Writing a request in Anthropic's dialect."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from providers.wire.faults import WireError
from providers.wire.translation.anthropic_blocks import ANTHROPIC
from providers.wire.translation.anthropic_messages import MessageWriter
from providers.wire.translation.anthropic_models import ClaudeModel, claude_model
from providers.wire.translation.anthropic_parts import cache_control
from providers.wire.translation.codec import Dropped, Encoded, Target
from providers.wire.translation.conversation import (
    Conversation,
    Effort,
    OutputFormat,
    Tool,
)
from providers.wire.translation.custom_tools import (
    INPUT_SCHEMA,
    description_of,
    has_grammar,
)
from providers.wire.translation.openai_shared import asker_name, is_left_out, says_nothing

__all__ = ["encode_request"]

_NEWER: Final = "2026-10-21"
"""The version of the API from which on there are no sampling parameters."""

_EFFORTS: Final[Mapping[Effort, str]] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
_BUDGETS: Final[Mapping[Effort, int]] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 32_768,
}
_LEAST_BUDGET: Final = 1024
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}\Z")
_ONLY_JSON: Final = "Answer with one valid JSON object and nothing else."
_TIERS: Final = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
_VALUES: Final = frozenset({"enum", "const", "default", "examples"})
_BY_NAME: Final = frozenset({"properties", "$defs", "definitions"})
"""Members of a schema that hold values, and that hold schemas by name."""
_NO_SCHEMA: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}


def encode_request(request: Conversation, target: Target) -> Encoded:
    """See ``Codec.encode_request``."""
    return _Writer(request, target).written()


class _Writer:
    """Writes one request."""

    __slots__ = ("_body", "_dropped", "_model", "_new", "_own", "_request")

    def __init__(self, request: Conversation, target: Target) -> None:
        self._request = request
        self._model: ClaudeModel = claude_model(target.model)
        self._new = target.version is not None and target.version >= _NEWER
        self._own = request.dialect == "anthropic"
        self._dropped = Dropped()
        self._body: dict[str, Any] = {"model": target.model}

    def written(self) -> Encoded:
        request, body = self._request, self._body
        messages = MessageWriter(request, self._model, self._dropped, mid_system=self._new)
        messages.write()
        body["max_tokens"] = self._max_tokens()
        if request.output is not None and request.output.kind != "text":
            self._output(request.output, messages)
        system = messages.system_content()
        if system is not None:
            body["system"] = system
        body["messages"] = messages.messages
        if request.tools or request.tool_choice is not None:
            self._tools()
        thinking = self._thinking(may=messages.thinks) if request.reasoning is not None else False
        self._sampling(thinking=thinking)
        if request.stop:
            self._stops(request.stop)
        if request.stream:
            body["stream"] = True
        if request.user is not None:
            body["metadata"] = {"user_id": request.user}
        if request.service_tier is not None:
            tier = _TIERS.get(request.service_tier)
            if tier is None:
                self._drop("service_tier")
            elif tier != "auto" or self._own:
                body["service_tier"] = tier
        if request.cache is not None:
            body["cache_control"] = cache_control(request.cache)
        if request.extras:
            self._extras(request.extras)
        return Encoded(msgspec.json.encode(body), self._dropped)

    def _drop(self, field: str) -> None:
        self._dropped.add(asker_name(self._request, field))

    def _extras(self, extras: Mapping[str, Any]) -> None:
        if self._own:
            for name, value in extras.items():
                if "." in name:
                    self._dropped.add(name)  # a member within another, that nobody knows
                    continue
                known = self._body.get(name)
                if isinstance(known, dict) and isinstance(value, dict):
                    self._body[name] = {**known, **value}
                else:
                    self._body[name] = value
            return
        for name, value in extras.items():
            if not says_nothing(name, value):
                self._dropped.add(name)

    def _max_tokens(self) -> int:
        asked, most = self._request.max_tokens, self._model.max_tokens
        if asked is None:
            return most
        if self._model.bounded and asked > most and not self._own:
            self._drop("max_tokens")
            return most
        return asked

    def _output(self, output: OutputFormat, messages: MessageWriter) -> None:
        if output.kind == "json_schema":
            schema = output.schema or {}
            if output.strict and not self._own:
                schema = closed(schema)
            self._config()["format"] = {"type": "json_schema", "schema": schema}
            return
        # The API can be told a schema only; what is asked for is said in words.
        self._drop("output")
        messages.system.append({"type": "text", "text": _ONLY_JSON})

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = self._body.setdefault("output_config", {})
        return config

    def _tools(self) -> None:
        request = self._request
        choice = request.tool_choice
        allowed = None if choice is None else choice.allowed
        tools = []
        for number, tool in enumerate(request.tools):
            if allowed is not None and tool.name not in allowed:
                continue
            written = self._tool(tool, f"tools[{number}]")
            if written is not None:
                tools.append(written)
        if tools:
            self._body["tools"] = tools
        if not tools:
            if choice is not None and choice.mode in {"required", "tool"}:
                path = asker_name(request, "tool_choice")
                raise WireError(
                    f"{path}: there is no tool that the provider's API could have called",
                    param=path,
                )
            return
        wished: dict[str, Any] = {"type": "auto"}
        if choice is not None and choice.mode == "tool" and is_left_out(request, choice, ANTHROPIC):
            self._drop("tool_choice")
            choice = None
        if choice is not None:
            if choice.mode == "required":
                wished = {"type": "any"}
            elif choice.mode == "tool":
                wished = {"type": "tool", "name": choice.name}
            else:
                wished = {"type": choice.mode}
        if request.parallel_tool_calls is not None and wished["type"] != "none":
            serial = not request.parallel_tool_calls
            if serial or self._own:
                wished["disable_parallel_tool_use"] = serial
        if choice is not None or len(wished) > 1:
            self._body["tool_choice"] = wished

    def _tool(self, tool: Tool, path: str) -> dict[str, Any] | None:
        if tool.opaque is not None:
            if tool.opaque_of == "anthropic":
                return tool.opaque
            self._dropped.add(path)
            return None
        if not _TOOL_NAME.match(tool.name):
            raise WireError(
                f"{path}.name: letters, digits, _ and - are expected, at most 128",
                param=f"{path}.name",
            )
        written: dict[str, Any] = {"name": tool.name}
        description = tool.description
        schema: Mapping[str, Any] = tool.schema if tool.schema is not None else _NO_SCHEMA
        if tool.custom is not None:
            description, schema = description_of(tool), INPUT_SCHEMA
            if has_grammar(tool):
                inner = "custom.format" if self._request.dialect == "openai" else "format"
                self._dropped.add(f"{path}.{inner}")
        if description is not None:
            written["description"] = description
        if "type" not in schema:
            schema = {"type": "object", **schema}
        written["input_schema"] = closed(schema) if tool.strict and not self._own else schema
        if tool.strict:
            written["strict"] = True
        elif tool.strict is not None and self._own:
            written["strict"] = False
        if tool.cache is not None:
            written["cache_control"] = cache_control(tool.cache)
        for name, value in tool.extras.items():
            if self._own:
                written[name] = value
            elif value is not None:
                self._dropped.add(f"{path}.{name}")
        return written

    def _thinking(self, *, may: bool) -> bool:
        """Write how to think; return whether the model will."""
        reasoning, body = self._request.reasoning, self._body
        assert reasoning is not None
        if self._own:
            if reasoning.effort is not None:
                self._config()["effort"] = reasoning.effort
            if reasoning.mode is None:
                return False
            thinking: dict[str, Any] = {"type": reasoning.mode}
            if reasoning.budget is not None:
                thinking["budget_tokens"] = reasoning.budget
            if reasoning.display is not None:
                thinking["display"] = reasoning.display
            body["thinking"] = thinking
            return reasoning.mode != "disabled"
        if reasoning.summary is not None and reasoning.effort is None:
            return False  # how thoughts are shown; whether there are any was left to the model
        effort = reasoning.effort
        if effort is None:
            return False
        if effort == "none":
            if self._model.thinks and self._model.effort:
                body["thinking"] = {"type": "disabled"}
            return False
        if not self._model.thinks:
            self._drop("reasoning" if self._request.dialect != "responses" else "effort")
            return False
        if self._model.effort:
            self._config()["effort"] = _EFFORTS[effort]
            return False  # whether and how much is the model's to decide
        most = body["max_tokens"] - 1
        forced = body.get("tool_choice", {}).get("type") in {"any", "tool"}
        if not may or forced or most < _LEAST_BUDGET:
            self._drop("effort")
            return False
        budget = max(_LEAST_BUDGET, min(_BUDGETS[effort], most))
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}
        return True

    def _sampling(self, *, thinking: bool) -> None:
        request, body = self._request, self._body
        temperature, top_p = request.temperature, request.top_p
        if (
            temperature is not None
            and top_p is not None
            and self._model.one_sampler
            and not self._own
        ):
            if temperature == 1:
                temperature = None
            else:
                if top_p != 1:
                    self._drop("top_p")
                top_p = None
        for name, value in (
            ("temperature", temperature),
            ("top_p", top_p),
            ("top_k", request.top_k),
        ):
            if value is None:
                continue
            if self._own and not self._new:
                body[name] = value
            elif self._new or thinking:
                if not (name != "top_k" and value == 1):
                    self._drop(name)
            elif name == "temperature" and value > 1:
                self._drop(name)
                body[name] = 1.0
            else:
                body[name] = value

    def _stops(self, stops: tuple[str, ...]) -> None:
        kept = [stop for stop in stops if stop.strip()]
        if len(kept) < len(stops):
            self._drop("stop")
        if kept:
            self._body["stop_sequences"] = kept


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON Schema in which every object allows no other properties.

    The API demands it of schemas that are followed exactly.

    Args:
        schema: The schema.
    """
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _VALUES:
            found[key] = value
        elif key in _BY_NAME and isinstance(value, dict):
            found[key] = {name: _closed(each) for name, each in value.items()}
        elif isinstance(value, list):
            found[key] = [_closed(each) for each in value]
        else:
            found[key] = _closed(value)
    if schema.get("type") == "object" or "properties" in schema:
        found.setdefault("additionalProperties", False)
    return found


def _closed(schema: object) -> object:
    return closed(schema) if isinstance(schema, dict) else schema
