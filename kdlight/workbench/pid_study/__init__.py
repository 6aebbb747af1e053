"""Studies of the partial information decomposition (PID): how accurate and fast its solver and its estimates are."""
