"""What can go wrong in a benchmark."""


class BenchmarkError(Exception):
    """The harness can't go on: something is missing, or a server did not start. The message says what to do."""


class VoidRun(Exception):
    """A run whose numbers don't count, because calls in it failed or went uncounted. The message says which."""
