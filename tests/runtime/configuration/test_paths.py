"""Where the socket and the configuration file are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.configuration import (
    Config,
    ConfigurationError,
    config_path,
    default_config_path,
    find_socket,
    load,
    prepare_socket_directory,
    socket_path,
)

USER = 4711


def test_the_socket_is_the_first_that_is_said(tmp_path: Path) -> None:
    """Flag, variable, configuration, the user's runtime directory: in this order."""
    environ = {"STANDBY_SOCKET": "/v.sock", "XDG_RUNTIME_DIR": str(tmp_path)}
    config = Config(socket="/c.sock")
    assert socket_path(config, "/f.sock", environ) == "/f.sock"
    assert socket_path(config, None, environ) == "/v.sock"
    del environ["STANDBY_SOCKET"]
    assert socket_path(config, None, environ) == "/c.sock"
    assert socket_path(Config(), None, environ) == f"{tmp_path}/standby/standby.sock"
    assert socket_path(None, None, environ) == f"{tmp_path}/standby/standby.sock"


def test_a_relative_flag_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert socket_path(None, "x.sock", {}) == f"{tmp_path}/x.sock"
    assert socket_path(Config(socket="~/x.sock"), None, {"HOME": "/home/u"}) == "/home/u/x.sock"


def test_a_runtime_directory_that_is_not_the_users_own_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after sudo, which leaves the other user's XDG_RUNTIME_DIR in place."""
    monkeypatch.setattr(os, "geteuid", lambda: 0 if tmp_path.stat().st_uid else USER)
    expected = (
        "/run/standby/standby.sock"
        if tmp_path.stat().st_uid
        else f"{tmp_path}/t/standby-{USER}/standby.sock"
    )
    for directory in (str(tmp_path), "relative", "/no/such/directory", ""):
        environ = {"XDG_RUNTIME_DIR": directory, "TMPDIR": f"{tmp_path}/t"}
        assert socket_path(None, None, environ) == expected


def test_root_has_its_socket_in_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert socket_path(None, None, {}) == "/run/standby/standby.sock"


class TestTheTemporaryDirectory:
    @pytest.fixture
    def environ(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        owner = tmp_path.stat().st_uid
        self.user = owner or USER
        monkeypatch.setattr(os, "geteuid", lambda: self.user)
        return {"TMPDIR": str(tmp_path)}

    def directory(self, environ: dict[str, str]) -> Path:
        return Path(environ["TMPDIR"]) / f"standby-{self.user}"

    def own(self, path: Path) -> None:
        if path.stat().st_uid != self.user:
            os.chown(path, self.user, -1)

    def test_it_is_the_last_resort(self, environ: dict[str, str]) -> None:
        assert socket_path(None, None, environ) == f"{self.directory(environ)}/standby.sock"

    def test_a_private_directory_of_ones_own_is_taken(self, environ: dict[str, str]) -> None:
        self.directory(environ).mkdir(mode=0o700)
        self.own(self.directory(environ))
        assert socket_path(None, None, environ) == f"{self.directory(environ)}/standby.sock"

    def test_one_that_others_may_enter_is_refused(self, environ: dict[str, str]) -> None:
        self.directory(environ).mkdir()
        self.directory(environ).chmod(0o755)
        self.own(self.directory(environ))
        with pytest.raises(ConfigurationError, match=r"not private .* 0755; expected \d+ and 0700"):
            socket_path(None, None, environ)

    def test_a_link_or_file_in_its_place_is_refused(
        self, environ: dict[str, str], tmp_path: Path
    ) -> None:
        self.directory(environ).symlink_to(tmp_path)
        with pytest.raises(ConfigurationError, match="is in the way"):
            socket_path(None, None, environ)

    def test_another_users_is_refused(
        self, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.directory(environ).mkdir(mode=0o700)
        self.own(self.directory(environ))
        self.directory(environ).rename(self.directory(environ).with_name("standby-99"))
        monkeypatch.setattr(os, "geteuid", lambda: 99)
        with pytest.raises(ConfigurationError, match="not private"):
            socket_path(None, None, environ)


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("/" + "x" * 107, "108 bytes long, and the system takes at most 107"),
        ("/" + "é" * 60, "121 bytes long"),
        ("@standby", "abstract sockets"),
        ("/a\0b", "abstract sockets"),
    ],
)
def test_a_path_that_no_socket_can_have_is_refused(flag: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        socket_path(None, flag, {})
    assert str(caught.value).startswith("--socket: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "socket: /run/a.sock\n",
        "# socket: /no\nsocket: '/run/a.sock'   # the socket\r\n",
        "tcp: {enabled: false} # not a socket\nsocket: /run/a.sock\n",
        "{socket: /run/a.sock}\n",
        'socket: "${S}"\n',
        '"socket": /run/a.sock\n',
        "socket: &s /run/a.sock\n",
        "socket:\n  /run/a.sock\n",
        "socket: >-\n  /run/a.sock\n",
        "socket: /run/a\n  b.sock\n",
        "socket: auto\n",
        "socket: ~\n",
        "models: {}\n",
        "",
    ],
)
def test_a_command_finds_the_socket_that_the_daemon_takes(tmp_path: Path, text: str) -> None:
    """Without reading the whole file, the answer is that of reading it."""
    file = tmp_path / "config.yaml"
    file.write_bytes(text.encode())
    environ = {"S": "/run/a.sock", "XDG_RUNTIME_DIR": str(tmp_path)}
    expected = socket_path(load(file, environ=environ), None, environ)
    assert find_socket(config_flag=str(file), environ=environ) == expected


def test_a_plain_setting_is_found_without_reading_the_rest(tmp_path: Path) -> None:
    """A running daemon can be asked although its file has been broken since."""
    file = tmp_path / "config.yaml"
    file.write_text("socket: /run/a.sock\nproviders: [")
    assert find_socket(config_flag=str(file), environ={}) == "/run/a.sock"
    assert find_socket(flag="/f.sock", config_flag="/no/such/file", environ={}) == "/f.sock"


def test_finding_the_socket_imports_neither_yaml_nor_msgspec() -> None:
    code = (
        "import sys\n"
        "from runtime.configuration.paths import find_socket\n"
        "find_socket(environ={'XDG_RUNTIME_DIR': '/'})\n"
        "heavy = {'yaml', 'msgspec', 'trio', 'pathlib', 'typing', 'dataclasses', 'difflib'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    root = default_config_path().parent
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=root,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_configuration_is_the_first_that_is_there(tmp_path: Path) -> None:
    """Flag and variable are taken at their word, the usual places only where a file is."""
    environ = {"STANDBY_CONFIG": "/v.yaml", "HOME": str(tmp_path)}
    assert config_path("/f.yaml", environ) == Path("/f.yaml")
    assert config_path(None, environ) == Path("/v.yaml")
    del environ["STANDBY_CONFIG"]
    assert config_path(None, environ) == default_config_path()
    file = tmp_path / ".config/standby/config.yaml"
    file.parent.mkdir(parents=True)
    file.touch()
    assert config_path(None, environ) == file
    assert config_path(None, environ | {"XDG_CONFIG_HOME": "/nowhere"}) == default_config_path()
    assert config_path(None, {}) == default_config_path()


def test_the_socket_gets_a_private_directory(tmp_path: Path) -> None:
    directory = tmp_path / "a"
    prepare_socket_directory(f"{directory}/standby.sock")
    assert directory.stat().st_mode & 0o777 == 0o700
    prepare_socket_directory(f"{directory}/standby.sock")


def test_a_directory_that_everyone_may_write_to_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "a"
    directory.mkdir()
    directory.chmod(0o777)
    with pytest.raises(ConfigurationError, match="everyone may write"):
        prepare_socket_directory(f"{directory}/standby.sock")
    directory.chmod(0o1777)
    prepare_socket_directory(f"{directory}/standby.sock")


def test_a_directory_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "a"
    directory.mkdir()
    if not directory.stat().st_uid:
        os.chown(directory, USER, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 99)
    with pytest.raises(ConfigurationError, match="belongs to user"):
        prepare_socket_directory(f"{directory}/standby.sock")


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot make the directory"):
        prepare_socket_directory(f"{tmp_path}/file/standby.sock")
