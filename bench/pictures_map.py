"""Screenshot of the map for the README: the demo's archive in Debian's chromium.

clearsight demo --out demo
python bench/pictures_map.py demo docs/images/map.png
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

import clearsight

WIDTH, HEIGHT = 1360, 860
READY = (
    "return document.getElementById('cover').hidden"
    " && document.getElementById('map').getAttribute('aria-busy') === 'false'"
    " && document.getElementById('pixel-plot').getAttribute('aria-busy') !== 'true'"
)


def browser() -> Chrome:
    options = Options()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    chrome = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    return chrome


def main(demo: Path, out: Path) -> None:
    with clearsight.view(demo / "archive", imagery=demo / "products") as viewer:
        chrome = browser()
        try:
            west, south, east, north = _bbox(demo)
            place = f"{west + 0.3 * (east - west):.5f},{south + 0.62 * (north - south):.5f}"
            chrome.get(f"{viewer.url}#pixel={place}&swipe=0.42")
            for _ in range(600):
                time.sleep(0.5)
                if chrome.execute_script(READY):
                    break
            time.sleep(2)
            chrome.save_screenshot(str(out))
        finally:
            chrome.quit()
    print(f"{out}: {out.stat().st_size // 1000} kB")


def _bbox(demo: Path) -> tuple[float, float, float, float]:
    from clearsight.viewer.library import open_library

    return open_library(demo / "archive").bbox


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
