"""The augmented views of an image."""
