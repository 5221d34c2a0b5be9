"""The entry point of ``dc-hub``: an interrupt ends it quietly, also while it is being imported."""

from __future__ import annotations

import os
import signal
from types import FrameType

from dc_hub.command.exit_codes import INTERRUPTED


def main() -> None:
    """Run the command. The exit code is 130 if it is interrupted."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # a shell lets commands in the background ignore it
        signal.signal(signal.SIGINT, _end)
    from dc_hub.command import program

    signal.signal(signal.SIGINT, before)
    try:
        program.main()
    except KeyboardInterrupt:  # before typer, which knows what to do, or after it
        os._exit(INTERRUPTED)


def _end(number: int, frame: FrameType | None) -> None:
    # Not an exception: what is being imported may take it for its own.
    os._exit(INTERRUPTED)
