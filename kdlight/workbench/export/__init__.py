"""A student taken away: its weights or a program, how images are prepared, and a card that says how to use both."""
