"""Listings and searches of a hub say what its directories say, however much was remembered."""

import json
import os
import shutil
import time

import pytest

from dc_hub import (
    LocalHub,
    delete_tag,
    errors,
    gc,
    ls,
    move_tag,
    open_hub,
    publish,
    rm,
    search,
    set_tag,
    summary,
    verify_models,
    write_index,
    write_site,
)
from dc_hub.hubs import catalogue as cataloguing
from dc_hub.hubs.catalogue import catalogue, looked_up
from dc_hub.hubs.index import MAX_BYTES, Listed, index_bytes, parse_index


def line_of(change):
    """Return the line that a change is on, as the name of its case."""
    return f"line {change.__code__.co_firstlineno}"


@pytest.fixture
def settled(monkeypatch):
    """Let what has been written until now count as long ago."""
    time.sleep(0.02)  # more than a tick of the clock
    monkeypatch.setattr(cataloguing, "_SETTLED_NS", -(10**18))


@pytest.fixture
def reads(monkeypatch):
    """Collect which revisions are read."""
    found = []
    original = cataloguing.summarize

    def counted(hub, model, tags=()):
        found.append(f"{model.name}@{model.revision[:4]}")
        return original(hub, model, tags)

    monkeypatch.setattr(cataloguing, "summarize", counted)
    return found


def truth(hub):
    """Return what the directories say, without anything remembered."""
    return {
        name: (hub.tags(name), tuple(hub.revisions(name)), summary(name, hub=hub))
        for name in hub.names()
    }


def told(hub):
    return {
        name: (dict(model.tags), model.revisions, model.summary(name))
        for name, model in catalogue(hub)
    }


@pytest.fixture
def filled(hub, models, dataset):
    for number, name in enumerate(["a", "b/c", "b/d", "z"]):
        model = models["Linear"](float(number + 1)).fit(dataset)
        publish(model, name, hub=hub, metadata={"task": f"task {number}"})
    return hub


def test_a_catalogue_says_what_the_directories_say(filled):
    assert told(filled) == truth(filled)


@pytest.mark.needs("file owners")
def test_what_was_read_is_not_read_again(filled, settled, reads):
    first = told(filled)
    assert len(reads) == 4
    assert told(filled) == first
    assert len(reads) == 4


@pytest.mark.needs("file owners")
@pytest.mark.parametrize(
    "change",
    [
        lambda hub, linear: publish(linear, "a", hub=hub),
        lambda hub, linear: publish(linear, "b/new", hub=hub),
        lambda hub, linear: publish(linear, "zz", hub=hub),
        lambda hub, linear: publish(linear, "a", hub=hub, tag="v2", move_main=False),
        lambda hub, linear: rm("b/c", hub=hub),
        lambda hub, linear: rm("a", hub=hub),
        lambda hub, linear: set_tag("a", "v1", hub=hub),
        lambda hub, linear: (
            publish(linear, "a", hub=hub, tag="v2", move_main=False),
            move_tag("a@v2", "main", hub=hub),
            delete_tag("a", "v2", hub=hub),
        ),
        lambda hub, linear: shutil.rmtree(hub.path / "z"),
        lambda hub, linear: shutil.copytree(hub.path / "a", hub.path / "copy"),
    ],
    ids=line_of,
)
def test_every_change_shows_in_the_next_catalogue(filled, linear, settled, reads, change):
    told(filled)
    reads.clear()
    change(filled, linear)
    assert told(filled) == truth(filled)
    assert len(reads) <= 1  # by the catalogue; the truth reads for itself


def test_a_tag_that_another_is_copied_over_shows(filled, linear, settled):
    publish(linear, "a", hub=filled, tag="v2", move_main=False)
    told(filled)
    refs = filled.path / "a" / "refs"
    shutil.copyfile(refs / "v2.json", refs / "main.json")
    assert told(filled) == truth(filled)


def test_two_changes_in_one_tick_of_the_clock_show(filled, models, dataset):
    refs = filled.path / "a" / "refs"
    for alpha in (5.0, 6.0, 7.0):
        told(filled)
        before = refs.stat()
        publish(models["Linear"](alpha).fit(dataset), "a", hub=filled)
        os.utime(refs, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert told(filled) == truth(filled)


@pytest.mark.needs("file owners")
def test_a_listing_needs_no_summaries_and_a_search_after_it_has_them(filled, settled, reads):
    assert [listing.name for listing in ls(hub=filled)] == ["a", "b/c", "b/d", "z"]
    assert reads == []
    assert told(filled) == truth(filled)
    reads.clear()
    ls(hub=filled)
    assert told(filled) == truth(filled)
    assert reads == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"# dc-catalogue\t1\t\t\n[]\n",
        b"# dc-catalogue\t1\t\t\na\t\t[]\t{}\nb/c\t\t1\t1\n",
        b"# dc-catalogue\t1\t\t\na\t\t[{},[],1,{}]\t[]\nb/c\t\t" + b"[" * 100_000 + b"\t{}\n",
        b"# dc-catalogue\t9\t\t\n",
    ],
)
def test_a_damaged_cache_only_costs_time(filled, cache, settled, content):
    told(filled)
    (file,) = (cache / "catalogues").iterdir()
    file.write_bytes(content)
    assert told(filled) == truth(filled)
    assert told(filled) == truth(filled)


@pytest.mark.needs("file owners")
def test_a_cache_that_others_could_have_written_is_not_believed(filled, cache, settled, reads):
    told(filled)
    (file,) = (cache / "catalogues").iterdir()
    file.chmod(0o666)
    reads.clear()
    told(filled)
    assert len(reads) == 4


def test_a_cache_that_cannot_be_written_only_costs_time(filled, cache, monkeypatch):
    cache.mkdir(exist_ok=True)
    (cache / "catalogues").write_text("a file where a folder should be")
    assert told(filled) == truth(filled)


def test_a_model_that_cannot_be_read_is_listed_without_a_summary(filled, caplog):
    broken = filled.resolve("a").path / "params.json"
    broken.write_bytes(b"{}")
    found = dict(catalogue(filled))
    assert found["a"].tags == filled.tags("a")
    assert found["a"].summary("a").cls is None
    assert found["z"].summary("z").cls == "test/Linear"
    assert "a@" in caplog.text


@pytest.mark.parametrize("content", [b"{}", b"\xff", b"x" * 5_000])
def test_a_model_whose_tag_is_damaged_does_not_hide_the_others(filled, caplog, settled, content):
    tag = filled.path / "a" / "refs" / "main.json"
    whole = tag.read_bytes()
    tag.write_bytes(content)
    for _ in range(2):
        assert {name: tags for name, (tags, *_) in told(filled).items()}["a"] == {}
        assert [(one.name, len(one.tags)) for one in ls(hub=filled)][:2] == [("a", 0), ("b/c", 1)]
    assert "the tags of a cannot be read" in caplog.text
    tag.write_bytes(whole)  # which the folder does not show
    assert told(filled) == truth(filled)


@pytest.fixture
def linked(filled, tmp_path):
    """A hub in which somebody has put a link in the place of the revisions of ``b/c``."""
    revisions = filled.path / "b" / "c" / "revisions"
    revisions.rename(tmp_path / "elsewhere")
    revisions.symlink_to(tmp_path / "elsewhere")
    return filled


def test_a_model_whose_revisions_are_a_link_does_not_hide_the_others(linked, caplog, settled):
    for _ in range(2):
        caplog.clear()
        assert linked.names() == ["a", "b/c", "b/d", "z"]
        assert [len(one.revisions) for one in ls(hub=linked)] == [1, 0, 1, 1]
        assert [found.name for found in search("task", hub=linked)] == ["a", "b/d", "z"]
        assert caplog.text.count("the revisions of b/c cannot be read") == 2
    with pytest.raises(errors.UnsafePath, match="link"):
        linked.revisions("b/c")
    write_index(linked)


def test_verifying_everything_tells_which_model_is_behind_a_link(linked):
    found = verify_models(hub=linked, everything=True)
    assert [(one.name, one.intact) for one in found if not one.intact] == [("b/c", False)]
    assert len(found) == 4


def test_a_site_says_which_model_is_behind_a_link(linked, tmp_path):
    for number, hub in enumerate((linked, [linked, tmp_path / "hub"])):
        site = write_site(hub, to=tmp_path / f"site{number}")
        assert (site.models, site.unreadable) == (4, ("b/c",))


def test_garbage_collection_passes_by_a_link(linked, tmp_path):
    old = [tmp_path / "elsewhere" / ".tmp-old", linked.path / "z" / ".tmp-old"]
    for file in old:
        file.touch()
        os.utime(file, (0, 0))
    gc(hub=linked, unreferenced=True)
    assert [file.exists() for file in old] == [True, False]


@pytest.mark.parametrize("folder", ["refs", "revisions"])
def test_what_is_behind_a_link_is_not_even_looked_at(linked, tmp_path, folder, monkeypatch):
    home = linked.path / "a"
    (home / folder).rename(tmp_path / "other")
    (home / folder).symlink_to(tmp_path / "other")
    opened = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: opened.append(str(path)) or scandir(path))
    told(linked)
    ls(hub=linked)
    assert f"{home}/{folder}" not in opened


def test_origins_that_could_not_be_read_once_are_read_later(filled, linear, settled):
    derived = publish(linear, "a", hub=filled, derived_from="z", tag="old", move_main=False)
    params = derived.path / "params.json"
    whole = params.read_bytes()
    params.write_bytes(b"{}")
    told(filled)
    ls(hub=filled)
    params.write_bytes(whole)
    origin = f"z@{filled.resolve('z').revision}"
    assert dict(catalogue(filled))["a"].derived_from == {derived.revision: (origin,)}


def test_an_index_of_version_1_0_tells_nothing_of_origins(filled, linear):
    derived = publish(linear, "a", hub=filled, derived_from="z", tag="old", move_main=False)
    known = {"a": Listed(filled.tags("a"), tuple(filled.revisions("a")))}
    found = dict(looked_up(filled, known))["a"]
    assert derived.revision in found.derived_from


def test_nothing_is_left_in_the_cache_but_the_catalogue(filled, cache):
    told(filled)
    told(filled)
    for _ in catalogue(filled):
        break
    assert [path.suffix for path in (cache / "catalogues").iterdir()] == [".tsv"]


def test_a_hub_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(errors.HubUnavailable):
        ls(hub=tmp_path / "nothing")


# The index


def test_the_index_says_what_the_hub_says(filled):
    path = write_index(filled)
    data = (filled.path / "index.json").read_bytes()
    assert path == str(filled.path / "index.json")
    index = parse_index(data, "index.json")
    assert {n: (dict(m.tags), m.revisions, m.summary(n)) for n, m in index.items()} == truth(filled)
    assert index_bytes(index.items()) == data


def test_an_index_of_version_1_0_is_read(filled):
    old = {
        "format": "dc-index",
        "format_version": [1, 0],
        "models": {
            name: {"tags": filled.tags(name), "revisions": filled.revisions(name)}
            for name in filled.names()
        },
    }
    index = parse_index(json.dumps(old).encode(), "index.json")
    assert index["a"].tags == filled.tags("a")
    assert index["a"].summary("a").revision == filled.resolve("a").revision


def test_a_newer_minor_version_is_read_and_a_newer_major_is_refused(filled):
    write_index(filled)
    content = json.loads((filled.path / "index.json").read_bytes())
    for model in content["models"].values():
        model["new"] = {"key": 1}
    content["format_version"] = [1, 7]
    assert "a" in parse_index(json.dumps(content).encode(), "index.json")
    content["format_version"] = [1, 1]
    with pytest.raises(errors.ParamsError):
        parse_index(json.dumps(content).encode(), "index.json")
    content["format_version"] = [2, 0]
    with pytest.raises(errors.FormatVersionError):
        parse_index(json.dumps(content).encode(), "index.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(summary=[]),
        lambda m: m.update(shown="x"),
        lambda m: m.pop("shown"),
        lambda m: m.update(derived_from={"x": []}),
        lambda m: m.update(derived_from=[]),
        lambda m: m.update(unknown=1),
        lambda m: m.update(tags={"../x": m["shown"]}),
    ],
    ids=line_of,
)
def test_a_malformed_model_in_an_index_is_a_typed_error(filled, change):
    write_index(filled)
    content = json.loads((filled.path / "index.json").read_bytes())
    change(content["models"]["a"])
    with pytest.raises(errors.ParamsError):
        parse_index(json.dumps(content).encode(), "index.json")


@pytest.mark.parametrize("many", [b"[],", b"{},", b'"",'], ids=ascii)
def test_an_index_of_very_many_values_is_refused_before_one_is_made(many):
    data = b'{"x": [' + many * (MAX_BYTES // 3 - 10) + b"0]}"
    with pytest.raises(errors.LimitExceeded, match="too many values"):
        parse_index(data, "index.json")


def test_strange_facts_in_an_index_are_left_out(filled):
    write_index(filled)
    content = json.loads((filled.path / "index.json").read_bytes())
    content["models"]["a"]["summary"] = {"task": [1, {}], "metrics": "x", "size": -1, "title": 5}
    found = parse_index(json.dumps(content).encode(), "index.json")["a"].summary("a")
    assert (found.task, found.metrics, found.size, found.title) == ((), {}, None, "")


def test_a_hub_of_another_kind_has_a_catalogue_too(filled):
    class Other:
        def __init__(self, hub):
            self.hub = hub

        def __getattr__(self, name):
            return getattr(self.hub, name)

    assert told(Other(filled)) == told(LocalHub(filled.path))


def test_several_hubs_have_one_catalogue_in_which_the_first_answers(filled, tmp_path, linear):
    first = publish(linear, "b/c", hub=tmp_path / "first")
    several = open_hub([tmp_path / "first", filled])
    assert [listing.name for listing in ls(hub=several)] == ["a", "b/c", "b/d", "z"]
    assert told(several)["b/c"][:2] == ({"main": first.revision}, (first.revision,))
    assert told(several)["a"] == told(filled)["a"]
