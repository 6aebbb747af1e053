"""Studies of the PID: the accuracy of solver and estimates, and the time that they take."""
