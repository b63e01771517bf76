"""OpenAI's API, and everything that speaks it at another address: Ollama, vLLM, llama.cpp."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import msgspec

from providers.interface import ForwardRequest, ProviderInterface
from providers.wire import COMPLETIONS, OPENAI, RESPONSES, Dialect, OperationName
from providers.wire.translation.foreign import without_reasoning_members

__all__ = ["OpenAIProvider"]


class OpenAIProvider(ProviderInterface):
    """All of the API that programs ask models by, behind a ``base_url`` up to ``/v1``."""

    dialect: ClassVar[Dialect] = OPENAI
    paths: ClassVar[Mapping[str, Mapping[OperationName, str]]] = MappingProxyType(
        {
            "openai": {"chat": "/chat/completions", "embeddings": "/embeddings"},
            "completions": {"chat": "/completions"},
            "responses": {"chat": "/responses", "count_tokens": "/responses/input_tokens"},
        }
    )

    def dialects(self) -> Mapping[str, Dialect]:
        """Return chat completions and what else the server takes as it is."""
        spoken = [self.dialect]
        if self.settings.kind != "simulated":
            spoken.append(COMPLETIONS)
            has_responses = self.settings.responses
            if has_responses is None:
                has_responses = self.official
            if has_responses:
                spoken.append(RESPONSES)
        return MappingProxyType({dialect.name: dialect for dialect in spoken})

    def transform_request(self, request: ForwardRequest, model: str | None) -> bytes:
        """See ``ProviderInterface.transform_request``; OpenAI's own takes no thoughts back."""
        body = request.body
        if self.official and (b'"reasoning_content"' in body or b'"reasoning_details"' in body):
            request = msgspec.structs.replace(request, body=without_reasoning_members(body))
        return super().transform_request(request, model)

    def auth_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the bearer token, when there is a key."""
        key = self.settings.api_key
        return [(b"authorization", b"Bearer " + key.encode("ascii"))] if key else []

    def fixed_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the organization and project to bill, where configured."""
        named = (
            (b"openai-organization", self.settings.organization),
            (b"openai-project", self.settings.project),
        )
        return [(name, value.encode("ascii")) for name, value in named if value]
