"""What ground is made of and what becomes of it: spectra, plants, weather, water, snow, relief."""
