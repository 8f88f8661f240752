"""The units of time that people write: ``90s``, ``30m``, ``10/h``, ``5000/d``."""

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
"""Seconds of a unit, by its letter."""
