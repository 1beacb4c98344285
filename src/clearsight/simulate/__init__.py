"""The simulated world: surfaces, atmosphere, clouds and shadows, sensor; exact truth; real SAFE products."""
