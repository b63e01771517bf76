"""The layer check: it passes clean trees and finds each kind of break."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

CHECKER = Path(__file__).resolve().parents[2] / "scripts" / "layers.py"

CLEAN = {
    "supervision/__init__.py": "from supervision.actor import Actor\n__all__ = ['Actor']\n",
    "supervision/actor.py": "class Actor: ...\n",
    "providers/__init__.py": "",
    "providers/openai.py": "from supervision import Actor\nimport trio\n",
    "runtime/__init__.py": "__version__ = '1'\n",
    "runtime/daemon.py": "from providers.openai import Actor\nfrom runtime import __version__\n",
}


def run(root: Path, changes: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    for name, text in {**CLEAN, **changes}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(CHECKER), "--root", str(root)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_tree_that_keeps_the_rules_passes(tmp_path: Path) -> None:
    done = run(tmp_path, {})
    assert done.returncode == 0, done.stdout
    assert "the layers hold" in done.stdout


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        (
            "supervision/actor.py",
            "\nimport providers.openai\n",
            "supervision/actor.py:2: imports providers.openai: supervision may",
        ),
        (
            "providers/openai.py",
            "def late():\n    from runtime import daemon\n",
            "providers/openai.py:2: imports runtime.daemon",
        ),
        (
            "providers/openai.py",
            "from ..runtime.daemon import x\n",
            "providers/openai.py:1: imports runtime.daemon",
        ),
        (
            "runtime/daemon.py",
            "from tests.fakes import clock\n",
            "imports tests.fakes, which is no part of the product",
        ),
        (
            "runtime/daemon.py",
            "from providers.openai import _secret\n",
            "runtime/daemon.py:1: imports the private name _secret of providers.openai",
        ),
        (
            "runtime/daemon.py",
            "from . import _helper\n",
            "imports the private name _helper of runtime",
        ),
        (
            "runtime/daemon.py",
            "from providers import openai as o\nprint(o._cache)\n",
            "runtime/daemon.py:2: uses the private name _cache of providers.openai",
        ),
        (
            "runtime/daemon.py",
            "import providers.openai\nprint(providers.openai._cache)\n",
            "runtime/daemon.py:2: uses the private name _cache of providers.openai",
        ),
    ],
)
def test_a_break_is_reported_where_it_stands(
    tmp_path: Path, file: str, text: str, expected: str
) -> None:
    done = run(tmp_path, {file: text})
    assert done.returncode == 1
    assert expected in done.stdout


def test_a_private_module_is_open_only_to_its_own_package(tmp_path: Path) -> None:
    inside = {
        "providers/_pool.py": "limit = 1\n",
        "providers/openai.py": "from providers._pool import limit\n",
    }
    assert run(tmp_path, inside).returncode == 0
    done = run(tmp_path, {**inside, "runtime/daemon.py": "import providers._pool\n"})
    assert done.returncode == 1
    assert "imports the private module providers._pool from outside providers" in done.stdout


def test_a_circle_is_found_even_through_late_imports(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        {
            "runtime/a.py": "import runtime.b\n",
            "runtime/b.py": "from runtime import c\n",
            "runtime/c.py": "def late():\n    from runtime.a import x\n",
        },
    )
    assert done.returncode == 1
    assert "runtime/c.py:2: imports runtime.a in a circle of modules" in done.stdout
    assert "runtime/daemon.py" not in done.stdout


def test_a_folder_without_the_packages_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(CHECKER), "--root", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "supervision" in done.stderr
