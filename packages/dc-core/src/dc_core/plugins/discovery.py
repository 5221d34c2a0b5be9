"""Find entry points from metadata alone, and refuse those that cannot be used.

Installations can be half removed, edited by hand or built by old tools. An entry point that cannot
be used is reported with the reason and does not affect the others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Final, Literal

from dc_core.plugins.causes import cause_text, is_passing, one_line, out_of_resources

_VALUE: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(\s*:\s*[^\W\d]\w*(\.[^\W\d]\w*)*)?\s*")

_UNREADABLE: Final = (AttributeError, KeyError, OSError, TypeError, ValueError)
"""Exceptions of importlib.metadata for damaged metadata, depending on the Python version."""


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """One line of :func:`dc_core.plugins.report`.

    A ``refused`` entry point is ignored: its name is not allowed or belongs to another
    distribution, it is for a newer API, or its distribution is damaged. If the entry points of a
    distribution cannot be read at all, ``name`` is the distribution's and ``group`` is empty.
    """

    group: str
    name: str
    status: Literal["ready", "broken", "conflict", "refused", "missing"]
    distribution: str = ""
    version: str = ""
    detail: str = ""
    hint: str = ""


def refused(entry: metadata.EntryPoint, detail: str, hint: str) -> PluginStatus:
    """Return the line about an entry point that is ignored because of ``detail``."""
    return PluginStatus(
        entry.group,
        entry.name,
        "refused",
        distribution_of(entry),
        version_of(entry),
        detail=detail,
        hint=hint,
    )


def discover(group: str) -> tuple[list[metadata.EntryPoint], list[PluginStatus]]:
    """Return the usable entry points of ``group`` and one line about each unusable one.

    Raises :class:`OutOfResources` if the system has no open files left to look for them.
    """
    _check_resources()
    usable, others = [], []
    for entry in _entry_points(group):
        if entry.dist is not None and not _is_named(entry.dist):
            others.append(
                refused(
                    entry,
                    f"The installation in {distribution_of(entry)} is incomplete: it has no "
                    "METADATA.",
                    "Delete that folder, or install its distribution again.",
                )
            )
        elif not _VALUE.fullmatch(entry.value):
            others.append(
                refused(
                    entry,
                    f"The entry point's value {entry.value!r} is not 'module' or "
                    "'module:attribute'.",
                    "Report it to the distribution's authors.",
                )
            )
        else:
            usable.append(entry)
    return usable, others


def unreadable() -> list[PluginStatus]:
    """Return one line about each distribution whose entry points cannot be read."""
    lines = []
    for distribution in metadata.distributions():
        error = _error_of(distribution)
        if error is not None:
            name = _name_of(distribution)
            lines.append(
                PluginStatus(
                    group="",
                    name=name,
                    status="refused",
                    distribution=name,
                    version=_version_of(distribution),
                    detail=f"Its entry_points.txt cannot be read: {cause_text(error)}.",
                    hint=f"Run: pip install --force-reinstall {name}"
                    if _is_named(distribution)
                    else "Delete that folder, or install its distribution again.",
                )
            )
    return lines


def newer_groups(group: str) -> list[str]:
    """Return the installed groups of a later version of the API: ``dc.x.v2`` for ``dc.x.v1``."""
    stem, _, version = group.rpartition(".v")
    if not stem or not version.isdigit():
        return []
    found = {}
    for distribution in _readable():
        for entry in distribution.entry_points:
            other_stem, _, other = entry.group.rpartition(".v")
            if other_stem == stem and other.isdecimal() and int(other) > int(version):
                found[entry.group] = int(other)
    return sorted(found, key=lambda group: found[group])


def distribution_of(entry: metadata.EntryPoint) -> str:
    """Return the normalized name of the entry's distribution.

    A damaged installation may have no name; then the folder of its metadata is returned.
    """
    return "an unknown distribution" if entry.dist is None else _name_of(entry.dist)


def normal_name(distribution: str) -> str:
    """Return the normalized name of a distribution: ``Dist_A`` and ``dist.a`` are one."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def version_of(entry: metadata.EntryPoint) -> str:
    """Return the version of the entry's distribution, empty if it has none."""
    return "" if entry.dist is None else _version_of(entry.dist)


def version_of_installed(distribution: str) -> str:
    """Return the version of an installed distribution, empty if it is not installed."""
    try:
        return (metadata.version(distribution) or "") if distribution else ""
    except (metadata.PackageNotFoundError, *_UNREADABLE) as error:
        _raise_if_passing(error)
        return ""


def _entry_points(group: str) -> list[metadata.EntryPoint]:
    try:
        return list(metadata.entry_points(group=group))
    except _UNREADABLE as error:
        _raise_if_passing(error)
        # One unreadable file fails the whole call: leave out that distribution.
        return [
            entry
            for distribution in _readable()
            for entry in distribution.entry_points
            if entry.group == group
        ]


def _readable() -> Iterator[metadata.Distribution]:
    """Return the distributions whose entry points can be read."""
    return (found for found in metadata.distributions() if _error_of(found) is None)


def _error_of(distribution: metadata.Distribution) -> Exception | None:
    """Return why the entry points of ``distribution`` cannot be read, None if they can."""
    try:
        list(distribution.entry_points)
    except _UNREADABLE as error:
        _raise_if_passing(error)
        return error
    return None


def _is_named(distribution: metadata.Distribution) -> bool:
    """Tell whether ``distribution`` has a name: one that is half removed has none."""
    try:
        return "Name" in distribution.metadata
    except _UNREADABLE as error:
        _raise_if_passing(error)
        return False


def _name_of(distribution: metadata.Distribution) -> str:
    """Return the distribution's normalized name, or the folder of its metadata without one."""
    if _is_named(distribution):
        return one_line(normal_name(distribution.name))
    return one_line(str(getattr(distribution, "_path", distribution.locate_file(""))))


def _version_of(distribution: metadata.Distribution) -> str:
    return one_line(distribution.version or "") if _is_named(distribution) else ""


def _check_resources() -> None:
    """Raise unless a file can be opened: importlib.metadata passes over folders it cannot open."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        _raise_if_passing(error)


def _raise_if_passing(error: Exception) -> None:
    """Raise if ``error`` says nothing about the distributions that are installed."""
    if is_passing(error):
        raise out_of_resources("The installed plugins cannot be listed", error) from error
