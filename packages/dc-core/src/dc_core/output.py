"""Text that programs print: without effect on the terminal, and JSON that every reader takes."""

from __future__ import annotations

import json
from typing import Any


def escape_controls(text: str) -> str:
    r"""Return ``text`` with invisible characters written as escapes: ``\x1b``, ``\n``, ``\u202e``.

    These are control and format characters, lone surrogates, and every space but U+0020.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def json_line(value: Any) -> str:
    """Return ``value`` as JSON on one line, in ASCII; NaN and infinity become null."""
    return json.dumps(json.loads(json.dumps(value, default=str), parse_constant=lambda name: None))
