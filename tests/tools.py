"""What the tests share about the machine they run on."""

from __future__ import annotations

import os
import shutil
import subprocess
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


def need(*tools: str) -> None:
    """Skip on a laptop without these tools; fail in CI."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        absent(f"not installed: {', '.join(missing)}")


def need_root() -> None:
    """Some things only root may do: mount, own files as others, make whiteouts."""
    if os.geteuid() != 0:
        absent("this test needs root")


def remount(folder: Path, options: str) -> None:
    """Change a mounted disk: `ro`, `size=16m`."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@dataclass(frozen=True)
class Host:
    """A root file system whose programs are this machine's own, for the sandbox.

    Attributes:
        lower: a layer with the merged-/usr links and little else.
        binds: brings /usr.
    """

    lower: Path
    binds: tuple[tuple[str, str, bool], ...] = (("/usr", "usr", True),)

    def shell(
        self, script: str, folder: Path, *, upper: Path | None = None, lowers: tuple[Path, ...] = ()
    ) -> tuple[int, str]:
        """Run a script in the sandbox, over more layers, the lowest first: exit code and output. `folder` is empty."""
        folder.mkdir(exist_ok=True)
        log = folder.parent / f"{folder.name}.log"
        command = Command(argv=("/bin/sh", "-c", script), binds=self.binds)
        code = run(Root(workspace=folder, lowers=(*reversed(lowers), self.lower), upper=upper), command, log=log)
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


@dataclass(frozen=True)
class Python:
    """A root that holds this machine's own Python and what it needs, as an interpreter's packages would.

    Attributes:
        short: `3.11`.
    """

    short: str
    root: Path


def python_root(folder: Path) -> Python:
    """Copy the system's Python below `folder`."""
    program = next((path for path in sorted(Path("/usr/bin").glob("python3.*")) if path.name[8:].isdigit()), None)
    if program is None or not Path(f"/usr/lib/{program.name}").is_dir():
        absent("there is no system Python in /usr/bin")
    for name in ("bin", "lib", "lib64"):
        (folder / "usr" / name).mkdir(parents=True)
        (folder / name).symlink_to(f"usr/{name}")
    foreign = Path(f"/usr/lib/{program.name}/lib-dynload").glob("_ctypes.*.so")  # It needs what the program does not.
    said = subprocess.run(["ldd", str(program), *map(str, foreign)], check=True, capture_output=True, text=True).stdout
    libraries = {
        Path(word) for line in said.splitlines() for word in line.split() if word.startswith("/") and word[-1:] != ":"
    }
    for path in (program, *libraries):
        target = folder / str(path).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path.resolve(), target)
        target.chmod(0o755)
    skipped = shutil.ignore_patterns("__pycache__", "test", "dist-packages", "config-*", "idlelib", "lib2to3")
    library = Path("usr/lib", program.name)
    shutil.copytree(Path("/") / library, folder / library, symlinks=True, ignore=skipped)
    return Python(program.name.removeprefix("python"), folder)
