"""Markdown tables of figures, aligned for reading as plain text."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from math import floor, inf, log10
from pathlib import Path

from measure import Figures
from subject import Subject, Target

SCALE = {"s": 1.0, "ms": 1e3}


def section(subject: Subject, figures: Mapping[str, Figures], *, remark: str = "") -> str:
    """Return a subject's section: heading, note, figures, targets, machine."""
    headings = _headings(subject)
    absent = [
        [f"{way.name} (not installed)", *[""] * (len(headings) - 1)]
        for way in subject.ways
        if way.absent
    ]
    measured = [_row(subject, name, figures[name]) for name in figures]
    parts = [
        f"## {subject.title}",
        subject.note,
        _table(headings, measured + absent),
        _table(
            ["target", "measured", "bound", "verdict"],
            [_verdict(subject, target, figures) for target in subject.targets],
        ),
        f"{remark}{machine()}; {versions(subject.versions)}; {time.strftime('%Y-%m-%d')}.",
    ]
    return "\n\n".join(part for part in parts if part)


def machine() -> str:
    """Describe the machine: cores, processor, system, and how busy it is."""
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    processor = model[1] if model else platform.processor()
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores ({processor}), {platform.system()}, load {load:.1f}"


def versions(distributions: Iterable[str]) -> str:
    """Return the versions of Python and of those ``distributions`` that are installed."""
    named = []
    for name in distributions:
        with suppress(metadata.PackageNotFoundError):
            named.append(f"{name} {metadata.version(name)}")
    return ", ".join([f"Python {platform.python_version()}", *named])


def _headings(subject: Subject) -> list[str]:
    headings = ["", f"CPU {subject.unit}", f"wall {subject.unit}"]
    if subject.memory:
        headings += ["anonymous MiB", "resident MiB"]
    if subject.things:
        headings.append(f"{subject.things} per CPU s")
    return headings


def _row(subject: Subject, name: str, figures: Figures) -> list[str]:
    scale = SCALE[subject.unit]
    row = [name, number(figures.cpu * scale), number(figures.wall * scale)]
    if subject.memory:
        row += [f"{figures.anonymous:.1f}", f"{figures.resident:.1f}"]
    if subject.things:
        row.append("" if figures.rate is None else f"{figures.rate:,.0f}".replace(",", " "))
    return row


def _verdict(subject: Subject, target: Target, figures: Mapping[str, Figures]) -> list[str]:
    peer = {"ratio": f" / {target.peer}", "difference": f" − {target.peer}"}.get(target.kind, "")
    what = "CPU" if target.metric == "cpu" else target.metric
    scale, unit = 1.0, ""
    if target.kind != "ratio":
        scale = SCALE[subject.unit] if target.metric in ("cpu", "wall") else 1.0
        unit = f" {subject.unit}" if target.metric in ("cpu", "wall") else " MiB"
    text = f"{what}: {target.ours}{peer}"
    value = target.value(figures)
    if value is None:
        return [text, "not measured", _bound(target, scale, unit), ""]
    if not target.measured(figures):
        text += f" (not in this run; {target.otherwise:g} on another day)"
    verdict = "" if not target.bounded else "met" if target.met(value) else "**missed**"
    return [text, number(value * scale) + unit, _bound(target, scale, unit), verdict]


def _bound(target: Target, scale: float, unit: str) -> str:
    if target.at_most < inf:
        return f"≤ {target.at_most * scale:g}{unit}"
    return f"≥ {target.at_least * scale:g}{unit}" if target.bounded else ""


def number(value: float) -> str:
    """Return ``value`` with three significant digits, without an exponent."""
    if value == 0:
        return "0"
    digits = 2 - floor(log10(abs(value)))
    return f"{value:.{min(max(digits, 0), 6)}f}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    columns = list(zip(headings, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]

    def line(cells: Iterable[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(headings), line(rule), *map(line, rows)])
