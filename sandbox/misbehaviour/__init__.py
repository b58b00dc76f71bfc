"""Faults on demand: directives of a request, and switches of a job."""
