"""The air without clouds: from the ground to the top of the atmosphere and back."""
