"""What is particular to Anthropic's API."""

from tests.providers.scripted import asked, provider


def test_the_key_and_a_version_are_sent() -> None:
    made = provider("p", kind="anthropic", api_key="sk-ant-1", base_url="http://h:1/base/")
    raw = made.transform_request(asked(), None)
    assert raw.startswith(b"POST /base/v1/messages HTTP/1.1\r\nhost: h:1\r\n")
    assert b"x-api-key: sk-ant-1\r\n" in raw
    assert b"anthropic-version: 2023-06-01\r\n" in raw


def test_the_askers_version_and_betas_are_kept() -> None:
    made = provider("p", kind="anthropic")
    headers = [(b"anthropic-version", b"2099-01-01"), (b"anthropic-beta", b"a,b")]
    raw = made.transform_request(asked(headers=headers), None)
    assert raw.count(b"anthropic-version") == 1
    assert b"anthropic-version: 2099-01-01" in raw
    assert b"anthropic-beta: a,b" in raw
    assert b"x-api-key" not in raw
