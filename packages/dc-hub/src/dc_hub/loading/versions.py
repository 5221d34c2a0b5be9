"""The versions that a model was stored with, and those that are installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from dc_core import distributions
from dc_hub.format.record import Record

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION: Final = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?[A-Za-z0-9.!+_-]{0,99}")
_MAX_PACKAGES: Final = 100


def stored_versions(record: Record) -> dict[str, str]:
    """Return the packages that a model was stored with, as far as the file says it in good form."""
    return {name: v for name, v in _named_packages(record) if _VERSION.fullmatch(v)}


def version_changes(record: Record) -> dict[str, tuple[str, str]]:
    """Return the stored and the installed version of each package whose major or minor one differs.

    Packages that are not installed are left out: whether they are needed shows in loading.
    """
    changes = {}
    for name, stored in _named_packages(record):
        installed = distributions.version(name)
        # Most are equal, which costs less to see than what their parts are.
        if installed in ("", stored) or not _VERSION.fullmatch(stored):
            continue
        if major_minor(stored) != major_minor(installed):
            changes[name] = stored, installed
    return changes


def _named_packages(record: Record) -> Iterator[tuple[str, str]]:
    """Yield the package names in good form, and the versions that the file gives them."""
    found = record.metadata.get("created_with")
    for name, version in islice(found.items(), _MAX_PACKAGES) if type(found) is dict else ():
        if type(version) is str and _NAME.fullmatch(name):
            yield name, version


def major_minor(version: str) -> tuple[int, int]:
    """Return the first two numbers of a version, (-1, -1) if it begins with none."""
    found = _VERSION.match(version)
    return (int(found[1]), int(found[2] or 0)) if found else (-1, -1)
