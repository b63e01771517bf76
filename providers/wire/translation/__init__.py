"""Translation between the APIs, through one inner representation."""
