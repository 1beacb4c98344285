"""The sun over Sentinel-2 images by date and latitude, against what real products say."""

import gc
import json
import weakref
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

from clearsight import score
from clearsight.scoring import asked
from clearsight.sun import sun_at

METADATA = Path(__file__).parents[2] / "shared" / "data" / "safe_metadata"


def real_suns() -> list[tuple[float, np.datetime64, float, float]]:
    """Latitude, day, elevation and azimuth of the sun of every real item at hand that tells them."""
    found = {}
    for path in METADATA.rglob("expected_output.json"):
        item = json.loads(path.read_text())
        facts = item.get("properties", {})
        if {"view:sun_elevation", "view:sun_azimuth"} <= facts.keys() and item.get("bbox"):
            latitude = (item["bbox"][1] + item["bbox"][3]) / 2
            found[item["id"]] = (
                latitude, np.datetime64(facts["datetime"][:10]), facts["view:sun_elevation"], facts["view:sun_azimuth"]
            )  # fmt: skip
    return list(found.values())


@pytest.mark.skipif(not METADATA.exists(), reason=f"the real products' metadata isn't here: {METADATA}")
def test_it_stands_where_real_products_say(report):
    suns = [sun for sun in real_suns() if abs(sun[0]) < 70]
    assert len(suns) >= 8
    errors = []
    for latitude, day, elevation, azimuth in suns:
        [view] = sun_at(latitude, np.array([day]))
        turned = (view.sun_azimuth - azimuth + 180) % 360 - 180
        errors.append((abs(90 - view.sun_zenith - elevation), abs(turned) * np.cos(np.radians(elevation))))
    high, wide = np.array(errors).T
    report(f"sun by date and latitude, {len(suns)} real products: off by {high.mean():.1f}°, at most {high.max():.1f}°")
    assert high.mean() < 1.5
    assert high.max() < 4
    assert wide.max() < 8


@pytest.mark.parametrize(
    ("latitude", "day", "zenith", "azimuth"),
    [
        (0.0, "2021-03-20", 24.5, 90.0),  # at the equator in March it comes up straight from the east
        (52.5, "2017-02-16", 66.0, 164.0),
    ],
)
def test_known_suns(latitude, day, zenith, azimuth):
    [view] = sun_at(latitude, np.array([day], dtype="datetime64[ns]"))
    assert view.sun_zenith == pytest.approx(zenith, abs=2.5)
    assert view.sun_azimuth == pytest.approx(azimuth, abs=4)


def plain(*, crs: str | None) -> xr.Dataset:
    box = GeoBox((64, 64), Affine(10, 0, 500000, 0, -10, 5800000), crs or "EPSG:32633")
    rng = np.random.default_rng(0)
    bands = {}
    for name in ("B02", "B03", "B04"):
        plane = xr_zeros(box, dtype="float32") + rng.uniform(0.05, 0.2, (64, 64)).astype("float32")
        bands[name] = plane.expand_dims(time=np.array(["2017-02-16"], dtype="datetime64[ns]"))
    stack = xr.Dataset(bands)
    if crs:
        return stack
    return xr.Dataset(
        {name: (band.dims, band.values) for name, band in stack.data_vars.items()}, {"time": stack.time.values}
    )


def test_a_stack_that_knows_its_place_knows_its_sun():
    [view] = asked(plain(crs="EPSG:32633"), ["B02"], level="L1C", model=None, context=True).views
    assert view.sun_zenith == pytest.approx(66, abs=1)
    [nothing] = asked(plain(crs=None), ["B02"], level="L1C", model=None, context=True).views
    assert nothing is None
    told = plain(crs="EPSG:32633").assign_coords(sun_azimuth=("time", [170.0]), sun_elevation=("time", [40.0]))
    [view] = asked(told, ["B02"], level="L1C", model=None, context=True).views
    assert (view.sun_zenith, view.sun_azimuth) == (50.0, 170.0)
    lost = told.assign_coords(sun_elevation=("time", [np.nan]))
    [view] = asked(lost, ["B02"], level="L1C", model=None, context=True).views
    assert view.sun_zenith == pytest.approx(66, abs=1)
    assert score(lost).cs.shape == (1, 64, 64)


def test_a_stack_is_let_go_of_when_it_is_scored():
    """Asking a Dataset for its grid makes a cycle; its pixels have to go with the last name for it all the same."""
    stack = plain(crs="EPSG:32633")
    pixels = weakref.ref(stack["B02"].variable._data)
    gc.disable()
    try:
        score(stack, model="projection")
        del stack
        assert pixels() is None
    finally:
        gc.enable()
