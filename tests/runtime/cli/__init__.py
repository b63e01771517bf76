"""Tests of the command line, against a daemon made of recorded answers."""
