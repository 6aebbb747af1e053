"""``kdlight pid``: the partial information decomposition of finished runs, or of arrays."""
