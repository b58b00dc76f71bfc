"""Sockets: realtime, translation, live and responses sessions, governed and metered like every other call."""
