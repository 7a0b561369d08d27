"""Programs of Debian 13 on a machine that has an older one: unpacked, and started with their own C library.

Debian 12's skopeo has signatures of this kind taken out, and no cosign.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builder.platforms import NATIVE
from tests.tools import absent, need

_PACKAGES: Final = ("cosign", "libassuan9", "libc6", "libgpg-error0", "libgpgme11t64", "libsqlite3-0", "skopeo")
_LOADER: Final = {"linux/amd64": "usr/lib64/ld-linux-x86-64.so.2", "linux/arm64": "usr/lib/ld-linux-aarch64.so.1"}


@dataclass(frozen=True)
class Programs:
    """cosign and skopeo in a folder."""

    folder: Path

    def run(self, program: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """What a program says, however it ends."""
        (libraries,) = (self.folder / "usr/lib").glob("*-linux-gnu")
        loader = [str(self.folder / _LOADER[NATIVE]), "--library-path", str(libraries)]
        command = [*loader, str(self.folder / "usr/bin" / program), *arguments]
        return subprocess.run(
            command, env={**os.environ, **environ}, capture_output=True, text=True, check=False, timeout=120
        )


def download(folder: Path) -> None:
    """Fetch and unpack the packages, from the mirror of Debian that this machine's apt has."""
    need("apt-get", "dpkg-deb")
    lists = ["indextargets", "--format", "$(REPO_URI)|$(LABEL)", "Created-By: Packages"]
    told = subprocess.run(["apt-get", *lists], capture_output=True, text=True, check=True).stdout
    mirrors = [line.partition("|")[0] for line in told.splitlines() if line.endswith("|Debian")]
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if not mirrors or not keyring.exists():
        absent("this machine's apt knows no mirror of Debian")
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "sources.list").write_text(f"deb [signed-by={keyring}] {mirrors[0]} trixie main\n")
    options = {
        "APT::Sandbox::User": "root", "Dir::Cache": folder, "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null", "Dir::State::Lists": folder / "lists", "Dir::State::Status": "/dev/null",
    }  # fmt: skip
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    for command in (["update"], ["download", *_PACKAGES]):
        done = subprocess.run([*apt, *command], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            absent(f"Debian's mirror does not give trixie's packages: {done.stderr[-300:]}")
    for path in sorted(folder.glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", str(path), str(folder / "root")], check=True)
        path.unlink()
