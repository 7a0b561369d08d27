"""Remove what makes two installations differ, or has no place in an image.

Collected from what mmdebstrap, debuerreotype and mkosi remove, and from comparing our own runs. Runs inside the
sandbox: standard library only. Times are not touched here; the tree's scan clamps them.
"""

from __future__ import annotations

import glob
import os
import re
import shutil

from builder.kinds.apt import keystore

VERSION = 6

REMOVED = (
    "/etc/.pwd.lock",
    "/etc/group-",
    "/etc/gshadow-",
    "/etc/passwd-",
    "/etc/shadow-",
    "/etc/subgid-",
    "/etc/subuid-",
    "/root/.gnupg",
    "/root/.wget-hsts",
    "/var/cache/apt/*.bin",
    "/var/cache/apt/archives/*.deb",
    "/var/cache/debconf/*-old",
    "/var/cache/ldconfig/aux-cache",
    "/var/cache/man",
    "/var/lib/apt/lists/*_*",
    "/var/lib/apt/lists/lock",
    "/var/lib/dbus/machine-id",
    "/var/lib/dpkg/*-old",
    "/var/lib/dpkg/available",
    "/var/lib/dpkg/lock",
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/triggers/Lock",
    "/var/lib/systemd/catalog/database",
    "/var/lib/systemd/random-seed",
    "/var/lib/texmf/web2c/*.log",
    "/var/lib/texmf/web2c/*/*.log",
    # Formats that hold a random seed or the day they were made; kpathsea's mktexfmt makes them anew at first use.
    "/var/lib/texmf/web2c/lua*/*.fmt",
    "/var/lib/texmf/web2c/pdftex/pdftex.fmt",
    "/var/lib/texmf/web2c/tex/tex.fmt",
    "/var/lib/ucf/*.[0-9]",
    "/var/log/alternatives.log",
    "/var/log/apt/*",
    "/var/log/bootstrap.log",
    "/var/log/dpkg.log",
    "/var/log/fontconfig.log",
)
EMPTIED = ("/etc/machine-id",)
UNTOUCHED = frozenset({".stackbuild", "dev", "proc", "run", "tmp"})
"""Of the host or the sandbox; `.stackbuild` is where packages are being decompressed, which set their times."""
SHADOW_DAY = "19723"
"""2024-01-01 in days since 1970: shadow(5) keeps the day of the last change."""


def clean() -> None:
    """Bring the root into its normal form."""
    for pattern in REMOVED:
        for path in glob.glob(pattern):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
    for path in EMPTIED:
        if os.path.exists(path):
            with open(path, "w"):
                pass
    _fix_shadow()
    for path in glob.glob("/var/lib/texmf/ls-R"):
        _sort_listing(path)
    keystore.settle(keystore.PATH, int(SHADOW_DAY) * 86_400_000)


def _fix_shadow() -> None:
    path = "/etc/shadow"
    if os.path.exists(path):
        with open(path) as stream:
            text = stream.read()
        with open(path, "w") as stream:
            stream.write(re.sub(r"(?m)^([^:]*:[^:]*:)\d+:", rf"\g<1>{SHADOW_DAY}:", text))


def _sort_listing(path: str) -> None:
    """TeX's list of files (kpathsea, "Filename database") is in directory order, and names what was removed above."""
    with open(path) as stream:
        head, *blocks = stream.read().split("\n\n")
    folder = os.path.dirname(path)
    sorted_blocks = []
    for block in blocks:
        title, *names = block.strip("\n").split("\n")
        there = [name for name in names if os.path.lexists(os.path.join(folder, title.rstrip(":"), name))]
        sorted_blocks.append("\n".join([title, *sorted(there, key=lambda name: (name.endswith(":"), name))]))
    with open(path, "w") as stream:
        stream.write("\n\n".join([head, *sorted(sorted_blocks)]) + "\n")


def clamp(newest: int) -> None:
    """No Python source newer than `newest`, before scripts run: bytecode that they compile holds its source's time."""
    for folder, names, files in os.walk("/"):
        if folder == "/":
            names[:] = [name for name in names if name not in UNTOUCHED]
        for name in files:
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                if os.lstat(path).st_mtime > newest:
                    os.utime(path, (newest, newest), follow_symlinks=False)
