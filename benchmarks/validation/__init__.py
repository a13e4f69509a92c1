"""Simulators judged against published statistics."""
