"""Sources of Sentinel-2 images: ``search`` turns folders, zips and static catalogues into items."""

from clearsight.sources._search import search as search
from clearsight.sources.plain import plain_item as plain_item
from clearsight.sources.safe import safe_items as safe_items

__all__ = ["plain_item", "safe_items", "search"]
