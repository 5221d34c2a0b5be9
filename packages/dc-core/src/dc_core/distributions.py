"""Which installed distributions classes and backends come from, by metadata alone.

A stored model names the packages that it needs, with their versions. Nothing is imported for that,
and only the metadata next to a class's own module is read.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from dc_core.plugins import BACKENDS, PRETRAINED
from dc_core.plugins.discovery import distribution_of, normal_name, version_of, version_of_installed
from dc_core.registry import components, models

_read: Final[WeakKeyDictionary[metadata.Distribution, dict[str, str]]] = WeakKeyDictionary()


def version(distribution: str) -> str:
    """Return the version of an installed distribution, empty if it is not installed.

    A version is looked up once; one that is missing, again at each call.
    """
    try:
        return _found_version(distribution)
    except LookupError:
        return ""


def of_backend(name: str) -> dict[str, str]:
    """Return the distribution that provides the backend ``name``, with its version."""
    entries = BACKENDS.entries.get(name)
    return dict(_of_entry(entries[0])) if entries else {}


def of_class(cls: type) -> dict[str, str]:
    """Return the distributions that define ``cls`` and its bases, with their versions.

    Those that a class names in ``requires`` are included. The standard library, dc-core, the
    running program and modules of a framework that a backend serves are left out; the backend says
    the framework's version.
    """
    plugins = {
        entry.module.partition(".")[0]: entry
        for group in (BACKENDS, PRETRAINED, models, components)
        for entries in group.entries.values()
        for entry in entries
    }
    found: dict[str, str] = {}
    for base in cls.__mro__:
        top = base.__module__.partition(".")[0]
        if top in sys.stdlib_module_names or top in BACKENDS or top in ("__main__", "dc_core"):
            continue
        if top in plugins:
            found |= _of_entry(plugins[top])
        else:
            found |= _of_module(base.__module__)
    required = {name: version(name) for name in getattr(cls, "requires", ())}
    return found | {name: found for name, found in required.items() if found}


def _of_entry(entry: metadata.EntryPoint) -> dict[str, str]:
    dist = entry.dist
    if dist is None:
        return {}
    # Keyed by the object: reading its metadata again would take longer than all the rest.
    if dist not in _read:
        _read[dist] = {distribution_of(entry): version_of(entry)}
    return _read[dist]


@lru_cache(maxsize=1024)
def _found_version(distribution: str) -> str:
    found = version_of_installed(distribution)
    if not found:
        raise LookupError(distribution)  # what is raised is not cached
    return found


@lru_cache(maxsize=1024)
def _of_module(name: str) -> dict[str, str]:
    """Return the distribution whose list of files names the module ``name``; {} if none does."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        return {}
    path = Path(file).absolute()
    levels = name.count(".") + (path.stem == "__init__")
    folder = path.parents[min(levels, len(path.parents) - 1)]
    if not any(folder.glob("*.dist-info")):
        return {}
    line = f"\n{path.relative_to(folder).as_posix()},"
    for distribution in metadata.distributions(path=[str(folder)]):
        if line in f"\n{distribution.read_text('RECORD')}" and "Name" in distribution.metadata:
            return {normal_name(distribution.name): distribution.version}
    return {}
