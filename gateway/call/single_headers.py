"""Headers of which a proxy might read the first and we the last: a request has one at the most.

``manage.py serve`` sees to that while it reads the head; calls see to it under any server, and for tokens and
``x-tfy-`` headers, with an error that is recorded (:mod:`gateway.access.authentication`).
"""

SINGLE = frozenset({b"host", b"content-type", b"content-encoding", b"idempotency-key", b"x-request-timeout"})
