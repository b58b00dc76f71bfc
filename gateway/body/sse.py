"""Server-sent events: where one ends, and what its data is."""

BLANK_LINES = (b"\n\n", b"\r\n\r\n", b"\r\r")  # what ends an event, in each of SSE's line endings
TAIL_BYTES = 3  # of a blank line that is cut in two, at most so much came before the cut


def event_data(event: bytes) -> bytes:
    """Return the data of a server-sent event, its lines joined."""
    lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    return lines[0] if len(lines) == 1 else b"\n".join(lines)


def _last_event_end(data: bytes) -> int:
    """Return where the last whole event of ``data`` ends, behind a blank line; 0 when there is none."""
    if data.endswith(b"\n\n"):
        return len(data)
    return max((end + len(line) for line in BLANK_LINES if (end := data.rfind(line)) >= 0), default=0)


def split_events(events: bytes) -> list[bytes]:
    """Return the server-sent events of a piece of a stream, each with its blank line."""
    parts, start = [], 0
    following = {line: events.find(line) for line in BLANK_LINES}
    while found := [(place, line) for line, place in following.items() if place >= 0]:
        place, line = min(found)
        parts.append(events[start : place + len(line)])
        start = place + len(line)
        following = {
            line: place if place < 0 or place >= start else events.find(line, start)
            for line, place in following.items()
        }
    return [*parts, events[start:]] if start < len(events) else parts
