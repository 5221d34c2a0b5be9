"""Laws on removing."""

from __future__ import annotations

from functools import partial

from dc_core.testing import law
from dc_hub.errors import ModelNotFound, RevisionNotFound, RevisionTagged
from dc_hub.hubs.contract import Hub
from dc_hub.testing.samples import files
from dc_hub.testing.subject import HubSubject

_GONE = (ModelNotFound, RevisionNotFound)


class RemovingLaws(HubSubject):
    """Laws on removing revisions and models."""

    @law
    def test_a_removed_revision_is_gone_and_others_stay(self) -> None:
        """A revision is removed by digest or tag, is not found then, and the others are whole."""
        self.needs("removes")
        with self.empty() as hub:
            first, second, third = (self.store(hub, files(number)) for number in (1, 2, 3))
            self.expect("It removed", hub.remove(self.name, first), [first])
            self._is_gone(hub, first)
            for number, revision in ((2, second), (3, third)):
                self.expect_files(hub, hub.resolve(self.name, revision), files(number))

    @law
    def test_a_tagged_revision_is_removed_only_with_its_tags(self) -> None:
        """A tagged revision raises RevisionTagged, unless its tags are to be removed with it."""
        self.needs("removes")
        with self.empty() as hub:
            first = self.store(hub, files(1), ("v1", "old"))
            second = self.store(hub, files(2), ("v2", "main"))
            before = self.state(hub)
            remove = partial(hub.remove, self.name, "v1")
            self.refuses(RevisionTagged, "Asked to remove a tagged revision", remove)
            self.same_state(hub, before, "After a removal was refused, there is")
            self.expect("It removed", remove(remove_tags=True), [first])
            self._is_gone(hub, first, "v1", "old")
            for tag in ("v2", "main"):
                self.expect(f"{tag!r} is", hub.resolve(self.name, tag).revision, second)

    @law
    def test_a_removed_model_is_gone(self) -> None:
        """Removing a model removes all its revisions and tags, and no other model."""
        self.needs("removes")
        with self.empty() as hub:
            removed = [self.store(hub, files(number), (f"v{number}", "main")) for number in (1, 2)]
            kept = self.store(hub, files(1), name=self.other_name)
            self.expect("It removed", hub.remove(self.name), sorted(removed))
            self._is_gone(hub, *removed, "v1", "v2", "main")
            if self.lists:
                self.expect("Its names are", hub.names(), [self.other_name])
            self.expect("The other is", hub.resolve(self.other_name).revision, kept)
            again = self.store(hub, files(1))
            self.expect("Stored again, it is", hub.resolve(self.name).revision, again)

    @law
    def test_removing_the_only_revision_removes_the_model(self) -> None:
        """With the only revision of a model, the model and all its tags are removed."""
        self.needs("removes")
        with self.empty() as hub:
            revision = self.store(hub, files(0), ("v1", "main"))
            self.expect("It removed", hub.remove(self.name, "v1", remove_tags=True), [revision])
            self._is_gone(hub, revision, "v1", "main")
            if self.lists:
                self.expect("Its names are", hub.names(), [])

    @law
    def test_removing_what_is_not_there_is_a_typed_error(self) -> None:
        """A missing model raises ModelNotFound, a missing revision RevisionNotFound."""
        self.needs("removes")
        with self.empty() as hub:
            self.store(hub, files(0))
            before = self.state(hub)
            self.refuses(
                ModelNotFound, "Asked to remove a missing model", hub.remove, self.other_name
            )
            for revision in ("v9", "f" * 64):
                remove = partial(hub.remove, self.name, revision, remove_tags=True)
                self.refuses(RevisionNotFound, f"Asked to remove {revision!r}", remove)
            self.same_state(hub, before, "After a removal was refused, there is")

    def _is_gone(self, hub: Hub, *revisions: str) -> None:
        """Break the law if one of ``revisions`` can be fetched on a machine without any file."""
        with self.reopened(hub) as other:

            def find(revision: str) -> None:
                other.fetch(other.resolve(self.name, revision))

            for revision in revisions:
                self.refuses(_GONE, f"Asked for {revision!r}, which was removed", find, revision)
