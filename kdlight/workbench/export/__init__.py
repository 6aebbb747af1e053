"""``kdlight export``: a folder with a student, a description of how its images are prepared, and a model card."""
