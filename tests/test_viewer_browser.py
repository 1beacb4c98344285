"""The map in a real browser: Debian's chromium, headless, driven by Selenium. Screenshots are kept."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clearsight import demo

pytest.importorskip("starlette", reason="the extra view isn't installed")
pytest.importorskip("rio_tiler", reason="the extra view isn't installed")
pytest.importorskip("selenium", reason="selenium isn't installed")

from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from clearsight.viewer import Viewer, view
from clearsight.viewer.library import open_library
from clearsight.viewer.report import write_report

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver aren't installed (Debian: chromium, chromium-driver)"
)

PATIENCE = 180
"""Seconds; a slow machine isn't a wrong page."""


@pytest.fixture(scope="module")
def served(season: demo.Demo) -> Iterator[Viewer]:
    with view(season.files["scores"].parent, imagery=season.files["products"]) as viewer:
        yield viewer


@pytest.fixture(scope="module")
def chrome() -> Iterator[Chrome]:
    options = Options()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    # Offline but for this machine: whatever the page asked of anybody else would fail, and be logged.
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chrome: Chrome, served: Viewer) -> Iterator[Chrome]:
    """The page, freshly opened; afterwards nothing may stand in the console."""
    resized(chrome, 1360, 850)
    chrome.get_log("browser")
    chrome.get("about:blank")
    chrome.get(served.url)
    settled(chrome)
    yield chrome
    assert complaints(chrome) == []


def complaints(browser: Chrome) -> list[str]:
    """What stands in the console; that these tests read the canvas often is their own doing."""
    return [entry["message"] for entry in browser.get_log("browser") if "getImageData" not in entry["message"]]


def resized(browser: Chrome, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def wait(browser: Chrome, true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"waited for {PATIENCE} s: {what}"
        time.sleep(0.05)


def settled(browser: Chrome) -> None:
    """Wait until every picture is there, and stays."""

    def still() -> bool:
        return bool(
            browser.execute_script(
                "return document.getElementById('cover').hidden"
                " && document.getElementById('map').getAttribute('aria-busy') === 'false'"
                " && document.getElementById('pixel-plot').getAttribute('aria-busy') !== 'true'"
            )
        )

    for _ in range(2):
        time.sleep(0.3)
        wait(browser, still, "the pictures")


def pixels(browser: Chrome) -> list[int]:
    """Every thousandth number of what the map's canvas shows right of the handle."""
    found = browser.execute_script(
        """const canvas = document.querySelector('#map canvas');
        const part = canvas.getContext('2d').getImageData(canvas.width * .52, 0, canvas.width * .2, canvas.height).data;
        return Array.from(part).filter((_, number) => number % 997 === 0);"""
    )
    return [int(number) for number in found]


def press(browser: Chrome, key: str) -> None:
    browser.find_element(By.TAG_NAME, "body").send_keys(key)


def hash_of(browser: Chrome) -> str:
    return str(browser.execute_script("return location.hash"))


def keep(browser: Chrome, name: str, tmp_path: Path) -> None:
    """Keep a screenshot: CLEARSIGHT_ARTEFACTS says where, so that the continuous integration can show it."""
    folder = Path(os.environ.get("CLEARSIGHT_ARTEFACTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    assert browser.save_screenshot(str(folder / f"{name}.png"))


def test_the_map_opens_with_the_composite(browser, tmp_path):
    assert len(set(pixels(browser))) > 20
    assert browser.find_element(By.ID, "threshold-value").text == "0.60"
    assert len(browser.find_elements(By.CSS_SELECTOR, "#strip .bar")) == 14
    keep(browser, "map", tmp_path)


def test_moving_the_threshold_changes_the_composite_and_the_bars(browser):
    before = pixels(browser)
    heights = [bar.get_attribute("aria-label") for bar in browser.find_elements(By.CSS_SELECTOR, "#strip .bar")]
    slider = browser.find_element(By.ID, "threshold")
    browser.execute_script(
        "arguments[0].value = '0.1'; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))", slider
    )
    wait(browser, lambda: pixels(browser) != before, "another composite")
    settled(browser)
    assert browser.find_element(By.ID, "threshold-value").text == "0.10"
    after = [bar.get_attribute("aria-label") for bar in browser.find_elements(By.CSS_SELECTOR, "#strip .bar")]
    assert after != heights
    press(browser, "]")
    assert browser.find_element(By.ID, "threshold-value").text == "0.11"


def test_arrow_keys_step_dates(browser):
    press(browser, Keys.ARROW_RIGHT)
    settled(browser)
    first = browser.find_element(By.CSS_SELECTOR, "#strip .chosen").get_attribute("data-frame")
    shown = pixels(browser)
    press(browser, Keys.ARROW_LEFT)
    wait(browser, lambda: pixels(browser) != shown, "another date")
    second = browser.find_element(By.CSS_SELECTOR, "#strip .chosen").get_attribute("data-frame")
    assert second < first
    browser.find_element(By.CSS_SELECTOR, f"#strip [data-frame='{first}']").click()
    settled(browser)
    assert f"frame={first}" in hash_of(browser) or "frame=" not in hash_of(browser)
    press(browser, Keys.ESCAPE)
    assert browser.find_element(By.CSS_SELECTOR, "[data-show=composite]").get_attribute("aria-pressed") == "true"


def test_a_click_shows_the_pixels_history(browser, tmp_path):
    browser.execute_script(
        """const map = document.querySelector('#map canvas'), box = map.getBoundingClientRect();
        const at = {bubbles: true, clientX: box.left + box.width * .4, clientY: box.top + box.height * .45,
                    pointerId: 1, isPrimary: true, button: 0};
        for (const kind of ['pointerdown', 'pointerup']) map.dispatchEvent(new PointerEvent(kind, at));"""
    )
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#pixel-plot tbody tr"), "the pixel's history")
    settled(browser)
    rows = browser.find_elements(By.CSS_SELECTOR, "#pixel-plot tbody tr")
    assert len(rows) == 14
    assert browser.find_elements(By.CSS_SELECTOR, "#pixel-plot .threshold")
    height = browser.find_element(By.CSS_SELECTOR, "#pixel-plot .threshold").get_attribute("y1")
    press(browser, "[")
    assert browser.find_element(By.CSS_SELECTOR, "#pixel-plot .threshold").get_attribute("y1") != height
    keep(browser, "pixel", tmp_path)


def test_a_link_restores_the_view(browser, served):
    browser.find_element(By.CSS_SELECTOR, "[data-show=masked]").click()
    browser.find_element(By.CSS_SELECTOR, "input[name=by][value=cs]").find_element(By.XPATH, "..").click()
    press(browser, "[")
    press(browser, "-")
    time.sleep(0.5)
    settled(browser)
    link, shown = hash_of(browser), pixels(browser)
    browser.get("about:blank")
    browser.get(f"{served.url}{link}")
    settled(browser)
    assert hash_of(browser) == link
    assert browser.find_element(By.ID, "threshold-value").text == "0.59"
    assert browser.find_element(By.CSS_SELECTOR, "[data-show=masked]").get_attribute("aria-pressed") == "true"
    assert pixels(browser) == shown


def test_a_link_that_makes_no_sense_shows_the_map(browser, served):
    browser.get("about:blank")
    browser.get(f"{served.url}#threshold=9&by=xx&show=evil&frame=../../x&bands=B99&low=5&high=1&zoom=zz&start=<b>")
    settled(browser)
    assert browser.find_element(By.ID, "cover").is_displayed() is False
    assert len(set(pixels(browser))) > 5


@pytest.mark.parametrize(
    "place", ["lon=999&lat=-1e9&zoom=12", "zoom=1e9", "zoom=-3", "zoom=", "pixel=a,b", "pixel=500,95"]
)
def test_a_place_that_is_nowhere_is_no_error(browser, served, place):
    browser.get("about:blank")
    browser.get(f"{served.url}#{place}")
    settled(browser)
    browser.find_element(By.ID, "home").click()
    settled(browser)
    assert len(set(pixels(browser))) > 5


def test_a_threshold_passed_over_leaves_no_holes(browser):
    """A picture whose request was given up was never asked for again."""
    slider = browser.find_element(By.ID, "threshold")
    for value in (0.37, 0.62, 0.37):
        browser.execute_script(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
            slider,
            str(value),
        )
        # One frame, so that pictures are asked for, and hardly the time to get them.
        browser.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => setTimeout(done, 20))")
    settled(browser)
    shown = pixels(browser)
    link, page = hash_of(browser), browser.current_url.partition("#")[0]
    browser.get("about:blank")
    browser.get(f"{page}{link}")
    settled(browser)
    assert pixels(browser) == shown


def test_a_picture_that_cannot_be_had_is_told_and_not_awaited(chrome, served):
    resized(chrome, 1360, 850)
    chrome.get("about:blank")
    chrome.get(served.url)
    settled(chrome)
    chrome.execute_cdp_cmd("Network.enable", {})
    chrome.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*tiles/*"]})
    try:
        press(chrome, "[")
        wait(chrome, chrome.find_element(By.ID, "toast").is_displayed, "the reason")
        settled(chrome)
        # What is seen there isn't the picture of the threshold before.
        assert set(pixels(chrome)) == {0}
    finally:
        chrome.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        chrome.get_log("browser")


def test_an_empty_time_is_told_and_left(browser):
    browser.execute_script(
        """const start = document.getElementById('start');
        start.value = '2030-01-01'; start.dispatchEvent(new Event('change', {bubbles: true}))"""
    )
    assert browser.find_element(By.ID, "empty").is_displayed()
    browser.find_element(By.ID, "whole").click()
    settled(browser)
    assert not browser.find_element(By.ID, "empty").is_displayed()


def test_properties_are_shown(browser):
    browser.execute_script("document.getElementById('facts').click()")
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#facts-body tr"), "properties")
    assert "MODEL_VERSION" in browser.find_element(By.ID, "facts-body").text


def test_every_control_has_a_name(browser):
    nameless = browser.execute_script(
        """return [...document.querySelectorAll('button, input, select, [role=slider]')].filter((control) =>
            !(control.getAttribute('aria-label') || control.textContent.trim() || control.title
              || [...(control.labels ?? [])].some((label) => label.textContent.trim()))).map((c) => c.outerHTML)"""
    )
    assert nameless == []


def test_on_a_phone_everything_is_within_reach(browser, tmp_path):
    resized(browser, 390, 800)
    time.sleep(0.3)
    settled(browser)
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= 390
    assert browser.find_element(By.ID, "threshold").is_displayed()
    assert not browser.find_element(By.ID, "method").is_displayed()
    keep(browser, "phone", tmp_path)
    browser.find_element(By.ID, "more").click()
    assert browser.find_element(By.ID, "method").is_displayed()
    keep(browser, "phone_options", tmp_path)


def test_the_report_opens_from_disk(chrome, season, tmp_path):
    library = open_library(season.files["scores"].parent, imagery=season.files["products"])
    report = write_report(library, tmp_path / "report.html")
    resized(chrome, 1200, 900)
    chrome.get_log("browser")
    chrome.get(report.as_uri())
    image = chrome.find_element(By.ID, "composite")
    before = image.get_attribute("src")
    chrome.execute_script(
        "arguments[0].value = '0'; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
        chrome.find_element(By.ID, "threshold"),
    )
    assert image.get_attribute("src") != before
    assert chrome.execute_script("return arguments[0].decode().then(() => arguments[0].naturalWidth)", image) > 100
    assert len(chrome.find_elements(By.CSS_SELECTOR, ".days article")) == 14
    assert chrome.find_element(By.TAG_NAME, "output").text == "0.30"
    keep(chrome, "report", tmp_path)
    assert complaints(chrome) == []
    text = report.read_text()
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert 'src="http' not in text


def test_what_cannot_be_loaded_is_told(chrome, served):
    chrome.get("about:blank")
    chrome.execute_cdp_cmd("Network.enable", {})
    chrome.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*api/catalogue*"]})
    try:
        chrome.get(served.url)
        wait(chrome, lambda: "can't be" in chrome.find_element(By.ID, "cover").text, "the reason")
    finally:
        chrome.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        chrome.get_log("browser")
