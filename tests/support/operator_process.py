"""A process with an installation's settings that carries out operations: a JSON line in, a JSON line out, until EOF.

One warm process does in milliseconds what would cost a second of start-up for each ``manage.py`` call.
"""

import json
import os
import sys
import traceback

import django


def main() -> None:
    """Serve operations until standard input ends."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "gateway.settings"
    django.setup()
    from tests.support import operations  # needs Django set up

    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        name, arguments, named = json.loads(line)
        try:
            answer = {"result": getattr(operations, name)(*arguments, **named)}
        except Exception:  # the operation's boundary: the test that asked shows what went wrong
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
