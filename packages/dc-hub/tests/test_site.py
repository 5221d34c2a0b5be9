"""A hub as a site: its pages are valid, say what is stored, and let nothing of a stranger act."""

import base64
import hashlib
import json
import posixpath
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import html5lib
import numpy as np
import pytest

from dc_core import dataset_digest
from dc_hub import Golden, errors, publish, publish_directory, save, write_site, write_tensors
from dc_hub.format.summary import BEGIN, END
from dc_hub.site import pages as pages_module
from dc_hub.site.card import MAX_RENDERED, MAX_SHOWN, render_card
from dc_hub.site.links import file_of, name_of
from dc_hub.site.markup import element
from dc_hub.site.plots import class_probabilities
from dc_hub.site.reading import MAX_CARD

EVIL = (
    "</script></style><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u2028\x1b[31m\u202e"
)


@pytest.fixture
def site(tmp_path, hub):
    """Return a function that writes the site of the hub, and returns its pages by path."""

    def site(**options):
        written = write_site(hub, to=tmp_path / "site", **options)
        return {
            file.relative_to(written.path).as_posix(): file.read_text("utf-8")
            for file in sorted(written.path.rglob("*.html"))
        }

    return site


@pytest.fixture
def filled(hub, linear, chain, dataset):
    """Fill the hub with models of several kinds."""
    golden = Golden(dataset.X, measured=dataset.y)
    metadata = {
        "title": "Solubility of β-blockers",
        "task": "regression",
        "dataset": "delaney",
        "licence": "MIT",
        "tasks": ["logS", "logP"],
        "units": {"logS": "log mol/L"},
        "metrics": {"test": {"rmse": 0.5, "r2": {"value": 0.8, "low": 0.7, "high": 0.9}}},
    }
    first = publish(linear, "lab/linear", hub=hub, golden=golden, metadata=metadata, tag="v1")
    publish(linear, "lab/linear", hub=hub, metadata={**metadata, "task": "other"}, tag="v2")
    publish(chain, "chain", hub=hub, golden=["CCO", "N"])
    origin = [f"lab/linear@{first.revision}", f"gone@{'0' * 64}", f"@{'1' * 64}"]
    publish(linear, "derived.v1", hub=hub, metadata={"derived_from": origin})
    return hub


@pytest.fixture
def hostile(hub, linear, dataset, edit_params):
    """Fill the hub with a model that says EVIL wherever a file can say something."""
    keys = ("title", "description", "task", "dataset", "licence", "units", "split", EVIL)
    metadata = dict.fromkeys(keys, EVIL)
    metadata |= {"tasks": [EVIL, "b"], "metrics": {EVIL: 1.0}, "featurizer": EVIL}
    metadata["pretrained_on"] = {EVIL: [EVIL]}
    golden = Golden(dataset.X, measured=dataset.y)
    linear.alpha = EVIL
    published = publish(linear, "evil", hub=hub, metadata=metadata, golden=golden)
    card = published.path / "README.md"
    card.write_text(
        f"# {EVIL}\n\n{EVIL}\n\n[a](javascript:alert`1`)\n\n![b](https://x.example/b)\n"
    )
    edit_params(published.path, lambda content: None)
    return publish_directory(published.path, "evil.again", hub=hub)


def parse(page):
    """Return the tree of a page. Raises if it is not valid HTML."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []
        self.ids = []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src", "action", "data", "poster", "srcset", "xlink:href"):
                self.found.append((tag, name, value, dict(attributes)))
            if name == "id":
                self.ids.append(value)


def links(page):
    parser = _Links()
    parser.feed(page)
    return parser


def test_every_page_is_valid_html(site, filled, hostile):
    pages = site()
    assert len(pages) == 6
    for page in pages.values():
        parse(page)


def test_every_id_is_unique(site, filled):
    for page in site().values():
        ids = links(page).ids
        assert len(ids) == len(set(ids))


def test_every_link_leads_to_a_page_or_a_place_on_it(site, filled):
    pages = site()
    for path, page in pages.items():
        for _, _, href, _ in links(page).found:
            parts = urlsplit(href)
            if parts.scheme == "data":
                continue
            target = path
            if parts.path:
                target = posixpath.normpath(f"{path}/../{unquote(parts.path)}")
            assert target in pages
            if parts.fragment:
                assert parts.fragment in links(pages[target]).ids


def test_no_page_loads_anything_from_elsewhere(site, filled, hostile):
    for page in site().values():
        for tag, name, value, _ in links(page).found:
            assert (tag, name) in (("a", "href"), ("link", "href"))
            assert tag == "a" or value == "data:,"
        style = page[page.index("<style>") : page.index("</style>")]
        assert "url(" not in style
        assert "@import" not in style


def test_a_policy_allows_nothing_but_the_style_and_the_script_of_the_page(site, filled, hostile):
    for page in site().values():
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
        assert "default-src &#x27;none&#x27;" in policy
        assert "unsafe" not in policy
        allowed = set(re.findall(r"sha256-[A-Za-z0-9+/=]+", policy))
        bodies = re.findall(r"<(?:style|script)>(.*?)</(?:style|script)>", page, re.DOTALL)
        digests = {base64.b64encode(hashlib.sha256(b.encode()).digest()).decode() for b in bodies}
        assert allowed == {f"sha256-{digest}" for digest in digests}
        assert "style=" not in page.replace('name="color-scheme"', "")


def test_no_text_of_a_model_becomes_markup(site, hostile):
    for page in site().values():
        tree = parse(page)
        kinds = {element.tag for element in tree.iter() if isinstance(element.tag, str)}
        assert "img" not in kinds
        scripts = list(tree.iter("script"))
        assert all("alert" not in (script.text or "") or script.get("id") for script in scripts)
        for element_ in tree.iter():
            assert not any(str(name).startswith("on") for name in element_.attrib)
            assert "javascript:" not in element_.get("href", "")
        assert "\x1b" not in page
        assert "\u202e" not in page
        assert "\u2028" not in page


def test_the_facts_of_the_filters_are_those_of_the_models_whatever_they_say(site, filled, hostile):
    page = site()["index.html"]
    (script,) = (s for s in parse(page).iter("script") if s.get("id") == "facts")
    assert not set(script.text) & set("<>&")
    facts = json.loads(script.text)
    rows = parse(page).findall(".//ul[@class='models']/li")
    assert len(facts["models"]) == len(rows) == 5
    place = [row.find(".//a").get("href") for row in rows].index("models/lab~linear.html")
    said = {
        field: [values[n] for n in mine]
        for field, values, mine in zip(
            facts["fields"], facts["values"], facts["models"][place], strict=True
        )
    }
    assert said == {
        "task": ["other"],
        "backend": [],
        "dataset": ["delaney"],
        "licence": ["MIT"],
        "tag": ["main", "v1", "v2"],
    }


def test_equal_hubs_give_equal_bytes(site, filled):
    assert site() == site()


def test_a_page_says_how_to_load_exactly_this_revision(site, filled):
    revision = filled.tags("lab/linear")["main"]
    page = site(address="https://models.example/hub")["models/lab~linear.html"]
    code = parse(page).find(".//code[@id='code']")
    assert "".join(code.itertext()) == (
        "import dc_hub\n\nmodel = dc_hub.from_pretrained(\n"
        f'    "lab/linear@{revision}",\n    hub="https://models.example/hub",\n)'
    )


def test_a_page_shows_metrics_files_weights_revisions_and_lineage(site, filled):
    pages = site()
    text = " ".join("".join(parse(pages["models/lab~linear.html"]).itertext()).split())
    for shown in (
        "test RMSE",
        "test R²",
        "0.5",
        "0.7 to 0.9",
        "log mol/L",
        "coefficients",
        "4 × 2",
        "v1",
    ):
        assert shown in text
    for digest in filled.revisions("lab/linear"):
        assert digest[:16] in text
    for entry in filled.manifest(filled.resolve("lab/linear")).entries:
        assert entry.sha256 in text
    assert "derived.v1" in text
    text = " ".join("".join(parse(pages["models/derived.v1.html"]).itertext()).split())
    assert "lab/linear, revision" in text
    assert "gone, revision" in text


def test_predicted_values_are_drawn_against_measured_ones_where_those_are_stored(
    site, hub, linear, dataset
):
    predicted = linear.predict(dataset)
    publish(linear, "with", hub=hub, golden=Golden(dataset.X, measured=dataset.y))
    publish(linear, "without", hub=hub, golden=dataset.X)
    pages = site()
    shown = parse(pages["models/with.html"])
    rmse = np.sqrt(((predicted - dataset.y) ** 2).mean(axis=0))
    captions = ["".join(c.itertext()) for c in shown.iter("figcaption")]
    assert len(captions) == 2
    for caption, error in zip(captions, rmse, strict=True):
        assert "Predicted against measured. 20 rows" in caption
        assert f"RMSE {error:.3g}" in caption
    assert len(list(shown.iter("{http://www.w3.org/2000/svg}circle"))) == 40
    text = pages["models/without.html"]
    assert "Predicted against measured" not in text
    assert "no measured values are stored" in text


@pytest.mark.parametrize(
    ("outputs", "measured", "drawn"),
    [
        (np.zeros((1, 400_000)), None, 6),
        (np.zeros((2, 1, 200_000)), np.zeros((2, 1)), 0),
        (np.full((2, 20), 0.05), np.zeros(2), 0),
        (np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([1.0, 0.0]), 1),
        (np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([7.5, np.nan]), 0),
        (np.full((3, 1), np.nan), np.zeros((3, 1)), 0),
        (np.full((3, 1), np.inf), None, 0),
        (np.array([[-1.7e308], [1.7e308]]), np.array([[1.7e308], [-1.7e308]]), 0),
        (np.array([[5e-324], [0.0]]), np.array([[0.0], [5e-324]]), 1),
        (np.ones((4, 1), np.complex64), None, 0),
        (np.zeros((2, 2, 2, 2)), None, 0),
        (np.zeros((0, 3)), None, 0),
        (np.array([True, False]), np.array([1.0, 0.0]), 1),
        (np.array([3.0, np.nextafter(3, 4)]), None, 1),
        (np.array([1e16, 1e16 + 2]), None, 1),
        (np.array([5e-324, 0.0]), None, 1),
        (np.array([1.7e308, 1.7e308]), None, 0),
        (np.array([1.7e308, 1.7e308]), np.array([1.7e308, 1.7e308]), 0),
        (np.array([1e300, -1e300]), np.array([1.0, 2.0]), 0),
        (np.array([[-0.0005, 1.0005], [-0.0001, 1.0001]]), np.array([1.0, 0.0]), 1),
        (np.array([-4.0, 3.0, 7.0]), np.array([0.0, 1.0, 1.0]), 0),
        (np.array([0.1, 0.7, 0.9]), np.array([0.0, 1.0, 1.0]), 1),
        (np.array([-4.0, 3.0, 7.0]), np.array([0.0, 1.0, 2.0]), 1),
    ],
    ids=[
        *("many outputs", "many classes", "too many classes", "two classes", "unknown classes"),
        *("not a number", "infinite", "huge", "tiny", "complex", "four axes", "empty", "bool"),
        *("equal but for rounding", "large and almost equal", "tiny and alone", "largest alone"),
        *("largest", "squares overflow", "probabilities over 1"),
        *("logits", "probabilities of one class", "counts"),
    ],
)
def test_golden_rows_of_any_form_give_few_figures_or_none(
    site, hub, linear, dataset, tmp_path, edit_params, outputs, measured, drawn
):
    path = save(linear, tmp_path / "model", golden=dataset.X).path
    tensors = {"inputs": dataset.X, "tolerance": np.zeros(2), "outputs": outputs}
    if measured is not None:
        tensors["measured"] = measured
    with (path / "golden.safetensors").open("wb") as file:
        write_tensors(file, tensors)
    edit_params(path, lambda content: None)
    place = hub.path / "m" / "revisions"
    place.mkdir(parents=True)
    digest = hashlib.sha256((path / "MANIFEST.json").read_bytes()).hexdigest()
    path.rename(place / digest)
    page = site()["models/m.html"]
    parse(page)
    assert "cannot be read" not in page
    assert page.count("<figure>") == drawn
    assert len(page) < 100_000


def test_a_model_that_cannot_be_read_has_a_page_that_says_why(site, filled, tmp_path):
    path = filled.resolve("chain").path / "params.json"
    path.write_bytes(path.read_bytes().replace(b"test/", b"tesT/", 1))
    written = write_site(filled, to=tmp_path / "site")
    assert written.unreadable == ("chain",)
    page = (written.path / "models" / "chain.html").read_text()
    parse(page)
    assert "cannot be read" in page
    assert "params.json" in page


def test_a_model_whose_page_says_that_it_cannot_be_read_is_counted(filled, tmp_path):
    (filled.resolve("chain").path / "golden.safetensors").unlink()
    written = write_site(filled, to=tmp_path / "site")
    assert written.unreadable == ("chain",)
    assert "cannot be read" in (written.path / "models" / "chain.html").read_text("utf-8")


def test_no_page_says_where_the_hub_is(filled, tmp_path):
    for name, file in (("chain", "MANIFEST.json"), ("derived.v1", "params.json")):
        (filled.resolve(name).path / file).unlink()
    weights = filled.resolve("lab/linear").path / "model.safetensors"
    weights.write_bytes(b"x" * weights.stat().st_size)
    written = write_site(filled, to=tmp_path / "site")
    assert len(written.unreadable) == 3
    for page in written.path.rglob("*.html"):
        assert str(tmp_path) not in page.read_text("utf-8")


def test_probabilities_that_rounding_led_over_1_are_in_the_bars():
    truth = np.array([1.0, 1.0, 0.0])
    figure = class_probabilities(truth, np.array([1.0000002, 0.9999, -1e-9]), ["no", "yes"])
    assert figure == class_probabilities(truth, np.array([1.0, 0.9999, 0.0]), ["no", "yes"])


def test_a_caption_counts_the_rows_that_are_left_out():
    figure = class_probabilities(np.array([1.0, 0.0, 7.0]), np.array([0.9, 0.2, 0.5]), ["n", "y"])
    assert "2 rows, " in figure
    assert "1 row without usable values left out." in figure


def test_the_digest_of_a_dataset_is_shown(site, hub, linear, dataset):
    publish(linear, "m", hub=hub, dataset=("delaney", dataset))
    page = site()["models/m.html"]
    assert f'title="{dataset_digest(dataset)}"' in page


def test_two_writers_of_one_site_leave_one_site(filled, tmp_path, monkeypatch):
    there, rename = tmp_path / "site", Path.rename
    write_site(filled, to=there)

    def overtaken(self, target):
        if target == there:  # another writer is faster
            monkeypatch.setattr(Path, "rename", rename)
            write_site(filled, to=there)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", overtaken)
    with pytest.raises(errors.HubUnavailable):
        write_site(filled, to=there)
    assert (there / "index.html").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "hub", "site"}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", [1, 2])
def test_ctrl_c_while_a_site_is_replaced_leaves_a_whole_one(
    filled, tmp_path, monkeypatch, moment, call
):
    there, rename, calls = tmp_path / "site", Path.rename, []
    write_site(filled, to=there)

    def interrupted(self, target):
        calls.append(target)
        if len(calls) != call:
            return rename(self, target)
        if moment == "after":
            rename(self, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_site(filled, to=there)
    assert (there / "index.html").exists()
    assert len(list((there / "models").iterdir())) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "hub", "site"}


def test_a_site_is_replaced_as_a_whole(site, filled, tmp_path):
    site()
    filled.remove("chain")
    assert "models/chain.html" not in site()
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "hub", "site"}


@pytest.mark.parametrize("extra", ["notes.txt", "models/notes.txt", "models/sub/a.html", ".git/x"])
def test_a_directory_with_anything_else_in_it_is_not_replaced(site, filled, tmp_path, extra):
    site()
    there = tmp_path / "site" / extra
    there.parent.mkdir(exist_ok=True)
    there.write_text("mine")
    before = sorted((tmp_path / "site").rglob("*"))
    with pytest.raises(errors.AlreadyExists, match=re.escape(extra.partition("/")[0])):
        site()
    assert sorted((tmp_path / "site").rglob("*")) == before
    assert there.read_text() == "mine"


def test_a_directory_that_only_looks_like_a_site_is_not_replaced(filled, tmp_path):
    there = tmp_path / "site"
    there.mkdir()
    (there / "index.html").write_text("mine")
    with pytest.raises(errors.AlreadyExists):
        write_site(filled, to=there)
    (there / "dc-site.json").write_text("{}")
    with pytest.raises(errors.AlreadyExists):
        write_site(filled, to=there)
    assert (there / "index.html").read_text() == "mine"


def test_a_path_that_cannot_be_is_a_typed_error(filled, tmp_path):
    with pytest.raises(errors.HubUnavailable):
        write_site(filled, to=tmp_path / ("x" * 300))


def test_an_empty_directory_is_filled_and_a_file_is_not_replaced(filled, tmp_path):
    (tmp_path / "empty").mkdir()
    assert write_site(filled, to=tmp_path / "empty").models == 3
    (tmp_path / "file").write_text("mine")
    with pytest.raises(errors.UnsafePath):
        write_site(filled, to=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_link_in_a_site_is_neither_followed_nor_replaced(site, filled, tmp_path):
    site()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.html").write_text("mine")
    models = tmp_path / "site" / "models"
    models.rename(tmp_path / "aside")
    models.symlink_to(tmp_path / "mine")
    with pytest.raises(errors.AlreadyExists):
        site()
    assert (tmp_path / "mine" / "a.html").read_text() == "mine"


def test_a_failure_leaves_the_old_site(site, filled, tmp_path, monkeypatch):
    before = site()
    filled.remove("chain")
    calls = []

    def refuse(self, name, known):
        calls.append(name)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dc_hub.site.pages.Pages.model", refuse)
    with pytest.raises(errors.HubUnavailable, match="No space"):
        site()
    assert calls
    after = {
        file.relative_to(tmp_path / "site").as_posix(): file.read_text()
        for file in sorted((tmp_path / "site").rglob("*.html"))
    }
    assert after == before
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "hub", "site"}


def test_no_two_names_have_one_page_even_if_case_is_ignored():
    names = ["a/b", "a.b", "a-b", "a_b", "ab", "a", "a.html", "a.html/b", "models/a", "index"]
    names += ["A/b", "a/B", "AB", "aB"]
    assert len({file_of(name).lower() for name in names}) == len(names)
    assert [name_of(file_of(name)) for name in names] == names


def test_every_name_has_a_page_whose_file_name_is_short_enough():
    names = [f"{'A' * 96}/{'B' * 96}", f"{'a' * 96}/{'B' * 96}", f"{'a' * 96}/b{'B' * 95}"]
    files = [file_of(name) for name in names]
    assert max(len(file.encode()) for file in files) <= 255
    assert len({file.lower() for file in files}) == len(names)
    assert [name_of(file) for file in files] == names


def test_each_revision_is_read_once_for_a_page(hub, models, dataset, tmp_path, monkeypatch):
    for number in range(4):
        publish(models["Linear"](number + 1.0).fit(dataset), "m", hub=hub)
    read = []

    def describing(hub, name, revision, tags, original=pages_module.describe):
        read.append(revision)
        return original(hub, name, revision, tags)

    def summarizing(hub, model, original=pages_module.summarize):
        read.append(model.revision)
        return original(hub, model)

    monkeypatch.setattr(pages_module, "describe", describing)
    monkeypatch.setattr(pages_module, "summarize", summarizing)
    write_site(hub, to=tmp_path / "site")
    assert sorted(read) == hub.revisions("m")


def test_a_name_that_no_hub_can_have_has_no_page():
    for name in ("../a", "a/../b", "a/b/c", "", "a~b", "a=b"):
        with pytest.raises(errors.UnsafePath):
            file_of(name)


def test_attributes_and_contents_are_escaped_and_cut():
    made = element("p", EVIL, title=EVIL)
    parse(f"<!DOCTYPE html><title>x</title>{made}")
    assert "<script" not in made
    assert len(element("p", "<" * 10_000)) < 2_000


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/x?y#z", True),
        ("HTTP://a.example", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt:alert(1)", False),
        ("java\tscript:alert(1)", False),
        ("javascript&colon;alert(1)", False),
        ("&#106;avascript:alert(1)", False),
        ("data:text/html,x", False),
        ("vbscript:x", False),
        ("file:///etc/passwd", False),
        ("mailto:a@b.example", False),
        ("//a.example/x", False),
        ("/etc/passwd", False),
        ("../index.html", False),
        ("https:evil", False),
        ("params.json", True),
        ("./params.json", True),
        ("other.json", False),
        ("http://[", True),
    ],
)
def test_a_card_links_to_the_web_and_to_files_of_the_model_alone(url, shown):
    html = render_card(f"[text](<{url}>)", ["params.json"])
    found = links(html).found
    assert bool(found) is shown
    assert "text" in html
    for _, _, href, attributes in found:
        assert href == "#file-params.json" or attributes["rel"] == "nofollow noopener noreferrer"
        assert href == "#file-params.json" or href.lower().startswith("http")


def test_a_card_keeps_its_structure_without_front_matter_title_and_html():
    card = (
        "---\nlicense: mit\n---\n\n# Title\n\nSome *words* & `code`.\n\n## Data\n\n1. a\n2. b\n\n"
        '| x | y |\n|---|--:|\n| 1 | 2 |\n\n<b onclick="x">bold</b>\n\n![A figure](https://x.example/a)\n'
    )
    html = render_card(card)
    tree = parse(f"<!DOCTYPE html><title>x</title>{html}")
    assert "license" not in html
    assert "Title" not in html
    assert [h.text for h in tree.iter("h4")] == ["Data"]
    assert [td.get("class") for td in tree.iter("td")] == [None, "right"]
    assert "&lt;b onclick=" in html
    assert "image: A figure" in html
    assert not list(tree.iter("img"))


@pytest.mark.parametrize(
    "unit", ["[", "![", "*a **b ", "> ", "- ", "`a", "<a ", "[a](", "[a]: b\n", "|a", "a\n", "~~a"]
)
def test_a_long_card_of_one_pattern_is_rendered_in_time(unit):
    card = (unit * MAX_RENDERED)[:MAX_RENDERED]
    start = time.process_time()
    html = render_card(card)
    assert time.process_time() - start < 20
    assert len(html) < 20 * MAX_RENDERED


@pytest.mark.parametrize("unit", ["\n<!-- ", f"\n{BEGIN}", "---\n", "\n# ", "<!-- x -->\n"])
def test_a_card_as_long_as_can_be_is_shown_in_time(unit):
    card = (unit * MAX_CARD)[:MAX_CARD]
    start = time.process_time()
    html = render_card(card)
    assert time.process_time() - start < 20
    assert len(html) < 10 * MAX_SHOWN


def test_what_dc_hub_generated_and_comments_are_left_out_of_a_card():
    card = f"# T\n\n<!-- hint -->\nmine\n\n{BEGIN}\n\ntheirs\n\n{END}\n\n`<!-- code -->`\n<!-- open"
    html = render_card(card)
    assert "mine" in html
    assert "code" in html
    assert "open" in html
    assert "hint" not in html
    assert "theirs" not in html


def test_a_card_of_headings_alone_is_not_shown():
    assert render_card(f"# T\n\n{BEGIN}\nx\n{END}\n\n## Limitations\n\n<!-- what? -->\n") == ""


def test_a_card_that_is_too_long_to_render_is_shown_as_it_is_written():
    html = render_card("**bold** <b>\n" * MAX_RENDERED)
    assert html.startswith("<pre")
    assert "**bold** &lt;b&gt;\n" in html
    assert len(html) < 1_000_000
