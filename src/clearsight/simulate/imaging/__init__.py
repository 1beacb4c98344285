"""How a place under a sky becomes an image: light and shadow, what is true, the sensor and its orbit."""
