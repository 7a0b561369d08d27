"""Platforms, and which of them this machine runs."""

from __future__ import annotations

import platform
from pathlib import Path

MACHINES = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}
NATIVE = MACHINES.get(platform.machine().lower().replace("arm64", "aarch64"), f"linux/{platform.machine()}")
_QEMU = {"linux/amd64": "qemu-x86_64", "linux/arm64": "qemu-aarch64"}


def runs(wanted: str) -> bool:
    """Whether programs of that platform run here, natively or through qemu-user's binfmt_misc entry."""
    if wanted == NATIVE:
        return True
    entry = Path("/proc/sys/fs/binfmt_misc") / _QEMU.get(wanted, "none")
    try:
        return "enabled" in entry.read_text()
    except OSError:
        return False
