"""Several hubs in order, such as a user's own, a group's and a public one.

The first hub that has a model of a name is the one that answers for the name, also for a tag or a
digest that it lacks: otherwise whoever can write to a later hub could take over names of an earlier
one. For the same reason a hub that fails is an error and is never skipped.

Whether a hub has a name is known from its tag ``main``, or else from its list of models. A hub on a
web server without an index has no such list. If the name has no ``main`` there, nobody can tell
whether it has other tags, so this is an error too, unless the hub is the last one: that is never
asked, because nothing comes after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from dc_core.errors import ParameterError
from dc_hub.errors import HubUnavailable, ModelNotFound, Offline, RevisionNotFound, UnsafePath
from dc_hub.files.paths import check_any_name, check_name, is_directory
from dc_hub.format.manifest import Entry, Manifest
from dc_hub.hubs.contract import MAIN, Hub, Report, StoredModel, is_digest
from dc_hub.hubs.staging import Staging
from dc_hub.trust.policy import load_policy


class HubsInOrder:
    """Several hubs as one: each name is looked up in the first that has it.

    New revisions and their tags go to the first hub. What else is changed of a model is changed in
    the hub that answers for its name.
    """

    def __init__(self, hubs: Iterable[Hub]) -> None:
        self.hubs = tuple(hubs)
        if not self.hubs:
            raise ParameterError("There is no hub.", hint="Give at least one.")

    def __repr__(self) -> str:
        return f"HubsInOrder([{', '.join(map(repr, self.hubs))}])"

    def hub_of(self, name: str, revision: str | None = None) -> Hub:
        """Return the hub that answers for ``name``: the first that has it, or else the last one.

        A ``revision`` that is a full digest and was fetched before is in the cache of any hub that
        has one, which need not be asked, unless the trust policy says different things of the hubs.
        Raises what the hubs raise, :class:`PolicyError`, and :class:`HubUnavailable` if one cannot
        tell whether it has the name.
        """
        check_any_name(name)
        for hub in self.hubs[:-1]:
            is_fetched = _is_fetched(hub, name, revision)
            if (is_fetched and self._trusted_alike(name)) or _has(hub, name):
                return hub
        return self.hubs[-1]

    def _trusted_alike(self, name: str) -> bool:
        """Tell whether one rule of the trust policy, or none, holds for ``name`` in all hubs."""
        policy = load_policy()
        if policy is None:
            return True
        places = []
        for hub in self.hubs:
            with suppress(UnsafePath):  # it cannot have such a name
                places.append(hub.place(name))
        return len({id(policy.rule(place)) for place in places}) == 1

    def names(self) -> list[str]:
        """Return the names of the models in all hubs, sorted."""
        return sorted({name for hub in self.hubs for name in hub.names()})

    def tags(self, name: str) -> dict[str, str]:
        """Return the revision that each tag of a model points at."""
        return self.hub_of(name).tags(name)

    def revisions(self, name: str) -> list[str]:
        """Return the digests of a model's revisions, sorted."""
        return self.hub_of(name).revisions(name)

    def resolve(self, name: str, revision: str | None = None) -> StoredModel:
        """Return the revision that ``revision`` names in the first hub that has ``name``."""
        return self.hub_of(name, revision).resolve(name, revision)

    def manifest(self, model: StoredModel) -> Manifest:
        """Return the manifest of a model that was resolved."""
        return self._hub_with(model).manifest(model)

    def read_chunk(self, model: StoredModel, entry: Entry, index: int) -> bytes:
        """Return one chunk of a file of a model that was resolved; it has its digest."""
        return self._hub_with(model).read_chunk(model, entry, index)

    def fetch(
        self, model: StoredModel, *, report: Report | None = None, verify: bool = False
    ) -> StoredModel:
        """Return a model that was resolved, with its files in its directory."""
        return self._hub_with(model).fetch(model, report=report, verify=verify)

    def place(self, name: str) -> str:
        """Return where the model ``name`` is."""
        return self.hub_of(name).place(name)

    def signatures(self, model: StoredModel) -> Mapping[str, bytes]:
        """Return the signature files of a model that was resolved, as its hub has them now."""
        return self._hub_with(model).signatures(model)

    def add_signatures(self, model: StoredModel, files: Mapping[str, bytes]) -> None:
        """Join signature files to those of a model that was resolved."""
        self._hub_with(model).add_signatures(model, files)

    def publish(
        self, name: str, write: Callable[[Staging], None], tags: Sequence[str] = (MAIN,)
    ) -> StoredModel:
        """Publish to the first hub, whichever hub had the name before."""
        return self.hubs[0].publish(name, write, tags)

    def move_tag(self, name: str, tag: str, revision: str, *, expected: str | None) -> None:
        """Move a tag in the hub that answers for ``name``."""
        self.hub_of(name).move_tag(name, tag, revision, expected=expected)

    def delete_tag(self, name: str, tag: str, *, expected: str | None = None) -> None:
        """Delete a tag in the hub that answers for ``name``."""
        self.hub_of(name).delete_tag(name, tag, expected=expected)

    def remove(
        self, name: str, revision: str | None = None, *, remove_tags: bool = False
    ) -> list[str]:
        """Remove a revision or a model from the hub that answers for ``name``."""
        return self.hub_of(name).remove(name, revision, remove_tags=remove_tags)

    def _hub_with(self, model: StoredModel) -> Hub:
        return self.hub_of(model.name, model.revision)


def answering(hub: Hub, name: str, revision: str | None = None) -> Hub:
    """Return the hub that answers for ``name``: one of several, or ``hub`` itself."""
    return hub.hub_of(name, revision) if isinstance(hub, HubsInOrder) else hub


def published_to(hub: Hub) -> Hub:
    """Return the hub that is published to: the first of several, or ``hub`` itself."""
    return hub.hubs[0] if isinstance(hub, HubsInOrder) else hub


def _is_fetched(hub: Hub, name: str, revision: str | None) -> bool:
    """Tell whether ``hub`` has the files of a full digest on this machine."""
    if revision is None or not is_digest(revision):
        return False
    try:
        return is_directory(hub.resolve(name, revision).path)
    except (ModelNotFound, RevisionNotFound, UnsafePath):
        return False


def _has(hub: Hub, name: str) -> bool:
    """Tell whether ``hub`` has a model of that name."""
    question: Any
    for question in (hub.resolve, hub.revisions):
        try:
            question(name)
        except ModelNotFound:
            return False
        except RevisionNotFound:
            continue  # it has no main, or no such model
        except UnsafePath:
            if _is_name_of_ours(name):
                raise
            return False  # names with upper-case letters exist elsewhere only
        except Offline:
            raise
        except HubUnavailable as error:
            raise HubUnavailable(
                f"{hub!r} cannot tell whether it has a model {name!r}, so no later hub is asked: "
                f"{error.args[0]}",
                path=error.path,
                hint=f"{error.hint} A hub without an index can be the last one.".strip(),
            ) from error
        return True
    return True


def _is_name_of_ours(name: str) -> bool:
    try:
        check_name(name)
    except UnsafePath:
        return False
    return True
