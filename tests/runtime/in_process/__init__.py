"""Tests of Standby inside a program."""
