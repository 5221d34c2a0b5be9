"""Laws on the state after publishing, however it ends."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from dc_core.testing import LawBroken, law
from dc_core.testing.process import Interrupt, apart
from dc_hub.errors import ReadOnlyHub, TagMoved
from dc_hub.hubs.contract import MAIN, Hub, StoredModel
from dc_hub.hubs.local import LocalHub
from dc_hub.hubs.staging import Staging
from dc_hub.testing.samples import Files, files, manifest_of, writer
from dc_hub.testing.subject import HubSubject, at_once, temporary_folder


@contextmanager
def _leaks_ignored() -> Iterator[None]:
    """Do not warn of files that are closed by the collector: Ctrl-C can come before a `with`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield


class _Failed(Exception):
    """The error of a failing writer."""


class PublishingLaws(HubSubject):
    """Laws on the state after publishing, however it ends."""

    @law
    def test_what_it_cannot_do_raises_read_only_hub(self) -> None:
        """Operations that the suite excludes raise ReadOnlyHub and change nothing."""
        with self.empty() as hub:
            revision = self.store(hub, files(0))
            before = self.state(hub)
            cannot = {
                "publishes": partial(hub.publish, self.name, writer(files(1))),
                "moves_tags": partial(hub.move_tag, self.name, "v1", revision, expected=None),
                "removes": partial(hub.remove, self.name),
            }
            for ability, call in cannot.items():
                if not getattr(self, ability):
                    self.refuses(ReadOnlyHub, f"With {ability} = False", call)
            if not self.moves_tags:
                self.refuses(ReadOnlyHub, "Asked to delete a tag", hub.delete_tag, self.name, MAIN)
            self.same_state(hub, before, "After it was refused, there is")

    @law
    def test_equal_models_have_equal_revisions(self) -> None:
        """The revision is the digest of the manifest: the same in every hub, under every name."""
        with self.empty() as hub, self.empty() as another, temporary_folder() as folder:
            wanted = LocalHub(folder).publish("m", writer(files(0))).revision
            places = [(hub, self.name), (hub, self.other_name), (another, self.name)]
            for where, name in places:
                self.store(where, files(0), name=name)
                self.expect("Its revision is", where.resolve(name).revision, wanted)

    @law
    def test_publish_returns_what_it_stored(self) -> None:
        """``publish`` returns the name and the revision, which ``resolve`` finds."""
        self.needs("publishes")
        with self.empty() as hub:
            published = hub.publish(self.name, writer(files(0)))
            wanted = (self.name, manifest_of(files(0)).revision)
            self.expect("It published", (published.name, published.revision), wanted)
            self.expect_files(hub, published, files(0))

    @law
    def test_publishing_the_same_again_changes_nothing(self) -> None:
        """Publishing an equal model again leaves the hub as it was."""
        self.needs("publishes")
        with self.empty() as hub:
            hub.publish(self.name, writer(files(0)))
            before = self.state(hub)
            hub.publish(self.name, writer(files(0)))
            self.same_state(hub, before, "After the same was published again, there is")
            self.expect_files(hub, hub.resolve(self.name), files(0))

    @law
    def test_publishing_moves_the_tags_that_are_given(self) -> None:
        """The tags that are given point at the new revision; others stay, and none is needed."""
        self.needs("publishes")
        with self.empty() as hub:
            first = hub.publish(self.name, writer(files(1)), ("v1", MAIN)).revision
            second = hub.publish(self.name, writer(files(2)), (MAIN,)).revision
            third = hub.publish(self.name, writer(files(3)), ()).revision
            for revision, wanted in {"v1": first, MAIN: second, third: third}.items():
                found = hub.resolve(self.name, revision).revision
                self.expect(f"{revision!r} is", found, wanted)
            self.expect_files(hub, hub.resolve(self.name, third), files(3))

    @law
    def test_a_failed_publish_changes_nothing(self) -> None:
        """If writing the model fails, the error comes through and the hub is as it was."""
        self.needs("publishes")
        for kind in (_Failed, KeyboardInterrupt):
            with self.empty() as hub:
                self._fail(hub, kind)
                self.expect("After a failed publish, there is", self.state(hub)[MAIN], None)
                hub.publish(self.name, writer(files(0)))
                before = self.state(hub)
                self._fail(hub, kind)
                self.same_state(hub, before, "After a failed publish, there is")

    def _fail(self, hub: Hub, kind: type[BaseException]) -> None:
        def write(staging: Staging) -> None:
            writer(files(1))(staging)
            raise kind("while it is written")

        try:
            hub.publish(self.name, write)
        except kind:
            return
        raise LawBroken(
            f"A writer raised {kind.__name__}, and publish returned.",
            hint="Let what the writer raises come through.",
        )

    @law
    def test_an_interrupted_publish_leaves_the_old_or_the_new_model(self) -> None:
        """Ctrl-C at any instant leaves a hub in which the name is the old or the new model."""
        self.needs("publishes")
        with self.empty() as hub:
            self.store(hub, files(0))
            known = {manifest_of(files(0)).revision: files(0)}
            for number, interrupt in enumerate(self._interrupts(hub), 1):
                known[manifest_of(files(number)).revision] = files(number)
                with _leaks_ignored(), suppress(KeyboardInterrupt), interrupt:
                    apart(partial(hub.publish, self.name, writer(files(number))))
                self._whole(hub, hub.resolve(self.name), known)
            with self.reopened(hub) as other:
                for revision in hub.revisions(self.name) if self.lists else ():
                    self._whole(other, other.resolve(self.name, revision), known)

    def _interrupts(self, hub: Hub) -> Iterator[Interrupt]:
        """Yield interrupts that come when lines, spread over a publish, are executed last."""
        packages = {"dc_hub", type(hub).__module__.partition(".")[0]}
        with Interrupt(packages) as counted:
            hub.publish(self.other_name, writer(files(0)))
        last = sorted(counts[-1] for counts in counted.counts.values())
        for number in range(self.interrupts):
            yield Interrupt(packages, last[len(last) * number // self.interrupts])

    def _whole(self, hub: Hub, model: StoredModel, known: dict[str, Files]) -> None:
        """Break the law unless ``model`` is one of those ``known``, with all its files."""
        if model.revision not in known:
            raise LawBroken(
                f"There is a revision {model.revision}, which nobody published.",
                hint="Store a model under its revision, or not at all.",
            )
        self.expect_files(hub, model, known[model.revision])

    @law
    def test_two_who_publish_at_once_lose_nothing(self) -> None:
        """Two who publish under one name at once store both; a tag is one's, the other is told."""
        self.needs("publishes")
        with self.empty() as hub, self.reopened(hub) as other:
            self.store(hub, files(0))
            for number in range(1, 6):
                made = [files(2 * number), files(2 * number + 1)]
                outcomes = at_once(
                    [
                        partial(where.publish, self.name, writer(stored))
                        for where, stored in zip((hub, other), made, strict=True)
                    ]
                )
                won = [found for found in outcomes if isinstance(found, StoredModel)]
                lost = [found for found in outcomes if isinstance(found, TagMoved)]
                if len(won) + len(lost) != 2 or not won:
                    raise LawBroken(
                        f"Two published at once, and got {outcomes}.",
                        hint="Store both; raise TagMoved for the one whose tag did not move.",
                    )
                self.expect(
                    "The tag points at a revision of those who were not told otherwise",
                    hub.resolve(self.name).revision in {model.revision for model in won},
                    True,
                )
                for stored in made:
                    model = hub.resolve(self.name, manifest_of(stored).revision)
                    self.expect_files(hub, model, stored)
