"""How exact the PID solver and its estimates are, and what they cost."""
