"""A run is a folder: its place, the log of its epochs, its result, and the loop that fills it."""
