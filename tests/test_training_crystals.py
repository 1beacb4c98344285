"""Larger crystals: what is drawn must be what the optics of ice clouds give."""

from __future__ import annotations

import numpy as np
import pytest

from clearsight.bands import BANDS
from clearsight.model import CAUSES, TEN, TWENTY
from clearsight.simulate.cloud.optics import Geometry, cloud_optics
from clearsight.training.crystals import grow_crystals

THICK = CAUSES.index("thick cloud")
SIDE = 8


def deep_cloud(radius: float, *, zenith: float) -> tuple[np.ndarray, np.ndarray]:
    """A frame of nothing but a deep ice cloud."""
    depth = np.full((1, 1), 60, dtype=np.float32)
    optics = cloud_optics(depth, phase="ice", effective_radius=radius, geometry=Geometry(sun_zenith=zenith))
    told = dict(zip(BANDS, optics.reflectance[:, 0, 0], strict=True))
    told["B10"] = max(told["B10"], np.float32(0.2))
    return tuple(
        np.array([told[name] for name in names], np.float32)[None, :, None, None] * np.ones((side, side), np.float32)
        for names, side in ((TEN, SIDE), (TWENTY, SIDE // 2))
    )


def grown(ten, twenty, monkeypatch, *, times: float, quality: int = 0, cause: int = THICK) -> np.ndarray:
    monkeypatch.setattr("clearsight.training.crystals._GROWTH", (times, times))
    out = twenty.copy()
    grow_crystals(
        ten,
        out,
        quality=np.full((1, SIDE, SIDE), quality, np.uint8),
        cause=np.full((1, SIDE // 2, SIDE // 2), cause, np.uint8),
        rng=np.random.default_rng(0),
    )
    return out


@pytest.mark.parametrize("zenith", [20, 40, 70])
@pytest.mark.parametrize(("small", "large"), [(10, 40), (15, 60), (20, 60), (30, 60)])
def test_growth_is_as_optics_tell(small, large, zenith, monkeypatch):
    ten, twenty = deep_cloud(small, zenith=zenith)
    _, expected = deep_cloud(large, zenith=zenith)
    found = grown(ten, twenty, monkeypatch, times=large / small)
    for band in ("B11", "B12"):
        at = TWENTY.index(band)
        assert found[0, at, 0, 0] == pytest.approx(expected[0, at, 0, 0], rel=0.1), band
        assert expected[0, at, 0, 0] < 0.8 * twenty[0, at, 0, 0]
    others = [at for at, name in enumerate(TWENTY) if name not in ("B11", "B12")]
    np.testing.assert_array_equal(found[:, others], twenty[:, others])


@pytest.mark.parametrize(("facts", "low"), [({"quality": 200}, False), ({"cause": 2}, False), ({}, True)])
def test_clear_ground_thin_cloud_and_low_cloud_stay(facts, low, monkeypatch):
    ten, twenty = deep_cloud(20, zenith=40)
    if low:
        twenty[:, TWENTY.index("B10")] = 0.004
    np.testing.assert_array_equal(grown(ten, twenty, monkeypatch, times=4.0, **facts), twenty)


def test_nodata_stays_nodata(monkeypatch):
    ten, twenty = deep_cloud(20, zenith=40)
    ten[..., :2], twenty[..., :1] = np.nan, np.nan
    found = grown(ten, twenty, monkeypatch, times=4.0)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(twenty))
