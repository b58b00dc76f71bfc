"""The operations: what each endpoint does, as a row."""

import re

from gateway.call.call import Operation

# The last events of a stream. One that was cancelled in the background, or is read again, may end without any of them.
ENDS = re.compile(rb'"type":\s*"response\.(?:completed|failed|incomplete|cancelled)"|^event: ?error', re.MULTILINE)
CREATE = Operation("responses", "responses", "responses", makes="response", ends=ENDS)
# What a background response used is charged when it is over, by ``gateway.jobs.poll``.
BACKGROUND = Operation("responses", "responses", "responses", makes="response", charges=False)
