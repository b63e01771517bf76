"""Models pages in both dialects, parsed by the official SDKs' own types."""

import json

import pytest
from anthropic.types import ModelInfo
from openai.types import Model

from providers.wire import ANTHROPIC, OPENAI, ModelEntry, WireError, page_of

MODELS = [ModelEntry(f"m-{i}", "sim", 1_790_000_000) for i in range(5)]


def test_openais_page_holds_its_models() -> None:
    page = json.loads(OPENAI.models_page(MODELS))
    assert page["object"] == "list"
    models = [Model.model_validate(entry, strict=True) for entry in page["data"]]
    assert [model.id for model in models] == [entry.id for entry in MODELS]
    assert json.loads(OPENAI.model_body(MODELS[0])) == page["data"][0]


def test_anthropics_page_holds_its_models() -> None:
    page = json.loads(ANTHROPIC.models_page(MODELS, has_more=True))
    models = [ModelInfo.model_validate(entry) for entry in page["data"]]
    assert [model.id for model in models] == [entry.id for entry in MODELS]
    assert models[0].created_at.isoformat() == "2026-09-21T14:13:20+00:00"
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("m-0", "m-4", True)
    assert json.loads(ANTHROPIC.models_page([]))["first_id"] is None


@pytest.mark.parametrize(
    ("query", "names", "more"),
    [
        ("", "01234", False),
        ("limit=2", "01", True),
        ("limit=2&after_id=m-1", "23", True),
        ("limit=2&after_id=m-3", "4", False),
        ("limit=2&before_id=m-3", "12", True),
        ("limit=3&before_id=m-3", "012", False),
    ],
)
def test_a_page_is_cut_as_asked(query: str, names: str, more: bool) -> None:
    page, has_more = page_of(MODELS, query)
    assert [entry.id for entry in page] == [f"m-{name}" for name in names]
    assert has_more is more


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "limit=1001", "after_id=no", "after_id=m-1&before_id=m-2"]
)
def test_a_wrong_page_is_refused(query: str) -> None:
    with pytest.raises(WireError):
        page_of(MODELS, query)
