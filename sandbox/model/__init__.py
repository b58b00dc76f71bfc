"""The model: what it knows, reads, says and counts."""
