"""Timings against the peers at equal measured error."""
