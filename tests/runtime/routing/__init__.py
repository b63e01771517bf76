"""Tests of routing: breakers, gates, retries, plans, failover."""
