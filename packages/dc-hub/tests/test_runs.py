"""A large file is fetched by a few runs of its chunks, and what breaks goes on where it broke."""

import hashlib
import os
import runpy
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from dc_hub.errors import FileMissing, HashMismatch, HubUnavailable
from dc_hub.format.manifest import Entry, Manifest
from dc_hub.remote import http, retrying
from dc_hub.remote.download import JOBS, download, fetch_chunk
from dc_hub.remote.http import HTTPStore
from dc_hub.remote.store import RangesUnsupported, stream_part

web = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("web.py"))))

CHUNK = 1 << 16
COUNT = 32
RUN = CHUNK * COUNT // JOBS


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    for module in ("format.manifest", "remote.download", "remote.http", "remote.retrying"):
        monkeypatch.setattr(f"dc_hub.{module}.CHUNK", CHUNK)
    monkeypatch.setattr(retrying, "PAUSE", 0.0)
    monkeypatch.setattr(http, "READ", 5.0)


@pytest.fixture
def data():
    """The content of a file of 32 chunks, the last of which is shorter."""
    return os.urandom(COUNT * CHUNK - 100)


@pytest.fixture
def server(tmp_path, data):
    """A server of that file."""
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "file").write_bytes(data)
    with web.serve(tmp_path / "hub") as server:
        yield server


@pytest.fixture
def fetch(tmp_path, data, server):
    """Fetch the file once; return what the progress was."""
    chunks = [data[i : i + CHUNK] for i in range(0, len(data), CHUNK)]
    digests = tuple(hashlib.sha256(chunk).hexdigest() for chunk in chunks)
    entry = Entry("file", len(data), hashlib.sha256(data).hexdigest(), digests)
    (tmp_path / "there").mkdir()

    def fetch(known=lambda digest, length: None):
        told = []
        download(
            HTTPStore(server.url),
            "",
            Manifest((entry,)),
            tmp_path / "there",
            report=told.append,
            known=known,
        )
        return told

    fetch.entry, fetch.there = entry, tmp_path / "there" / "file"
    return fetch


def asked(server):
    """Return the parts of the file that were asked for, sorted."""
    wanted = [part for path, part, _ in server.requests if path == "/file" or path == "file"]
    return sorted(tuple(map(int, part[6:].split("-"))) for part in wanted if part)


def parts(*ranges):
    """Return ``ranges`` with their last bytes, as they are asked for."""
    return [(start, stop - 1) for start, stop in ranges]


def runs(data):
    return parts(*((i, min(i + RUN, len(data))) for i in range(0, len(data), RUN)))


def starting_at(start, fault):
    """Misbehave for requests of parts that start there."""
    return lambda handler, data: (
        (handler.headers["Range"] or "").startswith(f"bytes={start}-") and fault(handler, data)
    )


def test_a_file_of_many_chunks_takes_four_requests(server, fetch, data):
    assert sum(fetch()) == len(data)
    assert asked(server) == runs(data)
    assert fetch.there.read_bytes() == data


def test_a_run_that_breaks_in_its_middle_goes_on_and_asks_only_for_the_rest(server, fetch, data):
    middle = RUN + 2 * CHUNK + 1234
    server.faults["file"] = starting_at(RUN, web.broken_at(middle))
    assert sum(fetch()) == len(data)
    assert asked(server) == sorted([*runs(data), *parts((middle, 2 * RUN))])
    assert fetch.there.read_bytes() == data


def breaking_after(count):
    """Send no more than ``count`` bytes of an answer, whatever is asked for."""

    def fault(handler, data):
        start = int((handler.headers["Range"] or "bytes=0-")[6:].split("-")[0])
        handler.send(data, start + count)
        return True

    return fault


def test_a_run_may_break_after_each_chunk_of_it(server, fetch, data):
    server.faults["file"] = breaking_after(CHUNK + 10)
    fetch()
    assert fetch.there.read_bytes() == data
    assert len(asked(server)) > 4 * JOBS


def test_a_run_that_breaks_again_before_a_chunk_of_it_came_is_given_up(server, fetch, data):
    server.faults["file"] = starting_at(0, breaking_after(CHUNK + 10))
    server.faults["fil"] = lambda handler, data: (
        f"-{RUN - 1}" in (handler.headers["Range"] or "") and breaking_after(10)(handler, data)
    )
    with pytest.raises(HubUnavailable, match="cannot be read"):
        fetch()
    assert len([stop for _, stop in asked(server) if stop == RUN - 1]) == 4


def test_a_server_that_stops_sending_ranges_in_the_middle_of_a_run_sends_the_rest_as_a_whole(
    server, fetch, data
):
    middle = 3 * CHUNK + 5

    def no_more(handler, data):
        server.ranges = False

    server.faults["file"] = starting_at(0, web.broken_at(middle))
    server.faults["fil"] = starting_at(middle, no_more)
    assert sum(fetch()) == len(data)
    assert fetch.there.read_bytes() == data
    assert [part for _, part, _ in server.requests].count(None) == 1


def test_a_whole_file_that_breaks_goes_on_by_a_range_or_else_passes_over_what_came(server, data):
    for ranges in (True, False):
        server.ranges, server.requests = ranges, []
        server.faults["file"] = web.times(1, web.broken_at(1000))
        assert b"".join(HTTPStore(server.url).stream("file", len(data))) == data
        assert [part for _, part, _ in server.requests] == [None, f"bytes=1000-{len(data) - 1}"]


def test_a_wrong_byte_in_the_third_chunk_of_a_run_loses_that_chunk_only(server, fetch, data):
    at = RUN + 2 * CHUNK + 7
    wrong = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    server.faults["file"] = lambda handler, data: handler.send(wrong) is None
    with pytest.raises(HashMismatch, match=f"from byte {RUN + 2 * CHUNK}"):
        fetch()
    there = fetch.there.read_bytes()
    assert there[RUN : RUN + 2 * CHUNK] == data[RUN : RUN + 2 * CHUNK]
    assert not any(there[RUN + 2 * CHUNK : RUN + 3 * CHUNK])
    server.faults.clear()
    server.requests.clear()
    told = fetch()
    assert sum(told) == len(data)
    assert asked(server)[0][0] > 0
    assert RUN not in [start for start, _ in asked(server)]
    assert fetch.there.read_bytes() == data


def test_a_run_ends_with_its_chunk_when_another_fails(server, fetch, data):
    server.faults["file"] = starting_at(3 * RUN, web.status(404))

    def slowly(handler, data):
        """Send the chunks of the first run one by one."""
        start, stop = 0, RUN
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 0-{RUN - 1}/{len(data)}")
        handler.send_header("Content-Length", str(RUN))
        handler.end_headers()
        try:
            for i in range(start, stop, CHUNK):
                handler.wfile.write(data[i : i + CHUNK])
                time.sleep(0.2)
        except OSError:
            handler.close_connection = True
        return True

    server.faults["fil"] = starting_at(0, slowly)
    before = time.monotonic()
    with pytest.raises(FileMissing):
        fetch()
    assert time.monotonic() - before < 0.2 * (COUNT // JOBS)
    assert fetch.there.read_bytes()[:CHUNK] == data[:CHUNK]


def test_chunks_that_are_known_are_copied_first_and_only_the_runs_between_them_are_fetched(
    server, fetch, data
):
    known = {fetch.entry.chunks[i]: data[i * CHUNK : (i + 1) * CHUNK] for i in (3, *range(10, 30))}
    told = fetch(lambda digest, length: known.get(digest))
    assert told[1 : 1 + len(known)] == [CHUNK] * len(known)
    assert sum(told) == len(data)
    assert asked(server) == parts(
        (0, 3 * CHUNK),
        (4 * CHUNK, 7 * CHUNK),
        (7 * CHUNK, 10 * CHUNK),
        (30 * CHUNK, len(data)),
    )
    assert fetch.there.read_bytes() == data


def test_a_long_answer_that_becomes_slow_is_given_up_as_early_as_a_short_one(
    server, data, monkeypatch
):
    monkeypatch.setattr(http, "GRACE", 0.1)
    monkeypatch.setattr(http, "SLOWEST", len(data) / 30)  # 30 s for the file, 1 s for a chunk

    def stalling(handler, data):
        start = int((handler.headers["Range"] or "bytes=0-")[6:].split("-")[0])
        status = 206 if start else 200
        handler.send_response(status)
        handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        try:
            handler.wfile.write(data[start:RUN])
            for i in range(max(start, RUN), len(data)):
                handler.wfile.write(data[i : i + 1])
                time.sleep(0.05)
        except OSError:
            handler.close_connection = True
        return True

    server.faults["file"] = stalling
    before = time.monotonic()
    with pytest.raises(HubUnavailable, match="slower than"):
        list(HTTPStore(server.url).stream("file", len(data)))
    assert time.monotonic() - before < 15


def test_the_time_that_pieces_are_worked_on_is_not_the_servers(server, data, monkeypatch):
    monkeypatch.setattr(http, "GRACE", 0.5)
    monkeypatch.setattr(http, "SLOWEST", 1e12)
    came = b""
    for piece in HTTPStore(server.url).stream("file", len(data)):
        if len(came) < CHUNK:
            time.sleep(0.3)
        came += piece
    assert came == data


def test_an_answer_that_is_longer_than_what_was_asked_for_is_a_typed_error(server, data):
    def longer(handler, data):
        handler.answer(206, data, {"Content-Range": f"bytes 10-19/{len(data)}"})
        return True

    store = HTTPStore(server.url)
    with pytest.raises(HubUnavailable, match=f"{len(data)} bytes for 10"):
        list(store.stream("file", 10))
    server.faults["file"] = longer
    with pytest.raises(HubUnavailable, match=f"{len(data)} bytes for 10"):
        list(store.stream("file", len(data), 10, 20))


def test_an_answer_without_end_is_read_no_further_than_what_was_asked_for(server, data):
    server.faults["file"] = web.endless
    assert b"".join(HTTPStore(server.url).stream("file", len(data))) == bytes(len(data))


def test_a_part_of_a_server_without_ranges_is_what_remains_when_the_rest_is_passed_over(
    server, fetch, data
):
    store = HTTPStore(server.url)
    server.ranges = False
    with pytest.raises(RangesUnsupported):
        next(store.stream("file", len(data), 1))
    start, stop = 3 * CHUNK + 5, 5 * CHUNK - 5
    assert b"".join(stream_part(store, "file", len(data), start, stop)) == data[start:stop]
    assert fetch_chunk(store, "file", fetch.entry, 4) == data[4 * CHUNK : 5 * CHUNK]


def test_nothing_is_asked_for_when_nothing_is_wanted(server, data):
    assert list(HTTPStore(server.url).stream("file", len(data), len(data))) == []
    assert server.requests == []
