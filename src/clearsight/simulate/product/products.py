"""Write genuine SAFE products: compact naming, L1C and L2A, any processing baseline."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from numpy.typing import NDArray

from clearsight.bands import BANDS, NODATA_DN, SATURATED_DN
from clearsight.errors import ArgumentError, OutputError
from clearsight.simulate.product._safe_images import Image, write_images, write_masks
from clearsight.simulate.product._safe_names import Product
from clearsight.simulate.product._safe_xml import datastrip_xml, granule_xml, manifest_xml, product_xml, write_xml

__all__ = ["Product", "digital_numbers", "write_product"]

LAYERS = {"L1C": {"CLOUDS": 60}, "L2A": {"CLOUDS": 60, "SCL": 20, "AOT": 20, "WVP": 20, "CLDPRB": 20}}
"""Layers that a product needs beside its bands, and their metres per pixel."""


def digital_numbers(reflectance: NDArray[np.floating], *, offset: int) -> NDArray[np.uint16]:
    """Turn reflectance into digital numbers as a product stores them: the inverse of ``bands.harmonise``.

    Parameters
    ----------
    reflectance : float array, any shape
        Dimensionless; NaN = nodata.
    offset : int
        The product's offset: −1000 or 0.

    Returns
    -------
    uint16 array of the same shape
        0 = nodata, 1 … 65534 measured; darker than the offset can tell becomes 1.

    Examples
    --------
    >>> import numpy as np
    >>> digital_numbers(np.array([np.nan, 0.0, 0.25]), offset=-1000)
    array([   0, 1000, 3500], dtype=uint16)
    """
    scaled = np.rint(np.nan_to_num(reflectance, nan=0.0) * 10_000) - offset
    measured = np.clip(scaled, NODATA_DN + 1, SATURATED_DN - 1)
    return np.where(np.isnan(reflectance), NODATA_DN, measured).astype(np.uint16)


def write_product(
    out: str | Path, *, product: Product, dn: Mapping[str, NDArray[np.uint16]], layers: Mapping[str, Image]
) -> Path:
    """Write one SAFE product, whole or not at all.

    Parameters
    ----------
    out : path
        Folder to put the product into; made when it is missing.
    product : Product
        Facts from which names and metadata follow.
    dn : band name -> uint16 array (y, x)
        Digital numbers on each band's native grid, offset included, 0 = nodata, 65535 = saturated.
    layers : name -> uint8 or uint16 array (y, x)
        ``CLOUDS`` (60 m; 0 clear, 1 opaque, 2 cirrus); an L2A product also needs ``SCL`` (20 m classes), ``AOT`` and
        ``WVP`` (20 m, thousandths, the latter of a centimetre), ``CLDPRB`` (20 m, percent).

    Returns
    -------
    Path
        The product's folder, ``out/<product.name>``.

    Raises
    ------
    ArgumentError
        A band or a layer is missing, or doesn't fit the product's grid.
    OutputError
        The product is there already, or the place can't be written to.

    Examples
    --------
    >>> import tempfile
    >>> from datetime import UTC, date, datetime
    >>> from clearsight.simulate.imaging.orbit import overpass
    >>> product = Product(level="L1C", baseline="05.00", overpass=overpass(date(2021, 4, 26)), tile="32UQD",
    ...                   generated=datetime(2023, 3, 1, tzinfo=UTC), epsg=32632, origin=(742320.0, 5853360.0),
    ...                   shape=(120, 120), nadir_offset=40e3)
    >>> dn = {name: np.full(product.size(band.gsd), 2000, "uint16") for name, band in BANDS.items()}
    >>> with tempfile.TemporaryDirectory() as out:
    ...     write_product(out, product=product, dn=dn, layers={"CLOUDS": np.zeros((20, 20), "uint8")}).name
    'S2A_MSIL1C_20210426T102011_N0500_R065_T32UQD_20230301T000000.SAFE'
    """
    _check(product, dn, layers)
    bands = {name: dn[name] for name in product.bands}
    scl = layers["SCL"].astype(np.uint8) if product.level == "L2A" else None
    with _whole(Path(out) / product.name) as folder:
        write_images(folder, product, dn=bands, layers=layers)
        masks = write_masks(folder, product, dn=bands, layers=layers)
        write_xml(folder / f"GRANULE/{product.granule}/MTD_TL.xml", granule_xml(product, masks=masks, scl=scl))
        strip = folder / "DATASTRIP" / product.datastrip
        strip.mkdir(parents=True)
        write_xml(strip / "MTD_DS.xml", datastrip_xml(product))
        write_xml(folder / f"MTD_MSI{product.level}.xml", product_xml(product, scl=scl))
        write_xml(folder / "manifest.safe", manifest_xml(product, folder=folder))
    return Path(out) / product.name


def _check(product: Product, dn: Mapping[str, Image], layers: Mapping[str, Image]) -> None:
    rows, columns = product.shape
    if rows % 6 or columns % 6 or rows <= 0 or columns <= 0:
        raise ArgumentError(
            f"product.shape={product.shape}: expected positive multiples of 6, so that 60 m pixels fit."
        )
    needed = {name: ("dn", dn, BANDS[name].gsd) for name in product.bands}
    needed |= {name: ("layers", layers, gsd) for name, gsd in LAYERS[product.level].items()}
    for name, (argument, arrays, gsd) in needed.items():
        if name not in arrays:
            raise ArgumentError(f"{argument} has no {name!r}: an {product.level} product needs {sorted(needed)}.")
        if arrays[name].shape != product.size(gsd):
            raise ArgumentError(
                f"{argument}[{name!r}] has shape {arrays[name].shape}; expected {product.size(gsd)}: {gsd} m pixels"
                f" over the {product.shape} pixels of 10 m that the product says."
            )
        if argument == "dn" and arrays[name].dtype != np.uint16:
            raise ArgumentError(
                f"dn[{name!r}] is {arrays[name].dtype}; expected uint16. digital_numbers() makes it from reflectance."
            )


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes ``target`` when all goes well, and vanishes otherwise."""
    if target.exists():
        raise OutputError(f"{target} is there already. Delete it, or choose another folder.")
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(mkdtemp(prefix=".writing-", dir=target.parent))
        temporary.chmod(0o755)
        yield temporary
        temporary.rename(target)
    except OSError as error:
        raise OutputError(f"Can't write {target}: {error}. Choose a folder that can be written to.") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
