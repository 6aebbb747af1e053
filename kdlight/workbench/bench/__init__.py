"""``kdlight bench``: how fast a configuration trains."""
