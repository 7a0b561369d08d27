"""A container without an engine: read-only layers, namespaces, and /init as process 1.

    Layers(test's own files, overlays, Debian)  --overlayfs, read-only-->  /
    writable: /run, /tmp, /home/jovyan, folders of the test that outlive a start

A start differs from an engine's in no way that /init could tell. The root being read-only is itself
an assertion: /init may write below /run and nowhere else.
"""

import os
import select
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM, Signals

DEADLINE = 60.0
"""Seconds after which a start that should be over counts as hung, on a machine with much else to do."""

PATIENT = {"S6_SERVICES_GRACETIME": "600000", "S6_KILL_GRACETIME": "600000"}
"""Whoever waits for grace times instead of processes is hung."""

UNTIL_UP = "until [ -e /run/s6/up ]; do sleep 0.01; done"
"""Shell words for a CMD that has to come after a service's own `: >/run/s6/up`."""

_MOUNT = """
set -e
mount -t overlay overlay -o "ro,lowerdir=$LAYERS" "$ROOT"
for folder in run tmp home/jovyan; do mount --bind "$STATE/$folder" "$ROOT/$folder"; done
mount --rbind /dev "$ROOT/dev"
mount -t proc proc "$ROOT/proc"
if [ -n "$RUN_OPTIONS" ]; then mount -o "remount,bind,$RUN_OPTIONS" "$ROOT/run"; fi
umask "$UMASK"
exec chroot "$ROOT" "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whom a container runs as, in setpriv(1)'s words."""

    name: str
    uid: int
    privileges: tuple[str, ...]


ROOT = Identity(name="root", uid=0, privileges=())
JOVYAN = Identity(name="jovyan", uid=1000, privileges=("--reuid=1000", "--regid=0", "--groups=100"))
RANDOM = Identity(
    name="random",
    uid=1234567,
    privileges=("--reuid=1234567", "--regid=0", "--clear-groups", "--no-new-privs"),
)
"""What OpenShift gives a pod: an unknown uid, group 0, no way to gain privileges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What an engine or its user may set apart from the user and the environment.

    `run_mount` holds mount(8) options for /run, such as `noexec`.
    """

    entrypoint: tuple[str, ...] = ("/init",)
    workdir: str = "/"
    umask: str = "0022"
    stdin: bytes = b""
    run_mount: str = ""


DEFAULT = Options()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is left of a container that has ended."""

    code: int
    out: str
    err: str


class Container:
    """One start of an image, from the outside."""

    def __init__(self, process: subprocess.Popen[bytes], errors: Path) -> None:
        self._process = process
        self._errors = errors
        self._out = b""

    @property
    def pid(self) -> int:
        """The host's number for the container's process 1."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return int(children.read_text().split()[0])

    @property
    def out(self) -> str:
        """The standard output that was read so far."""
        return self._out.decode()

    def wait_for(self, text: str) -> None:
        """Return once `text` stands in the standard output; fail if it never will."""
        deadline = time.monotonic() + DEADLINE
        while text not in self.out:
            if not self._read(deadline):
                raise AssertionError(f"no {text!r} in {self.out!r}; {self._errors.read_text()!r}")

    def signal(self, number: Signals = SIGTERM) -> None:
        """Send a signal to process 1, as an engine does on stop."""
        os.kill(self.pid, number)

    def execute(self, *argv: str) -> str:
        """Run a command inside, as an engine's exec does, and give its output."""
        command = ("nsenter", f"--target={self.pid}", "--all", "--root", "--wd=/", *argv)
        run = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True, timeout=DEADLINE)
        assert run.returncode == 0, f"{argv} exited {run.returncode}: {run.stdout}"
        return run.stdout

    def end(self, *, send: Signals | None = None) -> Outcome:
        """Wait for the container's end, after the signal `send` to process 1 if there is one."""
        if send is not None:
            self.signal(send)
        deadline = time.monotonic() + DEADLINE
        while self._read(deadline):
            pass
        try:
            code = self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"hung: {self.out!r} {self._errors.read_text()!r}") from None
        return Outcome(code=code, out=self.out, err=self._errors.read_text())

    def kill(self) -> None:
        """End it at once; harmless when it has ended."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self, deadline: float) -> bool:
        stream = self._process.stdout
        assert stream is not None
        ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(stream.fileno(), 65536) if ready else b""
        self._out += chunk
        return bool(chunk)


class Image:
    """Layers to start containers from, and the writable folders that outlive a start."""

    def __init__(self, *, layers: Sequence[Path], user_namespace: Path, folder: Path) -> None:
        self._layers = layers
        self._user_namespace = user_namespace
        self._own = folder / "layer"
        self._root = folder / "root"
        self._state = folder / "state"
        self._errors = folder / "stderr"
        self._started: list[Container] = []
        for path, mode in {
            self._own: 0o755,
            self._root: 0o755,
            self._state: 0o755,
            self.run: 0o775,
            self.tmp: 0o1777,
            self._state / "home": 0o755,
            self.home: 0o2775,
        }.items():
            path.mkdir()
            path.chmod(mode)
        os.chown(self.home, 1000, 0)
        for mount_point in ("run", "tmp", "home/jovyan"):
            self.folder(mount_point)

    @property
    def run(self) -> Path:
        """What is /run inside."""
        return self._state / "run"

    @property
    def home(self) -> Path:
        """What is /home/jovyan inside: the volume."""
        return self._state / "home" / "jovyan"

    @property
    def tmp(self) -> Path:
        """What is /tmp inside."""
        return self._state / "tmp"

    def forget(self) -> None:
        """Make the next start that of a new container: the volume stays, /run and /tmp are new."""
        for folder in (self.run, self.tmp):
            for path in folder.iterdir():
                shutil.rmtree(path)

    def folder(self, path: str, mode: int = 0o755) -> Path:
        """Make a folder of the image; the folders above it are open to all."""
        folder = self._own
        for part in Path(path).parts:
            folder /= part
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
        folder.chmod(mode)
        return folder

    def file(self, path: str, text: str, mode: int = 0o644) -> Path:
        """Write a file of the image."""
        target = self.folder(str(Path(path).parent)) / Path(path).name
        target.write_text(text)
        target.chmod(mode)
        return target

    def script(self, path: str, body: str, *, shebang: str = "/bin/sh", mode: int = 0o755) -> Path:
        """Write an executable file of the image."""
        return self.file(path, f"#!{shebang}\n{body}\n", mode)

    def start(
        self,
        *cmd: str,
        user: Identity = RANDOM,
        env: Mapping[str, str] | None = None,
        options: Options = DEFAULT,
    ) -> Container:
        """Start a container as `user` with exactly the environment `env` and a PATH."""
        variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/home/jovyan"} | (dict(env) if env else {})
        inner = [
            *("/usr/bin/setpriv", *user.privileges, "--"),
            *("/usr/bin/env", "-i", "-C", options.workdir),
            *(f"{name}={value}" for name, value in variables.items()),
            *options.entrypoint,
            *cmd,
        ]
        outer = [
            *("nsenter", f"--user={self._user_namespace}", "--"),
            *("unshare", "--mount", "--pid", "--ipc", "--uts", "--net", "--fork", "--kill-child"),
            *("sh", "-c", _MOUNT, "sh", *inner),
        ]
        settings = {
            "LAYERS": ":".join(map(str, (self._own, *self._layers))),
            "ROOT": str(self._root),
            "STATE": str(self._state),
            "RUN_OPTIONS": options.run_mount,
            "UMASK": options.umask,
            "PATH": os.environ["PATH"],
        }
        source, sink = os.pipe()
        os.write(sink, options.stdin)
        os.close(sink)
        with self._errors.open("wb") as errors:
            process = subprocess.Popen(
                outer, stdin=source, stdout=subprocess.PIPE, stderr=errors, env=settings, bufsize=0
            )
        os.close(source)
        self._started.append(Container(process, self._errors))
        return self._started[-1]

    def kill_all(self) -> None:
        """End whatever a test has left running."""
        for container in self._started:
            container.kill()
