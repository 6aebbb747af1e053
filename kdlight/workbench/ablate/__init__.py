"""``kdlight ablate``: train every combination of a grid once, several at a time, even if the command is interrupted."""
