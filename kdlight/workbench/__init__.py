"""Commands beside training: compare, measure, export and time runs, and list what kdlight has."""
