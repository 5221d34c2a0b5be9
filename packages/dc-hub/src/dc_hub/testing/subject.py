"""The hubs that the laws are tried on: two methods that the author writes."""

from __future__ import annotations

import os
import pickle
import tempfile
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from dc_core.testing import LawBroken, Suite
from dc_core.testing.suite import skip
from dc_hub.errors import HubError
from dc_hub.hubs.contract import MAIN, Hub, StoredModel
from dc_hub.testing.samples import Change, Files, manifest_of, writer


class HubSubject(Suite):
    """Make the hubs under test, and the operations that laws share."""

    publishes: ClassVar[bool] = True
    """Whether ``publish`` stores models; otherwise it raises ReadOnlyHub."""

    lists: ClassVar[bool] = True
    """Whether ``names``, ``tags`` and ``revisions`` answer, and prefixes of digests are found."""

    moves_tags: ClassVar[bool] = True
    """Whether ``move_tag`` and ``delete_tag`` work; otherwise they raise ReadOnlyHub."""

    removes: ClassVar[bool] = True
    """Whether ``remove`` works; otherwise it raises ReadOnlyHub."""

    upper_case: ClassVar[bool] = False
    """Whether models that others stored are read by names with upper-case letters."""

    interrupts: ClassVar[int] = 100
    """At how many instants of a publish Ctrl-C is tried; fewer if that takes long."""

    name: ClassVar[str] = "lab/model"
    """The name of a model that the hub can hold."""

    other_name: ClassVar[str] = "lab/other"
    """The name of another."""

    @abstractmethod
    def make(self, folder: Path) -> Hub:
        """Return a new, empty hub.

        ``folder`` is an empty directory, for the hub itself or for its cache, which is removed when
        the law was tried.
        """

    @abstractmethod
    def reopen(self, hub: Hub, folder: Path) -> Hub:
        """Return the same hub, as another machine opens it.

        Whatever it keeps on its machine, such as a cache, is kept in ``folder``, which is empty.
        """

    def put(self, hub: Hub, name: str, files: Files, tags: Sequence[str]) -> None:
        """Optional: store a model, if the hub does not publish.

        It is stored as if it had been published with the ``tags``.
        """
        hub.publish(name, writer(files), tags)

    def change(self, hub: Hub, name: str, revision: str, file: str, new: Change) -> None:
        """Optional: replace the content of a stored file by what ``new`` makes of it.

        It is done behind the hub's back, as by a failing disk or an intruder.
        """
        skip("the suite has no change")

    @contextmanager
    def empty(self) -> Iterator[Hub]:
        """Yield a new hub."""
        with temporary_folder() as folder:
            yield self.make(folder)

    @contextmanager
    def reopened(self, hub: Hub) -> Iterator[Hub]:
        """Yield ``hub`` as another machine opens it."""
        with temporary_folder() as folder:
            yield self.reopen(hub, folder)

    def store(
        self, hub: Hub, files: Files, tags: Sequence[str] = (MAIN,), name: str | None = None
    ) -> str:
        """Store a model of ``files``, and return the revision that it must have."""
        self.put(hub, name or self.name, files, tags)
        return manifest_of(files).revision

    def needs(self, *abilities: str) -> None:
        """Skip the law if the hub lacks one of ``abilities``, which are attributes of the suite."""
        for ability in abilities:
            if not getattr(self, ability):
                skip(f"{ability} = False")

    def expect_files(self, hub: Hub, model: StoredModel, files: Files) -> None:
        """Fetch ``model``, and break the law unless its directory holds ``files``."""
        fetched = hub.fetch(model)
        if (fetched.name, fetched.revision) != (model.name, model.revision):
            raise LawBroken(
                f"Asked for {model.name}@{model.revision}, it fetched {fetched.name}"
                f"@{fetched.revision}.",
                hint="Return the model that was asked for, with the directory of its files.",
            )
        manifest = manifest_of(files)
        wanted = {**files, "MANIFEST.json": manifest.to_bytes()}
        found = {path.name: path.read_bytes() for path in fetched.path.iterdir()}
        different = sorted(
            file for file in {**wanted, **found} if found.get(file) != wanted.get(file)
        )
        if different:
            raise LawBroken(
                f"The fetched {different[0]} is not the one that was stored.",
                hint="Store and fetch each file as it is, and the manifest that Staging.seal made.",
            )

    def expect(self, what: str, found: object, wanted: object) -> None:
        """Break the law unless ``found`` is ``wanted``."""
        if found != wanted:
            raise LawBroken(
                f"{what}: {found} instead of {wanted}.", hint="See the docstrings of dc_hub.Hub."
            )

    def refuses(
        self, kinds: type[HubError] | tuple[type[HubError], ...], what: str, call: Any, *args: Any
    ) -> None:
        """Break the law unless ``call`` raises an error of ``kinds`` that can be pickled."""
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        wanted = " or ".join(kind.__name__ for kind in kinds)
        hint = f"Raise {wanted}, from dc_hub.errors."
        try:
            call(*args)
        except kinds as error:
            copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - it was pickled just now
            if type(copy) is not type(error) or str(copy) != str(error):
                raise LawBroken(
                    f"{what}, it raised {error!r}, which changes when it is pickled.",
                    hint="Build the error of texts.",
                ) from error
            return
        except Exception as error:
            raise LawBroken(
                f"{what}, it raised {type(error).__name__} instead of {wanted}: {error}", hint=hint
            ) from error
        raise LawBroken(f"{what}, it raised nothing instead of {wanted}.", hint=hint)

    def same_state(self, hub: Hub, before: object, what: str) -> None:
        """Break the law if the state stored under ``name`` is no longer ``before``."""
        self.expect(what, self.state(hub), before)

    def state(self, hub: Hub) -> dict[str, object]:
        """Return the state stored under ``name``: the revision of ``main``, and the listing."""
        listed: dict[str, object] = {}
        if self.lists:
            names = hub.names()
            listed["names"] = names
            if self.name in names:
                listed["tags"] = hub.tags(self.name)
                listed["revisions"] = hub.revisions(self.name)
        try:
            return {MAIN: hub.resolve(self.name).revision, **listed}
        except LookupError:
            return {MAIN: None, **listed}


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield an empty directory, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="dc-hub-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def size_of(folder: Path) -> int:
    """Return how many bytes the files below ``folder`` have."""
    return sum(
        (Path(where) / name).lstat().st_size
        for where, _, names in os.walk(folder)
        for name in names
    )


def at_once(calls: Sequence[Callable[[], object]]) -> list[object]:
    """Make all ``calls`` at once, and return the result of each, or the error it raises."""
    ready = threading.Barrier(len(calls))
    outcomes: list[object] = [None] * len(calls)

    def run(number: int) -> None:
        ready.wait(60)
        try:
            outcomes[number] = calls[number]()
        except Exception as error:  # noqa: BLE001 - returned
            outcomes[number] = error

    threads = [threading.Thread(target=partial(run, i)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
