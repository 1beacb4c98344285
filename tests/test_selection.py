"""Images of a tile and a season, pixels of a polygon: against plain comparison and shapely."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pystac
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

from clearsight.errors import ArgumentError
from clearsight.selection import inside, of_season, of_tile, read_area

DAYS = [date(2023, 1, 1) + timedelta(days=number) for number in range(0, 3 * 365, 3)]


def item(day: date, tile: str = "33UUU") -> pystac.Item:
    moment = datetime(day.year, day.month, day.day, 23, 59, tzinfo=UTC)
    return pystac.Item(f"{tile} {day}", None, None, moment, {"grid:code": f"MGRS-{tile}"})


ITEMS = [item(day) for day in DAYS]


@given(first=st.dates(date(2024, 1, 1), date(2024, 12, 31)), length=st.integers(3, 365))
def test_a_season_is_all_days_from_the_first_to_the_last_of_every_year(first, length):
    days = [first + timedelta(days=number) for number in range(length)]
    season = f"{days[0]:%m-%d}/{days[-1]:%m-%d}"
    known = {(day.month, day.day) for day in days}
    expected = [one.id for one in ITEMS if (one.datetime.month, one.datetime.day) in known]
    assert [one.id for one in of_season(ITEMS, season=season)] == expected


@given(months=st.sets(st.integers(1, 12), min_size=1))
def test_months_are_those_of_every_year(months):
    kept = of_season(ITEMS, months=sorted(months))
    assert [one.id for one in kept] == [one.id for one in ITEMS if one.datetime.month in months]


def test_without_a_season_all_stay_and_undated_images_are_of_none():
    span = {"start_datetime": "2023-01-01T00:00:00Z", "end_datetime": "2023-01-02T00:00:00Z"}
    undated = pystac.Item("undated", None, None, None, span)
    assert of_season([*ITEMS, undated]) == [*ITEMS, undated]
    assert undated not in of_season([*ITEMS, undated], months=range(1, 13))


@pytest.mark.parametrize("season", ["06-01", "06-01/13-01", "summer", "06-31/07-01", "2023-06-01/2023-08-31", ""])
def test_a_season_that_cannot_be_read_is_told(season):
    with pytest.raises(ArgumentError, match=r"season=.*MM-DD/MM-DD"):
        of_season(ITEMS, season=season)


def test_what_leaves_nothing_is_told():
    with pytest.raises(ArgumentError, match=r"months=\[2\].*01-01"):
        of_season(ITEMS[:1], months=[2])
    with pytest.raises(ArgumentError, match=r"months=\[13\]"):
        of_season(ITEMS, months=[13])
    with pytest.raises(ArgumentError, match="give one"):
        of_season(ITEMS, months=[1], season="01-01/02-01")
    with pytest.raises(ArgumentError, match="they are of 33UUU"):
        of_tile(ITEMS, "32TPR")


@pytest.mark.parametrize("name", ["33UUU", "T33UUU", "33uuu"])
def test_a_tile_by_any_of_its_names(name):
    other = item(DAYS[0], tile="33UVU")
    assert of_tile([ITEMS[0], other, ITEMS[1]], name) == ITEMS[:2]


SQUARE = shapely.box(13, 52, 13.1, 52.1)
FURTHER = shapely.box(13.2, 52, 13.3, 52.1)


def feature(shape: shapely.Geometry) -> dict:
    return {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(shape)}


@pytest.mark.parametrize(
    "area",
    [
        SQUARE,
        feature(SQUARE),
        feature(SQUARE)["geometry"],
        {"type": "FeatureCollection", "features": [feature(SQUARE), feature(shapely.Point(0, 0))]},
        Geometry(SQUARE, "EPSG:4326"),
        shapely.force_3d(SQUARE, 5),
    ],
)
def test_an_area_is_the_same_however_it_is_given(area):
    assert read_area(area).geom.equals(SQUARE)


def test_several_polygons_are_one_area_and_crossing_outlines_are_mended(tmp_path: Path):
    path = tmp_path / "two.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature(SQUARE), feature(FURTHER)]}))
    assert read_area(path).geom.equals(SQUARE | FURTHER)
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    assert read_area(bow).geom.area == pytest.approx(0.5)


def test_coordinates_in_metres_need_their_system():
    metres = Geometry(SQUARE, "EPSG:4326").to_crs("EPSG:32633").json
    with pytest.raises(ArgumentError, match="no degrees"):
        read_area(metres)
    told = metres | {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}}
    assert read_area(told).geom.symmetric_difference(SQUARE).area < 1e-6
    lonlat = feature(SQUARE) | {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}}
    assert read_area(lonlat).geom.equals(SQUARE)


@pytest.mark.parametrize(
    ("area", "told"),
    [
        ({"type": "Feature", "geometry": None}, "no polygon"),
        ({"type": "Point", "coordinates": [0, 0]}, r"no polygon \(Point\)"),
        ({"type": "Polygn", "coordinates": []}, "no GeoJSON"),
        (
            {
                "type": "Polygon",
                "crs": {"properties": {"name": "EPSG:0"}},
                "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]],
            },
            "crs",
        ),
        ({"type": "Polygon", "crs": "EPSG:4326", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}, "crs"),
        (5, "expected a GeoJSON file"),
        ("nowhere.geojson", "can't be read"),
    ],
)
def test_what_is_no_area_is_told(area, told):
    with pytest.raises(ArgumentError, match=told):
        read_area(area)


def test_another_format_is_told_with_the_way_out(tmp_path: Path):
    (tmp_path / "area.kml").write_text("<kml/>")
    with pytest.raises(ArgumentError, match="ogr2ogr"):
        read_area(tmp_path / "area.kml")


@given(points=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=3, max_size=6, unique=True))
def test_a_pixel_is_inside_when_its_centre_is(points):
    hull = shapely.MultiPoint([(3e5 + 10 * x + 2, 5.6e6 + 10 * y + 3) for x, y in points]).convex_hull
    if hull.geom_type != "Polygon":
        return
    grid = GeoBox.from_bbox((3e5, 5.6e6, 3e5 + 600, 5.6e6 + 600), "EPSG:32633", resolution=10)
    east, north = np.meshgrid(*(grid.coords[name].values for name in ("x", "y")))
    clear_of_the_edge = shapely.distance(hull.exterior, shapely.points(east, north)) > 1e-3
    expected = shapely.contains_xy(hull, east, north)
    found = inside(Geometry(hull, "EPSG:32633"), grid)
    np.testing.assert_array_equal(found[clear_of_the_edge], expected[clear_of_the_edge])
