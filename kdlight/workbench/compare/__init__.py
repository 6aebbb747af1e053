"""``kdlight compare``: runs in a table and in pictures."""
