"""``kdlight report``: write one HTML page about runs, which needs no internet connection."""
