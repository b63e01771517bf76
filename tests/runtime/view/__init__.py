"""Tests of the supervision tree in the terminal."""
