"""Hubs in Hugging Face's hub: a repository for each model, in the conventions of both.

    hf://org            the repositories of an organisation or a user
    hf://               all repositories, named org/net

A commit holds one model directory, which is a model repository for everybody else. A tag is a git
branch, ``main`` the branch of that name; a branch of ours moves only by commits, and those are
conditional on the commit before. The commit of each revision has a git tag, ``sha256-<digest>``, by
which it is found and which nothing moves; so a card that somebody edits on the website, a commit
later, does not make a model unreadable.

What is weaker than in a bucket:

- Publishing is one commit, but its git tag is a second step. After a crash between the two, the
  revision is found while a branch or tag points at it, and publishing it again sets the tag.
- Branches and git tags are deleted unconditionally, right after they were looked at. A tag that
  another program made as a git tag becomes a branch when it is moved: for a moment it is missing.
- What is removed stays in the history of the repository until that is deleted.
- The index that lists models is Hugging Face's, and may be some seconds late.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from dc_core import hookimpl, warn
from dc_core.errors import ParameterError
from dc_hub.errors import (
    FileMissing,
    HubUnavailable,
    HubWarning,
    ModelNotFound,
    Offline,
    RevisionNotFound,
    RevisionTagged,
    TagMoved,
    UnsafePath,
)
from dc_hub.files.paths import check_any_name, check_name, check_tag
from dc_hub.files.urls import without_secrets
from dc_hub.format.filenames import (
    CARD,
    GOLDEN,
    MANIFEST,
    PARAMS,
    SIGNATURES,
    TRAINING,
    is_weights,
)
from dc_hub.format.manifest import MAX_BYTES, Manifest, parse_manifest
from dc_hub.format.signatures import MAX_BYTES as SIGNATURE_BYTES
from dc_hub.format.signatures import merge_signatures, read_signature_files
from dc_hub.hubs.catalogue import looked_up
from dc_hub.hubs.contract import (
    MAIN,
    Report,
    StoredModel,
    find_digest,
    is_digest,
    moved_tag,
    weights_alone,
)
from dc_hub.hubs.index import Index, Listed
from dc_hub.hubs.staging import Staging
from dc_hub.remote.cache import Cache
from dc_hub.remote.hub import WAIT, RemoteHub
from dc_hub.remote.huggingface import plain
from dc_hub.remote.huggingface.client import (
    OFFLINE,
    Client,
    Refused,
    default_endpoint,
    default_token,
    is_offline,
)
from dc_hub.remote.huggingface.store import COMMIT, HFStore, Refs
from dc_hub.remote.retrying import persist

DIGEST_TAG: Final = "sha256-"
"""The prefix of the git tag of a revision."""

UNFINISHED: Final = "dc-hub-unfinished-"
"""The prefix of branches that exist only while a model is published."""

SIGNED: Final = "dc-hub-signed-"
"""The prefix of the branch with the signatures added to a revision later."""


_OPTIONS: Final = frozenset({"endpoint", "token", "private"})
_URL: Final = re.compile(r"hf://(?:models(?:/|$))?([A-Za-z0-9][A-Za-z0-9._-]{0,95})?/?", re.I)
_PREFIX: Final = re.compile(r"[0-9a-f]{12,63}")
_OTHER_KINDS: Final = frozenset({"buckets", "datasets", "kernels", "spaces"})
_OURS: Final = frozenset({CARD, GOLDEN, MANIFEST, PARAMS, TRAINING, *SIGNATURES})


@hookimpl
def dc_open_hub(url: str, options: Mapping[str, Any]) -> HFHub:
    """Return the hub at ``hf://org``, or at ``hf://`` for all.

    ``endpoint`` is that of another server than Hugging Face's (default: ``HF_ENDPOINT``), ``token``
    another token than the one of ``huggingface_hub`` (False: none). Repositories that publishing
    makes are public, or as the organisation has set; ``private=True`` makes them private.
    """
    unknown = options.keys() - _OPTIONS
    if unknown:
        raise ParameterError(
            f"A hub of Hugging Face has no option {min(unknown)!r}.",
            hint=f"Its options are: {', '.join(sorted(_OPTIONS))}.",
        )
    found = _URL.fullmatch(url)
    if found is None or (found[1] or "").lower() in _OTHER_KINDS:
        raise HubUnavailable(
            f"{without_secrets(url)!r} is not the URL of a hub.",
            path=without_secrets(url),
            hint="Write hf://org for the models of an organisation or a user. The address of a "
            "model, hf://org/net, goes where its name would.",
        )
    endpoint = options.get("endpoint") or default_endpoint()
    token = options.get("token")
    if token is None:
        token = default_token()
    store = HFStore(endpoint, token or None)
    client = Client(endpoint, token or None, private=bool(options.get("private")))
    return HFHub(store, client, found[1] or "")


class HFHub(RemoteHub):
    """The repositories of ``namespace``, or all, read through the cache; see the module."""

    store: HFStore

    def __init__(
        self, store: HFStore, client: Client, namespace: str, cache: Cache | None = None
    ) -> None:
        super().__init__(store, cache)
        self._client = client
        self._namespace = namespace
        self._digests: dict[tuple[str, str], str | None] = {}
        self._commits: dict[tuple[str, str], str] = {}

    def __repr__(self) -> str:
        return f"HFHub({self.url!r})"

    @property
    def url(self) -> str:
        """The URL of the hub."""
        return f"hf://{self._namespace}"

    def names(self) -> list[str]:
        """Return the names of the repositories with a model of ours in the branch ``main``, sorted.

        Raises :class:`HubUnavailable` for the hub of all repositories, and :class:`Offline`.
        """
        if not self._namespace:
            raise HubUnavailable(
                "All of Hugging Face's hub cannot be listed.",
                path=self.url,
                hint="Name an organisation or a user: hf://org.",
            )
        self._check_online(self._namespace)
        start = f"{self._namespace}/"
        names = self._client.names(self._namespace, MANIFEST)
        return sorted(name.removeprefix(start) for name in names if name.startswith(start))

    def tags(self, name: str) -> dict[str, str]:
        """Return the revision that each tag of a model points at, sorted by tag.

        Git tags of other programs count too. Raises :class:`ModelNotFound` if there is no
        repository, or if it holds no model of ours.
        """
        repository = self._repository(name)
        refs = self._refs(repository)
        tags = self._tags(repository, refs)
        if not tags and not _published(refs):
            raise self._no_model(name)
        return tags

    def revisions(self, name: str) -> list[str]:
        """Return the digests of a model's revisions, sorted; raises what :meth:`tags` does."""
        repository = self._repository(name)
        refs = self._refs(repository)
        found = {*_published(refs), *self._tags(repository, refs).values()}
        if not found:
            raise self._no_model(name)
        return sorted(found)

    def listed(self) -> Index:
        """Return the tags and revisions of all models as they are now; see :meth:`names`."""
        return {name: Listed(self.tags(name), tuple(self.revisions(name))) for name in self.names()}

    def index(self) -> Index:
        """Return the entries of all models, read from each, because there is no index."""
        return dict(looked_up(self, {}))

    def resolve(self, name: str, revision: str | None = None) -> StoredModel:
        """Return the revision that ``revision`` names.

        It is a digest, a commit, a prefix of a digest, or the name of a branch or a git tag, if it
        could be a tag's (what others name otherwise is found by its commit). A full digest is taken
        as it is: whether the hub has it shows when it is fetched. What has no manifest has an empty
        revision: it is weights alone.

        Raises :class:`ModelNotFound`, :class:`RevisionNotFound`, :class:`AmbiguousRevision`,
        :class:`HubUnavailable`, or :class:`Offline` if a tag cannot be looked up.
        """
        repository = self._repository(name)
        wanted = MAIN if revision is None else revision
        if is_digest(wanted):
            return StoredModel(name, wanted, self.cache.path(wanted))
        refs = self._refs(repository)
        missing = partial(self._not_there, name, wanted, refs)
        if _PREFIX.fullmatch(wanted):
            is_commit = COMMIT.fullmatch(wanted) and self._has_commit(repository, wanted)
            commit = wanted if is_commit else None
        else:
            commit = refs.commit(check_tag(wanted))
            if commit is None:
                raise missing()
        if commit is None:
            revisions = partial(self.revisions, name)
            digest = find_digest(name, wanted, lambda _: None, revisions, missing)
            return StoredModel(name, digest, self.cache.path(digest))
        found = self._digest(repository, commit, refs)
        if found is None:
            if _published(refs):
                raise missing()
            return plain.plain_model(self.cache, self.store, name, repository, commit)
        # The commit that was published, not one that changed the card since.
        self._commits[repository, found] = _published(refs).get(found, commit)
        return StoredModel(name, found, self.cache.path(found))

    def manifest(self, model: StoredModel) -> Manifest:
        """Return the manifest of a model that was resolved, which has its digest.

        Raises :class:`FileMissing` for weights alone.
        """
        if isinstance(model, plain.PlainModel):
            raise weights_alone(model)
        return super().manifest(model)

    def fetch(
        self, model: StoredModel, *, report: Report | None = None, verify: bool = False
    ) -> StoredModel:
        """Return a model that was resolved, with its files in the cache; see :class:`RemoteHub`.

        Weights alone get a manifest there, and its digest as their revision. A
        :class:`HubWarning` says that they have none in the hub.
        """
        if not isinstance(model, plain.PlainModel):
            return super().fetch(model, report=report, verify=verify)
        there = plain.fetched(self.cache, model)
        if there is not None and verify:
            self._discard_if_damaged(there)
            there = plain.fetched(self.cache, model)
        if there is None:
            self._check_online(model.repository)
            there = plain.fetch(self.cache, self.store, model, report, wait=WAIT)
        warn(
            f"{model.repository} has no {MANIFEST}: its weights are unversioned, and were compared "
            f"only with what the hub lists for the commit {model.commit}.",
            HubWarning,
        )
        return super().fetch(there)

    def place(self, name: str) -> str:
        """Return the address of the model ``name``."""
        return f"hf://{self._repository(name)}"

    def signatures(self, model: StoredModel) -> dict[str, bytes]:
        """Return the signature files of a model that was resolved; see :class:`RemoteHub`."""
        if isinstance(model, plain.PlainModel):
            return {}
        repository = self._repository(model.name)
        commit = self._commit(repository, model.name, model.revision)
        return self._signatures(
            repository, commit, self._refs(repository).branches.get(f"{SIGNED}{model.revision}")
        )

    def add_signatures(self, model: StoredModel, files: Mapping[str, bytes]) -> None:
        """Join signature files to those of a model that was resolved; see :class:`LocalHub`.

        They go to a branch for this revision, by conditional commits.
        """
        repository = self._own_repository(model.name)
        commit = self._commit(repository, model.name, model.revision)
        branch = f"{SIGNED}{model.revision}"

        def join() -> None:
            head = self._refs(repository).branches.get(branch)
            there = self._signatures(repository, commit, head)
            merged = merge_signatures(there, files, what=self.place(model.name))
            if merged == there:
                return
            message = f"Sign revision {model.revision[:12]}"
            if head is None:
                self._client.create_branch(repository, branch, commit)
            self._client.upload(
                repository, merged, branch=branch, parent=head or commit, message=message
            )

        persist(join, (Refused,))  # if another is faster, what it has written is joined

    def publish(
        self, name: str, write: Callable[[Staging], None], tags: Sequence[str] = (MAIN,)
    ) -> StoredModel:
        """Store the model directory that ``write`` writes; see :meth:`LocalHub.publish`.

        It is written on this machine first. The repository is made if there is none. Files of
        others in it stay as they are.
        """
        repository = self._own_repository(name)
        for tag in tags:
            _check_own_tag(tag)
        try:
            before = self._refs(repository)
        except ModelNotFound:
            before = None
        expected = {
            tag: None if before is None else self._tagged(repository, tag, before) for tag in tags
        }
        with (
            tempfile.TemporaryDirectory(prefix="dc-hub-") as folder,
            Staging(Path(folder)) as staging,
        ):
            write(staging)
            revision = staging.seal()
            if before is None:
                self._client.create(repository)
                before = self._refs(repository)
            moved = self._store(repository, name, staging.path, revision, before, expected)
            signed = StoredModel(name, revision, self.cache.path(revision))
            if signatures := read_signature_files(staging.path):
                self.add_signatures(signed, signatures)
        if moved is not None:
            raise moved
        commit = self._commit(repository, name, revision)
        for tag in tags:
            if tag != MAIN:
                self._point(repository, name, tag, revision, commit, before, expected[tag])
        return signed

    def move_tag(self, name: str, tag: str, revision: str, *, expected: str | None) -> None:
        """Point ``tag`` at ``revision`` if it points at ``expected``; see :class:`LocalHub`.

        A branch is moved by a commit with the files of the revision.
        """
        repository = self._own_repository(name)
        _check_own_tag(tag)
        refs = self._refs(repository)
        commit = self._commit(repository, name, revision)
        now = self._tagged(repository, tag, refs)
        if now != revision and now != expected:
            raise moved_tag(name, tag, now, expected, revision)
        self._point(repository, name, tag, revision, commit, refs, now)

    def delete_tag(self, name: str, tag: str, *, expected: str | None = None) -> None:
        """Delete ``tag``; the revision that it points at is kept.

        The branch ``main`` stays, without the files of the model.
        """
        repository = self._own_repository(name)
        refs = self._refs(repository)
        now = self._tagged(repository, _check_own_tag(tag), refs)
        if now is None:
            raise self._not_there(name, tag, refs)
        if expected is not None and now != expected:
            raise moved_tag(name, tag, now, expected)
        self._delete(repository, name, tag, refs)

    def remove(
        self, name: str, revision: str | None = None, *, remove_tags: bool = False
    ) -> list[str]:
        """Remove one revision of a model, or the whole model; see :meth:`LocalHub.remove`.

        The whole model is the repository, with everything in it. One revision is not found any
        more, but what was committed stays in the history.
        """
        repository = self._own_repository(name)
        digests = self.revisions(name)
        if revision is None:
            self._client.delete(repository)
            self._commits = {
                at: commit for at, commit in self._commits.items() if at[0] != repository
            }
            return digests
        digest = self.resolve(name, revision).revision
        refs = self._refs(repository)
        if digest not in digests:
            raise self._not_there(name, digest, refs)
        pointing = [tag for tag, to in self._tags(repository, refs).items() if to == digest]
        if pointing and not remove_tags:
            raise RevisionTagged(
                f"The revision {digest} of {name!r} is tagged: {', '.join(pointing)}.",
                path=name,
                hint="Move or delete the tags first, or pass remove_tags=True "
                "(dc-hub rm --remove-tags).",
            )
        for tag in pointing:
            self._delete(repository, name, tag, refs)
        if f"{SIGNED}{digest}" in refs.branches:
            self._client.delete_branch(repository, f"{SIGNED}{digest}")
        if f"{DIGEST_TAG}{digest}" in refs.tags:
            self._client.delete_tag(repository, f"{DIGEST_TAG}{digest}")
        self._commits.pop((repository, digest), None)
        return [digest]

    def _store(
        self, repository: str, name: str, directory: Path, revision: str, refs: Refs,
        expected: Mapping[str, str | None],
    ) -> TagMoved | None:  # fmt: skip
        """Commit the files of ``directory``, to ``main`` if that is to move, and tag the commit.

        Return the error if ``main`` was moved meanwhile; the revision is stored all the same.
        """
        head = refs.branches.get(MAIN)
        now = None if head is None else self._digest(repository, head, refs)
        commit = _published(refs).get(revision) or (head if now == revision else None)
        moved = None
        if MAIN in expected and now != revision:
            try:
                if now != expected[MAIN]:
                    raise Refused("It was changed before the repository was there.")
                commit = self._upload(repository, directory, revision, MAIN, head)
            except Refused:
                now = self._tagged(repository, MAIN, self._refs(repository))
                moved = moved_tag(name, MAIN, now, expected[MAIN], revision)
        if commit is None:
            commit = self._upload_aside(repository, directory, revision, head)
        self._client.create_tag(repository, f"{DIGEST_TAG}{revision}", commit)
        self._commits[repository, revision] = commit
        return moved

    def _upload(
        self, repository: str, directory: Path, revision: str, branch: str, head: str | None
    ) -> str:
        files = {path.name: path for path in directory.iterdir()}
        return self._client.upload(
            repository,
            files,
            branch=branch,
            parent=head,
            delete=self._left_over(repository, head, files),
            message=f"Publish revision {revision[:12]}",
        )

    def _upload_aside(
        self, repository: str, directory: Path, revision: str, head: str | None
    ) -> str:
        """Commit to a branch of its own, which is there only until the commit has its tag."""
        if head is None:
            raise self._no_main(repository)
        branch = f"{UNFINISHED}{uuid.uuid4().hex}"
        self._client.create_branch(repository, branch, head)
        try:
            commit = self._upload(repository, directory, revision, branch, head)
            self._client.create_tag(repository, f"{DIGEST_TAG}{revision}", commit)
        finally:
            self._client.delete_branch(repository, branch)
        return commit

    def _point(
        self, repository: str, name: str, tag: str, revision: str, commit: str, refs: Refs,
        then: str | None,
    ) -> None:  # fmt: skip
        """Point ``tag`` at a revision and its commit, if it still is where ``refs`` says."""
        if then == revision:
            return
        head = refs.branches.get(tag)
        try:
            if head is None:
                if tag in refs.tags:
                    self._client.delete_tag(repository, tag)
                self._client.create_branch(repository, tag, commit)
                return
            there = self.store.files(repository, commit)
            path = f"{repository}/resolve/{commit}/{MANIFEST}"
            manifest = parse_manifest(self._read(path, MAX_BYTES), revision, path)
            names = {entry.path for entry in manifest.entries} | {MANIFEST}
            names |= there.keys() & set(SIGNATURES)
            self._client.copy(
                repository,
                names,
                source=commit,
                branch=tag,
                parent=head,
                delete=self._left_over(repository, head, names),
                message=f"Move {tag} to revision {revision[:12]}",
            )
        except Refused as error:
            now = self._tagged(repository, tag, self._refs(repository))
            if now != revision:
                raise moved_tag(name, tag, now, then, revision) from error

    def _delete(self, repository: str, name: str, tag: str, refs: Refs) -> None:
        head = refs.branches.get(tag)
        if tag == MAIN and head is not None:
            ours = self._left_over(repository, head, ())
            try:
                self._client.upload(
                    repository,
                    {},
                    branch=MAIN,
                    parent=head,
                    delete=ours,
                    message="Remove the model",
                )
            except Refused as error:
                now = self._tagged(repository, tag, self._refs(repository))
                raise moved_tag(name, tag, now, None) from error
        elif self._refs(repository).commit(tag) != refs.commit(tag):
            now = self._tagged(repository, tag, self._refs(repository))
            raise moved_tag(name, tag, now, None)
        elif head is not None:
            self._client.delete_branch(repository, tag)
        else:
            self._client.delete_tag(repository, tag)

    def _left_over(self, repository: str, head: str | None, names: Collection[str]) -> set[str]:
        """Return the files of a model of ours at ``head`` other than ``names``."""
        if head is None:
            return set()
        there = self.store.files(repository, head)
        return {name for name in there if name in _OURS or is_weights(name)} - set(names)

    def _repository(self, name: str) -> str:
        """Return the repository of a model.

        Raises :class:`UnsafePath`, and :class:`ModelNotFound` for a name that none here can have.
        """
        check_any_name(name)
        if not self._namespace:
            return name
        if "/" in name:
            raise ModelNotFound(
                f"There is no model {name!r} in {self.url}: repositories are not in folders.",
                path=name,
                hint="Give a name without '/'; in the hub hf:// it is 'org/net'.",
            )
        return f"{self._namespace}/{name}"

    def _own_repository(self, name: str) -> str:
        try:
            return self._repository(check_name(name))
        except ModelNotFound as error:
            raise UnsafePath(error.args[0], path=error.path, hint=error.hint) from error

    def _refs(self, repository: str) -> Refs:
        self._check_online(repository)
        return self.store.refs(repository)

    def _tags(self, repository: str, refs: Refs) -> dict[str, str]:
        found = {
            tag: self._digest(repository, commit, refs)
            for tag, commit in sorted({**refs.tags, **refs.branches}.items())
            if _is_tag(tag)
        }
        return {tag: digest for tag, digest in found.items() if digest is not None}

    def _tagged(self, repository: str, tag: str, refs: Refs) -> str | None:
        commit = refs.commit(tag)
        return None if commit is None else self._digest(repository, commit, refs)

    def _digest(self, repository: str, commit: str, refs: Refs) -> str | None:
        """Return the digest of the manifest at a commit, None if it has none."""
        key = repository, commit
        if key not in self._digests:
            tagged = (digest for digest, at in _published(refs).items() if at == commit)
            self._digests[key] = next(tagged, None) or self._read_digest(repository, commit)
        return self._digests[key]

    def _read_digest(self, repository: str, commit: str) -> str | None:
        try:
            data = self._read(f"{repository}/resolve/{commit}/{MANIFEST}", MAX_BYTES)
        except FileMissing:
            return None
        return hashlib.sha256(data).hexdigest()

    def _commit(self, repository: str, name: str, revision: str) -> str:
        """Return the commit of a revision. Raises :class:`RevisionNotFound`."""
        if (repository, revision) not in self._commits:
            refs = self._refs(repository)
            commit = _published(refs).get(revision)
            for at in (
                () if commit else dict.fromkeys([*refs.branches.values(), *refs.tags.values()])
            ):
                if self._digest(repository, at, refs) == revision:
                    commit = at
                    break
            if commit is None:
                raise self._not_there(name, revision, refs)
            self._commits[repository, revision] = commit
        return self._commits[repository, revision]

    def _signatures(self, repository: str, *commits: str | None) -> dict[str, bytes]:
        """Return the signature files at ``commits``, joined."""
        found: dict[str, bytes] = {}
        for commit in filter(None, commits):
            names = self.store.files(repository, commit).keys() & set(SIGNATURES)
            base = f"{repository}/resolve/{commit}"
            there = {name: self._read(f"{base}/{name}", SIGNATURE_BYTES) for name in names}
            found = merge_signatures(found, there, what=f"{self.store.url}/{base}")
        return found

    def _has_commit(self, repository: str, commit: str) -> bool:
        self._check_online(repository)
        try:
            self.store.files(repository, commit)
        except (FileMissing, RevisionNotFound):
            return False
        return True

    def _base(self, model: StoredModel) -> str:
        repository = self._repository(model.name)
        return f"{repository}/resolve/{self._commit(repository, model.name, model.revision)}"

    def _check_online(self, path: str) -> None:
        super()._check_online(path)
        if is_offline():
            raise Offline(
                f"{self.store.url}/{path} is not on this machine, and {OFFLINE} is set.",
                path=f"{self.store.url}/{path}",
                hint="Name a revision that was fetched before by its full digest, or pin it: "
                "lock='dchub.lock'.",
            )

    def _not_there(self, name: str, wanted: str, refs: Refs) -> RevisionNotFound:
        tags = ", ".join(filter(_is_tag, sorted({**refs.branches, **refs.tags}))) or "none"
        return RevisionNotFound(
            f"The model {name!r} in {self.url} has no revision {wanted!r}.",
            path=f"{self.url}/{name}",
            hint=f"Its branches and tags are: {tags}. A digest needs at least 12 digits.",
        )

    def _no_model(self, name: str) -> ModelNotFound:
        return ModelNotFound(
            f"The repository {name!r} in {self.url} holds no model with a {MANIFEST}.",
            path=f"{self.url}/{name}",
            hint="If it holds weights: dc_hub.load_weights(name, into=model).",
        )

    def _no_main(self, repository: str) -> HubUnavailable:
        return HubUnavailable(
            f"The repository {repository} has no branch {MAIN!r}.",
            path=repository,
            hint="Commit a file to it first.",
        )


def _published(refs: Refs) -> dict[str, str]:
    """Return the commits of the revisions that have a git tag, by their digests."""
    return {
        tag.removeprefix(DIGEST_TAG): commit
        for tag, commit in refs.tags.items()
        if tag.startswith(DIGEST_TAG) and is_digest(tag.removeprefix(DIGEST_TAG))
    }


def _is_tag(name: str) -> bool:
    """Tell whether a branch or git tag is a tag of ours."""
    try:
        _check_own_tag(name)
    except UnsafePath:
        return False
    return True


def _check_own_tag(tag: str) -> str:
    if check_tag(tag).startswith((DIGEST_TAG, "dc-hub-")):
        raise UnsafePath(
            f"{tag!r} cannot be a tag: names that begin so are for revisions.",
            path=tag,
            hint="Choose another name, such as 'v2'.",
        )
    return tag
