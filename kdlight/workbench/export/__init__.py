"""``kdlight export``: a student's weights or program, the preparation of its images, and a model card."""
