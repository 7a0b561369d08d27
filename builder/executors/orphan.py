"""Processes of a pool end with the process that they work for, though that be killed: nobody else would end them.

They would wait for work for ever, as each holds the pipe's other end itself. A thread in each waits for the parent.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import wait
from threading import Thread


def follow_parent() -> None:
    """The initializer of a pool."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()


def _follow(sentinel: int) -> None:
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGKILL)
