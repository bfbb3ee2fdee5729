"""`python -m planetvision` is the `planetvision` command.

It is also how the command starts and ends as a process of its own: what torch and its like make of
a start of two seconds is a million objects, which Python would search for garbage on the way, and
take apart at the end, for two seconds more.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
import threading

from planetvision.cli.main import main

_YOUNG_OBJECTS = 50_000


def run() -> None:
    """Runs the command as the process, and ends it."""
    gc.set_threshold(_YOUNG_OBJECTS, 20, 100)
    try:
        main()
    except SystemExit as end:
        others = [thread for thread in threading.enumerate() if not thread.daemon]
        if len(others) > 1 or not isinstance(end.code, int | None):
            raise
        # All that the end of Python does but for taking objects apart.
        atexit._run_exitfuncs()
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(end.code or 0)


if __name__ == "__main__":
    run()
