"""Bad hubs: each is a hub in a directory with one mistake, and says which law it breaks."""

import shutil
import threading
import time
from dataclasses import dataclass, replace

from dc_hub import LocalHub, StoredModel
from dc_hub.errors import (
    HubUnavailable,
    ModelNotFound,
    ReadOnlyHub,
    RevisionNotFound,
    RevisionTagged,
    TagMoved,
)
from dc_hub.format import strict_json
from dc_hub.format.filenames import MANIFEST, SIGNATURE
from dc_hub.format.manifest import CHUNK, Manifest, verify_directory
from dc_hub.format.signatures import merge_signatures
from dc_hub.hubs.contract import MAIN
from dc_hub.hubs.staging import Staging
from dc_hub.testing import HubSuite


@dataclass(frozen=True)
class Grave:
    """A suite of a bad hub, the law that it breaks, and what the kit says about it."""

    suite: type
    law: str
    says: str


GRAVES = {}


class LocalSuite(HubSuite):
    """The suite of a kind of local hub."""

    kind = LocalHub

    def make(self, folder):
        return self.kind(folder / "hub")

    def reopen(self, hub, folder):
        return self.kind(hub.path)

    def change(self, hub, name, revision, file, new):
        path = hub.path / name / "revisions" / revision / file
        path.write_bytes(new(path.read_bytes()))


def breaks(law, says, **abilities):
    """Bury a hub for the law that it breaks; several laws bury it several times."""

    def bury(kind):
        suite = type(f"{kind.__name__}Suite", (LocalSuite,), {"kind": kind, **abilities})
        GRAVES[f"{kind.__name__}: {law}"] = Grave(suite, f"test_{law}", says)
        return kind

    return bury


def with_cache(self, hub, folder):
    """Reopen a hub that has a cache."""
    other = self.kind(hub.path)
    other.cache = folder
    return other


def write_tag(hub, name, tag, revision):
    """Point a tag at a revision, whatever else it pointed at."""
    file = hub.path / name / "refs" / f"{tag}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(strict_json.dumps({"revision": revision}))


def damage(hub, name, revision):
    """Remove a file of a revision."""
    (hub.path / name / "revisions" / revision / "README.md").unlink()


# Finding


@breaks("it_has_every_method_of_a_hub", "lacks some")
class LacksMethods:
    def __init__(self, path):
        self.path = path


@breaks("a_revision_is_found_by_digest_tag_and_prefix", "For None, it found")
class FindsAny(LocalHub):
    def resolve(self, name, revision=None):
        return super().resolve(name, revision or min(self.revisions(name)))


@breaks("an_ambiguous_prefix_is_refused", "raised nothing instead of AmbiguousRevision")
class TakesTheFirst(LocalHub):
    def resolve(self, name, revision=None):
        found = [d for d in self.revisions(name) if d.startswith(revision or MAIN)]
        return super().resolve(name, found[0] if found else revision)


@breaks("an_ambiguous_prefix_is_refused", "For a longer prefix, it found")
class TakesAnotherOne(LocalHub):
    def resolve(self, name, revision=None):
        found = super().resolve(name, revision)
        if revision and 12 < len(revision) < 64:
            other = next(d for d in self.revisions(name) if d != found.revision)
            return super().resolve(name, other)
        return found


@breaks("what_is_not_there_is_a_typed_error", "KeyError instead of ModelNotFound")
class RaisesKeyError(LocalHub):
    def resolve(self, name, revision=None):
        try:
            return super().resolve(name, revision)
        except ModelNotFound as error:
            raise KeyError(name) from error


@breaks("what_is_not_there_is_a_typed_error", "'v9', it raised nothing")
class FallsBack(LocalHub):
    def resolve(self, name, revision=None):
        try:
            return super().resolve(name, revision)
        except RevisionNotFound:
            return super().resolve(name)


@breaks("what_is_not_there_is_a_typed_error", "Asked for the tags of a missing model")
class HasNoTags(LocalHub):
    def tags(self, name):
        return super().tags(name) if name in self.names() else {}


class Mute(RevisionNotFound):
    """An error that says less when it comes from another process."""

    def __reduce__(self):
        return RevisionNotFound, (str(self),)


@breaks("what_is_not_there_is_a_typed_error", "which changes when it is pickled")
class RaisesMute(LocalHub):
    def resolve(self, name, revision=None):
        try:
            return super().resolve(name, revision)
        except RevisionNotFound as error:
            raise Mute("There is none.") from error


@breaks("malformed_names_are_refused", "Asked to resolve 'a\\n', it raised ModelNotFound")
class StripsNames(LocalHub):
    def resolve(self, name, revision=None):
        return super().resolve(name.rstrip(), revision)


@breaks("malformed_tags_are_refused", "Asked for 'V1', it raised RevisionNotFound")
class LowersTags(LocalHub):
    def resolve(self, name, revision=None):
        return super().resolve(name, revision and revision.lower())


@breaks("malformed_tags_are_refused", "Asked to move the tag 'V1', it raised nothing")
class LowersMovedTags(LocalHub):
    def move_tag(self, name, tag, revision, *, expected):
        super().move_tag(name, tag.lower(), revision, expected=expected)


@breaks("what_it_holds_is_listed", "Asked for its names", lists=False)
@breaks("what_it_cannot_do_raises_read_only_hub", "With publishes = False", publishes=False)
class CanDoMore(LocalHub):
    pass


@breaks("what_it_holds_is_listed", "Its names are")
class NamesBackwards(LocalHub):
    def names(self):
        return super().names()[::-1]


@breaks("what_it_holds_is_listed", "Its tags are")
class TagsBackwards(LocalHub):
    def tags(self, name):
        return dict(reversed(super().tags(name).items()))


@breaks("what_it_holds_is_listed", "It has")
class RevisionsBackwards(LocalHub):
    def revisions(self, name):
        return super().revisions(name)[::-1]


@breaks("the_manifest_is_known_without_fetching", "The manifest is")
class ForgetsAFile(LocalHub):
    def manifest(self, model):
        return Manifest(super().manifest(model).entries[1:])


@breaks("the_manifest_is_known_without_fetching", "It fetched files", reopen=with_cache)
class FetchesToLook(LocalHub):
    def manifest(self, model):
        shutil.copytree(model.path, self.cache / "model")
        return super().manifest(model)


# Fetching


@breaks("a_model_comes_back_as_it_was_published", "It predicts")
@breaks("files_come_back_as_they_were_stored", "The fetched MANIFEST.json is not the one")
@breaks("equal_models_have_equal_revisions", "Its revision is")
@breaks("publish_returns_what_it_stored", "It published")
@breaks("a_model_has_the_signatures_that_it_was_published_with", "Its revision is")
class Spoils(LocalHub):
    def publish(self, name, write, tags=(MAIN,)):
        return super().publish(name, lambda staging: write(Spoiling(staging)), tags)


class Spoiling:
    def __init__(self, staging):
        self.staging = staging

    def write(self, name, data):
        if name == "model.safetensors":
            data = data[:-1] + bytes([data[-1] ^ 0x80])
        self.staging.write(name, data)

    def sign_with(self, sign):
        self.staging.sign_with(sign)


class Lends(LocalHub):
    """Gives out copies of models, to spoil them."""

    fetched = 0

    def copy(self, model):
        copy = self.path.parent / f"copy-{time.monotonic_ns()}"
        shutil.copytree(model.path, copy)
        return replace(model, path=copy)


@breaks("publish_returns_what_it_stored", "The fetched README.md")
@breaks("files_damaged_on_this_machine_are_noticed", "The fetched README.md")
class FetchesLess(Lends):
    def fetch(self, model, *, report=None, verify=False):
        copy = self.copy(model)
        (copy.path / "README.md").unlink(missing_ok=True)
        return copy


@breaks("files_come_back_as_they_were_stored", "The fetched README.md")
class FetchesLessTheSecondTime(FetchesLess):
    def fetch(self, model, *, report=None, verify=False):
        self.fetched += 1
        return super().fetch(model) if self.fetched == 2 else model


@breaks("files_come_back_as_they_were_stored", "it fetched lab/x")
class FetchesAnotherName(LocalHub):
    def fetch(self, model, *, report=None, verify=False):
        return replace(model, name="lab/x")


@breaks("progress_ends_with_the_size_of_all_files", "it reported [(1, 1)]")
class ReportsLess(LocalHub):
    def fetch(self, model, *, report=None, verify=False):
        if report is not None:
            report(1, 1)
        return model


@breaks("progress_ends_with_the_size_of_all_files", "it reported [(0, 0), (")
class ReportsAnotherTotal(LocalHub):
    def fetch(self, model, *, report=None, verify=False):
        size = sum(entry.size for entry in self.manifest(model).entries)
        if report is not None:
            report(0, 0)
            report(size, size)
        return model


@breaks("several_threads_fetch_at_once", "One got HubUnavailable")
class FetchesOnce(LocalHub):
    fetched = False

    def fetch(self, model, *, report=None, verify=False):
        if self.fetched:
            raise HubUnavailable("Busy.", path="busy")
        self.fetched = True
        return model


@breaks("several_threads_fetch_at_once", "The fetched README.md")
class FetchesLessInThreads(FetchesLess):
    def fetch(self, model, *, report=None, verify=False):
        main = threading.current_thread() is threading.main_thread()
        return model if main else super().fetch(model)

    def resolve(self, name, revision=None):
        return super().resolve(name, revision)


@breaks("a_file_changed_in_the_store_is_refused", "of which one bit changed, it raised nothing")
@breaks("files_damaged_on_this_machine_are_noticed", "The fetched model.safetensors is not")
class VerifiesNothing(LocalHub):
    def fetch(self, model, *, report=None, verify=False):
        return model


@breaks("a_file_changed_in_the_store_is_refused", "Given a second chunk")
class VerifiesTheFirstChunk(LocalHub):
    def fetch(self, model, *, report=None, verify=False):
        manifest = self.manifest(model)
        if all(entry.size <= CHUNK for entry in manifest.entries):
            verify_directory(model.path, manifest)
        return model


@breaks("one_chunk_is_read_alone", "Chunk 1 of model.safetensors is not")
class ReadsTheFirstChunk(LocalHub):
    def read_chunk(self, model, entry, index):
        return super().read_chunk(model, entry, 0)


@breaks("one_chunk_is_read_alone", "it fetched a file", reopen=with_cache)
class FetchesForAChunk(LocalHub):
    def read_chunk(self, model, entry, index):
        shutil.copytree(model.path, self.cache / "model", dirs_exist_ok=True)
        return super().read_chunk(model, entry, index)


@breaks("a_changed_chunk_is_refused", "of which one bit changed, it raised nothing")
class VerifiesNoChunk(LocalHub):
    def read_chunk(self, model, entry, index):
        data = (model.path / entry.path).read_bytes()
        return data[index * CHUNK : (index + 1) * CHUNK]


@breaks("a_changed_chunk_is_refused", "The other chunk is given out")
class GivesNothing(LocalHub):
    def read_chunk(self, model, entry, index):
        return super().read_chunk(model, entry, index)[:0]


@breaks("a_changed_manifest_is_refused", "it raised nothing")
class BelievesManifests(LocalHub):
    def manifest(self, model):
        return Manifest.from_bytes((model.path / MANIFEST).read_bytes())


# Publishing


@breaks("what_it_cannot_do_raises_read_only_hub", "Asked to delete a tag", moves_tags=False)
class DeletesTags(LocalHub):
    done = False

    def publish(self, name, write, tags=(MAIN,)):
        model = super().publish(name, write, ())
        for tag in tags:
            write_tag(self, name, tag, model.revision)
        return model

    def move_tag(self, name, tag, revision, *, expected):
        if self.done:
            write_tag(self, name, tag, revision)
        raise ReadOnlyHub("No.", path=name)


@breaks("what_it_cannot_do_raises_read_only_hub", "After it was refused", moves_tags=False)
class MovesTagsAllTheSame(DeletesTags):
    done = True

    def delete_tag(self, name, tag, *, expected=None):
        raise ReadOnlyHub("No.", path=name)


@breaks("publishing_the_same_again_changes_nothing", "After the same was published again")
class CountsPublishing(LocalHub):
    def publish(self, name, write, tags=(MAIN,)):
        model = super().publish(name, write, tags)
        write_tag(self, name, f"n{len(self.tags(name))}", model.revision)
        return model


@breaks("publishing_the_same_again_changes_nothing", "The fetched README.md")
class DamagesWhatIsThere(LocalHub):
    def publish(self, name, write, tags=(MAIN,)):
        there = name in self.names() if self.path.exists() else False
        model = super().publish(name, write, tags)
        if there:
            damage(self, name, model.revision)
        return model


@breaks("publishing_moves_the_tags_that_are_given", "'v1' is")
class MovesEveryTag(LocalHub):
    def publish(self, name, write, tags=(MAIN,)):
        model = super().publish(name, write, tags)
        for tag in self.tags(name):
            write_tag(self, name, tag, model.revision)
        return model


@breaks("publishing_moves_the_tags_that_are_given", "'main' is")
class MovesNoTag(LocalHub):
    def publish(self, name, write, tags=(MAIN,)):
        there = name in self.names() if self.path.exists() else False
        return super().publish(name, write, tags if not there else ())


@breaks("publishing_moves_the_tags_that_are_given", "The fetched README.md")
class DropsWhatHasNoTag(FetchesLess):
    def fetch(self, model, *, report=None, verify=False):
        tagged = model.revision in self.tags(model.name).values()
        return model if tagged else super().fetch(model)


@breaks("a_failed_publish_changes_nothing", "and publish returned")
class ForgivesWriters(LocalHub):
    later = False

    def publish(self, name, write, tags=(MAIN,)):
        try:
            return super().publish(name, write, tags)
        except BaseException:
            if self.later and not self.revisions(name):
                raise
            return StoredModel(name, "", self.path)


@breaks("a_failed_publish_changes_nothing", "and publish returned")
class ForgivesLaterWriters(ForgivesWriters):
    later = True


@breaks("a_failed_publish_changes_nothing", "After a failed publish, there is: [0-9a-f]{64}")
class StoresWhatFailed(LocalHub):
    later = False

    def publish(self, name, write, tags=(MAIN,)):
        failed = []

        def persist(staging):
            try:
                write(staging)
            except BaseException as error:
                if self.later and not self.revisions(name):
                    raise
                failed.append(error)

        model = super().publish(name, persist, tags)
        if failed:
            raise failed[0]
        return model


@breaks("a_failed_publish_changes_nothing", "After a failed publish, there is: {")
class StoresLaterWhatFailed(StoresWhatFailed):
    later = True


@breaks("an_interrupted_publish_leaves_the_old_or_the_new_model", "RevisionNotFound")
class TagsFirst(LocalHub):
    def publish(self, name, write, tags=(MAIN,)):
        folder = self.path / name / "revisions"
        folder.mkdir(parents=True, exist_ok=True)
        with Staging(folder) as staging:
            write(staging)
            revision = staging.seal()
            for tag in tags:
                write_tag(self, name, tag, revision)
            time.sleep(0)
            return StoredModel(name, revision, staging.move_to(folder / revision))


@breaks("an_interrupted_publish_leaves_the_old_or_the_new_model", "The fetched MANIFEST.json")
class WritesInPlace(LocalHub):
    def publish(self, name, write, tags=(MAIN,)):
        folder = self.path / name / "revisions"
        folder.mkdir(parents=True, exist_ok=True)
        with Staging(folder) as staging:
            write(staging)
            revision = staging.seal()
            (folder / revision).mkdir(exist_ok=True)
            for file in sorted(staging.path.iterdir(), reverse=True):
                data = file.read_bytes()
                (folder / revision / file.name).write_bytes(data)
        for tag in tags:
            write_tag(self, name, tag, revision)
        return StoredModel(name, revision, folder / revision)


@breaks("an_interrupted_publish_leaves_the_old_or_the_new_model", "which nobody published")
class Invents(LocalHub):
    def revisions(self, name):
        return [*super().revisions(name), "f" * 64]

    def resolve(self, name, revision=None):
        if revision == "f" * 64:
            return replace(super().resolve(name), revision=revision)
        return super().resolve(name, revision)


@breaks("two_who_publish_at_once_lose_nothing", "Two published at once, and got [HubUnavailable")
class PublishesOnce(LocalHub):
    def publish(self, name, write, tags=(MAIN,)):
        if self.path.exists():
            raise HubUnavailable("Busy.", path=name)
        return super().publish(name, write, tags)


LOCK = threading.Lock()


class Queues(LocalHub):
    """Publishes one model after the other."""

    def publish(self, name, write, tags=(MAIN,)):
        with LOCK:
            before = self.revisions(name) if self.path.exists() else []
            return self.next(before, super().publish(name, write, tags))


@breaks("two_who_publish_at_once_lose_nothing", "The tag points at a revision of those")
class TellsTheWinner(Queues):
    def next(self, before, model):
        if before and len(before) % 2 == 0:
            raise TagMoved("It was moved.", path=model.name)
        return model


@breaks("two_who_publish_at_once_lose_nothing", "The fetched README.md")
class DamagesTheOther(Queues):
    def next(self, before, model):
        for revision in before:
            if (self.path / model.name / "revisions" / revision / "README.md").exists():
                damage(self, model.name, revision)
        return model


# Signing

PLACED = "trust_policies_can_tell_where_a_model_is"
COMES = "a_model_has_the_signatures_that_it_was_published_with"
JOINED = "signatures_are_joined_and_none_is_lost"


@breaks(PLACED, "cannot name the place 'lab/model'")
class IsNowhere(LocalHub):
    def place(self, name):
        return name


@breaks(PLACED, "cannot name the place 'oci://registry/hub/../lab/model'")
class IsSomewhere(LocalHub):
    def place(self, name):
        return f"oci://registry/hub/../{name}"


@breaks(PLACED, "That another model is in the same place is")
class IsOnePlace(LocalHub):
    def place(self, name):
        return str(self.path)


@breaks(PLACED, "Opened again, it is at")
class MovesAbout(LocalHub):
    def place(self, name):
        return f"oci://{id(self)}/{name}"


@breaks(COMES, "Of an unsigned model, it has")
class InventsSignatures(LocalHub):
    def signatures(self, model):
        return super().signatures(model) or {SIGNATURE: b"mine"}


@breaks(COMES, "It has: {} instead of")
@breaks(JOINED, "Of two signers, it has: {} instead of")
class LosesSignatures(LocalHub):
    def signatures(self, model):
        return {}


@breaks(COMES, "In its directory are")
class FetchesNoSignatures(Lends):
    def fetch(self, model, **options):
        copy = self.copy(model)
        (copy.path / SIGNATURE).unlink(missing_ok=True)
        return copy


@breaks(JOINED, "Asked to add a signature", publishes=False, put=LocalSuite.put)
class SignsAllTheSame(LocalHub):
    pass


@breaks(JOINED, "Of two signers, it has")
class ReplacesSignatures(LocalHub):
    def add_signatures(self, model, files):
        for name, data in files.items():
            (model.path / name).write_bytes(data)


@breaks(JOINED, "Of two at once, it has")
class SignsInTurns(LocalHub):
    def add_signatures(self, model, files):
        merged = merge_signatures(self.signatures(model), files)
        time.sleep(0.3)
        for name, data in merged.items():
            (model.path / name).write_bytes(data)


@breaks(JOINED, "Published again, it has")
class ForgetsSignatures(LocalHub):
    def publish(self, name, write, tags=(MAIN,)):
        model = super().publish(name, write, tags)
        (model.path / SIGNATURE).unlink(missing_ok=True)
        return model


@breaks(JOINED, "After it was signed, there is")
class TagsWhatIsSigned(LocalHub):
    def add_signatures(self, model, files):
        super().add_signatures(model, files)
        write_tag(self, model.name, "signed", model.revision)


# Tags


@breaks("a_tag_moves_only_from_where_it_was_expected", "instead of TagMoved")
class NeverCompares(LocalHub):
    def move_tag(self, name, tag, revision, *, expected):
        self.resolve(name, revision)
        write_tag(self, name, tag, revision)


@breaks("a_tag_moves_only_from_where_it_was_expected", "After a move was refused")
@breaks("of_two_who_move_a_tag_one_is_told", "The tag is")
class MovesAndTells(LocalHub):
    def move_tag(self, name, tag, revision, *, expected):
        try:
            super().move_tag(name, tag, revision, expected=expected)
        except TagMoved:
            write_tag(self, name, tag, revision)
            raise


@breaks("a_tag_moves_only_from_where_it_was_expected", "'main' is")
class MovesMainToo(LocalHub):
    def move_tag(self, name, tag, revision, *, expected):
        super().move_tag(name, tag, revision, expected=expected)
        if tag == "new":
            write_tag(self, name, MAIN, revision)


@breaks("a_tag_that_points_there_already_is_left", "After a tag was moved to where it points")
class MarksWhatDidNotMove(LocalHub):
    def move_tag(self, name, tag, revision, *, expected):
        if self.tags(name).get(tag) == revision:
            write_tag(self, name, "again", revision)
        super().move_tag(name, tag, revision, expected=expected)


@breaks("a_tag_points_only_at_what_is_stored", "it raised nothing")
class PointsAnywhere(LocalHub):
    def move_tag(self, name, tag, revision, *, expected):
        write_tag(self, name, tag, revision)


@breaks("a_tag_points_only_at_what_is_stored", "After a move was refused")
class PointsAnywhereAndTells(LocalHub):
    def move_tag(self, name, tag, revision, *, expected):
        write_tag(self, name, tag, revision)
        self.resolve(name, revision)


@breaks("of_two_who_move_a_tag_one_is_told", "Two moved a tag at once, and got [None, None]")
class ComparesTooEarly(LocalHub):
    def move_tag(self, name, tag, revision, *, expected):
        if self.tags(name).get(tag) != expected:
            raise TagMoved("It was moved.", path=name)
        time.sleep(0.2)
        write_tag(self, name, tag, revision)


@breaks("a_deleted_tag_is_gone_and_its_revision_stays", "it raised nothing")
class KeepsTags(LocalHub):
    def delete_tag(self, name, tag, *, expected=None):
        pass


@breaks("a_deleted_tag_is_gone_and_its_revision_stays", "The fetched README.md")
class DeletesAFileToo(LocalHub):
    def delete_tag(self, name, tag, *, expected=None):
        revision = self.resolve(name, tag).revision
        super().delete_tag(name, tag, expected=expected)
        if not self.tags(name):
            damage(self, name, revision)


@breaks("only_the_expected_tag_is_deleted", "a tag that points elsewhere, it raised nothing")
class DeletesAnyTag(LocalHub):
    def delete_tag(self, name, tag, *, expected=None):
        super().delete_tag(name, tag)


@breaks("only_the_expected_tag_is_deleted", "a missing tag, it raised nothing")
class DeletesNothing(LocalHub):
    def delete_tag(self, name, tag, *, expected=None):
        if tag in self.tags(name):
            super().delete_tag(name, tag, expected=expected)


@breaks("only_the_expected_tag_is_deleted", "After a deletion was refused")
class DeletesAndTells(LocalHub):
    def delete_tag(self, name, tag, *, expected=None):
        try:
            super().delete_tag(name, tag, expected=expected)
        except TagMoved:
            super().delete_tag(name, tag)
            raise


# Removing


@breaks("a_removed_revision_is_gone_and_others_stay", "It removed: None")
@breaks("a_tagged_revision_is_removed_only_with_its_tags", "It removed: None")
@breaks("a_removed_model_is_gone", "It removed: None")
@breaks("removing_the_only_revision_removes_the_model", "It removed: None")
class TellsNothing(LocalHub):
    def remove(self, name, revision=None, *, remove_tags=False):
        super().remove(name, revision, remove_tags=remove_tags)


@breaks("a_removed_revision_is_gone_and_others_stay", "which was removed, it raised nothing")
@breaks("a_tagged_revision_is_removed_only_with_its_tags", "which was removed, it raised nothing")
@breaks("a_removed_model_is_gone", "which was removed, it raised nothing")
@breaks("removing_the_only_revision_removes_the_model", "which was removed, it raised nothing")
class Keeps(LocalHub):
    def remove(self, name, revision=None, *, remove_tags=False):
        if revision is None:
            return self.revisions(name)
        digest = self.resolve(name, revision).revision
        if digest in self.tags(name).values() and not remove_tags:
            raise RevisionTagged("It is tagged.", path=name)
        return [digest]


@breaks("a_removed_revision_is_gone_and_others_stay", "The fetched README.md")
class DamagesTheRest(LocalHub):
    def remove(self, name, revision=None, *, remove_tags=False):
        removed = super().remove(name, revision, remove_tags=remove_tags)
        damage(self, name, self.revisions(name)[0])
        return removed


@breaks("a_tagged_revision_is_removed_only_with_its_tags", "instead of RevisionTagged")
class RemovesTagsToo(LocalHub):
    def remove(self, name, revision=None, *, remove_tags=False):
        return super().remove(name, revision, remove_tags=True)


@breaks("a_tagged_revision_is_removed_only_with_its_tags", "After a removal was refused")
class RemovesAndTells(LocalHub):
    def remove(self, name, revision=None, *, remove_tags=False):
        removed = super().remove(name, revision, remove_tags=True)
        if not remove_tags:
            raise RevisionTagged("It was tagged.", path=name)
        return removed


class Replaces(LocalHub):
    """Publishes something else when a model is removed."""

    def remove(self, name, revision=None, *, remove_tags=False):
        removed = super().remove(name, revision, remove_tags=remove_tags)
        self.publish(self.names()[0], lambda staging: staging.write("a", b"else"))
        return removed


@breaks("a_tagged_revision_is_removed_only_with_its_tags", "'main' is")
@breaks("a_removed_model_is_gone", "The other is")
class ReplacesTheRest(Replaces):
    pass


@breaks("a_removed_model_is_gone", "Its names are")
@breaks("removing_the_only_revision_removes_the_model", "Its names are")
class RemembersNames(LocalHub):
    def names(self):
        return sorted({*super().names(), "lab/model"})


@breaks("a_removed_model_is_gone", "Stored again, it is")
class SpoilsAfterwards(Spoils):
    removed = False

    def remove(self, name, revision=None, *, remove_tags=False):
        self.removed = True
        return super().remove(name, revision, remove_tags=remove_tags)

    def publish(self, name, write, tags=(MAIN,)):
        publish = super().publish if self.removed else super(Spoils, self).publish
        return publish(name, write, tags)


@breaks("removing_what_is_not_there_is_a_typed_error", "Asked to remove a missing model")
class RemovesAnyModel(LocalHub):
    def remove(self, name, revision=None, *, remove_tags=False):
        if name not in self.names():
            return []
        return super().remove(name, revision, remove_tags=remove_tags)


@breaks("removing_what_is_not_there_is_a_typed_error", "Asked to remove 'v9', it raised nothing")
class RemovesAnyRevision(LocalHub):
    def remove(self, name, revision=None, *, remove_tags=False):
        try:
            return super().remove(name, revision, remove_tags=remove_tags)
        except RevisionNotFound:
            return []


@breaks("removing_what_is_not_there_is_a_typed_error", "After a removal was refused")
class RemovesAllAndTells(LocalHub):
    def remove(self, name, revision=None, *, remove_tags=False):
        try:
            return super().remove(name, revision, remove_tags=remove_tags)
        except (RevisionNotFound, ModelNotFound) as error:
            if revision is None:
                raise
            if name in self.names():
                super().remove(name)
            raise RevisionNotFound(str(error), path=name) from error
