"""The program in which texts are tokenized: see ``providers.tokenizer``, which starts it by its path.

Imports nothing of ours.

A line in is ``[encoding, [text, ...]]`` as JSON, a line out the number of tokens. It ends with its standard input, and
when nothing came for a while: a loaded encoding takes some 100 MB.
"""

import json
import select
import signal
import sys

import toktok

IDLE_SECONDS = 300.0


def main() -> None:
    """Answer until there is nothing more to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends it
    while select.select([sys.stdin], [], [], IDLE_SECONDS)[0]:
        line = sys.stdin.buffer.readline()
        if not line:
            return
        encoding, texts = json.loads(line)
        print(sum(toktok.batch_count(texts, encoding, threads=1)), flush=True)


if __name__ == "__main__":
    main()
