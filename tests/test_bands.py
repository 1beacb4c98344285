import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clearsight.bands import BANDS, LEVEL_BANDS, harmonise


def test_the_band_axis_has_the_order_of_band_id():
    assert [band.index for band in BANDS.values()] == list(range(13))
    assert list(BANDS) == sorted(BANDS, key=lambda name: BANDS[name].index)
    assert [band.wavelength for band in BANDS.values()] == sorted(band.wavelength for band in BANDS.values())


def test_an_l2a_product_has_every_band_but_cirrus():
    assert set(LEVEL_BANDS["L1C"]) - set(LEVEL_BANDS["L2A"]) == {"B10"}


@given(hnp.arrays(np.uint16, (3, 4)), st.sampled_from([0, -1000]))
def test_harmonise_is_linear_and_keeps_nodata(dn, offset):
    reflectance = harmonise(dn, offset=offset)
    assert reflectance.dtype == np.float32
    assert np.array_equal(np.isnan(reflectance), dn == 0)
    seen = dn > 0
    np.testing.assert_allclose(reflectance[seen], (dn[seen].astype(float) + offset) / 10_000, rtol=1e-6, atol=1e-7)


def test_the_same_light_reads_the_same_with_and_without_offset():
    dn = np.array([1, 800, 9000], "uint16")
    np.testing.assert_array_equal(harmonise(dn, offset=0), harmonise(dn + np.uint16(1000), offset=-1000))
