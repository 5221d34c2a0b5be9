"""Read the content of a model's page: everything but its weights, verified by its manifest.

A model of a remote hub is not fetched: its small files are, and the chunks that hold the headers of
its weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dc_core import byte_budget, dtype_name
from dc_hub.format.filenames import CARD, GOLDEN, PARAMS
from dc_hub.format.golden import GoldenRows, read_golden
from dc_hub.format.manifest import Manifest
from dc_hub.format.record import MAX_BYTES, Record
from dc_hub.format.shards import open_weights
from dc_hub.format.summary import Summary
from dc_hub.format.tensors import TensorFile
from dc_hub.hubs.contract import Hub
from dc_hub.loading.chunks import ChunkedContents

MAX_CARD: Final = 1 << 20
MAX_GOLDEN: Final = 1 << 22
"""Larger cards and golden rows are not read."""

MAX_WEIGHTS: Final = 300
"""So many weights are listed."""

_BUDGET: Final = 256 << 20
"""Bytes that reading one model may allocate."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight as a page lists it: its name in the file, its dtype and its shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Described:
    """The content of the page of one revision of a model.

    ``weights`` are the first of ``weight_count``. ``card`` is None if there is none that could be
    read, and ``golden`` if there are no golden rows, or very many. ``signatures`` are its signature
    files by name.
    """

    summary: Summary
    record: Record
    manifest: Manifest
    weights: tuple[Weight, ...]
    weight_count: int
    card: str | None
    golden: GoldenRows | None
    signatures: Mapping[str, bytes]


def describe(hub: Hub, name: str, revision: str, tags: Mapping[str, str]) -> Described:
    """Return the content of the page of a revision of the model ``name``; weights are not read.

    ``tags`` are all tags of the model. Raises the errors of the hub, and the typed error of any
    file that is malformed or not what the manifest says.
    """
    model = hub.resolve(name, revision)
    contents = ChunkedContents.of(hub, model)
    manifest = contents.manifest
    sizes = {entry.path: entry.size for entry in manifest.entries}
    shown = f"{name}@{revision[:12]}"
    with byte_budget(_BUDGET):
        record = Record.from_bytes(contents.read(PARAMS, MAX_BYTES), what=f"{shown}/{PARAMS}")
        card = None
        if sizes.get(CARD, MAX_CARD + 1) <= MAX_CARD:
            card = contents.read(CARD, MAX_CARD).decode(errors="replace")
        golden = None
        if sizes.get(GOLDEN, MAX_GOLDEN + 1) <= MAX_GOLDEN:
            what = f"{shown}/{GOLDEN}"
            with contents.open(GOLDEN) as file, TensorFile(file, what=what) as tensors:
                golden = read_golden({key: tensors.read(key) for key in tensors}, what)
        with open_weights(shown, names=contents.names, open_file=contents.open) as weights:
            listed = tuple(
                Weight(native, dtype_name(info.dtype), info.shape)
                for native, info in (
                    (native, weights.info(native)) for native in sorted(weights)[:MAX_WEIGHTS]
                )
            )
            count = len(weights)
    pointing = sorted(tag for tag, target in tags.items() if target == revision)
    summary = Summary.of(name, revision, record, tags=pointing, manifest=manifest, card=card or "")
    signatures = hub.signatures(model)
    return Described(summary, record, manifest, listed, count, card, golden, signatures)
