"""Every byte is verified before it is used, and stamps are trusted only with care."""

import json
import os
import shutil
import threading
import time

import numpy as np
import pytest

from dc_hub import (
    check_golden,
    errors,
    from_pretrained,
    load,
    publish,
    save,
    verify,
)
from dc_hub.format.filenames import MANIFEST, SIGNATURES
from dc_hub.format.shards import open_weights
from dc_hub.hubs.staging import Staging
from dc_hub.loading.building import build_model
from dc_hub.loading.verifying import open_contents


@pytest.fixture
def directory(chain, tmp_path):
    saved = save(
        chain, tmp_path / "model", shard_size=16, golden=["CCO"], metadata={"task": "solubility"}
    )
    return saved.path


@pytest.fixture
def large(linear, hub):
    """A published model whose weights are large enough to be stamped."""
    linear.coefficients = np.ones((20_000, 1))
    return publish(linear, "large", hub=hub)


@pytest.fixture
def settled(monkeypatch):
    """Let files count as settled after a few ticks of the clock, so that tests need not wait."""
    monkeypatch.setattr("dc_hub.loading.verifying._SETTLED_NS", 0)


def flip(file, at=-1):
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def test_one_flipped_bit_in_any_file_is_refused_by_the_files_name(hub, chain):
    published = publish(chain, "m", hub=hub, shard_size=16, golden=["CCO"])
    files = sorted(published.path.iterdir())
    assert len(files) >= 8
    for file in files:
        original = file.read_bytes()
        for at in (0, len(original) // 2, -1):
            flip(file, at)
            with pytest.raises(errors.HubError) as caught:
                from_pretrained("m", hub=hub)
            assert file.name in str(caught.value)
            assert caught.value.path.endswith(file.name)
            file.write_bytes(original)
    from_pretrained("m", hub=hub)


def test_a_file_cut_short_or_grown_is_refused_by_its_name(directory):
    for file in sorted(directory.iterdir()):
        original = file.read_bytes()
        for changed in (original[:-1], original + b"\n", b""):
            file.write_bytes(changed)
            with pytest.raises(errors.HubError) as caught:
                load(directory)
            assert file.name in str(caught.value)
        file.write_bytes(original)


def test_a_missing_file_is_refused_by_its_name(directory):
    for file in sorted(directory.iterdir()):
        if file.name == MANIFEST:
            continue
        original = file.read_bytes()
        file.unlink()
        with pytest.raises(errors.FileMissing, match=file.name):
            load(directory)
        file.write_bytes(original)


def test_a_file_that_the_manifest_does_not_name_is_refused(directory):
    (directory / "hook.py").write_text("import os")
    with pytest.raises(errors.UnexpectedFile, match=r"hook\.py"):
        load(directory)


@pytest.mark.parametrize("change", ["omits", "adds", "repeats", "leads elsewhere"])
def test_a_manifest_that_does_not_match_the_files_is_refused(directory, change):
    file = directory / MANIFEST
    content = json.loads(file.read_text())
    files = content["files"]
    if change == "omits":
        del files[0]
    elif change == "adds":
        files.append({**files[-1], "path": "zzz.txt"})
    elif change == "repeats":
        files.insert(0, files[0])
    else:
        files[0]["path"] = "../params.json"
    file.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    with pytest.raises(
        (errors.UnexpectedFile, errors.FileMissing, errors.ManifestError, errors.UnsafePath)
    ):
        load(directory)


@pytest.mark.parametrize(
    "kind",
    [
        "symlink",
        "hard link",
        pytest.param("fifo", marks=pytest.mark.needs("FIFOs")),
        "directory",
    ],
)
@pytest.mark.parametrize("name", ["params.json", "README.md", MANIFEST])
def test_a_file_that_is_not_regular_is_refused(directory, tmp_path, kind, name):
    file = directory / name
    aside = tmp_path / "aside"
    file.rename(aside)
    if kind == "symlink":
        file.symlink_to(aside)
    elif kind == "hard link":
        file.hardlink_to(aside)
    elif kind == "fifo":
        os.mkfifo(file)
    else:
        file.mkdir()
    started = time.monotonic()
    with pytest.raises(errors.UnsafePath, match=name):
        load(directory)
    assert time.monotonic() - started < 10


def test_shards_of_two_revisions_are_not_mixed(hub, models, dataset, reseal):
    first, second = (
        publish(models["Linear"](alpha).fit(dataset), "m", hub=hub, shard_size=16)
        for alpha in (1.0, 2.0)
    )
    shard = next(first.path.glob("model-00001-*"))
    shutil.copy(shard, second.path / shard.name)
    with pytest.raises(errors.HashMismatch, match=shard.name):
        from_pretrained("m", hub=hub)


def test_verify_hashes_every_file_and_returns_what_it_verified(hub, large):
    assert verify("large", hub=hub) == large
    flip(large.path / "model.safetensors")
    with pytest.raises(errors.HashMismatch, match=r"model\.safetensors"):
        verify("large", hub=hub)


def test_an_unknown_mode_of_verification_is_an_error(hub, large):
    with pytest.raises(errors.ParamsError, match="changed"):
        from_pretrained("large", hub=hub, verify="no")


def forge(large, cache, hub):
    """Tamper with the weights and make the stamp say that they were verified so."""
    (stamp,) = (cache / "verified").iterdir()
    flip(large.path / "model.safetensors")
    content = json.loads(stamp.read_text())
    found = (large.path / "model.safetensors").stat()
    content["files"]["model.safetensors"] = [
        found.st_dev,
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    ]
    stamp.write_text(json.dumps(content))
    return stamp


@pytest.fixture
def stamped(large, hub, cache, settled):
    time.sleep(0.02)
    from_pretrained("large", hub=hub)
    assert len(list((cache / "verified").iterdir())) == 1
    return large


@pytest.mark.needs("file owners")
def test_an_unchanged_file_is_not_hashed_again(stamped, hub, cache):
    forge(stamped, cache, hub)
    from_pretrained("large", hub=hub)
    with pytest.raises(errors.HashMismatch, match=r"model\.safetensors"):
        from_pretrained("large", hub=hub, verify="full")


@pytest.mark.needs("file owners")
@pytest.mark.parametrize(
    "who",
    [
        "group",
        "everybody",
        "folder",
        pytest.param("somebody else", marks=pytest.mark.needs("root")),
        "link",
    ],
)
def test_a_stamp_that_others_could_have_written_is_not_believed(stamped, hub, cache, who):
    stamp = forge(stamped, cache, hub)
    if who == "group":
        stamp.chmod(0o660)
    elif who == "everybody":
        stamp.chmod(0o606)
    elif who == "folder":
        stamp.parent.chmod(0o777)
    elif who == "link":
        stamp.rename(stamp.with_name("real"))
        stamp.symlink_to(stamp.with_name("real"))
    else:
        os.chown(stamp, 65534, -1)
    with pytest.raises(errors.HashMismatch, match=r"model\.safetensors"):
        from_pretrained("large", hub=hub)


@pytest.mark.needs("file owners")
def test_a_change_that_keeps_size_and_time_is_noticed(stamped, hub):
    weights = stamped.path / "model.safetensors"
    before = weights.stat()
    flip(weights)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(errors.HashMismatch, match=r"model\.safetensors"):
        from_pretrained("large", hub=hub)


def test_a_file_changed_a_moment_ago_is_not_stamped(large, hub, cache):
    from_pretrained("large", hub=hub)
    assert not (cache / "verified").exists()


@pytest.mark.needs("file owners")
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"revision": 5}', "\0", '{"files": {}}'])
def test_a_damaged_stamp_costs_time_and_nothing_else(stamped, hub, cache, content):
    (stamp,) = (cache / "verified").iterdir()
    stamp.write_text(content)
    from_pretrained("large", hub=hub)


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(
    large, hub, cache, settled, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DEEPCHEM_CACHE", str(tmp_path / "file"))
    time.sleep(0.02)
    from_pretrained("large", hub=hub)


@pytest.mark.needs("file owners")
def test_a_hub_cannot_vote_on_its_own_trust(stamped, hub, cache):
    stamp = forge(stamped, cache, hub)
    shutil.move(stamp, stamped.path / "verified.json")
    with pytest.raises(errors.UnexpectedFile):
        from_pretrained("large", hub=hub)


def replace_with_a_flipped_bit(file):
    evil = bytearray(file.read_bytes())
    evil[-1] ^= 1
    file.rename(file.parent.parent / f"{file.name}.aside")
    file.write_bytes(evil)


def test_a_large_file_that_is_replaced_between_hashing_and_opening_is_refused(
    hub, large, monkeypatch
):
    def swap_then_open(where, **options):
        replace_with_a_flipped_bit(large.path / "model.safetensors")
        return open_weights(where, **options)

    monkeypatch.setattr("dc_hub.loading.opening.open_weights", swap_then_open)
    with pytest.raises(errors.HashMismatch, match="while it was being loaded"):
        from_pretrained("large", hub=hub)


def test_a_small_file_that_is_replaced_after_hashing_is_used_as_it_was_verified(
    hub, linear, dataset, monkeypatch
):
    published = publish(linear, "m", hub=hub, golden=dataset.X, training=True)
    names = [entry.name for entry in published.path.iterdir() if entry.name != MANIFEST]
    used = []

    def swap_then_open(where, **options):
        for name in names:
            replace_with_a_flipped_bit(published.path / name)
        used.append(options["open_file"])
        return open_weights(where, **options)

    monkeypatch.setattr("dc_hub.loading.opening.open_weights", swap_then_open)
    model = from_pretrained("m", hub=hub, training=True)
    assert used
    assert model.get_training_state().keys() == linear.get_training_state().keys()
    for name, array in model.get_weights().items():
        np.testing.assert_array_equal(array, linear.get_weights()[name])
    np.testing.assert_array_equal(model.predict(dataset), linear.predict(dataset))


def test_a_large_file_that_is_replaced_after_the_weights_are_open_is_refused(
    hub, large, linear, monkeypatch
):
    published = publish(linear, "m", hub=hub, golden=np.ones((2, 20_000)))

    def load_then_swap(*arguments, **options):
        model = build_model(*arguments, **options)
        same = (published.path / "golden.safetensors").read_bytes()
        (published.path / "golden.safetensors").unlink()
        (published.path / "golden.safetensors").write_bytes(same)
        return model

    monkeypatch.setattr("dc_hub.loading.restoring.build_model", load_then_swap)
    with pytest.raises(errors.HashMismatch, match=r"golden\.safetensors"):
        check_golden("m", hub=hub)


def test_no_more_than_a_megabyte_of_small_files_is_kept_and_the_others_are_verified(tmp_path):
    files = {f"notes-{i}.txt": bytes([i]) * 60_000 for i in range(40)}
    with Staging(tmp_path) as staging:
        for name, data in files.items():
            staging.write(name, data)
        staging.seal()
        directory = staging.move_to(tmp_path / "model")
    with open_contents(directory) as contents:
        assert 900_000 < sum(map(len, contents.kept.values())) <= 1 << 20
        assert {name: contents.read(name, 1 << 20) for name in files} == files
    flip(directory / "notes-9.txt")
    with pytest.raises(errors.HashMismatch, match="notes-9"), open_contents(directory):
        pass


def test_weights_that_others_can_write_to_cannot_be_changed_under_a_model(hub, linear, dataset):
    published = publish(linear, "m", hub=hub)
    (published.path / "model.safetensors").chmod(0o666)
    model = from_pretrained("m", hub=hub)
    with (published.path / "model.safetensors").open("r+b") as file:
        file.truncate(0)
    np.testing.assert_array_equal(model.predict(dataset), linear.predict(dataset))


def exchange(first, second, stop):
    """Exchange two directories, again and again, until ``stop`` is set.

    Now and then it pauses, after an even and an odd number of times in turn, so that some loads
    find the right directory even where directories have no descriptors.
    """
    aside = first.with_name("aside")
    for i in range(1, 1_000_000):
        for source, target in ((first, aside), (second, first), (aside, second)):
            source.rename(target)
        if stop.is_set():
            break
        if i % 501 == 0:
            time.sleep(0.02)


def test_what_was_verified_is_what_is_loaded_while_directories_are_exchanged(hub, models, dataset):
    wanted, other = (
        publish(models["Linear"](alpha).fit(dataset), "m", hub=hub, shard_size=16)
        for alpha in (1.0, 2.0)
    )
    expected = from_pretrained("m", hub=hub, revision=wanted.revision).predict(dataset)
    stop = threading.Event()
    thread = threading.Thread(target=exchange, args=(wanted.path, other.path, stop))
    thread.start()
    try:
        refused = loaded = 0
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            try:
                model = from_pretrained("m", hub=hub, revision=wanted.revision, verify="full")
            except errors.HubError:
                refused += 1
                continue
            loaded += 1
            np.testing.assert_array_equal(model.predict(dataset), expected)
    finally:
        stop.set()
        thread.join()
    assert refused
    assert loaded


@pytest.mark.needs("file owners", "root")
def test_a_file_of_another_user_is_never_stamped_and_is_used_as_a_private_copy(
    large, hub, cache, settled, dataset
):
    weights = large.path / "model.safetensors"
    os.chown(weights, 65534, -1)
    time.sleep(0.02)
    model = from_pretrained("large", hub=hub)
    assert (
        not list((cache / "verified").glob("*"))
        or "model.safetensors"
        not in json.loads(next((cache / "verified").iterdir()).read_text())["files"]
    )
    before = model.get_weights()
    with weights.open("r+b") as file:
        file.truncate(0)
    for name, array in model.get_weights().items():
        np.testing.assert_array_equal(array, before[name])


def test_weights_that_others_can_write_to_are_never_stamped(large, hub, cache, settled):
    for file in large.path.iterdir():
        file.chmod(0o666)
    time.sleep(0.02)
    from_pretrained("large", hub=hub)
    assert not (cache / "verified").exists()


@pytest.mark.parametrize(
    "kind",
    [
        "symlink",
        "hard link",
        pytest.param("fifo", marks=pytest.mark.needs("FIFOs")),
        "directory",
    ],
)
@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_that_is_not_a_regular_file_is_refused(directory, tmp_path, kind, name):
    file, aside = directory / name, tmp_path / "aside"
    aside.write_text("signature")
    if kind == "symlink":
        file.symlink_to(aside)
    elif kind == "hard link":
        file.hardlink_to(aside)
    elif kind == "fifo":
        os.mkfifo(file)
    else:
        file.mkdir()
    with pytest.raises(errors.UnsafePath, match=name):
        load(directory)


@pytest.mark.needs("resource limits")
def test_running_out_of_file_descriptors_is_a_typed_error_everywhere(hub, linear, dataset):
    publish(linear, "m", hub=hub, golden=dataset.X)
    uses = {
        "load": lambda: from_pretrained("m", hub=hub, verify="full"),
        "golden": lambda: check_golden("m", hub=hub),
        "publish": lambda: publish(linear, "n", hub=hub),
        "list": lambda: (hub.names(), hub.tags("m"), hub.revisions("m")),
    }
    for use in uses.values():
        use()
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for name, use in uses.items():
        outcomes = set()
        for spare in range(24):
            lowest = os.open(os.devnull, os.O_RDONLY)
            os.close(lowest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + spare, hard))
            try:
                use()
                outcomes.add("done")
            except errors.HubError:
                outcomes.add("refused")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert outcomes == {"done", "refused"}, name
