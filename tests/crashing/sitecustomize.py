"""Imported by every Python process of a run that is to be broken off, whatever started it: a folder on PYTHONPATH.

Each step of a write below a store is counted, for all processes together, and before the one that is named everything
is killed: what is opened to be written, made, renamed, linked, removed (`sys.addaudithook`), and what is synced. The
program under test knows nothing of it.

    CRASH_STORE     the store
    CRASH_STEPS     a file of 8 bytes, which counts
    CRASH_AT        the number of the step before which everything is killed; 0 for none
    CRASH_LOG       if set, a folder: what a power cut may still take is written down there, and old files are kept

In the log, a line for each step: `name PATH` what is about to get or lose that name, with its former file linked as
`NUMBER`; `folder PATH` one that was synced; `file INODE` likewise; `all` of them.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
import struct
import sys
import threading
from typing import Any

_STORE = os.environ.get("CRASH_STORE", "")
_AT = int(os.environ.get("CRASH_AT") or 0)
_LOG = os.environ.get("CRASH_LOG", "")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_own = threading.local()


class _Steps:
    """The counter that all processes share."""

    def __init__(self, path: str) -> None:
        self.handle = os.open(path, os.O_RDWR | os.O_CREAT)
        os.ftruncate(self.handle, 8)
        self.memory = mmap.mmap(self.handle, 8)
        self.mutex = threading.Lock()

    def __call__(self, *lines: str) -> None:
        with self.mutex:
            fcntl.lockf(self.handle, fcntl.LOCK_EX)  # Of processes; between threads it does not exclude.
            (number,) = struct.unpack("Q", self.memory)
            number += 1
            self.memory[:] = struct.pack("Q", number)
            if number == _AT:
                os.killpg(0, signal.SIGKILL)
                signal.pause()
            if _LOG:
                _write_down(number, lines)
            fcntl.lockf(self.handle, fcntl.LOCK_UN)


def _write_down(number: int, lines: tuple[str, ...]) -> None:
    for index, line in enumerate(lines):
        what, _, path = line.partition(" ")
        kept = f"{number}-{index}"
        if what == "name":
            try:
                os.link(path, f"{_LOG}/{kept}", follow_symlinks=False)
            except OSError:
                kept = "-"  # There was none, or it is a folder.
            line = f"name {kept} {path}"
        with open(f"{_LOG}/log", "a") as stream:
            stream.write(line + "\n")


def _path(name: Any, folder: Any = None) -> str:
    """Where a name leads, "" if it is not below the store."""
    if isinstance(name, int):
        return ""
    path = os.fsdecode(name)
    if isinstance(folder, int) and folder >= 0:
        path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
    path = os.path.abspath(path)
    return path if path.startswith(_STORE + "/") else ""


def _named(event: str, arguments: tuple[Any, ...]) -> list[str]:
    """The names that an event changes, below the store."""
    match event, arguments:
        case "open", (name, _, flags) if name is not None and flags & _WRITING:
            return [_path(name)]
        case ("os.remove" | "os.rmdir", (name, folder)) | ("os.mkdir", (name, _, folder)):
            return [_path(name, folder)]
        case ("os.rename" | "os.link", (name, other, folder, another)):
            return [_path(name, folder), _path(other, another)]
    return []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in {"open", "os.remove", "os.rmdir", "os.mkdir", "os.rename", "os.link", "ctypes.dlsym"}:
        return
    if getattr(_own, "busy", False):
        return
    _own.busy = True
    try:
        if event == "ctypes.dlsym":
            if arguments[1] == "syncfs":
                steps("all")
        elif found := [path for path in _named(event, arguments) if path]:
            steps(*(f"name {path}" for path in found))
    finally:
        _own.busy = False


def _fsync(handle: int) -> None:
    """As os.fsync; counted after it is done too, when it is written down."""
    path = os.readlink(f"/proc/self/fd/{handle}")
    if not path.startswith(_STORE + "/") and path != _STORE:
        return _real(handle)
    _own.busy = True
    try:
        steps()
        _real(handle)
        inode = os.fstat(handle).st_ino
        steps(f"folder {path}" if os.path.isdir(path) else f"file {inode}")
    finally:
        _own.busy = False
    return None


if _STORE:
    _real = os.fsync
    steps = _Steps(os.environ["CRASH_STEPS"])
    os.fsync = _fsync  # type: ignore[assignment]
    sys.addaudithook(_hook)
