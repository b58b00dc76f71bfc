"""The load harness: the same calls through Gatehouse and its peers, one at a time, each pinned to one core.

Run it with ``python -m benchmarks`` (``make bench``). ``scenarios.py`` holds the rows of what is measured, ``servers/``
a file for each server, and ``docs/benchmarks.md`` the last results and how to read them.
"""
