"""``python -m dc_core plugins``: list every plugin, with advice on those that fail."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from dc_core import plugins, registry
from dc_core.plugins import PluginStatus
from dc_core.plugins.causes import one_line

_UNUSABLE = ("broken", "conflict", "refused")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 1 if a plugin cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m dc_core", description="The framework's parts.")
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser(
        "plugins",
        help="list the plugins: ready, missing, broken, refused or in conflict, and what to do",
        description="Load every plugin and say how it went. The exit code is 1 if one is broken, "
        "refused or in conflict.",
    )
    listing.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    report = [*plugins.report(), *registry.report()]
    written = (
        json.dumps([asdict(status) for status in report], indent=2)
        if options.json
        else table(report)
    )
    sys.stdout.write(f"{written}\n")
    return int(any(status.status in _UNUSABLE for status in report))


def table(report: Sequence[PluginStatus]) -> str:
    """Return the report as aligned text: a line for each plugin, and the advice below it."""
    head = ("PLUGIN", "STATUS", "DISTRIBUTION", "GROUP")
    rows = [
        tuple(map(one_line, (s.name, s.status, f"{s.distribution} {s.version}", s.group)))
        for s in report
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [_line(head, widths)]
    for status, row in zip(report, rows, strict=True):
        lines.append(_line(row, widths))
        lines += [f"    {one_line(text)}" for text in (status.detail, status.hint) if text]
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


if __name__ == "__main__":
    sys.exit(main())
