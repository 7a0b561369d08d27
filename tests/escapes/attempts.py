"""Runs attempts to get out of the sandbox: `python attempts.py BAIT`, a program of its own on the standard library.

BAIT is the JSON file that `bait.py` wrote on the host: where a secret lies, who listens, who sleeps. Each function in
`files.py`, `network.py`, … whose name does not begin with `_` is an attempt: it returns a word of evidence if it got
what it wanted; None or an OSError means that it was stopped. Every one is a process of its own, with ten seconds.

A line for each goes to standard output: `escape: <class> <name> stopped|ESCAPED <evidence>`. Nothing that succeeds
harms the machine: the same program runs outside of the sandbox, where every attempt should succeed.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
CLASSES = ("files", "network", "processes", "environment", "mounts", "machine", "resources")


def main() -> None:
    with open(sys.argv[1]) as stream:
        bait = json.load(stream)
    lines = []
    for kind in CLASSES:
        module = importlib.import_module(f"tests.escapes.{kind}")
        for name, attempt in sorted(vars(module).items()):
            if (
                callable(attempt)
                and getattr(attempt, "__module__", "") == module.__name__
                and name[0] != "_"
                and name not in bait["left_out"]
            ):
                lines.append(f"escape: {kind} {name} {_outcome(attempt, bait)}")
    print("\n".join(lines), flush=True)


def _outcome(attempt: Callable[[dict[str, Any]], str | None], bait: dict[str, Any]) -> str:
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiver)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        try:
            found = attempt({**bait, "own_pipes": [sender]})
            said = f"ESCAPED {found}" if found else "stopped"
        except (OSError, ValueError, KeyError, IndexError, AttributeError) as error:
            said = f"stopped {error}"
        except BaseException as error:
            said = f"broken {type(error).__name__}: {error}"
        os.write(sender, said.encode(errors="replace")[:300])
        os._exit(0)
    os.close(sender)
    _, status = os.waitpid(child, 0)
    os.set_blocking(receiver, False)  # What the attempt has started may hold the other end for ever.
    with os.fdopen(receiver, "rb") as stream:
        said = (stream.read() or b"").decode(errors="replace").replace("\n", " ")
    return said or f"stopped by signal {status & 0x7F}"


if __name__ == "__main__":
    main()
