"""Bundles: models in one file and back, the same bytes each time; a hostile file is refused."""

import io
import json
import os
import shutil
import subprocess
import tarfile
import tracemalloc

import numpy as np
import pytest

import dc_hub
from dc_hub import LocalHub, bundle, from_pretrained, list_bundle, publish, unbundle
from dc_hub.errors import (
    BundleError,
    FileMissing,
    HashMismatch,
    HubError,
    LimitExceeded,
    ModelNotFound,
    TagMoved,
    UnsafePath,
)
from dc_hub.format.tar import BLOCK, RECORD, Member, TarReader, ending, header, padding

SIGNED = b'{"a": "signature"}'


@pytest.fixture
def filled(hub, models, dataset):
    """A hub with two models, one of two revisions and signed."""
    publish(models["Linear"](1.0).fit(dataset), "lab/net", hub=hub, tag="v1")
    signed = publish(models["Linear"](2.0).fit(dataset), "lab/net", hub=hub, tag="v2")
    (signed.path / "MANIFEST.json.sigstore").write_bytes(SIGNED)
    publish(models["Linear"](3.0).fit(dataset), "other", hub=hub)
    return hub


@pytest.fixture
def site(tmp_path):
    return LocalHub(tmp_path / "site")


@pytest.fixture
def tar(filled, tmp_path):
    """A bundle of the whole hub."""
    return bundle([], tmp_path / "site.tar", hub=filled, everything=True)


def content(hub):
    return {
        str(path.relative_to(hub.path)): path.read_bytes()
        for path in hub.path.rglob("*")
        if path.is_file()
    }


def members(path):
    with tarfile.open(path) as archive:
        return [(member.name, archive.extractfile(member).read()) for member in archive]


def write(path, files, *, end=True):
    """Write a bundle of these files, whatever they are."""
    data = b"".join(
        header(Member(name, len(body))) + body + padding(len(body)) for name, body in files
    )
    path.write_bytes(data + (ending(len(data)) if end else b""))
    return path


# There and back


def test_a_bundle_brings_a_hub_with_all_its_models_revisions_tags_and_signatures(tar, filled, site):
    stored = unbundle(tar, hub=site)
    assert content(site) == content(filled)
    assert [model.revision for model in stored] == [
        *filled.revisions("lab/net"),
        *filled.revisions("other"),
    ]
    assert from_pretrained("lab/net@v1", hub=site, verify="full").alpha == 1.0


def test_names_bring_one_revision_each_and_the_tag_that_names_it(filled, site, tmp_path):
    digest = filled.resolve("other").revision
    unbundle(bundle(["lab/net@v1", f"other@{digest}"], tmp_path / "b.tar", hub=filled), hub=site)
    assert site.tags("lab/net") == {"v1": filled.resolve("lab/net", "v1").revision}
    assert site.revisions("lab/net") == [filled.resolve("lab/net", "v1").revision]
    assert site.tags("other") == {}
    assert site.revisions("other") == [digest]


def test_equal_models_make_equal_bundles(filled, site, tmp_path):
    first = bundle(["lab/net", "other"], tmp_path / "1.tar", hub=filled)
    unbundle(first, hub=site)
    for path in site.path.rglob("*"):
        os.utime(path, (1, 1))
    second = bundle(["other", "lab/net"], tmp_path / "2.tar", hub=site)
    assert first.read_bytes() == second.read_bytes()


def test_every_tar_program_reads_a_bundle_and_gets_a_hub(tar, filled, tmp_path):
    with tarfile.open(tar) as archive:
        for member in archive:
            assert member.isreg()
            assert (member.mtime, member.uid, member.mode) == (0, 0, 0o644)
        archive.extractall(tmp_path / "python", filter="data")
    unpacked = LocalHub(tmp_path / "python")
    assert content(unpacked).keys() == {*content(filled), "index.json"}
    dc_hub.verify("lab/net", hub=unpacked)
    if shutil.which("tar"):
        (tmp_path / "gnu").mkdir()
        subprocess.run(["tar", "-xf", tar, "-C", tmp_path / "gnu"], check=True)
        assert content(LocalHub(tmp_path / "gnu")) == content(unpacked)


def test_a_bundle_of_a_hub_on_a_server_is_that_of_its_directory(filled, tmp_path):
    import runpy
    from pathlib import Path

    web = runpy.run_path(str(Path(__file__).with_name("web.py")))
    local = bundle(["other"], tmp_path / "1.tar", hub=filled)
    with web["serve"](filled.path) as server:
        remote = bundle(["other"], tmp_path / "2.tar", hub=server.url)
    assert local.read_bytes() == remote.read_bytes()


def test_unbundling_again_changes_nothing(tar, filled, site):
    unbundle(tar, hub=site)
    unbundle(tar, hub=site)
    assert content(site) == content(filled)


def test_a_list_tells_what_is_in_a_bundle(tar, filled):
    size = sum(entry.size for entry in filled.manifest(filled.resolve("other")).entries)
    found = {(b.name, b.revision): b for b in list_bundle(tar)}
    assert len(found) == 3
    other = found["other", filled.resolve("other").revision]
    assert (other.tags, other.size, other.signed) == (("main",), size, False)
    net = found["lab/net", filled.resolve("lab/net").revision]
    assert (net.tags, net.signed) == (("main", "v2"), True)


def test_long_names_and_large_sizes_are_as_tar_programs_have_them():
    for member in (
        Member("a" * 100, 8**11 - 1),
        Member("a" * 101, 5),
        Member("b" * 400, 8**11),
        Member("c", 1 << 40),
    ):
        data = header(member)
        assert len(data) % BLOCK == 0
        with tarfile.open(fileobj=io.BytesIO(data + bytes(BLOCK))) as archive:
            read = archive.next()
        assert (read.name, read.size, read.type) == (member.name, member.size, tarfile.REGTYPE)
        assert TarReader(io.BytesIO(data), "x").next() == member


def test_models_are_streamed_and_not_held_in_memory(hub, models, site, tmp_path):
    model = models["Linear"]()
    model.coefficients, model.intercept = np.zeros((8_000_000, 1)), np.zeros(1)
    publish(model, "big", hub=hub)
    del model
    told = []
    tracemalloc.start()
    bundle(["big"], tmp_path / "b.tar", hub=hub, report=lambda *numbers: told.append(numbers))
    unbundle(tmp_path / "b.tar", hub=site)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20
    assert told[-1][0] == told[-1][1] > 64_000_000


# Tags


def test_a_tag_that_its_digest_begins_with_is_bundled(filled, site, tmp_path):
    revision = filled.resolve("other").revision
    dc_hub.set_tag("other", revision[0], hub=filled)
    unbundle(bundle([f"other@{revision[0]}"], tmp_path / "other.tar", hub=filled), hub=site)
    assert site.tags("other") == {revision[0]: revision}


def test_a_tag_that_points_elsewhere_is_moved_only_if_asked_for(tar, site, linear):
    publish(linear, "other", hub=site)
    before = content(site)
    with pytest.raises(TagMoved, match="--move-tags"):
        unbundle(tar, hub=site)
    assert content(site) == before
    unbundle(tar, hub=site, move_tags=True)
    assert from_pretrained("other", hub=site).alpha == 3.0


def test_a_tag_that_another_moves_meanwhile_stays_where_it_is(tar, site, linear):
    publish(linear, "other", hub=site)
    moved = []

    def interfere(done, total):
        if not moved:
            moved.append(publish(type(linear)(9.0).fit_like(linear), "other", hub=site))

    type(linear).fit_like = lambda self, other: (
        setattr(self, "coefficients", other.coefficients)
        or setattr(self, "intercept", other.intercept)
        or self
    )
    try:
        with pytest.raises(TagMoved):
            unbundle(tar, hub=site, move_tags=True, report=interfere)
    finally:
        del type(linear).fit_like
    assert from_pretrained("other", hub=site).alpha == 9.0


# What cannot be bundled


def test_what_is_not_in_the_hub_leaves_no_bundle(filled, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelNotFound):
        bundle(["none"], tmp_path / "out" / "b.tar", hub=filled)
    with pytest.raises(ModelNotFound):
        bundle([], tmp_path / "out" / "b.tar", hub=filled)
    with pytest.raises(UnsafePath):
        bundle(["./directory"], tmp_path / "out" / "b.tar", hub=filled)
    weights = filled.resolve("other").path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    with pytest.raises(HashMismatch):
        bundle(["lab/net", "other"], tmp_path / "out" / "b.tar", hub=filled)
    assert list((tmp_path / "out").iterdir()) == []


# Hostile bundles


def rejected(path, site, error=BundleError):
    """Check that a bundle is refused, and that only whole models were stored, without tags."""
    with pytest.raises(error):
        unbundle(path, hub=site)
    if not site.path.exists():
        return
    assert not [tag for name in site.names() for tag in site.tags(name)]
    for name in site.names():
        for revision in site.revisions(name):
            dc_hub.verify(name, hub=site, revision=revision)
    assert not list(site.path.rglob(".tmp-*"))


def test_a_bundle_that_is_cut_anywhere_stores_whole_models_and_no_tag(tar, site, tmp_path):
    data = tar.read_bytes()
    cut = tmp_path / "cut.tar"
    for length in [*range(0, len(data), 4 * BLOCK), len(data) - RECORD, len(data) - 1]:
        cut.write_bytes(data[:length])
        rejected(cut, site)
        with pytest.raises(BundleError):
            list_bundle(cut)


def test_one_changed_bit_anywhere_is_noticed(tar, site, tmp_path):
    data = tar.read_bytes()
    signature = data.index(SIGNED)  # for which nothing vouches but its key
    changed = tmp_path / "changed.tar"
    rng = np.random.default_rng(0)
    for at in rng.integers(len(data), size=60):
        if not signature <= at < signature + len(SIGNED):
            flipped = data[at] ^ (1 << rng.integers(8))
            changed.write_bytes(data[:at] + bytes([flipped]) + data[at + 1 :])
            rejected(changed, site, HubError)


def test_files_that_are_added_left_out_repeated_or_moved_are_refused(tar, site, tmp_path):
    files = members(tar)
    path = tmp_path / "other.tar"
    names = [name for name, _ in files]
    card = next(i for i, name in enumerate(names) if name.endswith("README.md"))
    assert write(path, files).read_bytes() == tar.read_bytes()
    for i in range(len(files)):
        if names[i].endswith(".sigstore"):
            continue  # a signature may be there or not
        for changed in (
            files[:i] + files[i + 1 :],
            [*files[:i], files[i], *files[i:]],
            [*files[:i], ("x", b""), *files[i:]],
        ):
            rejected(write(path, changed), site)
    rejected(write(path, [*files, files[card]]), site)
    swapped = [*files]
    swapped[card], swapped[card + 1] = swapped[card + 1], swapped[card]
    rejected(write(path, swapped), site)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "..", "", "a\\b", "\x1b[2J", "é"])
def test_names_that_lead_elsewhere_are_refused(tar, site, tmp_path, name):
    files = members(tar)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for i, (own, body) in enumerate(files):
            info = tarfile.TarInfo(name if i == 3 else own)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    path = tmp_path / "b.tar"
    path.write_bytes(buffer.getvalue())
    rejected(path, site)
    assert not (tmp_path.parent / "x").exists()
    with pytest.raises(BundleError) as caught:
        list_bundle(path)
    assert "\x1b" not in str(caught.value)


KINDS = {
    "hard link": (tarfile.LNKTYPE, {"linkname": "/etc/passwd"}),
    "symbolic link": (tarfile.SYMTYPE, {"linkname": "/etc/passwd"}),
    "character device": (tarfile.CHRTYPE, {"devmajor": 1, "devminor": 3}),
    "block device": (tarfile.BLKTYPE, {}),
    "directory": (tarfile.DIRTYPE, {}),
    "FIFO": (tarfile.FIFOTYPE, {}),
    "contiguous file": (tarfile.CONTTYPE, {}),
    "sparse file": (tarfile.GNUTYPE_SPARSE, {}),
    "long name": (tarfile.GNUTYPE_LONGNAME, {}),
    "global header": (b"g", {}),
    "old file": (tarfile.AREGTYPE, {}),
    "set-user-id": (tarfile.REGTYPE, {"mode": 0o4755}),
    "owner": (tarfile.REGTYPE, {"uid": 1000}),
    "time": (tarfile.REGTYPE, {"mtime": 5}),
}


@pytest.mark.parametrize(("kind", "fields"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_whatever_is_not_a_plain_file_is_refused(tar, site, tmp_path, kind, fields, place):
    files = members(tar)
    data = b""
    for i, (name, body) in enumerate(files):
        if i == place:
            info = tarfile.TarInfo(name)
            info.size, info.type = len(body), kind
            for field, value in fields.items():
                setattr(info, field, value)
            data += info.tobuf(tarfile.USTAR_FORMAT if len(name) < 100 else tarfile.GNU_FORMAT)
        else:
            data += header(Member(name, len(body)))
        data += body + padding(len(body))
    path = tmp_path / "b.tar"
    path.write_bytes(data + ending(len(data)))
    rejected(path, site)


@pytest.mark.parametrize(
    "record",
    [
        b"30 mtime=1350244992.023960108\n",
        b"27 GNU.sparse.name=somewhere\n",
        b"12 path=a\nb\n",
        b"11 path=\xff\xfe\n",
        b"14 size=-00001\n",
        b"99 path=short\n",
        b"12 size=0005\n",
        b"18 path=one\n18 path=two\n",
    ],
)
def test_records_of_extended_headers_that_a_bundle_does_not_have_are_refused(record):
    block = bytearray(header(Member("a" * 101, 5)))
    length = len(record)
    pax = bytearray(header(Member("././@PaxHeader", length)))
    pax[156:157] = b"x"
    pax[148:156] = b" " * 8
    pax[148:156] = b"%06o\0 " % sum(pax)
    data = bytes(pax) + record + padding(length) + bytes(block[-BLOCK:])
    with pytest.raises(BundleError):
        TarReader(io.BytesIO(data), "x").next()


def test_an_extended_header_without_end_is_not_read():
    pax = bytearray(header(Member("././@PaxHeader", 8**11 - 1)))
    pax[156:157] = b"x"

    class Endless(io.BytesIO):
        def read(self, count=-1):
            assert 0 <= count <= 1 << 20
            return super().read(count) or bytes(count)

    with pytest.raises(BundleError, match="too long"):
        TarReader(Endless(bytes(pax)), "x").next()


def test_a_size_over_the_limit_of_a_small_file_is_refused_before_it_is_read(tmp_path, site):
    path = tmp_path / "b.tar"
    with path.open("wb") as file:
        file.write(header(Member("index.json", 1 << 40)))
        file.truncate(1 << 41)
    rejected_before = site.path.exists()
    with pytest.raises(LimitExceeded):
        unbundle(path, hub=site)
    assert site.path.exists() == rejected_before


def edited_index(tar, change):
    files = members(tar)
    index = json.loads(files[0][1])
    change(index["models"])
    body = json.dumps(index, indent=2, sort_keys=True).encode() + b"\n"
    return [("index.json", body), *files[1:]]


INDEXES = {
    "a tag of nothing": lambda models: models["other"]["tags"].update(main="0" * 64),
    "no revisions": lambda models: models["other"].update(revisions=[], tags={}),
    "one twice": lambda models: models["other"].update(revisions=models["other"]["revisions"] * 2),
    "another revision": lambda models: models["other"].update(revisions=["0" * 64], tags={}),
    "one more": lambda models: models.update(more=models["other"]),
    "one less": lambda models: models.pop("other"),
    "a name that leads out": lambda models: models.update({"../x": models["other"]}),
    "another tag": lambda models: models["other"]["tags"].update(
        v9=models["other"]["revisions"][0]
    ),
    "a key more": lambda models: models["other"].update(more=1),
}


@pytest.mark.parametrize("change", INDEXES.values(), ids=INDEXES)
def test_an_index_that_does_not_say_what_follows_is_refused(tar, site, tmp_path, change):
    rejected(write(tmp_path / "b.tar", edited_index(tar, change)), site, HubError)


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04" + bytes(600), bytes(RECORD), b"\x80\x04" * 512]
)
def test_what_is_no_tar_archive_is_refused(tmp_path, site, data):
    path = tmp_path / "b.tar"
    path.write_bytes(data)
    for read in (list_bundle, lambda path: unbundle(path, hub=site)):
        with pytest.raises(BundleError):
            read(path)
    with pytest.raises(FileMissing):
        list_bundle(tmp_path / "none.tar")


@pytest.mark.needs("FIFOs")
def test_a_fifo_as_a_bundle_does_not_hang(tmp_path, site):
    os.mkfifo(tmp_path / "b.tar")
    with pytest.raises(UnsafePath):
        unbundle(tmp_path / "b.tar", hub=site)


# The commands


def test_the_commands_carry_models_from_hub_to_hub(run, filled, site, tmp_path):
    path = tmp_path / "b.tar"
    assert run("bundle", "lab/net@v2", "-o", path, "--hub", filled.path) == (0, f"{path}\n", "")
    code, out, _ = run("unbundle", path, "--list")
    assert code == 0
    assert out.splitlines()[1].split()[-2:] == ["v2,", "signed"]
    assert json.loads(run("unbundle", path, "--list", "--json")[1])[0]["tags"] == ["v2"]
    code, out, _ = run("unbundle", path, "--hub", site.path)
    revision = filled.resolve("lab/net", "v2").revision
    assert (code, out) == (0, f"published  lab/net  revision {revision}\n")
    assert site.tags("lab/net") == {"v2": revision}


@pytest.mark.parametrize(
    "arguments",
    [("bundle", "-o", "b.tar"), ("bundle", "a", "--all", "-o", "b.tar"), ("bundle", "a")],
)
def test_wrong_usage_exits_with_two(run, filled, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(*arguments, "--hub", filled.path)
    assert (code, out) == (2, "")
    assert not (tmp_path / "b.tar").exists()
