"""Names, tags and revisions of a hub, and attempts to trick it."""

import os
from pathlib import Path

import pytest

from dc_hub import (
    LocalHub,
    errors,
    from_pretrained,
    load,
    open_hub,
    pin,
    publish,
    publish_directory,
    save,
)

BAD_NAMES = [
    "",
    "..",
    "../x",
    "ns/../x",
    "a/b/c",
    "/etc",
    "C:x",
    "\\\\server\\share",
    "a\\b",
    "A",
    "a.",
    "con",
    "a\n",
    "a\0b",
    ".hidden",
    "%2e%2e",
    "%252e%252e/x",
    "lab/refs",
    "a b",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_could_leave_the_hub_is_refused(hub, linear, name):
    with pytest.raises(errors.UnsafePath):
        publish(linear, name, hub=hub)
    with pytest.raises(errors.UnsafePath):
        hub.resolve(name)
    assert not hub.path.exists()


@pytest.mark.parametrize(
    "tag", ["", "../main", "a/b", "v1\n", "V1", "a\0", "..", ".lock", "0" * 12]
)
def test_a_tag_that_could_leave_the_hub_is_refused_before_anything_is_written(hub, linear, tag):
    with pytest.raises(errors.UnsafePath):
        publish(linear, "m", hub=hub, tag=tag)
    assert not hub.path.exists()


def test_an_unknown_revision_is_an_error_that_lists_the_tags(hub, linear):
    publish(linear, "m", hub=hub, tag="lts", move_main=False)
    for wanted in (None, "v9", "0" * 64, "0" * 12):
        with pytest.raises(errors.RevisionNotFound, match="lts"):
            hub.resolve("m", wanted)


@pytest.mark.parametrize("wanted", ["../../m", "v1\n", "%2e%2e", "A" * 64])
def test_a_revision_that_could_leave_the_hub_is_refused(hub, linear, wanted):
    publish(linear, "m", hub=hub)
    with pytest.raises(errors.UnsafePath):
        hub.resolve("m", wanted)


def test_a_beginning_that_fits_two_revisions_is_ambiguous(hub, linear):
    published = publish(linear, "m", hub=hub)
    similar = published.revision[:13] + "0" * 51
    (published.path.parent / similar).mkdir()
    with pytest.raises(errors.AmbiguousRevision, match=similar[:20]):
        hub.resolve("m", published.revision[:12])
    longer = next(n for n in range(13, 64) if not similar.startswith(published.revision[:n]))
    assert hub.resolve("m", published.revision[:longer]) == published


def test_a_model_that_is_not_there_and_a_hub_that_is_not_there_are_told_apart(hub, linear):
    with pytest.raises(errors.HubUnavailable, match="Publish a model to create it"):
        from_pretrained("m", hub=hub)
    publish(linear, "other", hub=hub)
    with pytest.raises(errors.ModelNotFound, match="dc-hub ls"):
        from_pretrained("m", hub=hub)


def test_a_hub_that_is_a_file_is_an_error_when_read_and_when_written(tmp_path, linear):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.HubUnavailable):
        LocalHub(tmp_path / "file").names()
    with pytest.raises(errors.HubUnavailable, match="Nothing was stored"):
        publish(linear, "m", hub=tmp_path / "file")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"revision": "main"}',
        b'{"revision": 5}',
        b'{"revision": "../../x"}',
        b'{"revision": "%s\\n"}' % (b"0" * 64),
        b'{"revision": "%s", "trust": true}' % (b"0" * 64),
        b'{"revision": "%s", "revision": "%s"}' % (b"0" * 64, b"1" * 64),
        b"[" * 4000,
    ],
)
def test_a_tag_that_holds_no_digest_is_a_typed_error(hub, linear, content):
    publish(linear, "m", hub=hub)
    (hub.path / "m/refs/main.json").write_bytes(content)
    with pytest.raises((errors.ParamsError, errors.LimitExceeded)):
        hub.resolve("m")


def test_a_damaged_tag_does_not_affect_the_others(hub, linear):
    published = publish(linear, "m", hub=hub)
    (hub.path / "m/refs/main.json").write_bytes(b"{}")
    publish(linear, "m", hub=hub, tag="v1", move_main=False)
    assert hub.resolve("m", "v1") == published
    with pytest.raises(errors.ParamsError, match="Remove that file"):
        publish(linear, "m", hub=hub)
    (hub.path / "m/refs/main.json").unlink()
    publish(linear, "m", hub=hub)
    assert list(hub.tags("m")) == ["main", "v1"]


def test_a_tag_without_end_is_not_read(hub, linear):
    publish(linear, "m", hub=hub)
    with (hub.path / "m/refs/main.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(errors.LimitExceeded):
        hub.resolve("m")


@pytest.mark.parametrize(
    "kind", ["symlink", "loop", pytest.param("fifo", marks=pytest.mark.needs("FIFOs")), "directory"]
)
def test_a_tag_that_is_no_plain_file_is_refused(hub, linear, kind):
    publish(linear, "m", hub=hub)
    tag = hub.path / "m/refs/main.json"
    moved = tag.rename(tag.with_name("v1.json"))
    if kind == "symlink":
        tag.symlink_to(moved)
    elif kind == "loop":
        tag.with_name("loop.json").symlink_to(tag)
        tag.symlink_to(tag.with_name("loop.json"))
    elif kind == "fifo":
        os.mkfifo(tag)
    else:
        tag.mkdir()
    with pytest.raises(errors.UnsafePath):
        hub.resolve("m", "main")


def test_a_revision_that_is_a_link_to_elsewhere_is_refused(hub, linear, tmp_path):
    published = publish(linear, "m", hub=hub)
    published.path.rename(tmp_path / "elsewhere")
    published.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.UnsafePath):
        from_pretrained("m", hub=hub)


def test_a_directory_that_holds_another_revision_is_refused(hub, models, dataset):
    first = publish(models["Linear"](1.0).fit(dataset), "m", hub=hub)
    second = publish(models["Linear"](2.0).fit(dataset), "m", hub=hub)
    first.path.rename(first.path.with_name("spare"))
    second.path.rename(first.path)
    with pytest.raises(errors.HashMismatch, match=r"MANIFEST\.json"):
        from_pretrained("m", hub=hub, revision=first.revision)


def test_models_and_groups_of_models_are_listed_together(hub, linear):
    for name in ("lab", "lab/b", "a"):
        publish(linear, name, hub=hub)
    (hub.path / "not-a-model").mkdir()
    (hub.path / "No Name" / "revisions").mkdir(parents=True)
    (hub.path / "lab" / "revisions" / "revisions").mkdir()
    assert hub.names() == ["a", "lab", "lab/b"]


@pytest.mark.parametrize("where", ["m@", "m@v1@v2", 5, None, b"m", "m@v1"])
def test_an_incomplete_or_ambiguous_reference_is_refused(hub, linear, where):
    publish(linear, "m", hub=hub)
    with pytest.raises(errors.UnsafePath):
        from_pretrained(where, hub=hub, revision="main")


def test_a_directory_has_no_revision(tmp_path):
    with pytest.raises(errors.UnsafePath, match="revision"):
        from_pretrained(tmp_path, revision="main")


@pytest.mark.parametrize("url", ["gopher://org", "ftp://host/hub", "file://host/hub"])
def test_a_url_that_is_not_served_is_an_error_and_makes_no_directory(
    url, tmp_path, monkeypatch, linear
):
    monkeypatch.chdir(tmp_path)
    for given in (url, Path(url)) if not url.startswith("file") else (url,):
        with pytest.raises(errors.HubUnavailable, match=url.partition(":")[0]):
            publish(linear, "m", hub=given)
    monkeypatch.setenv("DEEPCHEM_MODEL_HUB", url)
    with pytest.raises(errors.HubUnavailable):
        publish(linear, "m")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["s3:bucket", "file:rel", " s3://x", "://x", "a b://x", "s3 ://x", "https:"]
)
def test_a_text_that_looks_like_a_url_makes_no_directory(text, tmp_path, monkeypatch, linear):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.HubUnavailable, match=r"looks like a URL|not supported"):
        publish(linear, "m", hub=text)
    assert list(tmp_path.iterdir()) == []
    publish(linear, "m", hub=f"./{text}")
    assert from_pretrained("m", hub=f"./{text}").alpha == linear.alpha


@pytest.mark.parametrize("hub", ["", b"hub", 3, True], ids=repr)
def test_what_is_no_hub_is_a_typed_error(hub, tmp_path, monkeypatch, linear):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.HubError, match=r"is not a"):
        publish(linear, "m", hub=hub)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["ftp://host/hub/m", "file://host/m"])
def test_no_place_that_is_written_to_is_taken_from_a_url_that_is_not_served(
    url, tmp_path, monkeypatch, linear
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.HubUnavailable, match="://"):
        save(linear, url)
    with pytest.raises(errors.HubUnavailable, match="://"):
        linear.to_pretrained(url)
    publish(linear, "m", hub="hub")
    with pytest.raises(errors.HubUnavailable, match="://"):
        pin("m", hub="hub", lock=url)
    for load_ in (load, from_pretrained, publish_directory):
        with pytest.raises(errors.HubUnavailable, match="://"):
            load_(url, "m") if load_ is publish_directory else load_(url)
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["hub"]


ODD = ["a hub", "100%", "a?b#c", "%41", "\u00fc\u2192", "a+b&c=d;e", "new\nline", "tab\t", "'\"\\"]


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_a_file_url_is_the_directory_it_names(tmp_path, name, linear):
    place = tmp_path / name
    for url in (place.as_uri(), place.as_uri().replace("file://", "FILE://localhost")):
        assert open_hub(url).path == place
    assert LocalHub(place.as_uri()).path == place
    saved = save(linear, place.as_uri())
    assert saved.path == place
    assert from_pretrained(place.as_uri()).alpha == load(place.as_uri()).alpha == linear.alpha


@pytest.mark.skipif(os.name == "nt", reason="paths are bytes on POSIX only")
def test_a_file_url_of_a_path_that_is_not_unicode_is_that_path(tmp_path):
    place = tmp_path / os.fsdecode(b"caf\xe9")
    assert open_hub(place.as_uri()).path == place


@pytest.mark.parametrize(
    "url", ["file:///a?b", "file:///a#b", "file:///a%", "file:///a%zz", "file://", "file:////%2",
            "file://user@localhost/a", "file://localhost:80/a"]
)  # fmt: skip
def test_a_file_url_that_could_mean_two_paths_is_refused(url):
    with pytest.raises(errors.HubUnavailable):
        open_hub(url)


@pytest.mark.parametrize("path", ["a\0b", "file:///a%00b", "~no-such-user-at-all/hub"])
def test_a_path_that_cannot_be_is_a_typed_error(path):
    with pytest.raises(errors.UnsafePath):
        open_hub(path)
