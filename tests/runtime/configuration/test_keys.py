"""Where API keys come from, and that they are never shown."""

from pathlib import Path

import msgspec
import pytest

from runtime.configuration import Config, Secret, UpstreamProvider, redacted
from tests.runtime.configuration.marked import examined, mistakes

KEY = "sk-Zq81-very-secret"


def provider(config: Config | None, name: str = "p") -> UpstreamProvider:
    assert config is not None
    found = config.providers[name]
    assert isinstance(found, UpstreamProvider)
    return found


def key_file(folder: Path, *, mode: int = 0o600, content: str = f"{KEY}\n") -> Path:
    file = folder / "key"
    file.write_text(content)
    file.chmod(mode)
    return file


@pytest.mark.parametrize(
    ("kind", "needed"),
    [
        ("kind: openai", True),
        ("kind: anthropic", True),
        ("kind: openai, base_url: https://API.openai.com/v1", True),
        ("kind: openai, base_url: http://127.0.0.1:11434/v1", False),
        ("kind: anthropic, base_url: http://localhost:1", False),
    ],
)
def test_only_the_makers_own_host_needs_a_key(tmp_path: Path, kind: str, *, needed: bool) -> None:
    """Without its key such a provider is not configured, which is no mistake."""
    found = provider(examined(tmp_path, f"providers: {{p: {{{kind}}}}}").config)
    assert found.configured is not needed
    assert bool(found.missing) is needed


def test_what_is_missing_says_where_the_key_should_come_from(tmp_path: Path) -> None:
    text = 'providers: {p: {kind: openai, api_key: "${OPENAI_API_KEY:-}"}, q: {kind: anthropic}}'
    config = examined(tmp_path, text).config
    assert provider(config).missing == "no API key: OPENAI_API_KEY is empty or not set"
    assert "set ANTHROPIC_API_KEY" in provider(config, "q").missing


def test_a_simulated_provider_is_always_configured(tmp_path: Path) -> None:
    config = examined(tmp_path, "providers: {p: {kind: simulated}}").config
    assert config is not None
    assert config.providers["p"].configured


@pytest.mark.parametrize("named", ["relative", "absolute", "home"])
def test_a_key_file_holds_the_key(tmp_path: Path, named: str) -> None:
    """A path begins at the configuration file's directory, at the root or at home."""
    file = key_file(tmp_path)
    path = {"relative": "key", "absolute": str(file), "home": "~/key"}[named]
    text = f"providers: {{p: {{kind: openai, api_key_file: {path}}}}}"
    found = provider(examined(tmp_path, text, {"HOME": str(tmp_path)}).config)
    assert found.api_key == Secret(KEY)
    assert found.configured


@pytest.mark.parametrize(
    ("mode", "content", "said"),
    [
        (0o644, KEY, "is open to everyone (mode 0644)"),
        (0o602, KEY, "is open to everyone (mode 0602)"),
        (0o600, " \n", "is empty"),
        (0o600, f"{KEY}\n{KEY}\n", "has spaces or characters that no header can carry"),
        (0o600, "kéy", "holds more than a key"),
        (0o600, "x" * 20_000, "is larger than"),
    ],
)
def test_a_bad_key_file_is_refused(tmp_path: Path, mode: int, content: str, said: str) -> None:
    key_file(tmp_path, mode=mode, content=content)
    (message,) = mistakes(tmp_path, "providers: {p: {kind: openai, api_key_file: ⟦key}}")
    assert said in message
    assert KEY not in message


def test_a_key_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    (message,) = mistakes(tmp_path, "providers: {p: {kind: openai, api_key_file: ⟦kee}}")
    assert "No such file" in message


def test_a_key_is_said_once(tmp_path: Path) -> None:
    key_file(tmp_path)
    text = "providers: {p: {kind: openai, api_key: x, ⟦api_key_file: key}}"
    (message,) = mistakes(tmp_path, text)
    assert "already has its key by api_key" in message


def test_a_file_stands_in_for_a_variable_that_is_not_set(tmp_path: Path) -> None:
    key_file(tmp_path)
    text = 'providers: {p: {kind: openai, api_key: "${K:-}", api_key_file: key}}'
    assert provider(examined(tmp_path, text).config).api_key == Secret(KEY)


class TestSystemdCredentials:
    def test_one_of_the_providers_name_is_found(self, tmp_path: Path) -> None:
        key_file(tmp_path)
        text = "providers: {key: {kind: openai}}"
        found = examined(tmp_path, text, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
        assert provider(found.config, "key").api_key == Secret(KEY)

    def test_one_can_be_named(self, tmp_path: Path) -> None:
        key_file(tmp_path)
        text = "providers: {p: {kind: openai, api_key_credential: key}}"
        found = examined(tmp_path, text, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
        assert provider(found.config).api_key == Secret(KEY)

    def test_without_systemd_the_provider_is_not_configured(self, tmp_path: Path) -> None:
        text = "providers: {p: {kind: openai, api_key_credential: key}}"
        found = provider(examined(tmp_path, text).config)
        assert not found.configured
        assert "not started by systemd with the credential key" in found.missing

    def test_one_that_systemd_did_not_give_is_a_mistake(self, tmp_path: Path) -> None:
        key_file(tmp_path)
        text = "providers: {p: {kind: openai, api_key_credential: ⟦keey}}"
        (message,) = mistakes(tmp_path, text, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
        assert 'no credential "keey"' in message
        assert 'Did you mean "key"?' in message

    def test_its_name_is_no_path(self, tmp_path: Path) -> None:
        text = "providers: {p: {kind: openai, api_key_credential: ⟦../key}}"
        (message,) = mistakes(tmp_path, text, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
        assert "the name of a credential" in message


class TestTheMakersVariables:
    ENVIRON = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": "sk-ant"}  # noqa: RUF012 - read only

    def test_a_provider_without_a_key_takes_the_makers(self, tmp_path: Path) -> None:
        text = "providers: {p: {kind: openai}, q: {kind: anthropic}}"
        config = examined(tmp_path, text, self.ENVIRON).config
        assert provider(config).api_key == Secret(KEY)
        assert provider(config, "q").api_key == Secret("sk-ant")

    def test_another_host_never_gets_it(self, tmp_path: Path) -> None:
        text = "providers: {p: {kind: openai, base_url: https://llm.example/v1}}"
        assert provider(examined(tmp_path, text, self.ENVIRON).config).api_key is None

    def test_a_key_in_the_file_stays(self, tmp_path: Path) -> None:
        text = "providers: {p: {kind: openai, api_key: other}}"
        assert provider(examined(tmp_path, text, self.ENVIRON).config).api_key == Secret("other")


class TestSecretsAreNeverShown:
    ENVIRON = {"K": KEY}  # noqa: RUF012 - read only

    def test_not_by_repr_nor_when_written(self, tmp_path: Path) -> None:
        text = """\
        tcp: {token: "${K}"}
        providers: {p: {kind: openai, api_key: "${K}", headers: {x-pass: "${K}"}}}
        """
        config = examined(tmp_path, text, self.ENVIRON).config
        assert config is not None
        assert provider(config).headers["x-pass"].reveal() == KEY
        for shown in (repr(config), str(config), repr(redacted(config))):
            assert KEY not in shown
            assert "***" in shown
        with pytest.raises(TypeError, match="Secret"):
            msgspec.json.encode(config)

    @pytest.mark.parametrize(
        "text",
        [
            'socket: "${K}"',
            'tcp: {host: "${K}"}',
            'tcp: {port: "${K}"}',
            'tcp: {enabled: "${K}"}',
            'tcp: {token: "${K} x"}',
            'tcp: "${K}"',
            'timeouts: {request: "${K}"}',
            'limits: {max_body: "${K}"}',
            'logging: {level: "${K}"}',
            'retry: {base_delay_ms: "${K}"}',
            'providers: "${K}"',
            'providers: {a: "${K}"}',
            'providers: {a: {kind: "${K}"}}',
            'providers: {a: {kind: openai, api_key: "${K} x"}}',
            'providers: {a: {kind: openai, api_key_file: "${K}"}}',
            'providers: {a: {kind: openai, base_url: "${K}"}}',
            'providers: {a: {kind: openai, base_url: "http://${K}@h"}}',
            'providers: {a: {kind: openai, models: "${K}"}}',
            'providers: {a: {kind: openai, models: ["${K}", "${K}"]}}',
            'providers: {a: {kind: openai, headers: {x: "${K}é"}}}',
            'groups: {g: {members: [{provider: "${K}", model: x}]}}',
            'models: {m: {group: "${K}"}}',
            'models: {m: {provider: "${K}", model: x}}',
            'socket: "${K} ${NOPE}"',
        ],
    )
    def test_not_in_a_problem(self, tmp_path: Path, text: str) -> None:
        """A mistake in a value that came from a variable names the variable, not the value."""
        found = examined(tmp_path, text, self.ENVIRON)
        assert found.problems
        for problem in found.problems:
            assert problem.line == 1
            assert KEY not in str(problem)

    def test_not_when_written_in_the_file_itself(self, tmp_path: Path) -> None:
        found = examined(tmp_path, f"providers: {{a: {{kind: openai, api_key: {KEY} x}}}}")
        assert found.problems
        assert KEY not in str(found.problems)
