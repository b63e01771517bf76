"""What another provider left in a conversation does not make the next one refuse it."""

import json
from typing import Any

from providers.interface import ForwardRequest
from providers.wire.translation.codec import FOREIGN_MARK
from providers.wire.translation.foreign import without_foreign_thoughts
from tests.providers.scripted import provider

OWN = {"type": "thinking", "thinking": "mine", "signature": "EqoB"}
FOREIGN = {"type": "thinking", "thinking": "theirs", "signature": f"{FOREIGN_MARK}x"}
TEXT = {"type": "text", "text": "Hello"}


def request(*messages: dict[str, Any], **members: Any) -> bytes:
    return json.dumps({"model": "m", "messages": messages, **members}).encode()


def sent(kind: str, body: bytes, base_url: str | None = None) -> dict[str, Any]:
    """Return the body that a provider is sent."""
    if base_url is None:
        made = provider("p", kind=kind)
    else:
        made = provider("p", kind=kind, base_url=base_url)
    asked = ForwardRequest(headers=[], body=body, model="m", stream=False, request_id="r")
    _, _, found = made.transform_request(asked, None).partition(b"\r\n\r\n")
    decoded: dict[str, Any] = json.loads(found)
    return decoded


def test_only_foreign_thoughts_are_left_out() -> None:
    body = request(
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [OWN, FOREIGN, TEXT]},
        {"role": "assistant", "content": [FOREIGN]},
        {"role": "user", "content": [TEXT]},
        unknown={"kept": 1},
    )
    assert sent("anthropic", body) == {
        "model": "m",
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": [OWN, TEXT]},
            {"role": "user", "content": [TEXT]},
        ],
        "unknown": {"kept": 1},
    }


def test_foreign_items_of_a_response_are_left_out() -> None:
    foreign = {"type": "reasoning", "summary": [], "encrypted_content": f"{FOREIGN_MARK}y"}
    own = {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
    said = {"role": "user", "content": "Hi"}
    body = json.dumps({"model": "m", "input": [foreign, own, said]}).encode()
    assert json.loads(without_foreign_thoughts(body))["input"] == [own, said]


def test_a_conversation_without_the_mark_is_not_touched() -> None:
    body = b'{ "model":"m",  "messages":[{"role":"assistant","content":[{"type":"thinking"}]}]}'
    made = provider("p", kind="anthropic")
    asked = ForwardRequest(headers=[], body=body, model="m", stream=False, request_id="r")
    assert made.transform_request(asked, None).endswith(body)


def test_openai_itself_gets_no_thoughts_back_but_other_servers_do() -> None:
    said = {"role": "assistant", "content": "Hello", "reasoning_content": "hm"}
    own = sent("openai", request(said), "https://api.openai.com/v1")
    assert own["messages"] == [{"role": "assistant", "content": "Hello"}]
    assert sent("openai", request(said))["messages"] == [said]
