"""The join rule on ids that are really in use, in every provider's spelling; and what must not be joined."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pystac
import pytest

from clearsight import ids
from clearsight.catalog import ASSET
from clearsight.errors import ArgumentError
from clearsight.linking import Linked, link


def s2(datatake: str, datastrip: str, tile: str, **more: str) -> dict[str, Any]:
    """Properties as Earth Search, stactools and Planetary Computer write them."""
    return {"s2:datatake_id": datatake, "s2:datastrip_id": datastrip, "grid:code": f"MGRS-{tile}", **more}


def granule(folder: str) -> str:
    return f"s3://eodata/Sentinel-2/product.SAFE/GRANULE/{folder}/IMG_DATA/R10m/B02.jp2"


# Provider, id of the item, what it tells (properties, or the folder of its files), system:index.
REAL: list[tuple[str, str, dict[str, Any] | str, str]] = [
    # stactools, and with it Earth Search's collection 1
    (
        "c1",
        "S2A_T01LAC_20200717T221944_L1C",
        s2(
            "GS2A_20200717T221941_026481_N02.09",
            "S2A_OPER_MSI_L1C_DS_SGS__20200717T234135_S20200717T221944_N02.09",
            "01LAC",
        ),
        "20200717T221941_20200717T221944_T01LAC",
    ),
    (
        "c1",
        "S2A_T46RER_20210908T043714_L1C",
        s2(
            "GS2A_20210908T042701_032448_N03.01",
            "S2A_OPER_MSI_L1C_DS_VGS4_20210908T070248_S20210908T043714_N03.01",
            "46RER",
        ),
        "20210908T042701_20210908T043714_T46RER",
    ),
    (
        "c1",
        "S2A_T07HFE_20190212T192646_L2A",
        s2(
            "GS2A_20190212T192651_019029_N02.12",
            "S2A_OPER_MSI_L2A_DS_ESRI_20201007T160858_S20190212T192646_N02.12",
            "07HFE",
        ),
        "20190212T192651_20190212T192646_T07HFE",
    ),
    (
        "c1",
        "S2A_T01WCP_20230625T234624_L2A",
        s2(
            "GS2A_20230625T234621_041826_N05.09",
            "S2A_OPER_MSI_L2A_DS_2APS_20230626T022157_S20230625T234624_N05.09",
            "01WCP",
        ),
        "20230625T234621_20230625T234624_T01WCP",
    ),
    (
        "c1",
        "S2A_T01WCS_20230625T234624_L2A",
        s2(
            "GS2A_20230625T234621_041826_N05.09",
            "S2A_OPER_MSI_L2A_DS_2APS_20230626T022157_S20230625T234624_N05.09",
            "01WCS",
        ),
        "20230625T234621_20230625T234624_T01WCS",
    ),
    (
        "c1",
        "S2A_T01KAB_20230821T221944_L2A",
        s2(
            "GS2A_20230821T221941_042640_N05.09",
            "S2A_OPER_MSI_L2A_DS_2APS_20230822T021825_S20230821T221944_N05.09",
            "01KAB",
        ),
        "20230821T221941_20230821T221944_T01KAB",
    ),
    (
        "c1",
        "S2A_T34LBQ_20220401T090142_L2A",
        s2(
            "GS2A_20220401T083601_035382_N04.00",
            "S2A_OPER_MSI_L2A_DS_VGS1_20220401T110010_S20220401T090142_N04.00",
            "34LBQ",
        ),
        "20220401T083601_20220401T090142_T34LBQ",
    ),
    (
        "c1",
        "S2B_T01CCV_20191228T210521_L2A",
        s2(
            "GS2B_20191228T210519_014683_N02.12",
            "S2B_OPER_MSI_L2A_DS_ESRI_20201003T104659_S20191228T210521_N02.12",
            "01CCV",
        ),
        "20191228T210519_20191228T210521_T01CCV",
    ),
    (
        "c1",
        "S2B_T33XWJ_20220413T150756_L2A",
        s2(
            "GS2B_20220413T150759_026649_N04.00",
            "S2B_OPER_MSI_L2A_DS_ESRI_20220414T082127_S20220413T150756_N04.00",
            "33XWJ",
        ),
        "20220413T150759_20220413T150756_T33XWJ",
    ),
    # its id alone tells the datastrip
    (
        "c1",
        "S2B_T22HBD_20210122T133224_L2A",
        {"s2:datatake_id": "GS2B_20210122T133229_020270_N02.14"},
        "20210122T133229_20210122T133224_T22HBD",
    ),
    # Earth Search
    (
        "v1",
        "S2A_39QTA_20230628_0_L2A",
        s2(
            "GS2A_20230628T070631_041859_N05.09",
            "S2A_OPER_MSI_L2A_DS_2APS_20230628T113955_S20230628T071848_N05.09",
            "39QTA",
        ),
        "20230628T070631_20230628T071848_T39QTA",
    ),
    (
        "v1",
        "S2B_22MHD_20230912_0_L2A",
        s2(
            "GS2B_20230912T133839_034041_N05.09",
            "S2B_OPER_MSI_L2A_DS_2BPS_20230912T174059_S20230912T133836_N05.09",
            "22MHD",
        ),
        "20230912T133839_20230912T133836_T22MHD",
    ),
    (
        "v1",
        "S2A_31TCH_20170126_0_L2A",
        s2(
            "GS2A_20170126T105321_008342_N00.01",
            "S2A_OPER_MSI_L2A_DS_SHIT_20190506T054613_S20170126T105612_N00.01",
            "31TCH",
        ),
        "20170126T105321_20170126T105612_T31TCH",
    ),
    (
        "v1",
        "S2A_31UFU_20230701_0_L2A",
        s2(
            "GS2A_20230701T103631_041904_N05.09",
            "S2A_OPER_MSI_L2A_DS_2APS_20230701T200058_S20230701T104159_N05.09",
            "31UFU",
        ),
        "20230701T103631_20230701T104159_T31UFU",
    ),
    (
        "v1",
        "S2B_53NMH_20230129_0_L1C",
        s2(
            "GS2B_20230129T013449_030802_N05.09",
            "S2B_OPER_MSI_L1C_DS_2BPS_20230129T025811_S20230129T013450_N05.09",
            "53NMH",
        ),
        "20230129T013449_20230129T013450_T53NMH",
    ),
    (
        "v1",
        "S2A_20TLS_20171230_0_L1C",
        s2(
            "GS2A_20171230T151641_013178_N02.06",
            "S2A_OPER_MSI_L1C_DS_SGS__20171230T170437_S20171230T151644_N02.06",
            "20TLS",
        ),
        "20171230T151641_20171230T151644_T20TLS",
    ),
    # Planetary Computer: the product's name without its baseline; the tile has a property of its own
    (
        "pc",
        "S2A_MSIL2A_20230816T105631_R094_T30TUK_20230816T171602",
        {
            "s2:datatake_id": "GS2A_20230816T105631_042562_N05.09",
            "s2:datastrip_id": "S2A_OPER_MSI_L2A_DS_2APS_20230816T171602_S20230816T110544_N05.09",
            "s2:mgrs_tile": "30TUK",
        },
        "20230816T105631_20230816T110544_T30TUK",
    ),
    (
        "pc",
        "S2A_MSIL2A_20230625T234621_R073_T01WCP_20230626T022157",
        {
            "s2:datatake_id": "GS2A_20230625T234621_041826_N05.09",
            "s2:datastrip_id": "S2A_OPER_MSI_L2A_DS_2APS_20230626T022157_S20230625T234624_N05.09",
            "s2:mgrs_tile": "01WCP",
        },
        "20230625T234621_20230625T234624_T01WCP",
    ),
    (
        "pc",
        "S2A_MSIL2A_20190212T192651_R013_T07HFE_20201007T160857",
        "L2A_T07HFE_A019029_20190212T192646",
        "20190212T192651_20190212T192646_T07HFE",
    ),
    (
        "pc",
        "S2B_MSIL2A_20191228T210519_R071_T01CCV_20201003T104658",
        "L2A_T01CCV_A014683_20191228T210521",
        "20191228T210519_20191228T210521_T01CCV",
    ),
    (
        "pc",
        "S2B_MSIL2A_20220413T150759_R025_T33XWJ_20220414T082126",
        "L2A_T33XWJ_A026649_20220413T150756",
        "20220413T150759_20220413T150756_T33XWJ",
    ),
    # Copernicus Data Space: the product's name; the granule's folder tells the datastrip's time
    (
        "cdse",
        "S2A_MSIL2A_20150704T101006_N0500_R022_T32TMN_20231012T100650",
        "L2A_T32TMN_A000162_20150704T101337",
        "20150704T101006_20150704T101337_T32TMN",
    ),
    (
        "cdse",
        "S2B_MSIL2A_20221227T111359_N0510_R137_T30STG_20240807T153102",
        "L2A_T30STG_A030336_20221227T111439",
        "20221227T111359_20221227T111439_T30STG",
    ),
    (
        "cdse",
        "S2B_MSIL2A_20200101T234739_N0500_R130_T57MUM_20230425T005858",
        "L2A_T57MUM_A014742_20200101T234736",
        "20200101T234739_20200101T234736_T57MUM",
    ),
    (
        "cdse",
        "S2A_MSIL1C_20240120T105341_N0510_R051_T31TCJ_20240120T125244",
        "L1C_T31TCJ_A044807_20240120T105433",
        "20240120T105341_20240120T105433_T31TCJ",
    ),
    (
        "cdse",
        "S2B_MSIL1C_20240305T104819_N0510_R051_T31TCJ_20240305T125347",
        "L1C_T31TCJ_A036542_20240305T105512",
        "20240305T104819_20240305T105512_T31TCJ",
    ),
    (
        "cdse",
        "S2B_MSIL1C_20241208T051119_N0511_R019_T43PGQ_20241208T073956",
        "L1C_T43PGQ_A040514_20241208T052013",
        "20241208T051119_20241208T052013_T43PGQ",
    ),
    (
        "cdse",
        "S2B_MSIL2A_20210122T133229_N0214_R081_T22HBD_20210122T155500",
        {
            "eopf:datatake_id": "GS2B_20210122T133229_020270_N02.14",
            "eopf:datastrip_id": "S2B_OPER_MSI_L2A_DS_VGS2_20210122T155500_S20210122T133224_N02.14",
            "grid:code": "MGRS-22HBD",
        },
        "20210122T133229_20210122T133224_T22HBD",
    ),
    (
        "cdse",
        "S2A_MSIL2A_20230821T221941_N0509_R029_T01KAB_20230822T021825.SAFE",
        "L2A_T01KAB_A042640_20230821T221944",
        "20230821T221941_20230821T221944_T01KAB",
    ),
    # SAFE products in buckets and on disk
    (
        "safe",
        "S2A_MSIL1C_20200824T110631_N0209_R137_T30TTK_20200824T150432",
        "L1C_T30TTK_A027018_20200824T111345",
        "20200824T110631_20200824T111345_T30TTK",
    ),
    (
        "safe",
        "S2A_MSIL1C_20180414T173901_N0206_R098_T13TDE_20180414T212337",
        "L1C_T13TDE_A014681_20180414T174725",
        "20180414T173901_20180414T174725_T13TDE",
    ),
    (
        "safe",
        "S2B_MSIL1C_20190606T174919_N0207_R141_T13UFP_20190606T194941",
        "L1C_T13UFP_A011750_20190606T174937",
        "20190606T174919_20190606T174937_T13UFP",
    ),
    (
        "safe",
        "S2B_MSIL1C_20180530T103019_N0206_R108_T32UNA_20180530T123402",
        "L1C_T32UNA_A006426_20180530T103018",
        "20180530T103019_20180530T103018_T32UNA",
    ),
    (
        "safe",
        "S2A_MSIL1C_20200301T054741_N0209_R048_T43SCT_20200301T085541",
        "L1C_T43SCT_A024498_20200301T055331",
        "20200301T054741_20200301T055331_T43SCT",
    ),
    (
        "safe",
        "S2A_MSIL1C_20180509T101031_N0206_R022_T34VEQ_20180509T135043",
        "L1C_T34VEQ_A015034_20180509T101027",
        "20180509T101031_20180509T101027_T34VEQ",
    ),
    (
        "safe",
        "S2A_MSIL1C_20200322T065621_N0209_R063_T40TDP_20200322T090045",
        "L1C_T40TDP_A024799_20200322T065842",
        "20200322T065621_20200322T065842_T40TDP",
    ),
    # made in 2015, repackaged: the second part is the time in the name
    (
        "safe",
        "S2A_MSIL1C_20150725T112046_N0204_R037_T29TNE_20150725T112540",
        {"s2:product_uri": "S2A_MSIL1C_20150725T112046_N0204_R037_T29TNE_20150725T112540.SAFE"},
        "20150725T112046_20150725T112540_T29TNE",
    ),
    # made in 2015 and 2016: the second part is the time of their making
    (
        "old",
        "S2A_OPER_PRD_MSIL1C_PDMC_20151128T102149_R116_V20151128T002653_20151128T002653",
        s2("GS2A_20151128T002653_002257_N02.00", "", "56MNN", **{"s2:generation_time": "2015-11-28T10:21:49Z"}),
        "20151128T002653_20151128T102149_T56MNN",
    ),
    (
        "old",
        "S2A_OPER_PRD_MSIL1C_PDMC_20160412T135825_R025_V20151022T152922_20151022T152922",
        s2("GS2A_20151022T152922_001731_N02.01", "", "18NVH", **{"s2:generation_time": "2016-04-12T13:58:25Z"}),
        "20151022T152922_20160412T135825_T18NVH",
    ),
    # the same, made again in 2021: the datastrip's time
    (
        "v1",
        "S2A_11SLT_20150826_0_L2A",
        s2(
            "GS2A_20150826T185436_000922_N02.12",
            "S2A_OPER_MSI_L2A_DS_ESRI_20210412T023148_S20150826T185435_N02.12",
            "11SLT",
        ),
        "20150826T185436_20150826T185435_T11SLT",
    ),
    # Earth Engine: the id is the index
    ("ee", "20170804T154911_20170804T155116_T18SUJ", {}, "20170804T154911_20170804T155116_T18SUJ"),
    ("ee", "20180519T191909_20180519T192621_T10UEF", {}, "20180519T191909_20180519T192621_T10UEF"),
    ("ee", "20180728T191909_20180728T192508_T10UEF", {}, "20180728T191909_20180728T192508_T10UEF"),
    ("ee", "20230509T093549_20230509T095123_T32NKF", {}, "20230509T093549_20230509T095123_T32NKF"),
    ("ee", "20190625T100039_20190625T100216_T33UXP", {}, "20190625T100039_20190625T100216_T33UXP"),
    ("ee", "20210926T070641_20210926T072035_T39RWJ", {}, "20210926T070641_20210926T072035_T39RWJ"),
    ("ee", "20200820T001121_20200820T001115_T56KLF", {}, "20200820T001121_20200820T001115_T56KLF"),
]
# What EOPF's Zarr tells: the datatake and the tile.
EOPF = [
    ("S2C_MSIL2A_20260903T135731_N0512_R010_T26WME_20260903T171314", ("20260903T135731", "26WME")),
    ("S2B_MSIL2A_20260320T114349_N0512_R123_T30VVK_20260320T155447", ("20260320T114349", "30VVK")),
    ("S2B_MSIL1C_20240305T104819_N0510_R051_T31TCJ_20240305T125347", ("20240305T104819", "31TCJ")),
]


def item(name: str, told: dict[str, Any] | str = "", *, level: str = "L2A", **more: Any) -> pystac.Item:
    properties = {key: value for key, value in (told or {}).items() if value} if not isinstance(told, str) else {}
    made = pystac.Item(
        name, None, None, datetime(2023, 1, 1, tzinfo=UTC), properties | {"processing:level": level} | more
    )
    if isinstance(told, str) and told:
        made.add_asset("B02", pystac.Asset(granule(told)))
    return made


def score(index: str) -> pystac.Item:
    made = pystac.Item(index, None, None, datetime(2023, 1, 1, tzinfo=UTC), {})
    bands = [{"name": "cs"}, {"name": "cs_cdf"}]
    fields = {"bands": bands, "raster:bands": [{"scale": 0.005, "offset": 0, "nodata": 255}] * 2}
    made.add_asset(ASSET, pystac.Asset(f"/scores/{index}.tif", extra_fields=fields))
    return made


def test_there_are_forty_real_ids_of_every_kind() -> None:
    assert len({name for _, name, _, _ in REAL}) + len(EOPF) >= 40
    assert {provider for provider, *_ in REAL} == {"c1", "v1", "pc", "cdse", "safe", "old", "ee"}


@pytest.mark.parametrize(("provider", "name", "told", "index"), REAL, ids=[name for _, name, _, _ in REAL])
def test_real_ids(provider: str, name: str, told: dict[str, Any] | str, index: str) -> None:
    one = item(name, told)
    assert ids.system_index(one) == index
    assert ids.prefix(one) == (index[:15], index[-5:])
    assert ids.names_datastrip(index) == (provider != "old")
    linked = link([one], [score(index)])
    assert [match.assets["cs_cdf"].href for match in linked.matched] == [f"/scores/{index}.tif"]


@pytest.mark.parametrize(("name", "prefix"), EOPF)
def test_eopf_has_no_datastrip(name: str, prefix: tuple[str, str]) -> None:
    one = item(name)
    assert ids.prefix(one) == prefix
    with pytest.raises(ArgumentError, match="datastrip"):
        ids.system_index(one)


DATATAKE, TILE = "20230625T234621", "01WCP"
FIRST, SECOND = f"{DATATAKE}_20230625T234624_T{TILE}", f"{DATATAKE}_20230625T234757_T{TILE}"
ZARR = f"S2A_MSIL2A_{DATATAKE}_N0509_R073_T{TILE}_20230626T022157"


def sorted_out(linked: Linked) -> tuple[int, int, int]:
    return len(linked.matched), len(linked.unmatched), len(linked.ambiguous)


class TestEopf:
    """Without the datastrip's time the prefix has to do."""

    @pytest.mark.parametrize(
        "more", [{}, {ids.INDEX: f"{DATATAKE}_T{TILE}"}], ids=["no index", "index of what is known"]
    )
    def test_one_score_of_the_prefix(self, more: dict[str, str]) -> None:
        other = score("20230625T234621_20230625T234624_T01WCS")
        linked = link([item(ZARR, **more)], [score(FIRST), other])
        assert sorted_out(linked) == (1, 0, 0)
        assert linked.matched[0].assets["cs_cdf"].href == f"/scores/{FIRST}.tif"

    def test_two_datastrips_in_the_tile(self) -> None:
        linked = link([item(ZARR)], [score(FIRST), score(SECOND)])
        assert sorted_out(linked) == (0, 0, 1)
        assert [candidate.id for candidate in linked.ambiguous[0].candidates] == [FIRST, SECOND]
        assert "datastrip" in linked.ambiguous[0].reason

    def test_two_items_of_one_prefix(self) -> None:
        """One of them may be of the datastrip that has no score."""
        later = item(ZARR.replace("022157", "023500"))
        linked = link([item(ZARR), later], [score(FIRST)])
        assert sorted_out(linked) == (0, 0, 2)

    def test_scores_made_of_zarr(self) -> None:
        linked = link([item("x", {}, **{ids.INDEX: FIRST})], [score(f"{DATATAKE}_T{TILE}")])
        assert sorted_out(linked) == (1, 0, 0)

    def test_none_of_the_prefix(self) -> None:
        linked = link([item(ZARR)], [score("20230624T234621_20230624T234624_T01WCP")])
        assert sorted_out(linked) == (0, 1, 0)
        assert f"{DATATAKE}_*_T{TILE}" in linked.unmatched[0].reason


class TestDatastrips:
    def test_two_in_one_tile_are_told_apart(self) -> None:
        both = [item("a", {}, **{ids.INDEX: FIRST}), item("b", {}, **{ids.INDEX: SECOND})]
        linked = link(both, [score(SECOND), score(FIRST)])
        assert [match.assets["cs_cdf"].href for match in linked.matched] == [
            f"/scores/{FIRST}.tif",
            f"/scores/{SECOND}.tif",
        ]

    def test_the_other_one_is_no_match(self) -> None:
        assert sorted_out(link([item("a", {}, **{ids.INDEX: FIRST})], [score(SECOND)])) == (0, 1, 0)

    def test_date_of_the_item_is_a_day_off(self) -> None:
        """Sensed after midnight, taken before; only the ids count."""
        one = item(
            "S2B_57MUM_20200102_0_L2A",
            s2(
                "GS2B_20200101T235959_014742_N05.00",
                "S2B_OPER_MSI_L2A_DS_S2RP_20230425T005858_S20200101T235956_N05.00",
                "57MUM",
            ),
        )
        one.datetime = datetime(2020, 1, 2, 0, 2, 30, tzinfo=UTC)
        yesterday, today = "20200101T235959_20200101T235956_T57MUM", "20200102T000230_20200102T000227_T57MUM"
        linked = link([one], [score(today), score(yesterday)])
        assert linked.matched[0].assets["cs_cdf"].href == f"/scores/{yesterday}.tif"


class TestOldProducts:
    OLD = "20151128T002653_20151128T102149_T56MNN"
    AGAIN = "20151128T002653_20151128T002707_T56MNN"

    @pytest.mark.parametrize(("mine", "theirs"), [(OLD, AGAIN), (AGAIN, OLD)])
    def test_reprocessed_later_is_the_same_image(self, mine: str, theirs: str) -> None:
        """One of the two indices ends with the time of making, so that only datatake and tile can be compared."""
        assert sorted_out(link([item("x", {}, **{ids.INDEX: mine})], [score(theirs)])) == (1, 0, 0)

    def test_exact_match_wins(self) -> None:
        linked = link([item("x", {}, **{ids.INDEX: self.OLD})], [score(self.AGAIN), score(self.OLD)])
        assert linked.matched[0].assets["cs_cdf"].href == f"/scores/{self.OLD}.tif"


class TestTwins:
    """One image, processed twice: the newest processing is kept, and the other one told."""

    def twin(self, baseline: str, made: str, name: str = "") -> pystac.Item:
        name = name or f"S2A_MSIL2A_20190212T192651_N{baseline.replace('.', '')}_R013_T07HFE_{made}"
        index = "20190212T192651_20190212T192646_T07HFE"
        return item(name, {}, **{ids.INDEX: index, "processing:version": baseline})

    def test_newest_baseline_is_kept(self) -> None:
        old, new = self.twin("02.12", "20201007T160857"), self.twin("05.00", "20230301T000000")
        for items in ([old, new], [new, old]):
            linked = link(items, [score("20190212T192651_20190212T192646_T07HFE")])
            assert [match.id for match in linked.matched] == [new.id]
            (left,) = linked.unmatched
            assert left.item is old
            assert new.id in left.reason
            assert "05.00" in left.reason

    def test_same_baseline_made_later_is_kept(self) -> None:
        """Two real products of one image, made a second apart."""
        first, second = (
            item(
                f"S2A_MSIL2A_20230625T234621_N0509_R073_T01WCP_2023062{made}",
                {},
                **{ids.INDEX: FIRST, "processing:version": "05.09"},
            )
            for made in ("6T022157", "6T022158")
        )
        linked = link([second, first], [score(FIRST)])
        assert [match.id for match in linked.matched] == [second.id]
        assert linked.unmatched[0].item is first

    def test_equal_twins_are_ambiguous(self) -> None:
        """The same image of two providers: nothing says which is meant."""
        one, other = self.twin("05.00", "20230301T000000"), self.twin("05.00", "20230301T000000")
        linked = link([one, other], [score("20190212T192651_20190212T192646_T07HFE")])
        assert sorted_out(linked) == (0, 0, 2)

    def test_levels_are_no_twins(self) -> None:
        both = [item(level, {}, level=level, **{ids.INDEX: FIRST}) for level in ("L1C", "L2A")]
        assert sorted_out(link(both, [score(FIRST)])) == (2, 0, 0)
