"""Laws on how models come back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Self

import numpy as np

from dc_core import Dataset, Estimator, NumpyDataset
from dc_core.testing import LawBroken, law
from dc_hub.errors import (
    FileMissing,
    HashMismatch,
    HubError,
    HubUnavailable,
    LimitExceeded,
    SizeMismatch,
)
from dc_hub.format.manifest import CHUNK
from dc_hub.hubs.contract import Hub, StoredModel
from dc_hub.loading.models import from_pretrained
from dc_hub.publishing.models import save
from dc_hub.testing.samples import WEIGHTS, Change, Files, files, large_files, manifest_of
from dc_hub.testing.subject import HubSubject, at_once, size_of, temporary_folder

_DAMAGED = (HashMismatch, SizeMismatch, LimitExceeded, FileMissing, HubUnavailable)


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


_CHANGES: Mapping[str, Change] = {
    "of which one bit changed": _flip,
    "that was cut": lambda data: data[:-1],
    "that was emptied": lambda data: b"",
    "that became longer": lambda data: data + b"\0",
}


class _Scale(Estimator):
    """A model to publish: numbers by which inputs are multiplied."""

    fitted = ("factors",)

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, dataset: Dataset, *, valid: Dataset | None = None) -> Self:
        self.factors = np.random.default_rng(self.seed).normal(size=3)
        return self

    def predict(self, dataset: Any) -> np.ndarray:
        return np.asarray(dataset.X) * self.factors


class FetchingLaws(HubSubject):
    """Laws on how models come back."""

    @law
    def test_a_model_comes_back_as_it_was_published(self) -> None:
        """A published model is loaded by name on another machine, and predicts the same bits."""
        data = NumpyDataset(np.arange(6.0).reshape(2, 3), np.zeros(2))
        model = _Scale(7).fit(data)
        with self.empty() as hub, temporary_folder() as folder:
            save(model, folder / "model")
            paths = [path for path in (folder / "model").iterdir() if path.name != "MANIFEST.json"]
            self.store(hub, {path.name: path.read_bytes() for path in paths})
            with self.reopened(hub) as other:
                loaded = from_pretrained(self.name, cls=_Scale, hub=other)
                self.expect(
                    "It predicts",
                    loaded.predict(data).tobytes(),
                    model.predict(data).tobytes(),
                )

    @law
    def test_files_come_back_as_they_were_stored(self) -> None:
        """Every file, empty or of several chunks, comes back bit by bit, and none besides."""
        stored = large_files()
        with self.empty() as hub:
            self.store(hub, stored)
            with self.reopened(hub) as other:
                model = other.resolve(self.name)
                self.expect_files(other, model, stored)
                self.expect_files(other, model, stored)  # from the cache, if it has one

    @law
    def test_progress_ends_with_the_size_of_all_files(self) -> None:
        """If ``fetch`` reports, then bytes that grow up to the size of all files, which is told."""
        stored = large_files()
        size = sum(map(len, stored.values()))
        with self.empty() as hub:
            self.store(hub, stored)
            with self.reopened(hub) as other:
                told: list[tuple[int, int]] = []
                other.fetch(
                    other.resolve(self.name), report=lambda done, total: told.append((done, total))
                )
                if told and (told != sorted(told) or told[-1] != (size, size)):
                    raise LawBroken(
                        f"For {size} bytes it reported {told[-3:]}.",
                        hint="Report the bytes that are there and the sum of the manifest's sizes.",
                    )
                if {total for _, total in told} - {size}:
                    raise LawBroken(
                        f"For {size} bytes it reported {told[:3]}.",
                        hint="The second number is the sum of the manifest's sizes each time.",
                    )

    @law
    def test_several_threads_fetch_at_once(self) -> None:
        """Threads that fetch the same model at once all get the whole model."""
        stored = files(0)
        with self.empty() as hub:
            self.store(hub, stored)
            with self.reopened(hub) as other:
                model = other.resolve(self.name)
                for outcome in at_once([partial(other.fetch, model)] * 4):
                    if not isinstance(outcome, StoredModel):
                        raise LawBroken(f"One got {outcome!r}.", hint="Wait for the other.")
                    self.expect_files(other, outcome, stored)

    @law
    def test_a_file_changed_in_the_store_is_refused(self) -> None:
        """A stored file that has other bytes, fewer or more of them is never given out."""
        with self.empty() as hub, self.reopened(hub) as other:
            for number, (what, new) in enumerate(_CHANGES.items()):
                self._refused(hub, other, f"a file {what}", files(number), new)
            self._refused(hub, other, "a second chunk of other bytes", large_files(), _flip)

    def _refused(self, hub: Hub, other: Hub, what: str, stored: Files, new: Change) -> None:
        """Break the law if the weights of a model are given out after they were changed."""
        revision = self.store(hub, stored, ())
        self.change(hub, self.name, revision, WEIGHTS, new)
        model = other.resolve(self.name, revision)
        self.refuses(_DAMAGED, f"Given {what}", partial(other.fetch, model, verify=True))

    @law
    def test_one_chunk_is_read_alone(self) -> None:
        """``read_chunk`` returns each chunk of a file, and fetches nothing else."""
        stored = large_files()
        with self.empty() as hub, temporary_folder() as folder:
            self.store(hub, stored)
            other = self.reopen(hub, folder)
            model = other.resolve(self.name)
            for entry in manifest_of(stored).entries:
                data = stored[entry.path]
                chunks = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
                for index in reversed(range(len(chunks))):
                    found = other.read_chunk(model, entry, index)
                    if found != chunks[index]:
                        raise LawBroken(
                            f"Chunk {index} of {entry.path} is not the one that was stored.",
                            hint="Return the bytes from index * CHUNK to before the next chunk.",
                        )
                    if size_of(folder) >= CHUNK:
                        raise LawBroken(
                            f"For the {len(found)} bytes of one chunk it fetched a file.",
                            hint="Ask the store for a range.",
                        )

    @law
    def test_a_changed_chunk_is_refused(self) -> None:
        """``read_chunk`` gives out no chunk that changed in the store, and the others still."""
        stored = large_files()
        entry = next(entry for entry in manifest_of(stored).entries if entry.path == WEIGHTS)
        with self.empty() as hub, self.reopened(hub) as other:
            revision = self.store(hub, stored)
            self.change(hub, self.name, revision, WEIGHTS, _flip)
            model = other.resolve(self.name)
            read = partial(other.read_chunk, model, entry)
            self.refuses(_DAMAGED, "Given a chunk of which one bit changed", read, 1)
            whole = read(0) == stored[WEIGHTS][:CHUNK]
            self.expect("The other chunk is given out", whole, True)

    @law
    def test_a_changed_manifest_is_refused(self) -> None:
        """A manifest that does not have the digest of its revision raises an error of the hub."""
        with self.empty() as hub:
            revision = self.store(hub, files(0))
            self.change(
                hub,
                self.name,
                revision,
                "MANIFEST.json",
                lambda data: data.replace(b'"size": 1000', b'"size": 1001'),
            )
            with self.reopened(hub) as other:
                model = other.resolve(self.name)
                self.refuses(HubError, "Given another manifest", other.manifest, model)

    @law
    def test_files_damaged_on_this_machine_are_noticed(self) -> None:
        """``fetch(verify=True)`` mends or refuses files that were changed after they came."""
        stored = files(0)
        with self.empty() as hub:
            self.store(hub, stored)
            with self.reopened(hub) as other:
                model = other.fetch(other.resolve(self.name))
                file = model.path / WEIGHTS
                data = file.read_bytes()
                file.unlink()
                file.write_bytes(bytes([data[0] ^ 1]) + data[1:])
                self._mended_or_refused(other, model, stored)

    def _mended_or_refused(self, hub: Hub, model: StoredModel, stored: Files) -> None:
        try:
            fetched = hub.fetch(model, verify=True)
        except HashMismatch:
            return
        self.expect_files(hub, fetched, stored)
