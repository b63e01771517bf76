"""What is particular to OpenAI's API."""

from tests.providers.scripted import asked, provider


def test_the_key_and_who_pays_are_sent_whatever_the_asker_says() -> None:
    made = provider("p", api_key="sk-1", organization="org-1", project="proj-1")
    headers = [(b"openai-organization", b"org-2"), (b"authorization", b"Bearer other")]
    raw = made.transform_request(asked(headers=headers), None)
    assert b"authorization: Bearer sk-1\r\n" in raw
    assert b"openai-organization: org-1\r\n" in raw
    assert b"openai-project: proj-1\r\n" in raw
    assert b"org-2" not in raw
    assert b"other" not in raw


def test_without_a_key_no_authorization_is_sent() -> None:
    raw = provider("p").transform_request(asked(headers=[(b"authorization", b"Bearer x")]), None)
    assert b"authorization" not in raw
    assert b"content-type: application/json" in raw
