"""The converter ``keras``: the weights in a ``.keras`` file, by the names that the file gives them.

Such a file is a zip archive of ``config.json`` and an HDF5 file. The configuration is kept as plain
data: it names classes, and may hold code, so nothing is built of it. HDF5 is read by h5py, a native
library, in the confined process; a file may not lead it to others.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np

from dc_core import charge, dtype_from_name, hookimpl
from dc_core.errors import ConversionError
from dc_core.plugins import Foreign
from dc_hub.errors import HubError
from dc_hub.format import strict_json

try:
    import h5py
except ImportError:
    h5py = None

_WEIGHTS: Final = "model.weights.h5"
_CONFIG: Final = "config.json"
_METADATA: Final = "metadata.json"
_MAX_CONFIG: Final = 1 << 18
_CONFIG_DEPTH: Final = 24
_DEPTH: Final = 64
_MAX_MEMBERS: Final = 100_000
_BLOCK: Final = 1 << 20
_TRAINING: Final = "optimizer"


@hookimpl
def dc_read_file(path: Path, trusted: bool) -> Foreign:
    """Return the arrays of a ``.keras`` file, and its configuration as plain data."""
    if h5py is None:
        raise ConversionError(
            "The file is one of Keras, which is read by h5py, and that is not installed.",
            hint='Run: pip install "dc-hub[convert]"',
        )
    omitted: dict[str, str] = {}
    with zipfile.ZipFile(path) as archive:
        facts = {
            "config": _json(archive, _CONFIG, omitted),
            "keras_version": (_json(archive, _METADATA, omitted) or {}).get("keras_version"),
        }
        unpacked = _unpack(archive, Path.cwd() / _WEIGHTS)
        others = set(archive.namelist()) - {_WEIGHTS, _CONFIG, _METADATA}
    omitted |= dict.fromkeys(sorted(others)[:_DEPTH], "not known to the converter")
    with h5py.File(unpacked, "r") as file:
        found = dict(_arrays(file))
    training = [name for name in found if name.startswith(f"{_TRAINING}/")]
    if training:
        omitted[_TRAINING] = "the state of training, which only the program that trained it can use"
    weights = {name: array for name, array in found.items() if name not in set(training)}
    return Foreign(
        "a model of Keras 3",
        weights={name: weights[name] for name in sorted(weights, key=_natural)},
        separator="/",
        facts={key: value for key, value in facts.items() if value is not None},
        omitted=omitted,
        versions={"h5py": metadata.version("h5py")},
    )


def _json(archive: zipfile.ZipFile, name: str, omitted: dict[str, str]) -> Any:
    """Return the JSON of a member; None if there is none, or if it is too large to be kept."""
    try:
        size = archive.getinfo(name).file_size
        if size > _MAX_CONFIG:
            omitted[name] = f"it has {size} bytes; {_MAX_CONFIG} are kept at most"
            return None
        with archive.open(name) as member:
            data = member.read(_MAX_CONFIG + 1)
        return strict_json.loads(data, what=name, limit=_MAX_CONFIG, depth=_CONFIG_DEPTH)
    except KeyError:
        return None
    except (HubError, zipfile.BadZipFile) as error:
        omitted[name] = f"it cannot be kept: {error.args[0]}"
        return None


def _unpack(archive: zipfile.ZipFile, target: Path) -> Path:
    """Write the HDF5 file of the archive to ``target``, in blocks."""
    charge(archive.getinfo(_WEIGHTS).file_size, f"The member {_WEIGHTS}")
    with archive.open(_WEIGHTS) as member, target.open("xb") as file:
        while block := member.read(_BLOCK):
            file.write(block)
    return target


def _arrays(file: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the datasets of a file by their paths.

    Raises :class:`ConversionError` for links, which lead to other places and other files, and for
    groups that are nested without end or appear in many places: a group may contain itself.
    """
    seen = 0
    pending = [("", 0, file)]
    while pending:
        prefix, depth, group = pending.pop()
        seen += len(group)
        if depth > _DEPTH:
            raise ConversionError(f"The groups of the file are nested more than {_DEPTH} deep.")
        if seen > _MAX_MEMBERS:
            raise ConversionError(f"The groups of the file have more than {_MAX_MEMBERS} members.")
        for key in group:
            name = f"{prefix}{key}"
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise ConversionError(f"{name!r} is a link to another place, and not followed.")
            item = group[key]
            if isinstance(item, h5py.Group):
                pending.append((f"{name}/", depth + 1, item))
            else:
                yield name, _array(name, item)


def _array(name: str, item: Any) -> np.ndarray:
    if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
        raise ConversionError(f"{name!r} is not an array of this file alone.")
    charge(item.size * item.dtype.itemsize if item.size else 0, f"The weight {name!r}")
    array: np.ndarray = np.asarray(item[()])
    if item.attrs.get("dtype") == "bfloat16":
        return array.astype(dtype_from_name("bfloat16"))
    if array.dtype.kind not in "biufc":
        raise ConversionError(f"{name!r} holds {array.dtype}, and not numbers.")
    return array


def _natural(name: str) -> list[tuple[int, str]]:
    """Return the key that sorts ``vars/10`` after ``vars/9``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split("/")]
