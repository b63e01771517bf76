"""The daemon as a real process, asked through its socket as any program would ask it."""
