"""What the tests share about the machine they run on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from builder.sandbox import Command, Root, run


def absent(reason: str) -> NoReturn:
    """Skip on a laptop, fail in CI: a contract that nothing checked must not look kept."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def need_root() -> None:
    """Some things only root may do: mount, own files as others, make whiteouts."""
    if os.geteuid() != 0:
        absent("this test needs root")


@dataclass(frozen=True)
class Host:
    """A root file system whose programs are this machine's own, for the sandbox.

    Attributes:
        lower: a layer with the merged-/usr links and little else.
        binds: brings /usr.
    """

    lower: Path
    binds: tuple[tuple[str, str, bool], ...] = (("/usr", "usr", True),)

    def shell(self, script: str, folder: Path, *, upper: Path | None = None) -> tuple[int, str]:
        """Run a script in the sandbox: exit code and output. `folder` is empty."""
        folder.mkdir(exist_ok=True)
        log = folder.parent / f"{folder.name}.log"
        command = Command(argv=("/bin/sh", "-c", script), binds=self.binds)
        code = run(Root(workspace=folder, lowers=(self.lower,), upper=upper), command, log=log)
        return code, log.read_text(errors="replace")


def host_root(folder: Path) -> Host:
    """Lay a root of the host's programs below `folder`."""
    for name in ("bin", "sbin", "lib", "lib64"):
        if Path(f"/{name}").is_symlink():
            (folder / name).symlink_to(f"usr/{name}")
    (folder / "etc").mkdir()
    (folder / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (folder / "usr").mkdir()
    folder.chmod(0o755)
    return Host(folder)
