"""What a comparison needs beside us: Debian's registry, a Docker daemon, both gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@contextmanager
def registry(folder: Path, port: int) -> Iterator[str]:
    """Serve an empty registry; its address."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "registry.yml").write_text(_CONFIG.format(folder=folder / "data", port=port))
    with _running(["docker-registry", "serve", str(folder / "registry.yml")], folder / "registry.log") as process:
        _wait(process, lambda: _listens(port))
        yield f"127.0.0.1:{port}"


@contextmanager
def daemon(folder: Path) -> Iterator[dict[str, str]]:
    """A Docker daemon with everything of its own; the environment in which `docker` means it, with BuildKit."""
    socket = folder / "docker.sock"
    folder.mkdir(parents=True, exist_ok=True)
    places = [f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"]
    network = ["--bridge=none", "--iptables=false", "--ip6tables=false"]
    # Debian's client, which belongs to Debian's daemon, has BuildKit built in; a newer one wants a plugin for it.
    path = f"/usr/bin:{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "DOCKER_HOST": f"unix://{socket}", "DOCKER_BUILDKIT": "1"}
    try:
        with _running(["dockerd", f"--host=unix://{socket}", *places, *network], folder / "dockerd.log") as process:
            _wait(process, socket.exists)
            yield environ
    finally:
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if (place := line.split()[1]).startswith(str(folder)):
                subprocess.run(["umount", "--lazy", place], check=False)


def run(command: list[str], environ: Mapping[str, str] | None = None) -> float:
    """Seconds that a command takes, which must succeed."""
    program = shutil.which(command[0], path=(environ or os.environ)["PATH"]) or command[0]
    began = time.monotonic()
    done = subprocess.run([program, *command[1:]], env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(command[:4])} failed\n{(done.stdout + done.stderr)[-3000:]}")
    return time.monotonic() - began


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _wait(process: subprocess.Popen[bytes], ready) -> None:  # type: ignore[no-untyped-def]
    for _ in range(1500):
        if ready():
            return
        if process.poll() is not None:
            raise SystemExit(f"bench: {process.args} ended")
        time.sleep(0.02)
    raise SystemExit(f"bench: {process.args} does not get ready")


def _listens(port: int) -> bool:
    row = f":{port:04X} "
    return any(row in line and " 0A " in line for line in Path("/proc/net/tcp").read_text().splitlines())
