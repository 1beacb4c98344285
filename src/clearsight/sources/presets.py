"""Where Sentinel-2 lives: one frozen description of every provider that is known by name.

What differs between providers is data, and stands here: where the catalogue is, what collections, levels and assets are
called, whether the radiometric offset is still in the pixels, and which part of the join rule an item tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from clearsight.bands import BANDS, Level
from clearsight.errors import ArgumentError
from clearsight.sources._stores import COPERNICUS, EARTH_SEARCH_JP2, PLANETARY_COMPUTER, Store

OffsetRule = Literal["flag", "baseline", "declared", "metadata"]
"""Where a provider tells the radiometric offset that is still to be applied.

``flag``: ``earthsearch:boa_offset_applied`` says whether the pixels are shifted already; where it doesn't, as
``baseline``. ``baseline``: the pixels are ESA's, so the processing baseline decides (04.00 and later: −1000).
``declared``: ``raster:bands`` or ``raster:offset`` of each asset. ``metadata``: the product's own metadata is read.
"""

Kind = Literal["STAC API", "SAFE bucket"]
"""What is searched: a catalogue; or folders of whole SAFE products, one folder per tile."""

IdRule = Literal["datatake, datastrip, tile", "datatake, tile"]
"""Parts of ``system:index`` that items tell; without the datastrip it is matched by the other two."""


@dataclass(frozen=True)
class Preset:
    """One provider."""

    name: str
    """What ``search`` takes."""
    url: str
    """Landing page of the STAC API; address of the bucket."""
    collections: Mapping[Level, str]
    """The provider's name of the collection of each level; the bucket's folder."""
    offset: OffsetRule
    ids: IdRule
    assets: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Band -> names of its asset, the best first; what isn't named is recognised by ``eo:bands``."""
    stores: tuple[Store, ...] = ()
    """How its files are opened: cloud settings, signing."""
    kind: Kind = "STAC API"


def _frozen(names: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType(dict(names))


_COMMON_NAMES: Final = {
    "B01": "coastal",
    "B02": "blue",
    "B03": "green",
    "B04": "red",
    "B05": "rededge1",
    "B06": "rededge2",
    "B07": "rededge3",
    "B08": "nir",
    "B8A": "nir08",
    "B09": "nir09",
    "B10": "cirrus",
    "B11": "swir16",
    "B12": "swir22",
    "SCL": "scl",
}
_BY_COMMON_NAME: Final = _frozen({band: (name,) for band, name in _COMMON_NAMES.items()})
_BY_BAND: Final = _frozen({band: (band,) for band in (*BANDS, "SCL")})
_BY_BAND_AND_SIZE: Final = _frozen(
    {band: (f"{band}_10m", f"{band}_20m", f"{band}_60m", band) for band in (*BANDS, "SCL")}
)

_EARTH_SEARCH: Final = "https://earth-search.aws.element84.com/v1"

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset(
                name="earth-search",
                url=_EARTH_SEARCH,
                collections=MappingProxyType({"L1C": "sentinel-2-l1c", "L2A": "sentinel-2-l2a"}),
                offset="flag",
                ids="datatake, datastrip, tile",
                assets=_BY_COMMON_NAME,
                stores=(EARTH_SEARCH_JP2,),
            ),
            Preset(
                name="earth-search-c1",
                url=_EARTH_SEARCH,
                collections=MappingProxyType({"L2A": "sentinel-2-c1-l2a"}),
                offset="flag",
                ids="datatake, datastrip, tile",
                assets=_BY_COMMON_NAME,
            ),
            Preset(
                name="copernicus",
                url="https://stac.dataspace.copernicus.eu/v1",
                collections=MappingProxyType({"L1C": "sentinel-2-l1c", "L2A": "sentinel-2-l2a"}),
                offset="baseline",
                ids="datatake, datastrip, tile",
                assets=_BY_BAND_AND_SIZE,
                stores=(COPERNICUS,),
            ),
            Preset(
                name="planetary-computer",
                url="https://planetarycomputer.microsoft.com/api/stac/v1",
                collections=MappingProxyType({"L2A": "sentinel-2-l2a"}),
                offset="baseline",
                ids="datatake, datastrip, tile",
                assets=_BY_BAND,
                stores=(PLANETARY_COMPUTER,),
            ),
            Preset(
                name="eopf",
                url="https://stac.core.eopf.eodc.eu",
                collections=MappingProxyType({"L1C": "sentinel-2-l1c", "L2A": "sentinel-2-l2a"}),
                offset="declared",
                ids="datatake, tile",
                assets=_BY_BAND_AND_SIZE,
            ),
            Preset(
                name="google",
                url="https://storage.googleapis.com/gcp-public-data-sentinel-2",
                collections=MappingProxyType({"L1C": "tiles", "L2A": "L2/tiles"}),
                offset="metadata",
                ids="datatake, datastrip, tile",
                kind="SAFE bucket",
            ),
        )
    }
)
"""Name -> provider."""


def collections_of(preset: Preset, level: Level | None) -> list[str]:
    """Return the provider's collections of a level; all, if no level is asked for.

    Raises
    ------
    ArgumentError
        The provider hasn't that level.
    """
    if level is None:
        return list(preset.collections.values())
    if level not in preset.collections:
        known = ", ".join(f"'sentinel-2-{name.lower()}'" for name in preset.collections)
        raise ArgumentError(f"collection='sentinel-2-{level.lower()}': {preset.name!r} has only {known}.")
    return [preset.collections[level]]
