"""Places: drawn from ground of many kinds, or made of real images, and seen on any date."""
