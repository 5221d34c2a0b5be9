"""Hubs in buckets of S3, or of any store that speaks its protocol.

A revision is there once its manifest is, which is written last and never replaced. A tag is moved
by a conditional write, so that of two who move it at once one is told. Readers see the old state or
the new one.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from dc_core import hookimpl
from dc_core.errors import ParameterError
from dc_hub.errors import (
    FileMissing,
    HashMismatch,
    HubUnavailable,
    LimitExceeded,
    ModelNotFound,
    ReadOnlyHub,
    RevisionTagged,
)
from dc_hub.files.paths import can_be_segment, check_name, check_tag
from dc_hub.files.urls import without_secrets
from dc_hub.format import strict_json
from dc_hub.format.filenames import MANIFEST, SIGNATURES
from dc_hub.format.signatures import MAX_BYTES as SIGNATURE_BYTES
from dc_hub.format.signatures import merge_signatures, read_signature_files
from dc_hub.hubs.contract import MAIN, StoredModel, moved_tag, read_tag
from dc_hub.hubs.index import FILE as INDEX
from dc_hub.hubs.index import Index, Listed
from dc_hub.hubs.staging import Staging
from dc_hub.remote.cache import Cache
from dc_hub.remote.hub import RemoteHub
from dc_hub.remote.store import check_online

_PIECE: Final = 1 << 20
_TAG_BYTES: Final = 4096
_BUCKET: Final = re.compile(r"s3://([A-Za-z0-9._-]+)((?:/[^?#@]*)?)", re.IGNORECASE)
_OPTIONS: Final = frozenset({"endpoint_url", "profile", "region"})
_MISSING: Final = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})
_REFUSED: Final = frozenset({"412", "PreconditionFailed"})
_CONFLICT: Final = frozenset({"409", "ConditionalRequestConflict"})
_DENIED: Final = frozenset(
    {"401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
)
_MANIFEST_KEY: Final = re.compile(rf"(.+)/revisions/([0-9a-f]{{64}})/{re.escape(MANIFEST)}")

PAUSE: Final = 0.2
"""Seconds before a request is made again; four times as many before the next."""

_ATTEMPTS: Final = 4

_Tagged = tuple[str | None, str | None]
"""The revision that a tag points at, and the entity tag of its object; None without one."""


@hookimpl
def dc_open_hub(url: str, options: Mapping[str, Any]) -> S3Hub:
    """Return the hub at ``s3://bucket/prefix``.

    ``endpoint_url`` is that of a store other than Amazon's, ``profile`` and ``region`` are those of
    the configuration of AWS. Without them the environment decides, as for every AWS program.
    """
    unknown = options.keys() - _OPTIONS
    if unknown:
        raise ParameterError(
            f"A hub in a bucket has no option {min(unknown)!r}.",
            hint=f"Its options are: {', '.join(sorted(_OPTIONS))}.",
        )
    return S3Hub(S3Store(url, **options))


class Refused(Exception):
    """A conditional write was refused: its condition does not hold."""


class _Conflict(Refused):
    """A conditional write was refused because another was going on: it has to be repeated."""


class S3Store:
    """The objects of a bucket below a prefix."""

    def __init__(
        self,
        url: str,
        *,
        endpoint_url: str | None = None,
        profile: str | None = None,
        region: str | None = None,
    ) -> None:
        bucket = _BUCKET.fullmatch(url)
        if bucket is None:
            raise HubUnavailable(
                f"{without_secrets(url)!r} is not the URL of a hub.",
                path=without_secrets(url),
                hint="Write s3://bucket/prefix.",
            )
        self.url = url.rstrip("/")
        self._bucket = bucket[1]
        self._prefix = bucket[2].strip("/")
        self._boto = _boto()
        retries = {"mode": "standard", "max_attempts": 4}
        config = self._boto.config(
            connect_timeout=10,
            read_timeout=30,
            retries=retries,
            # Stores other than Amazon's may not know its newer checksums; ours are in the manifest.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            session = self._boto.session(profile_name=profile, region_name=region)
            self._client = session.client("s3", endpoint_url=endpoint_url, config=config)
        except self._boto.misconfigured as error:
            raise HubUnavailable(
                f"{self.url} cannot be opened: {error}.",
                path=self.url,
                hint="Check the profile, the region and the endpoint.",
            ) from error

    def read(self, path: str, limit: int) -> bytes:
        """Return a whole object; see :class:`Store`."""
        return self.read_tagged(path, limit)[0]

    def read_tagged(self, path: str, limit: int) -> tuple[bytes, str]:
        """Return a whole object and its entity tag, which changes with it."""
        return self._get(path, limit)

    def read_range(self, path: str, start: int, stop: int, size: int) -> bytes:
        """Return a range of an object; see :class:`Store`."""
        try:
            data, _ = self._get(path, stop - start, Range=f"bytes={start}-{stop - 1}")
        except LimitExceeded as error:
            raise self._no_range(path, "more", stop - start) from error
        if len(data) != stop - start:
            raise self._no_range(path, str(len(data)), stop - start)
        return data

    def stream(self, path: str, size: int) -> Generator[bytes]:
        """Yield a whole object in pieces; see :class:`Store`."""
        with self._asking(path):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(path))
            with closing(answer["Body"]) as body:
                left = size
                while left and (piece := body.read(min(_PIECE, left))):
                    left -= len(piece)
                    yield piece

    def write(
        self, path: str, data: bytes, *, new: bool = False, expected: str | None = None
    ) -> None:
        """Write an object: only if it is ``new``, or has the entity tag ``expected``, if given.

        Raises :class:`Refused` otherwise.
        """
        condition: dict[str, str] = {"IfNoneMatch": "*"} if new else {}
        condition |= {} if expected is None else {"IfMatch": expected}
        for number in range(_ATTEMPTS):
            try:
                with self._asking(path):
                    self._client.put_object(
                        Bucket=self._bucket, Key=self._key(path), Body=data, **condition
                    )
                return
            except _Conflict:
                if number == _ATTEMPTS - 1:
                    raise
                time.sleep(PAUSE * 4**number)

    def upload(self, path: str, file: Path) -> None:
        """Write an object with the content of a file, in parts if it is large."""
        with self._asking(path):
            self._client.upload_file(os.fspath(file), self._bucket, self._key(path))

    def delete(self, path: str, *, expected: str | None = None) -> None:
        """Delete an object, if it has the entity tag ``expected``, if given."""
        condition = {} if expected is None else {"IfMatch": expected}
        with self._asking(path):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(path), **condition)

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders in the folder ``path``, sorted."""
        return sorted(
            found["Prefix"].rstrip("/").rpartition("/")[2]
            for page in self._pages(path, Delimiter="/")
            for found in page.get("CommonPrefixes", ())
        )

    def files(self, path: str) -> list[str]:
        """Return the names of the objects in the folder ``path``, sorted."""
        return sorted(
            found["Key"].rpartition("/")[2]
            for page in self._pages(path, Delimiter="/")
            for found in page.get("Contents", ())
        )

    def below(self, path: str) -> Iterator[str]:
        """Yield the paths of all objects below the folder ``path``, with that path."""
        start = len(self._key(""))
        for page in self._pages(path):
            for found in page.get("Contents", ()):
                yield found["Key"][start:]

    def _get(self, path: str, limit: int, **options: str) -> tuple[bytes, str]:
        """Return the content of an object and its entity tag; ask again if it is cut."""
        for number in range(_ATTEMPTS):
            with self._asking(path):
                answer = self._client.get_object(
                    Bucket=self._bucket, Key=self._key(path), **options
                )
                with closing(answer["Body"]) as body:
                    if answer["ContentLength"] > limit:
                        raise LimitExceeded(
                            f"{self._shown(path)} has more than the {limit} bytes allowed.",
                            path=self._shown(path),
                        )
                    try:
                        return body.read(limit + 1), answer["ETag"]
                    except self._boto.failed:
                        if number == _ATTEMPTS - 1:
                            raise
            time.sleep(PAUSE * 4**number)
        raise AssertionError  # pragma: no cover

    def _no_range(self, path: str, came: str, wanted: int) -> HubUnavailable:
        return HubUnavailable(
            f"{self._shown(path)}: {came} bytes came for {wanted}.",
            path=self._shown(path),
            hint="The object was changed, or the store does not send ranges.",
        )

    def _pages(self, path: str, **options: str) -> list[Any]:
        prefix = f"{self._key(path)}/" if path else f"{self._prefix}/" if self._prefix else ""
        with self._asking(path):
            pages = self._client.get_paginator("list_objects_v2")
            return list(pages.paginate(Bucket=self._bucket, Prefix=prefix, **options))

    def _key(self, path: str) -> str:
        return f"{self._prefix}/{path}" if self._prefix else path

    def _shown(self, path: str) -> str:
        return f"{self.url}/{path}" if path else self.url

    @contextmanager
    def _asking(self, path: str) -> Iterator[None]:
        """Convert the errors of the client to those of the hub."""
        shown = self._shown(path)
        check_online(shown)
        try:
            yield
        except (self._boto.refused, *self._boto.failed) as failed:
            # An upload wraps the error that says why.
            error: Any = next(
                (e for e in _causes(failed) if isinstance(e, self._boto.refused)), None
            )
            if error is None:
                raise HubUnavailable(
                    f"{shown} cannot be reached: {failed}.",
                    path=shown,
                    hint="Check the connection, the bucket and the credentials, and try again.",
                ) from failed
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _MISSING:
                raise FileMissing(f"{shown} does not exist.", path=shown) from error
            if code in _REFUSED or code in _CONFLICT:
                raise (Refused if code in _REFUSED else _Conflict) from error
            kind = ReadOnlyHub if code in _DENIED and _writes(error) else HubUnavailable
            raise kind(
                f"{shown} cannot be reached: {error}.",
                path=shown,
                hint="Check the bucket and the credentials, which are those of every AWS program.",
            ) from error


class S3Hub(RemoteHub):
    """A hub in a bucket, which is read through the cache and written by conditional writes."""

    store: S3Store

    def __init__(self, store: S3Store, cache: Cache | None = None) -> None:
        super().__init__(store, cache)

    def names(self) -> list[str]:
        """Return the names of the models, sorted."""
        return sorted(
            name
            for name in {
                found[1] for found in map(_MANIFEST_KEY.fullmatch, self.store.below("")) if found
            }
            if name.count("/") <= 1 and all(map(can_be_segment, name.split("/")))
        )

    def tags(self, name: str) -> dict[str, str]:
        """Return the revision that each tag of a model points at, sorted by tag."""
        self._check_there(name)
        files = self.store.files(f"{name}/refs")
        found = {
            file.removesuffix(".json"): self._tag(name, file.removesuffix(".json"))
            for file in files
            if file.endswith(".json")
        }
        return {tag: revision for tag, revision in found.items() if revision is not None}

    def revisions(self, name: str) -> list[str]:
        """Return the digests of a model's revisions, sorted."""
        self._check_there(name)
        return self._complete(name)

    def listed(self) -> Index:
        """Return the tags and revisions of all models as they are now."""
        return {name: Listed(self.tags(name), tuple(self.revisions(name))) for name in self.names()}

    def write_index(self, data: bytes) -> str:
        """Replace ``index.json``, which searches read, and return its URL."""
        self.store.write(INDEX, data)
        return f"{self.store.url}/{INDEX}"

    def add_signatures(self, model: StoredModel, files: Mapping[str, bytes]) -> None:
        """Join signature files to those of a model that was resolved; see :class:`LocalHub`."""
        if model.revision not in self._complete(check_name(model.name)):
            raise self._no_revision(model.name, model.revision)
        self._join(f"{model.name}/revisions/{model.revision}", files)

    def publish(
        self, name: str, write: Callable[[Staging], None], tags: Sequence[str] = (MAIN,)
    ) -> StoredModel:
        """Store the model directory that ``write`` writes; see :meth:`LocalHub.publish`.

        It is written on this machine first. The manifest goes last, and only if there is none: a
        revision of that digest is the same model.
        """
        check_name(name)
        before = {check_tag(tag): self._tagged(name, tag) for tag in tags}
        with (
            tempfile.TemporaryDirectory(prefix="dc-hub-") as folder,
            Staging(Path(folder)) as staging,
        ):
            write(staging)
            revision = staging.seal()
            self._upload(staging.path, f"{name}/revisions/{revision}")
        for tag in tags:
            self._move(name, tag, revision, before[tag])
        return StoredModel(name, revision, self.cache.path(revision))

    def move_tag(self, name: str, tag: str, revision: str, *, expected: str | None) -> None:
        """Point ``tag`` at ``revision`` if it points at ``expected``; see :class:`LocalHub`."""
        if revision not in self._complete(check_name(name)):
            raise self._no_revision(name, revision)
        now = self._tagged(name, check_tag(tag))
        if now[0] != revision and now[0] != expected:
            raise moved_tag(name, tag, now[0], expected, revision)
        self._move(name, tag, revision, now)

    def delete_tag(self, name: str, tag: str, *, expected: str | None = None) -> None:
        """Delete ``tag``; the revision that it points at is kept."""
        now, entity = self._tagged(check_name(name), check_tag(tag))
        if now is None:
            raise self._no_revision(name, tag)
        if expected is not None and now != expected:
            raise moved_tag(name, tag, now, expected)
        self._delete_tag(name, tag, entity)

    def remove(
        self, name: str, revision: str | None = None, *, remove_tags: bool = False
    ) -> list[str]:
        """Remove one revision of a model, or the whole model; see :meth:`LocalHub.remove`.

        Tags go first, then the manifest, so that readers find a whole revision or none.
        """
        digests = self.revisions(name)
        tags = self.tags(name)
        if revision is not None:
            digest = self.resolve(name, revision).revision
            if digest not in digests:
                raise self._no_revision(name, digest)
            pointing = [tag for tag, target in tags.items() if target == digest]
            if pointing and not remove_tags:
                raise RevisionTagged(
                    f"The revision {digest} of {name!r} is tagged: {', '.join(pointing)}.",
                    path=name,
                    hint="Move or delete the tags first, or pass remove_tags=True "
                    "(dc-hub rm --remove-tags).",
                )
            tags = dict.fromkeys(pointing, digest) if digests != [digest] else tags
            digests = [digest]
        for tag, target in tags.items():
            now, entity = self._tagged(name, tag)
            if now == target:  # otherwise it was moved to another revision meanwhile
                self._delete_tag(name, tag, entity)
        for digest in digests:
            base = f"{name}/revisions/{digest}"
            self.store.delete(f"{base}/{MANIFEST}")
            for file in self.store.files(base):
                self.store.delete(f"{base}/{file}")
        return digests

    def _upload(self, directory: Path, base: str) -> None:
        names = sorted(path.name for path in directory.iterdir())
        for file in names:
            if file not in (MANIFEST, *SIGNATURES):
                self.store.upload(f"{base}/{file}", directory / file)
        self._join(base, read_signature_files(directory))
        data = (directory / MANIFEST).read_bytes()
        try:
            self.store.write(f"{base}/{MANIFEST}", data, new=True)
        except Refused as error:
            if self.store.read(f"{base}/{MANIFEST}", len(data)) != data:
                raise HashMismatch(
                    f"{self.store.url}/{base} has a manifest of another model.",
                    path=f"{self.store.url}/{base}",
                    hint="The hub is damaged: remove that revision.",
                ) from error

    def _join(self, base: str, files: Mapping[str, bytes]) -> None:
        """Join signature files to those of a revision by conditional writes, until one holds."""
        for name, data in files.items():
            path = f"{base}/{name}"
            for number in range(_ATTEMPTS):
                there: dict[str, bytes] = {}
                entity = None
                with suppress(FileMissing):
                    there[name], entity = self.store.read_tagged(path, SIGNATURE_BYTES)
                merged = merge_signatures(there, {name: data}, what=f"{self.store.url}/{base}")
                if merged == there:
                    break
                try:
                    self.store.write(path, merged[name], new=entity is None, expected=entity)
                    break
                except (Refused, FileMissing):  # another was faster: join what it has written
                    if number == _ATTEMPTS - 1:
                        raise
                    time.sleep(PAUSE * 4**number)

    def _tagged(self, name: str, tag: str) -> _Tagged:
        """Return the revision that a tag points at, and the entity tag of its object."""
        path = f"{name}/refs/{tag}.json"
        try:
            data, entity = self.store.read_tagged(path, _TAG_BYTES)
        except FileMissing:
            return None, None
        return read_tag(data, tag, f"{self.store.url}/{path}"), entity

    def _move(
        self, name: str, tag: str, revision: str, before: tuple[str | None, str | None]
    ) -> None:
        """Point ``tag`` at ``revision``, if nobody has moved it since it was looked up."""
        then, entity = before
        if then == revision:
            return
        path = f"{name}/refs/{tag}.json"
        data = strict_json.dumps({"revision": revision})
        try:
            self.store.write(path, data, new=entity is None, expected=entity)
        except (Refused, FileMissing) as error:
            now = self._tagged(name, tag)[0]
            if now != revision:
                raise moved_tag(name, tag, now, then, revision) from error

    def _delete_tag(self, name: str, tag: str, entity: str | None) -> None:
        try:
            self.store.delete(f"{name}/refs/{tag}.json", expected=entity)
        except FileMissing:
            return  # another process has deleted it
        except Refused as error:
            raise moved_tag(name, tag, self._tagged(name, tag)[0], None) from error

    def _complete(self, name: str) -> list[str]:
        keys = self.store.below(f"{name}/revisions")
        founds = map(_MANIFEST_KEY.fullmatch, keys)
        return sorted(found[2] for found in founds if found and found[1] == name)

    def _has(self, name: str) -> bool:
        return bool(self._complete(name))

    def _check_there(self, name: str) -> None:
        if not self._has(check_name(name)):
            raise ModelNotFound(
                f"There is no model {name!r} in {self.store.url}.",
                path=f"{self.store.url}/{name}",
                hint="`dc-hub ls` lists its models; hub= or DEEPCHEM_MODEL_HUB selects another.",
            )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and those that it was raised from."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _writes(error: Any) -> bool:
    return str(getattr(error, "operation_name", "")).startswith(
        ("Put", "Delete", "Create", "Upload")
    )


class _Boto(NamedTuple):
    """What is used of the library."""

    session: Any
    config: Any
    refused: type[Exception]
    failed: tuple[type[Exception], ...]
    misconfigured: tuple[type[Exception], ...]


def _boto() -> _Boto:
    try:
        from boto3 import Session
        from boto3.exceptions import Boto3Error
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError
    except ModuleNotFoundError as error:
        raise HubUnavailable(
            "Hubs in buckets need boto3.", hint='Run: pip install "dc-hub[s3]"'
        ) from error
    failed = (BotoCoreError, Boto3Error, HTTPError, OSError)
    return _Boto(Session, Config, ClientError, failed, (*failed, ValueError))
