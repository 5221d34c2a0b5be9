"""Sources: paths and URLs, plain or compressed; whole, or a typed error."""

import gzip
import sys
import threading
import tracemalloc
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dc_core.errors import LoaderError
from dc_pipeline import CSVLoader
from dc_pipeline.loaders import sources

fsspec = pytest.importorskip("fsspec", reason="sources of URLs need fsspec")
zstandard = pytest.importorskip("zstandard", reason="zstd files need zstandard")

TABLE = "smiles,y\n" + "".join(f"{'C' * (i % 9 + 1)},{i}\n" for i in range(500))


def zstd(data, **options):
    return zstandard.ZstdCompressor(**options).compress(data)


def load(source):
    return CSVLoader(tasks="y").load(source).dataset


def content(path):
    return b"".join(sources.Source(path).pieces())


@pytest.fixture
def write(tmp_path):
    def write(content, name="table.csv"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
def test_compressed_files_are_read_whatever_their_names_are(write, pack):
    assert load(write(pack(TABLE.encode()))).y.ravel().tolist() == list(range(500))


@settings(deadline=None, max_examples=50)
@given(
    parts=st.lists(st.binary(max_size=5000), min_size=1, max_size=4),
    pack=st.sampled_from([gzip.compress, zstd]),
    piece=st.sampled_from([1, 7, 1 << 19]),
)
def test_several_compressed_parts_are_one_file(tmp_path_factory, parts, pack, piece):
    path = tmp_path_factory.mktemp("parts") / "file"
    path.write_bytes(b"".join(map(pack, parts)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "PIECE", piece)
        assert content(path) == b"".join(parts)


def test_zeros_after_gzip_are_padding(write):
    assert content(write(gzip.compress(b"one") + bytes(600))) == b"one"
    assert content(write(gzip.compress(b"one") + bytes(9) + gzip.compress(b"two"))) == b"onetwo"


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_a_file_that_is_cut_anywhere_is_a_typed_error(write, pack):
    whole = pack(TABLE.encode())
    for end in range(5, len(whole)):
        with pytest.raises(LoaderError, match="is a damaged"):
            load(write(whole[:end]))
    with pytest.raises(LoaderError, match="is a damaged"):
        load(write(whole + whole[:-1]))


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_junk_after_a_compressed_file_is_a_typed_error(write, pack):
    with pytest.raises(LoaderError, match="is a damaged"):
        load(write(pack(TABLE.encode()) + b"more"))


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
@pytest.mark.parametrize("line", [b"\n", b"C"], ids=["blank lines", "one line"])
def test_a_decompression_bomb_takes_no_memory(write, pack, line):
    size = 200_000_000
    bomb = write(pack(b"smiles,y\nC,1\n" + line * size))
    assert bomb.stat().st_size < size / 500
    tracemalloc.start()
    if line == b"\n":
        assert sum(len(dataset) for dataset, _ in CSVLoader(tasks="y").batches(bomb)) == 1
    else:
        with pytest.raises(LoaderError, match="has a line of more than 33554432 char"):
            load(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 2


def test_a_zstd_window_of_gigabytes_is_a_typed_error(write):
    params = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=params).compressobj()
    with pytest.raises(LoaderError, match="damaged zstd"):
        load(write(packer.compress(b"smiles,y\nC,1\n") + packer.flush()))


def test_zstd_without_its_package_names_the_command_to_install_it(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(LoaderError, match=r'pip install "dc-pipeline\[zstd\]"'):
        load(write(zstd(TABLE.encode())))


def test_a_url_without_fsspec_names_the_command_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(LoaderError, match=r'pip install "dc-pipeline\[remote\]"'):
        load("memory://table.csv")


def test_files_in_memory_and_file_urls_are_read(write):
    with fsspec.open("memory://folder/table.csv.gz", "wb") as file:
        file.write(gzip.compress(TABLE.encode()))
    assert len(load("memory://folder/table.csv.gz")) == 500
    assert len(load(write(TABLE.encode()).as_uri())) == 500


@pytest.fixture
def server(tmp_path):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            if "broken" in self.path:
                self.send_error(500)
            else:
                super().do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_a_url_of_http_is_read(write, server):
    pytest.importorskip("aiohttp", reason="fsspec reads http by aiohttp")
    write(gzip.compress(TABLE.encode()), "table.csv.gz")
    assert len(load(f"{server}/table.csv.gz")) == 500
    for name in ("nowhere.csv", "broken.csv"):
        with pytest.raises(LoaderError, match="cannot be read"):
            load(f"{server}/{name}")


@pytest.mark.parametrize(
    "url",
    ["memory://nowhere.csv", "nosuch://x", "file:///nowhere/x.csv", "http://127.0.0.1:9/x.csv"],
)
def test_a_url_that_cannot_be_opened_is_a_typed_error(url):
    with pytest.raises(LoaderError, match=r"cannot be (read|opened)"):
        load(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@host/a.csv?token=secret", "https://host/a.csv"),
        ("s3://bucket/a@b.csv", "s3://bucket/a@b.csv"),
        ("memory://folder/table.csv", "memory://folder/table.csv"),
    ],
)
def test_credentials_are_not_shown(url, shown):
    assert str(sources.Source(url)) == shown


def test_a_source_is_described_by_its_bytes_as_they_are_stored(write):
    packed = gzip.compress(TABLE.encode())
    described = sources.Source(write(packed)).describe()
    assert described["size"] == len(packed)
    assert len(described["sha256"]) == 64


def test_a_file_above_the_limit_is_a_typed_error(write):
    source = sources.Source(write(b"x" * 100))
    assert source.read(100) == b"x" * 100
    with pytest.raises(LoaderError, match="more than 99 bytes"):
        source.read(99)
