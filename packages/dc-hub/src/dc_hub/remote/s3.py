"""Buckets of S3, or of any store that speaks its protocol.

The store is not trusted: what it sends is bounded, the content of objects has to come in time, and
is compared with digests by those who asked for it.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from dc_core import hookimpl
from dc_core.errors import ParameterError
from dc_hub.errors import FileMissing, HubError, HubUnavailable, LimitExceeded, ReadOnlyHub
from dc_hub.files.urls import hide_secrets, without_secrets
from dc_hub.remote.buckets import BucketHub, Refused, StoredObject
from dc_hub.remote.http import timely
from dc_hub.remote.retrying import TryAgain, persist, persist_stream
from dc_hub.remote.store import RangesUnsupported, check_online, is_range, without_first

_MAX_PAGES: Final = 10_000
"""The most pages of a list that are read; each has up to a thousand objects."""

_MAX_ANSWER: Final = 1 << 24
"""The most bytes of a page of a list, or of an error, that are read."""

_BUCKET: Final = re.compile(r"s3://([A-Za-z0-9._-]+)((?:/[^?#@]*)?)", re.IGNORECASE)
_OPTIONS: Final = frozenset({"endpoint_url", "profile", "region"})
_MISSING: Final = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})
_REFUSED: Final = frozenset({"412", "PreconditionFailed"})
_CONFLICT: Final = frozenset({"409", "ConditionalRequestConflict"})
_DENIED: Final = frozenset(
    {"401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
)


@hookimpl
def dc_open_hub(url: str, options: Mapping[str, Any]) -> BucketHub:
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
    return BucketHub(S3Store(url, **options))


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

        def connect() -> Any:
            session = self._boto.session(profile_name=profile, region_name=region)
            client = session.client("s3", endpoint_url=endpoint_url, config=config)
            client.meta.events.register("before-send.s3", self._send)
            return client

        self._connect = connect
        try:
            self._clients = {os.getpid(): connect()}
        except self._boto.misconfigured as error:
            raise HubUnavailable(
                f"{self.url} cannot be opened: {hide_secrets(str(error))}.",
                path=self.url,
                hint="Check the profile, the region and the endpoint.",
            ) from error

    @property
    def _client(self) -> Any:
        """The client of this process: with that of its parent, answers would be mixed up."""
        if os.getpid() not in self._clients:
            self._clients.setdefault(os.getpid(), self._connect())
        return self._clients[os.getpid()]

    def read(self, path: str, limit: int) -> bytes:
        """Return a whole object; see :class:`Store`."""
        return self.read_tagged(path, limit)[0]

    def read_tagged(self, path: str, limit: int) -> tuple[bytes, str]:
        """Return a whole object and its entity tag, which changes with it."""

        def attempt() -> tuple[bytes, str]:
            with self._body(path, {}) as (body, answer):
                size = answer["ContentLength"]
                if size > limit:
                    raise LimitExceeded(
                        f"{self._shown(path)} has more than the {limit} bytes allowed.",
                        path=self._shown(path),
                    )
                data = b"".join(self._pieces(body, size))
                if len(data) < size:
                    raise TryAgain(f"{len(data)} of {size} bytes came")
                return data, answer["ETag"]

        with self._asking(path):
            return persist(attempt, (TryAgain,))

    def stream(
        self, path: str, size: int, start: int = 0, stop: int | None = None
    ) -> Generator[bytes]:
        """Yield an object, or a part of it, in pieces; see :class:`Store`."""
        end = size if stop is None else stop
        whole = (start, end) == (0, size)

        def pieces(done: int) -> Generator[bytes]:
            first = start + done
            if first == end:
                return
            wanted = {} if whole and not done else {"Range": f"bytes={first}-{end - 1}"}
            with self._body(path, wanted) as (body, answer):
                told = answer.get("ContentRange")
                if told is None and not whole:
                    raise RangesUnsupported
                if told is not None and not (wanted and is_range(told, first, end, size)):
                    raise self._other(path, repr(told), wanted.get("Range", "all"))
                before, left = first if told is None else 0, end - first
                if answer["ContentLength"] != before + left:
                    raise self._other(path, f"{answer['ContentLength']} bytes", f"{before + left}")
                for piece in without_first(before, self._pieces(body, before + left)):
                    left -= len(piece)
                    yield piece
                if left:
                    raise TryAgain(f"{end - start - left} of {end - start} bytes came")

        with self._asking(path):
            yield from persist_stream(pieces, (TryAgain,))

    def write(
        self, path: str, data: bytes, *, new: bool = False, expected: str | None = None
    ) -> None:
        """Write an object: only if it is ``new``, or has the entity tag ``expected``, if given.

        Raises :class:`Refused` otherwise.
        """
        condition: dict[str, str] = {"IfNoneMatch": "*"} if new else {}
        condition |= {} if expected is None else {"IfMatch": expected}

        def attempt() -> None:
            with self._asking(path):
                self._client.put_object(
                    Bucket=self._bucket, Key=self._key(path), Body=data, **condition
                )

        persist(attempt, (_Conflict,))

    def upload(self, path: str, file: Path) -> None:
        """Write an object with the content of a file, in parts if it is large."""
        with self._asking(path):
            self._client.upload_file(os.fspath(file), self._bucket, self._key(path))

    def delete(self, path: str, *, expected: str | None = None) -> None:
        """Delete an object, if it has the entity tag ``expected``, if given."""
        condition = {} if expected is None else {"IfMatch": expected}
        with self._asking(path):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(path), **condition)

    def files(self, path: str) -> list[str]:
        """Return the names of the objects in the folder ``path``, sorted."""
        return sorted(one.path.rpartition("/")[2] for one in self._objects(path, Delimiter="/"))

    def below(self, path: str) -> Iterator[StoredObject]:
        """Yield all objects below the folder ``path``."""
        yield from self._objects(path)

    @contextmanager
    def _body(self, path: str, options: Mapping[str, str]) -> Iterator[tuple[Any, Any]]:
        """Ask for an object, and yield its body and the answer."""
        answer = self._client.get_object(Bucket=self._bucket, Key=self._key(path), **options)
        with closing(answer["Body"]) as body:
            yield body, answer

    def _pieces(self, body: Any, size: int) -> Iterator[bytes]:
        """Yield up to ``size`` bytes of a body as they come, in time."""
        stream = getattr(body, "_raw_stream", body)  # which also tells what has come so far
        read_some = getattr(stream, "read1", stream.read)

        def read(length: int) -> bytes:
            try:
                piece: bytes = read_some(length)
            except self._boto.failed as error:
                raise TryAgain(str(error)) from error
            return piece

        return timely(read, size)

    def _send(self, request: Any, **_: object) -> Any:
        """Send a request for the client, which by itself would read lists and errors to no end."""
        is_object, request.stream_output = request.stream_output, True
        answer = self._client._endpoint.http_session.send(request)
        if not is_object or answer.status_code >= 300:
            pieces = self._pieces(answer.raw, _MAX_ANSWER + 1)
            answer._content = b"".join(pieces)
            if len(answer._content) > _MAX_ANSWER:
                answer.raw.close()
                raise TryAgain(f"the answer has more than {_MAX_ANSWER} bytes")
        return answer

    def _other(self, path: str, came: str, wanted: str) -> HubUnavailable:
        return HubUnavailable(
            f"{self._shown(path)}: the store sent {came} for {wanted}.",
            path=self._shown(path),
            hint="The object was changed, or the store does not send ranges as S3 does.",
        )

    def _objects(self, path: str, **options: str) -> Iterator[StoredObject]:
        """Yield the objects below a folder, page by page."""
        start = len(self._key(""))
        prefix = f"{self._key(path)}/" if path else f"{self._prefix}/" if self._prefix else ""
        with self._asking(path):
            pages = self._client.get_paginator("list_objects_v2")
            found = pages.paginate(Bucket=self._bucket, Prefix=prefix, **options)
            for number, page in enumerate(found):
                if number == _MAX_PAGES:
                    raise LimitExceeded(
                        f"{self._shown(path)} has more than {_MAX_PAGES} pages of objects.",
                        path=self._shown(path),
                        hint="Divide the models among several hubs.",
                    )
                for each in page.get("Contents", ()):
                    written = each.get("LastModified")
                    yield StoredObject(
                        each["Key"][start:],
                        each.get("Size", 0),
                        math.inf if written is None else written.timestamp(),
                    )

    def _key(self, path: str) -> str:
        return f"{self._prefix}/{path}" if self._prefix else path

    def _shown(self, path: str) -> str:
        return f"{self.url}/{path}" if path else self.url

    @contextmanager
    def _asking(self, path: str) -> Iterator[None]:
        """Convert the errors of the client to those of the hub."""
        shown = self._shown(path)
        check_online(shown)
        failures: tuple[type[Exception], ...] = (
            TryAgain,
            self._boto.refused,
            *self._boto.failed,
            *self._boto.confused,
        )
        try:
            yield
        except HubError:
            raise
        except failures as failed:
            # An upload wraps the error that says why.
            error: Any = next(
                (e for e in _causes(failed) if isinstance(e, self._boto.refused)), None
            )
            if error is None:
                confused = isinstance(failed, self._boto.confused)
                told = f"the answer makes no sense: {failed!r}" if confused else str(failed)
                raise HubUnavailable(
                    f"{shown} cannot be reached: {hide_secrets(told)}.",
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
                f"{shown} cannot be reached: {hide_secrets(str(error))}.",
                path=shown,
                hint="Check the bucket and the credentials, which are those of every AWS program.",
            ) from error


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
    """The names used from the library."""

    session: Any
    config: Any
    refused: type[Exception]
    failed: tuple[type[Exception], ...]
    confused: tuple[type[Exception], ...]
    misconfigured: tuple[type[Exception], ...]


def _boto() -> _Boto:
    try:
        from boto3 import Session
        from boto3.exceptions import Boto3Error
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError
        from urllib3.exceptions import HTTPError
    except ModuleNotFoundError as error:
        raise HubUnavailable(
            "Hubs in buckets need boto3.", hint='Run: pip install "dc-hub[s3]"'
        ) from error
    failed = (BotoCoreError, Boto3Error, HTTPError, OSError)
    # What it raises for answers without a header, with nonsense in one, and for loops of redirects.
    confused = (ResponseParserError, KeyError, ValueError, RecursionError)
    return _Boto(Session, Config, ClientError, failed, confused, (*failed, ValueError))
