"""Laws on how models are named and found."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dc_core.testing import LawBroken, law
from dc_hub.errors import (
    AmbiguousRevision,
    HubUnavailable,
    ModelNotFound,
    RevisionNotFound,
    UnsafePath,
)
from dc_hub.hubs.contract import MAIN, Hub
from dc_hub.testing.samples import (
    Files,
    files,
    large_files,
    manifest_of,
    with_equal_prefixes,
    writer,
)
from dc_hub.testing.subject import HubSubject, size_of, temporary_folder

_BAD_NAMES = ("", ".", "../x", "a/../b", "a/b/c", "/a", "a b", "a\n", "refs", "a/revisions", "nul")
_BAD_TAGS = ("", "..", "../main", "a/b", "V1", "v1\n", "v1.", "con")
_UNKNOWN = "f" * 64
_NOT_FOUND = (ModelNotFound, RevisionNotFound)


class FindingLaws(HubSubject):
    """Laws on how models are named and found."""

    @law
    def test_it_has_every_method_of_a_hub(self) -> None:
        """The object has the methods of dc_hub.Hub."""
        with self.empty() as hub:
            found: object = hub
            if not isinstance(found, Hub):
                raise LawBroken(f"{found!r} lacks some.", hint="Implement dc_hub.Hub.")

    @law
    def test_a_revision_is_found_by_digest_tag_and_prefix(self) -> None:
        """A revision is found by its digest, its tags, ``main`` by default, and its prefixes."""
        with self.empty() as hub:
            first = self.store(hub, files(1), ("v1", "main"))
            second = self.store(hub, files(2), ("main",))
            wanted = {None: second, "main": second, "v1": first, first: first, second: second}
            if self.lists:
                wanted |= {first[:12]: first, second[:40]: second}
            for revision, digest in wanted.items():
                found = hub.resolve(self.name, revision)
                self.expect(
                    f"For {revision!r}, it found", (found.name, found.revision), (self.name, digest)
                )

    @law
    def test_an_ambiguous_prefix_is_refused(self) -> None:
        """A prefix that two revisions share raises AmbiguousRevision, and a longer one does not."""
        self.needs("lists")
        with self.empty() as hub:
            first, second = (self.store(hub, files) for files in with_equal_prefixes())
            self.refuses(
                AmbiguousRevision, "Asked for a shared prefix", hub.resolve, self.name, first[:12]
            )
            shared = next(i for i in range(64) if first[i] != second[i])
            self.expect(
                "For a longer prefix, it found",
                hub.resolve(self.name, first[: shared + 1]).revision,
                first,
            )

    @law
    def test_what_is_not_there_is_a_typed_error(self) -> None:
        """A missing model, tag or revision raises ModelNotFound or RevisionNotFound."""
        with self.empty() as hub:
            self.store(hub, files(0))
            for revision in (None, "main", _UNKNOWN):
                self._not_found(hub, self.other_name, revision)
            for revision in ("v9", _UNKNOWN, *([_UNKNOWN[:12]] if self.lists else [])):
                self._not_found(hub, self.name, revision)
            for verb in ("tags", "revisions") if self.lists else ():
                self.refuses(
                    ModelNotFound,
                    f"Asked for the {verb} of a missing model",
                    getattr(hub, verb),
                    self.other_name,
                )

    def _not_found(self, hub: Hub, name: str, revision: str | None) -> None:
        """Break the law unless a model is not found at the latest when its manifest is read."""

        def find() -> None:
            hub.manifest(hub.resolve(name, revision))

        self.refuses(_NOT_FOUND, f"Asked for {name!r}, {revision!r}", find)

    @law
    def test_malformed_names_are_refused(self) -> None:
        """Names that could lead elsewhere raise UnsafePath, whatever is asked."""
        with self.empty() as hub:
            revision = self.store(hub, files(0))
            reads: dict[str, Callable[[str], object]] = {
                "resolve": hub.resolve,
                "resolve a digest of": partial(hub.resolve, revision=revision),
                "list the tags of": hub.tags,
                "list the revisions of": hub.revisions,
            }
            calls: dict[str, Callable[[str], object]] = {}
            if self.publishes:
                calls["publish"] = partial(hub.publish, write=writer(files(1)))
            if self.moves_tags:
                move = partial(hub.move_tag, tag="v1", revision=revision, expected=None)
                calls["move a tag of"] = move
                calls["delete a tag of"] = partial(hub.delete_tag, tag=MAIN)
            if self.removes:
                calls["remove"] = hub.remove
            for verb, call in (reads | calls).items():
                upper_case = () if self.upper_case and verb in reads else ("A",)
                for name in (*_BAD_NAMES, *upper_case):
                    self.refuses(UnsafePath, f"Asked to {verb} {name!r}", call, name)

    @law
    def test_malformed_tags_are_refused(self) -> None:
        """Tags that could lead elsewhere, or look like a digest, raise UnsafePath."""
        with self.empty() as hub:
            revision = self.store(hub, files(0))
            for tag in _BAD_TAGS:
                self.refuses(UnsafePath, f"Asked for {tag!r}", hub.resolve, self.name, tag)
            for tag in (*_BAD_TAGS, revision[:12], revision):
                calls: dict[str, Callable[[], object]] = {}
                if self.publishes:
                    write = writer(files(1))
                    calls["publish"] = partial(hub.publish, self.name, write, (tag,))
                if self.moves_tags:
                    move = partial(hub.move_tag, self.name, tag, revision, expected=None)
                    calls["move"] = move
                    calls["delete"] = partial(hub.delete_tag, self.name, tag)
                for verb, call in calls.items():
                    self.refuses(UnsafePath, f"Asked to {verb} the tag {tag!r}", call)

    @law
    def test_what_it_holds_is_listed(self) -> None:
        """Names, tags and revisions are listed completely, sorted, and without anything else."""
        with self.empty() as hub:
            self.store(hub, files(0), name=self.other_name)
            first = self.store(hub, files(1), ("v1", "main"))
            second = self.store(hub, files(2), ("main",))
            if not self.lists:
                for verb, *name in (("names",), ("tags", self.name), ("revisions", self.name)):
                    self.refuses(HubUnavailable, f"Asked for its {verb}", getattr(hub, verb), *name)
                return
            with self.reopened(hub) as other:
                self.expect("Its names are", other.names(), sorted([self.name, self.other_name]))
                tags = other.tags(self.name)
                self.expect("Its tags are", list(tags.items()), [("main", second), ("v1", first)])
                self.expect("It has", other.revisions(self.name), sorted([first, second]))

    @law
    def test_the_manifest_is_known_without_fetching(self) -> None:
        """``manifest`` describes the files without fetching any of them."""
        stored: Files = large_files()
        with self.empty() as hub, temporary_folder() as folder:
            self.store(hub, stored)
            other = self.reopen(hub, folder)
            found = other.manifest(other.resolve(self.name))
            self.expect("The manifest is", found, manifest_of(stored))
            if size_of(folder) >= len(stored["model.safetensors"]):
                raise LawBroken(
                    "It fetched files to tell what they are.", hint="Fetch MANIFEST.json alone."
                )
