"""``kdlight ablate``: every combination of a grid is trained once, several at a time, whatever is stopped between."""
