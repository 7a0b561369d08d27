"""Debian's registry and Docker's daemon, started for a test and gone after it."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.tools import need, need_root

_REGISTRY = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "{address}:0"}}
"""


@dataclass(frozen=True)
class Registry:
    """A running registry: its address, and the log of what it answered."""

    host: str
    log: Path

    def asked(self, *methods: str) -> int:
        """How many requests of these methods it answered so far."""
        return sum(self.log.read_text().count(f'"{method} /v2/') for method in methods)


@contextmanager
def registry(folder: Path, *, more: str = "", address: str = "127.0.0.1") -> Iterator[Registry]:
    """Serve an empty registry at an address of this machine; `more` is appended to its configuration."""
    need("docker-registry")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "registry.yml").write_text(_REGISTRY.format(folder=folder / "data", address=address) + more)
    log = folder / "log"
    with log.open("wb") as output:
        command = ["docker-registry", "serve", str(folder / "registry.yml")]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        said = until(log, "listening on", process)
        yield Registry(said.split("listening on ")[1].split('"')[0].split()[0], log)
    finally:
        process.kill()
        process.wait()


@contextmanager
def bridge(name: str, address: str) -> Iterator[str]:
    """A bridge of this machine's network for containers, of this name (15 letters at most) and address/bits."""
    need("ip")
    need_root()
    for command in (["add", "name", name, "type", "bridge"], ["set", name, "up"]):
        subprocess.run(["ip", "link", *command], check=True)
    try:
        subprocess.run(["ip", "address", "add", address, "dev", name], check=True)
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)


@contextmanager
def daemon(folder: Path, *, bridge: str = "none") -> Iterator[str]:
    """A Docker daemon with everything of its own: what to set DOCKER_HOST to.

    Args:
        bridge: the network of its containers, which reach each other and this machine there, and nothing else: neither
            forwarding nor NAT is set up, for which a machine's firewall would have to be changed. None by default.
    """
    need("dockerd", "docker")
    need_root()
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    network = [f"--bridge={bridge}", "--iptables=false", "--ip6tables=false", "--ip-masq=false"]
    with tempfile.TemporaryDirectory(prefix="docker-") as short:  # Where sockets are: a path of theirs has 104 bytes.
        socket = f"unix://{short}/docker.sock"
        places = [f"--data-root={folder}/data", f"--exec-root={short}/exec", f"--pidfile={folder}/pid"]
        with log.open("wb") as output:
            process = subprocess.Popen(["dockerd", f"--host={socket}", *places, *network], stdout=output, stderr=output)
        try:
            until(log, "API listen on", process)
            yield socket
        finally:
            process.terminate()
            process.wait(120)
            for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
                if (place := line.split()[1]).startswith((str(folder), short)):
                    subprocess.run(["umount", "--lazy", place], check=False)


def docker(host: str, *arguments: str) -> str:
    """What a command of Docker's says; it must succeed."""
    done = subprocess.run(
        ["docker", *arguments], env={**os.environ, "DOCKER_HOST": host}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def until(log: Path, words: str, process: subprocess.Popen[bytes], *, seconds: int = 120) -> str:
    """What a process has said so far, as soon as these words are in it."""
    for _ in range(50 * seconds):
        if words in (said := log.read_text(errors="replace")):
            return said
        assert process.poll() is None, said
        time.sleep(0.02)
    raise AssertionError(f"{words!r} was never said: {said[-2000:]}")
