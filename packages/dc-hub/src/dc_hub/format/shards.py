"""A model's weights as one file or as several, in Hugging Face's layout.

``model.safetensors``; or, beyond a shard's size, ``model-00001-of-00003.safetensors`` and so on
with ``model.safetensors.index.json``, which says where each tensor lies.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from types import TracebackType
from typing import Final, Self

import numpy as np

from dc_hub.errors import FileMissing, WeightsFileError
from dc_hub.files.paths import list_names, open_regular, read_all
from dc_hub.format import strict_json
from dc_hub.format.filenames import INDEX, WEIGHTS, shard_name
from dc_hub.format.header import LIMITS, Limits, TensorInfo
from dc_hub.format.tensors import SupportsWrite, TensorFile, check_tensors, write_all, write_tensors

SHARD_SIZE: Final = 5 << 30
"""The most bytes of tensors in one file, unless a single tensor is larger."""

_MAX_INDEX: Final = 1 << 24
_SHARD: Final = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")


def write_weights(
    create: Callable[[str], AbstractContextManager[SupportsWrite]],
    tensors: Mapping[str, np.ndarray],
    *,
    shard_size: int = SHARD_SIZE,
    metadata: Mapping[str, str] | None = None,
) -> list[str]:
    """Write ``tensors`` through ``create``, which opens a new file by name; return the names.

    Tensors go to shards in the order of their names, each shard as full as ``shard_size`` bytes
    allow. Raises what :func:`dc_hub.format.tensors.write_tensors` raises.
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
    """A model's open weights, whichever files they lie in: names in the file → mapped arrays.

    Like :class:`~dc_hub.format.tensors.TensorFile`: ``weights[name]`` is a view of a private
    map and :meth:`read` an array in memory of its own. Arrays stay valid when it is closed.
    """

    def __init__(self, files: Iterable[TensorFile]) -> None:
        """Take over the open ``files``, whose names of tensors are distinct."""
        self._files = tuple(files)
        self._home = {name: file for file in self._files for name in file}

    def info(self, name: str) -> TensorInfo:
        """Return the dtype, shape and place of the tensor ``name``, or raise ``KeyError``."""
        return self._home[name].info(name)

    def read(self, name: str) -> np.ndarray:
        """Return the tensor ``name`` in memory of its own."""
        return self._home[name].read(name)

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the tensor ``name`` as a view of the private map of its file."""
        return self._home[name][name]

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a tensor of that name."""
        return name in self._home

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in the order of the bytes."""
        return iter(self._home)

    def __len__(self) -> int:
        """Return how many tensors there are."""
        return len(self._home)

    def close(self) -> None:
        """Close the files; arrays that were handed out stay valid."""
        for file in self._files:
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
    open_file: Callable[[str], io.FileIO] | None = None,
) -> Weights:
    """Open the weights of the model directory ``where`` and check every header.

    Whoever holds the directory open gives its ``names`` and ``open_file``, which opens one of them.

    Raises :class:`FileMissing`, :class:`WeightsFileError` where a file or the index contradicts the
    format or the others, :class:`LimitExceeded`, and what ``open_file`` raises, by default
    :func:`dc_hub.files.paths.open_regular`.
    """
    open_file = open_file or partial(open_regular, where)
    shown = f"{os.fspath(where)}/"
    homes = _homes(set(list_names(where) if names is None else names), open_file, shown)
    with ExitStack() as opened:
        files = {}
        for name in sorted(set(homes.values())) if homes is not None else [WEIGHTS]:
            file = opened.enter_context(open_file(name))
            files[name] = TensorFile(file, what=f"{shown}{name}", limits=limits)
        if homes is not None:
            _check_homes(homes, files, shown)
        opened.pop_all()
    return Weights(files.values())


def _homes(
    there: set[str], open_file: Callable[[str], io.FileIO], shown: str
) -> dict[str, str] | None:
    """Return the shard of each tensor, or None where the weights are one file."""
    shards = {name for name in there if _SHARD.fullmatch(name)}
    if WEIGHTS in there and (INDEX in there or shards):
        raise WeightsFileError(
            f"{shown or 'The directory '} holds both {WEIGHTS} and shards.",
            path=shown,
            hint="Remove the ones that do not belong to the model.",
        )
    if WEIGHTS in there:
        return None
    if INDEX not in there:
        raise FileMissing(
            f"{shown}{WEIGHTS} is missing, and so is {INDEX}.",
            path=f"{shown}{WEIGHTS}",
            hint="A model directory has one of the two.",
        )
    what = f"{shown}{INDEX}"
    with open_file(INDEX) as file:
        data = read_all(file, _MAX_INDEX, what)
    index = strict_json.loads(data, what=what, limit=_MAX_INDEX, depth=3, error=WeightsFileError)
    homes = index.get("weight_map") if type(index) is dict else None
    if type(homes) is not dict or not index.keys() <= {"metadata", "weight_map"}:
        raise WeightsFileError(f"{what} is no index of shards.", path=what)
    named = {name for name in homes.values() if type(name) is str}
    wanted = {shard_name(i, len(named)) for i in range(1, len(named) + 1)}
    if not homes or named != wanted or not all(type(name) is str for name in homes.values()):
        raise WeightsFileError(
            f"{what} does not name the shards model-00001-of-<n>.safetensors to <n>.", path=what
        )
    if shards != wanted:
        odd = sorted(shards ^ wanted)[0]
        raise (FileMissing if odd in wanted else WeightsFileError)(
            f"{shown}{odd} is {'missing' if odd in wanted else 'not in the index'}.",
            path=f"{shown}{odd}",
            hint="The shards are those of another revision, or incomplete: get the model again.",
        )
    return homes


def _check_homes(homes: Mapping[str, str], files: Mapping[str, TensorFile], shown: str) -> None:
    """Raise unless every tensor lies where the index says, and only there."""
    for name, home in homes.items():
        if name not in files[home]:
            raise WeightsFileError(
                f"{shown}{home} lacks the tensor {name!r}, which the index places there.",
                path=f"{shown}{home}",
            )
    for home, file in files.items():
        for name in file:
            if homes.get(name) != home:
                raise WeightsFileError(
                    f"{shown}{home} holds the tensor {name!r}; the index does not place it there.",
                    path=f"{shown}{home}",
                )
