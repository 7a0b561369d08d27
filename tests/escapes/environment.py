"""Attempts at secrets of the environment and of the kernel's keyrings."""

from __future__ import annotations

import ctypes
import os

from tests.escapes.kernel import Bait, call

_SESSION, _SEARCH, _READ, _DESCRIBE = -3, 10, 11, 6


def own_environment(bait: Bait) -> str | None:
    return next((name for name, value in os.environ.items() if bait["token"] in value), None)


def environment_of_any_process(bait: Bait) -> str | None:
    for pid in os.listdir("/proc"):
        try:
            with open(f"/proc/{pid}/environ", "rb") as stream:
                if bait["token"].encode() in stream.read():
                    return pid
        except OSError:
            continue
    return None


def command_line_of_any_process(bait: Bait) -> str | None:
    for pid in os.listdir("/proc"):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as stream:
                if bait["secret"].encode() in stream.read():
                    return pid
        except OSError:
            continue
    return None


def key_of_the_session(bait: Bait) -> str | None:
    """The session's keyring is inherited: whoever unlocked something there, Kerberos or a disk, has it read."""
    found = call("keyctl", _SEARCH, _SESSION, ctypes.c_char_p(b"user"), ctypes.c_char_p(bait["key"].encode()), 0)
    room = ctypes.create_string_buffer(200)
    call("keyctl", _READ, found, room, 200)
    return "read" if bait["secret"].encode() in room.raw else None


def key_by_its_number(bait: Bait) -> str | None:
    room = ctypes.create_string_buffer(200)
    call("keyctl", _READ, bait["key_number"], room, 200)
    return "read" if bait["secret"].encode() in room.raw else None


def keys_that_are_listed(bait: Bait) -> str | None:
    with open("/proc/keys") as stream:
        return "listed" if bait["key"] in stream.read() else None
