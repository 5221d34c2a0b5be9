"""A model's weights in one file or in several, in the layout of Hugging Face.

``model.safetensors``; or, beyond the size of a shard, ``model-00001-of-00003.safetensors`` and so
on with ``model.safetensors.index.json``, which maps each tensor to its file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from types import TracebackType
from typing import Final, Self

import numpy as np

from dc_hub.errors import FileMissing, WeightsFileError
from dc_hub.files.paths import list_names, open_regular, read_all
from dc_hub.format import strict_json
from dc_hub.format.filenames import INDEX, PICKLES, WEIGHTS, is_shard, shard_name
from dc_hub.format.header import LIMITS, Limits, TensorInfo
from dc_hub.format.tensors import (
    Readable,
    SupportsWrite,
    TensorFile,
    check_tensors,
    write_all,
    write_tensors,
)

SHARD_SIZE: Final = 5 << 30
"""The maximum number of bytes of tensors in one file, unless a single tensor is larger."""

MAX_INDEX: Final = 1 << 24
"""The largest index that is read, in bytes."""


def write_weights(
    create: Callable[[str], AbstractContextManager[SupportsWrite]],
    tensors: Mapping[str, np.ndarray],
    *,
    shard_size: int = SHARD_SIZE,
    metadata: Mapping[str, str] | None = None,
) -> list[str]:
    """Write ``tensors`` to files that ``create`` opens by name; return the names of the files.

    Shards are filled in the order of the tensors' names, each up to ``shard_size`` bytes. Raises
    what :func:`dc_hub.format.tensors.write_tensors` raises.
    """
    arrays = check_tensors(tensors)
    shards: list[dict[str, np.ndarray]] = [{}]
    room = shard_size
    for name in sorted(arrays):
        if arrays[name].nbytes > room and shards[-1]:
            shards.append({})
            room = shard_size
        shards[-1][name] = arrays[name]
        room -= arrays[name].nbytes
    if len(shards) == 1:
        names = [WEIGHTS]
    else:
        names = [shard_name(i, len(shards)) for i in range(1, len(shards) + 1)]
    for name, shard in zip(names, shards, strict=True):
        with create(name) as file:
            write_tensors(file, shard, metadata)
    if len(shards) > 1:
        index = {
            "metadata": {"total_size": sum(array.nbytes for array in arrays.values())},
            "weight_map": {
                tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard
            },
        }
        with create(INDEX) as file:
            write_all(file, strict_json.dumps(index, what=INDEX))
        names.append(INDEX)
    return names


class Weights(Mapping[str, np.ndarray]):
    """The open weights of a model, in one file or several: names in the file → mapped arrays.

    Like :class:`~dc_hub.format.tensors.TensorFile`: ``weights[name]`` is a view of a private
    map and :meth:`read` an array in memory of its own. Arrays stay valid after closing.
    """

    def __init__(self, files: Mapping[str, TensorFile]) -> None:
        """Take over the open ``files`` by name, which have no tensor name in common."""
        self._files = files
        self._home = {name: file for file in files.values() for name in file}

    def file_of(self, name: str) -> str:
        """Return the name of the file with the tensor ``name``. Raises ``KeyError``."""
        home = self._home[name]
        return next(file for file, tensors in self._files.items() if tensors is home)

    def info(self, name: str) -> TensorInfo:
        """Return the dtype, shape and position of the tensor ``name``. Raises ``KeyError``."""
        return self._home[name].info(name)

    def read(self, name: str) -> np.ndarray:
        """Return the tensor ``name`` in memory of its own."""
        return self._home[name].read(name)

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the tensor ``name`` as a view of the private map of its file."""
        return self._home[name][name]

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a tensor with that name."""
        return name in self._home

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in the order of the bytes."""
        return iter(self._home)

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self._home)

    def close(self) -> None:
        """Close the files; arrays taken from them stay valid."""
        for file in self._files.values():
            file.close()

    def __enter__(self) -> Self:
        """Return the weights themselves."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files."""
        self.close()


def open_weights(
    where: str | os.PathLike[str],
    *,
    limits: Limits = LIMITS,
    names: Collection[str] | None = None,
    open_file: Callable[[str], Readable] | None = None,
) -> Weights:
    """Open the weights of the model directory ``where`` and check every header.

    A caller that has the directory open passes the ``names`` of its files, and ``open_file``, which
    opens one of them (default: :func:`dc_hub.files.paths.open_regular`).

    Raises :class:`FileMissing`, :class:`WeightsFileError` if a file or the index is malformed or
    they are inconsistent, :class:`LimitExceeded`, and what ``open_file`` raises.
    """
    open_file = open_file or partial(open_regular, where)
    shown = f"{os.fspath(where)}/"
    homes = _homes(set(list_names(where) if names is None else names), open_file, shown)
    with ExitStack() as opened:
        files = {}
        for name in sorted(set(homes.values())) if homes is not None else [WEIGHTS]:
            file = open_file(name)
            opened.callback(file.close)
            files[name] = TensorFile(file, what=f"{shown}{name}", limits=limits)
        if homes is not None:
            _check_homes(homes, files, shown)
        opened.pop_all()
    return Weights(files)


def _homes(
    there: set[str], open_file: Callable[[str], Readable], shown: str
) -> dict[str, str] | None:
    """Return the shard of each tensor, or None if the weights are in one file."""
    shards = set(filter(is_shard, there))
    if WEIGHTS in there and (INDEX in there or shards):
        raise WeightsFileError(
            f"{shown or 'The directory '} contains both {WEIGHTS} and shards.",
            path=shown,
            hint="Remove the ones that do not belong to the model.",
        )
    if WEIGHTS in there:
        return None
    if INDEX not in there:
        pickles = sorted(name for name in there if name.endswith(PICKLES))
        raise FileMissing(
            f"{shown}{WEIGHTS} is missing, and so is {INDEX}.",
            path=f"{shown}{WEIGHTS}",
            hint=f"{pickles[0]} can run code, and is not loaded. If you trust it: dc-hub convert."
            if pickles
            else "A model directory contains one of the two.",
        )
    what = f"{shown}{INDEX}"
    with open_file(INDEX) as file:
        homes = parse_index(read_all(file, MAX_INDEX, what), what)
    wanted = set(homes.values())
    if shards != wanted:
        odd = sorted(shards ^ wanted)[0]
        raise (FileMissing if odd in wanted else WeightsFileError)(
            f"{shown}{odd} is {'missing' if odd in wanted else 'not in the index'}.",
            path=f"{shown}{odd}",
            hint="The shards are incomplete or of another revision: get the model again.",
        )
    return homes


def parse_index(data: bytes, what: str) -> dict[str, str]:
    """Return the shard of each tensor by the index with the content ``data``.

    ``what`` names it in messages. Raises :class:`WeightsFileError` if it is malformed.
    """
    index = strict_json.loads(data, what=what, limit=MAX_INDEX, depth=3, error=WeightsFileError)
    homes = index.get("weight_map") if type(index) is dict else None
    if type(homes) is not dict or not index.keys() <= {"metadata", "weight_map"}:
        raise WeightsFileError(f"{what} is not an index of shards.", path=what)
    named = {name for name in homes.values() if type(name) is str}
    wanted = {shard_name(i, len(named)) for i in range(1, len(named) + 1)}
    if not homes or named != wanted or not all(type(name) is str for name in homes.values()):
        raise WeightsFileError(
            f"{what} does not list exactly the shards model-00001-of-<n>.safetensors to <n>.",
            path=what,
        )
    return homes


def _check_homes(homes: Mapping[str, str], files: Mapping[str, TensorFile], shown: str) -> None:
    """Raise unless every tensor is in the file that the index says, and only there."""
    for name, home in homes.items():
        if name not in files[home]:
            raise WeightsFileError(
                f"{shown}{home} lacks the tensor {name!r}, which the index says it contains.",
                path=f"{shown}{home}",
            )
    for home, file in files.items():
        for name in file:
            if homes.get(name) != home:
                raise WeightsFileError(
                    f"{shown}{home} contains the tensor {name!r}, but the index does not say so.",
                    path=f"{shown}{home}",
                )
