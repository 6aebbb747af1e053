"""Runs: the folder of a run, its log, checkpoints and result, and the training that writes them."""
