"""``kdlight report``: runs as one page that opens without a network."""
