"""Laws on tags: they are moved by comparing and exchanging."""

from __future__ import annotations

from functools import partial

from dc_core.testing import LawBroken, law
from dc_hub.errors import RevisionNotFound, TagMoved
from dc_hub.testing.samples import files
from dc_hub.testing.subject import HubSubject, at_once

_UNKNOWN = "f" * 64


class TaggingLaws(HubSubject):
    """Laws on tags."""

    @law
    def test_a_tag_moves_only_from_where_it_was_expected(self) -> None:
        """A tag that points elsewhere, exists or does not exist as expected raises TagMoved."""
        self.needs("moves_tags")
        with self.empty() as hub:
            first = self.store(hub, files(1), ("v1", "main"))
            second = self.store(hub, files(2), ("main",))
            hub.move_tag(self.name, "new", first, expected=None)
            hub.move_tag(self.name, "v1", second, expected=first)
            before = self.state(hub)
            for tag, expected in (("v1", first), ("v1", None), ("absent", first)):
                what = f"Asked to move {tag!r} from {expected and 'elsewhere'}"
                move = partial(hub.move_tag, self.name, tag, first, expected=expected)
                self.refuses(TagMoved, what, move)
                self.same_state(hub, before, "After a move was refused, there is")
            for tag, wanted in {"new": first, "v1": second, "main": second}.items():
                self.expect(f"{tag!r} is", hub.resolve(self.name, tag).revision, wanted)

    @law
    def test_a_tag_that_points_there_already_is_left(self) -> None:
        """Moving a tag to where it points succeeds, whatever was expected."""
        self.needs("moves_tags")
        with self.empty() as hub:
            revision = self.store(hub, files(0))
            before = self.state(hub)
            hub.move_tag(self.name, "main", revision, expected=None)
            hub.move_tag(self.name, "main", revision, expected=_UNKNOWN)
            self.same_state(hub, before, "After a tag was moved to where it points, there is")

    @law
    def test_a_tag_points_only_at_what_is_stored(self) -> None:
        """A tag cannot be moved to a revision that the model does not have."""
        self.needs("moves_tags")
        with self.empty() as hub:
            revision = self.store(hub, files(0))
            before = self.state(hub)
            for tag, expected in (("main", revision), ("v1", None)):
                move = partial(hub.move_tag, self.name, tag, _UNKNOWN, expected=expected)
                self.refuses(RevisionNotFound, "Given a revision that is not stored", move)
            self.same_state(hub, before, "After a move was refused, there is")

    @law
    def test_of_two_who_move_a_tag_one_is_told(self) -> None:
        """Of two who move a tag at once to different revisions, one gets TagMoved."""
        self.needs("moves_tags")
        with self.empty() as hub, self.reopened(hub) as other:
            targets = [self.store(hub, files(number), ()) for number in range(3)]
            for number in range(8):
                tag = f"v{number % 4}"
                expected = targets[0] if number >= 4 else None
                goals = targets[1:] if number >= 4 else targets[:2]
                if number >= 4:
                    before = hub.resolve(self.name, tag).revision
                    hub.move_tag(self.name, tag, targets[0], expected=before)
                outcomes = at_once(
                    [
                        partial(where.move_tag, self.name, tag, goal, expected=expected)
                        for where, goal in zip((hub, other), goals, strict=True)
                    ]
                )
                told = [isinstance(outcome, TagMoved) for outcome in outcomes]
                if sorted(told) != [False, True] or outcomes[told.index(False)] is not None:
                    raise LawBroken(
                        f"Two moved a tag at once, and got {outcomes}.",
                        hint="Compare and exchange in one step: a conditional write, or a lock.",
                    )
                winner = goals[told.index(False)]
                self.expect("The tag is", hub.resolve(self.name, tag).revision, winner)

    @law
    def test_a_deleted_tag_is_gone_and_its_revision_stays(self) -> None:
        """A deleted tag names nothing; the revision is found by its digest."""
        self.needs("moves_tags")
        with self.empty() as hub:
            revision = self.store(hub, files(0), ("v1", "main"))
            hub.delete_tag(self.name, "v1")
            hub.delete_tag(self.name, "main", expected=revision)
            for tag in ("v1", "main"):
                what = f"Asked for the deleted tag {tag!r}"
                self.refuses(RevisionNotFound, what, hub.resolve, self.name, tag)
            self.expect_files(hub, hub.resolve(self.name, revision), files(0))

    @law
    def test_only_the_expected_tag_is_deleted(self) -> None:
        """A tag that points elsewhere is kept with TagMoved; a missing one: RevisionNotFound."""
        self.needs("moves_tags")
        with self.empty() as hub:
            first = self.store(hub, files(1))
            self.store(hub, files(2))
            before = self.state(hub)
            delete = partial(hub.delete_tag, self.name, "main", expected=first)
            self.refuses(TagMoved, "Asked to delete a tag that points elsewhere", delete)
            self.refuses(
                RevisionNotFound, "Asked to delete a missing tag", hub.delete_tag, self.name, "v9"
            )
            self.same_state(hub, before, "After a deletion was refused, there is")
