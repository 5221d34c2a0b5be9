"""The models that the laws publish: small directories of files, told apart by a number."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from typing import Final

from dc_hub.format.manifest import CHUNK, Entry, Manifest
from dc_hub.hubs.staging import Staging

Files = Mapping[str, bytes]
"""The content of each file of a model."""

Change = Callable[[bytes], bytes]
"""Makes the new content of a file of the old one."""

WEIGHTS: Final = "model.safetensors"
PARAMS: Final = "params.json"

_SAME_PREFIX: Final = (66_093_895, 88_735_118)


def files(seed: int) -> Files:
    """Return the files of a small model; equal seeds give equal files."""
    return {
        PARAMS: b'{"seed": %d}\n' % seed,
        "README.md": b"",
        WEIGHTS: random.Random(seed).randbytes(1000),
    }


def large_files() -> Files:
    """Return the files of a model whose weights are of two chunks."""
    return {**files(0), WEIGHTS: random.Random(0).randbytes(CHUNK + 1000)}


def with_equal_prefixes() -> tuple[Files, Files]:
    """Return two models whose revisions differ and begin with the same twelve digits."""
    first, second = _SAME_PREFIX
    return {PARAMS: b"%d" % first}, {PARAMS: b"%d" % second}


def manifest_of(files: Files) -> Manifest:
    """Return the manifest that the format gives a model of these ``files``."""
    return Manifest.of(_entry(name, data) for name, data in files.items())


def writer(files: Files) -> Callable[[Staging], None]:
    """Return a writer that stores ``files`` when a model is published."""

    def write(staging: Staging) -> None:
        for name, data in files.items():
            staging.write(name, data)

    return write


def _entry(name: str, data: bytes) -> Entry:
    chunks = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    return Entry(
        name,
        len(data),
        hashlib.sha256(data).hexdigest(),
        tuple(hashlib.sha256(chunk).hexdigest() for chunk in chunks),
    )
