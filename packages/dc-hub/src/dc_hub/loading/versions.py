"""The versions that a model was stored with, and those that are installed."""

from __future__ import annotations

import re
from typing import Final

from dc_core import distributions
from dc_hub.format.record import Record

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION: Final = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?[A-Za-z0-9.!+_-]{0,99}")
_MAX_PACKAGES: Final = 100


def stored_versions(record: Record) -> dict[str, str]:
    """Return the packages that a model was stored with, as far as the file says it in good form."""
    found = record.metadata.get("created_with")
    return {
        name: version
        for name, version in (list(found.items())[:_MAX_PACKAGES] if type(found) is dict else ())
        if _NAME.fullmatch(name) and type(version) is str and _VERSION.fullmatch(version)
    }


def version_changes(record: Record) -> dict[str, tuple[str, str]]:
    """Return the stored and the installed version of each package whose major or minor one differs.

    Packages that are not installed are left out: whether they are needed shows in loading.
    """
    pairs = {
        name: (version, distributions.version(name))
        for name, version in stored_versions(record).items()
    }
    return {
        name: (stored, installed)
        for name, (stored, installed) in pairs.items()
        if installed and major_minor(stored) != major_minor(installed)
    }


def major_minor(version: str) -> tuple[int, int]:
    """Return the first two numbers of a version, (-1, -1) if it begins with none."""
    found = _VERSION.match(version)
    return (int(found[1]), int(found[2] or 0)) if found else (-1, -1)
