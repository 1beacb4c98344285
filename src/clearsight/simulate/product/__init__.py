"""Seasons of images as real SAFE products: the simulated archive."""
