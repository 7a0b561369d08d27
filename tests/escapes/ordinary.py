"""Becomes an ordinary user with subordinate ids, then runs the attempts in the sandbox as that user.

`python -m tests.escapes.ordinary FOLDER ROOT`, as root: what newuidmap(1) does for a user whom /etc/subuid names is
done here by the parent, so that no account is needed. FOLDER is the user's, and holds `bait.json` and the attempts
below `tests/escapes`; ROOT is a root without programs. The log is FOLDER/log.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from builder.sandbox import Command, Root, run
from tests.escapes.kernel import call

USER, FIRST, COUNT = 23456, 1_000_000, 65536


def main() -> int:
    folder, lower = Path(sys.argv[1]), Path(sys.argv[2])
    ready, mapped = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
        call("unshare", 0x10000000)
        os.write(ready[1], b"x")
        os.read(mapped[0], 1)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        for number in (*ready, *mapped):
            os.close(number)
        os._exit(_attempts(folder, lower))
    os.read(ready[0], 1)
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{child}/{name}").write_text(f"0 {USER} 1\n1 {FIRST} {COUNT - 1}\n")
    os.write(mapped[1], b"x")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _attempts(folder: Path, lower: Path) -> int:
    (folder / "work").mkdir()
    command = Command(
        argv=("/usr/bin/python3", "-I", "/mnt/tests/escapes/attempts.py", "/mnt/bait.json"),
        binds=(("/usr", "usr", True), (str(folder), "mnt", True)),
    )
    return run(Root(workspace=folder / "work", lowers=(lower,)), command, log=folder / "log")


if __name__ == "__main__":
    sys.exit(main())
