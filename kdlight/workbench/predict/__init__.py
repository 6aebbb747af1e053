"""``kdlight predict``: the classes that a student predicts for images."""
