"""The tests: one folder for each part, and ``integration`` for the daemon as a real process."""
