"""The command as a process: its code, all of its output, what was registered for its end."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import atexit, threading, time
from planetvision.__main__ import run

atexit.register(print, "registered")
if {waits}:
    threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
run()
"""


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize(
    ("argument", "code", "told"), [("--version", 0, "planetvision 0"), ("nonsense", 2, "nonsense")]
)
def test_process_ends_with_the_code_after_all_that_was_to_be_done(
    argument: str, code: int, told: str, waits: bool
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(waits=waits), argument],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert told in done.stdout + done.stderr
    assert "registered" in done.stdout
    assert ("thread" in done.stdout) == waits


def test_module_is_the_command() -> None:
    command = [sys.executable, "-m", "planetvision", "list", "heads"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "linear" in done.stdout
