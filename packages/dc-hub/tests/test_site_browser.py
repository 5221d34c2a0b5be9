"""The pages of a site in a browser: by keyboard, without scripts, dark, on a phone and on paper.

Skipped without Chromium, its driver, or selenium.
"""

import os
import shutil
import threading

import numpy as np
import pytest

from dc_hub import Golden, publish, write_site
from dc_hub.site.serving import HubServer

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
By = pytest.importorskip("selenium.webdriver.common.by").By
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
Wait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs chromium and chromedriver")

CONTRAST = """
const parse = (text) => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
  return canvas.getImageData(0, 0, 1, 1).data;
};
const luminance = (c) => {
  const [r, g, b] = [c[0], c[1], c[2]].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (node) => {
  for (let e = node; e; e = e.parentElement) {
    const found = parse(getComputedStyle(e).backgroundColor);
    if (found[3] === 255) return found;
  }
  return parse("white");
};
const low = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  const shown = walker.currentNode.textContent.trim();
  if (!shown || !element.getClientRects().length || element.closest("script, .value, .zero")) {
    continue;
  }
  const style = getComputedStyle(element);
  const colour = parse(element.ownerSVGElement ? style.fill : style.color);
  const [a, b] = [luminance(colour), luminance(behind(element))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) low.push(`${shown.slice(0, 40)}: ${ratio.toFixed(2)}`);
}
return low;
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    profile = tmp_path_factory.mktemp("profile")
    arguments = ["--headless=new", f"--user-data-dir={profile}", "--disable-dev-shm-usage"]
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        arguments.append("--no-sandbox")  # which root cannot have
    for argument in arguments:
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def shop(hub, linear, chain, dataset):
    """Fill the hub with models, one of which is hostile."""
    golden = Golden(dataset.X, measured=dataset.y)
    evil = "<img src=x onerror='window.hacked=1'></script><script>window.hacked=1</script>\u2028"
    facts = {
        "solubility": {"task": "regression", "dataset": "delaney", "licence": "MIT"},
        "lab/hydration": {"task": "regression", "dataset": "FreeSolv", "licence": "Apache-2.0"},
        "lab/tox": {"task": "classification", "dataset": "Tox21", "title": "Toxicité"},
        "evil": {"task": evil, "title": evil, "description": evil, "metrics": {evil: 1}},
    }
    for name, metadata in facts.items():
        publish(linear, name, hub=hub, metadata=metadata, golden=golden, tag="v1")
    publish(chain, "chain", hub=hub)
    return hub


@pytest.fixture
def site(driver, shop, tmp_path):
    """Write the site, and return a function that opens one of its pages."""
    path = write_site(shop, to=tmp_path / "site").path
    show(driver)

    def open_page(page="index.html"):
        driver.get((path / page).as_uri())
        return driver

    return open_page


def show(driver, *, dark=False, media="", width=1200, height=900):
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def shown(driver):
    """Return the names of the models that can be seen."""
    items = driver.find_elements(By.CSS_SELECTOR, ".models > li h2 a")
    return [
        item.get_attribute("href").rpartition("/")[2].removesuffix(".html").replace("~", "/")
        for item in items
        if item.is_displayed()
    ]


def settle(driver):
    driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


def press(driver, *keys):
    for key in keys:
        driver.switch_to.active_element.send_keys(key)
    settle(driver)


def focused(driver):
    return driver.execute_script("return document.activeElement.id || document.activeElement.type")


def count(driver):
    return driver.find_element(By.ID, "count").text


def test_search_by_keyboard_narrows_the_list_and_says_how_many_are_left(site):
    driver = site()
    assert count(driver) == "5 models"
    assert driver.find_element(By.ID, "count").get_attribute("aria-live") == "polite"
    press(driver, Keys.TAB, Keys.TAB)
    assert focused(driver) == "search"
    press(driver, "hydra")
    assert (shown(driver), count(driver)) == (["lab/hydration"], "1 of 5 models")
    press(driver, Keys.BACKSPACE * 5, "TOXICITE")
    assert shown(driver) == ["lab/tox"]
    press(driver, " nothing")
    assert shown(driver) == []
    assert driver.find_element(By.ID, "none").is_displayed()
    assert count(driver) == "0 of 5 models"


def test_filters_and_search_together_by_keyboard_and_cleared_again(site):
    driver = site()
    press(driver, Keys.TAB, Keys.TAB, "lab", Keys.TAB)
    assert focused(driver) == "task"
    press(driver, "regr")
    assert shown(driver) == ["lab/hydration"]
    order = []
    for _ in range(5):
        press(driver, Keys.TAB)
        order.append(focused(driver))
    assert order == ["dataset", "licence", "tag", "reset", order[-1]]
    press(driver, Keys.SHIFT + Keys.TAB)
    driver.find_element(By.CSS_SELECTOR, "button[type=reset]").send_keys(Keys.ENTER)
    settle(driver)
    assert focused(driver) == "search"
    assert len(shown(driver)) == 5


def test_a_choice_is_kept_in_the_address_and_comes_back(site):
    driver = site()
    press(driver, Keys.TAB, Keys.TAB, "lab", Keys.TAB, "clas")
    assert shown(driver) == ["lab/tox"]
    address = driver.current_url
    driver.find_element(By.CSS_SELECTOR, ".models li:not([hidden]) a").send_keys(Keys.ENTER)
    assert driver.find_element(By.TAG_NAME, "h1").text == "Toxicité"
    driver.back()
    settle(driver)
    assert shown(driver) == ["lab/tox"]
    site()
    driver.get(address)
    driver.refresh()
    settle(driver)
    assert shown(driver) == ["lab/tox"]


def test_the_link_that_skips_the_form_keeps_what_was_searched_for(site):
    driver = site()
    press(driver, Keys.TAB, Keys.TAB, "hydra")
    driver.find_element(By.CLASS_NAME, "skip").send_keys(Keys.ENTER)
    Wait(driver, 20, 0.05).until(lambda _: driver.current_url.endswith("#content"))
    settle(driver)
    assert driver.find_element(By.ID, "search").get_attribute("value") == "hydra"
    assert shown(driver) == ["lab/hydration"]


def test_a_browser_that_refuses_to_change_the_address_still_searches(site):
    driver = site()
    driver.execute_script("history.replaceState = () => { throw new Error('too often'); };")
    press(driver, Keys.TAB, Keys.TAB, "hydra")
    Wait(driver, 20, 0.05).until(lambda _: shown(driver) == ["lab/hydration"])
    assert driver.get_log("browser")  # which the next test finds empty


def test_without_scripts_the_whole_list_is_there_and_no_dead_form(site):
    driver = site()
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver = site()
        assert len(shown(driver)) == 5
        assert not driver.find_element(By.ID, "filters").is_displayed()
        driver = site("models/solubility.html")
        assert not driver.find_element(By.ID, "copy").is_displayed()
        assert driver.find_element(By.ID, "code").is_displayed()
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


PAGES = ["index.html", "models/solubility.html", "models/chain.html", "models/evil.html"]


@pytest.mark.parametrize("page", PAGES)
def test_no_page_breaks_its_policy_or_runs_what_a_model_says(site, page):
    driver = site(page)
    assert driver.execute_script("return window.hacked") is None
    assert driver.get_log("browser") == []
    loaded = driver.execute_script("return performance.getEntriesByType('resource').length")
    assert loaded == 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_text_has_enough_contrast(site, driver, page, dark):
    show(driver, dark=dark)
    site(page)
    background = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    light = int(background.split("(")[1].split(",")[0])
    assert (light < 60) if dark else (light > 240)
    assert driver.execute_script(CONTRAST) == []


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_page_is_wider_than_the_screen(site, driver, page, width):
    show(driver, width=width, height=700)
    site(page)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_what_has_the_focus_is_outlined(site):
    driver = site()
    for _ in range(9):
        press(driver, Keys.TAB)
        style = driver.execute_script(
            "const style = getComputedStyle(document.activeElement);"
            "return style.outlineStyle + style.outlineWidth"
        )
        assert style == "solid2px"


def test_paper_is_light_and_shows_no_controls(site, driver):
    show(driver, dark=True, media="print")
    site()
    background = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(253, 253, 252)"
    assert not driver.find_element(By.ID, "filters").is_displayed()
    site("models/solubility.html")
    assert not driver.find_element(By.ID, "copy").is_displayed()
    assert driver.find_element(By.ID, "code").is_displayed()
    pdf = driver.execute_cdp_cmd("Page.printToPDF", {})
    assert len(pdf["data"]) > 10_000


def test_the_button_copies_the_line_that_loads_the_model(driver, shop):
    show(driver)
    with HubServer(shop, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            grant = {
                "origin": server.url.rstrip("/"),
                "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"],
            }
            driver.execute_cdp_cmd("Browser.grantPermissions", grant)
            driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
            driver.get(f"{server.url}models/solubility.html")
            driver.find_element(By.ID, "copy").send_keys(Keys.ENTER)
            button = driver.find_element(By.ID, "copy")
            Wait(driver, 5, 0.05).until(lambda _: button.text == "Copied")
            script = "navigator.clipboard.readText().then(arguments[0])"
            copied = driver.execute_async_script(script)
            assert copied == driver.find_element(By.ID, "code").text
            revision = shop.tags("solubility")["main"]
            assert f'"solubility@{revision}"' in copied
            assert f'hub="{server.url}"' in copied
        finally:
            driver.get("about:blank")
            server.shutdown()
            thread.join(10)


def test_a_plot_is_as_wide_as_its_place_and_its_points_are_within_it(site):
    driver = site("models/solubility.html")
    for plot in driver.find_elements(By.CSS_SELECTOR, "svg.plot"):
        assert plot.size["width"] > 250
        assert plot.get_attribute("aria-label").startswith("Predicted against measured")
    places = driver.execute_script(
        "return Array.from(document.querySelectorAll('.points circle'),"
        "(c) => [c.cx.baseVal.value, c.cy.baseVal.value])"
    )
    assert len(places) == 40
    assert np.ptp(places, axis=0).min() > 100
    assert (np.array(places) > 0).all()
    assert (np.array(places) < 370).all()
