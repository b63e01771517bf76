"""Tests of the daemon itself, a folder for each of its parts."""
