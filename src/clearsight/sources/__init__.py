"""Sources of Sentinel-2 images: ``search`` turns folders, zips, stores, catalogues and APIs into items."""

from clearsight.sources._search import search as search
from clearsight.sources.eopf import eopf_item as eopf_item
from clearsight.sources.exported import search_scores as search_scores
from clearsight.sources.plain import plain_item as plain_item
from clearsight.sources.safe import safe_items as safe_items

__all__ = ["eopf_item", "plain_item", "safe_items", "search", "search_scores"]
