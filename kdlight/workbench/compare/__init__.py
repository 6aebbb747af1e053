"""``kdlight compare``: finished runs as a table and a picture."""
