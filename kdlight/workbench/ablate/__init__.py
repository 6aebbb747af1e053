"""``kdlight ablate``: train every combination of a grid, several at a time, and continue after interruptions."""
