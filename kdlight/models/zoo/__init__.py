"""kdlight's own networks, one file for each family."""
