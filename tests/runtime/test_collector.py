"""The daemon's collector, in a process of its own."""

import subprocess
import sys
import textwrap

import pytest

BEGINNING = """
    import gc
    import weakref
    from runtime.collector import calm_collector

    class Ring:
        def __init__(self):
            self.me = self

    there_from_the_start = [[] for _ in range(100_000)]
    calm_collector()
    looks = []
    gc.callbacks.append(lambda phase, info: phase == "stop" and looks.append(info["generation"]))
"""


def run(script: str) -> None:
    code = textwrap.dedent(BEGINNING) + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_it_does_not_look_while_objects_come_and_go() -> None:
    run("""
        for _ in range(20):
            under_way = [[] for _ in range(20_000)]
            del under_way
        assert not looks, looks
    """)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="its collector works in small steps")
def test_it_finds_what_lived_long_before_it_ended_in_a_cycle() -> None:
    run("""
        ring = Ring()
        gone = weakref.ref(ring)
        while 1 not in looks:
            Ring()  # until the first is among the oldest
        del ring
        for _ in range(2_500_000):
            Ring()
        assert gone() is None, looks
    """)
