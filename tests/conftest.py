"""Fixtures that every room's tests may use. The settings under test are in ``tests/settings.py``."""
