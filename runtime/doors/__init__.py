"""The doors: sockets at which programs ask, and what is served there."""
