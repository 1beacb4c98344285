"""Clouds: their forms, their optics, and whole skies."""
