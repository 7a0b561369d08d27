"""Fixtures: Debian with s6 and execline, made once a machine, and a fresh image for each test."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import absent

from . import s6_overlay
from .container import Image

SUITE = os.environ.get("STACKBUILD_TEST_SUITE", "bookworm")
PACKAGES = ("bash", "execline", "python3-minimal", "s6")
OVERLAYS = Path(__file__).parents[2] / "overlays"
JOVYAN = 1000


@pytest.fixture(scope="session")
def debian() -> Path:
    """A minimal Debian, kept between sessions under a name that says what went into it."""
    for tool in ("mmdebstrap", "unshare", "nsenter", "setpriv", "chroot"):
        if shutil.which(tool) is None:
            absent(f"{tool} is not installed")
    if os.geteuid() != 0:
        absent("namespaces with many uids need root")
    key = hashlib.sha256(" ".join((SUITE, *PACKAGES)).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stackbuild-tests"
    cache.mkdir(parents=True, exist_ok=True)
    root = cache / f"init-{SUITE}-{key}"
    with (cache / f"{root.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            partial = root.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            include = f"--include={','.join(PACKAGES)}"
            command = ["mmdebstrap", "--quiet", "--variant=essential", include, SUITE, str(partial)]
            made = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
            if made.returncode != 0:
                absent(f"{' '.join(command)}: {made.stderr}")
            partial.rename(root)
    return root


@pytest.fixture(scope="session")
def user_namespace() -> Iterator[Path]:
    """A user namespace with every uid mapped onto itself: root inside has no power outside."""
    command = ["unshare", "--user", "sh", "-c", "echo; exec sleep infinity"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        try:
            if holder.stdout is None or not holder.stdout.readline():
                absent("this host refuses user namespaces")
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{holder.pid}/{name}").write_text("0 0 4294967295")
            yield Path(f"/proc/{holder.pid}/ns/user")
        finally:
            holder.kill()


@pytest.fixture(scope="session")
def overlays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each overlay as it lies in an image: owned by jovyan and group 0, every file 0755."""
    folder = tmp_path_factory.mktemp("overlays")
    copies = {}
    for name in ("s6", "base", "code-server", "jupyter"):
        copies[name] = folder / name
        shutil.copytree(OVERLAYS / name, copies[name], symlinks=True)
        for path in (copies[name], *copies[name].rglob("*")):
            os.chown(path, JOVYAN, 0, follow_symlinks=False)
            if not path.is_symlink():
                path.chmod(0o755)
    return copies


@pytest.fixture(scope="session", params=["ours", pytest.param("fetched", marks=pytest.mark.catalogue)])
def init(
    request: pytest.FixtureRequest, debian: Path, overlays: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ...]:
    """Layers with the /init under test, on Debian: our overlay's, or what tarballs of s6-overlay's shape give."""
    if request.param == "ours":
        return (overlays["s6"], debian)
    return (*s6_overlay.built(tmp_path_factory.mktemp("s6-overlay"), debian), debian)


@pytest.fixture
def image(init: tuple[Path, ...], user_namespace: Path, tmp_path: Path) -> Iterator[Image]:
    """An image of Debian and /init, without services or start scripts."""
    built = Image(layers=init, user_namespace=user_namespace, folder=tmp_path)
    yield built
    built.kill_all()


@pytest.fixture
def notebook(
    init: tuple[Path, ...], user_namespace: Path, overlays: dict[str, Path], tmp_path: Path
) -> Iterator[Image]:
    """An image with the base's and Jupyter's overlays on top of /init."""
    layers = (overlays["jupyter"], overlays["base"], *init)
    built = Image(layers=layers, user_namespace=user_namespace, folder=tmp_path)
    yield built
    built.kill_all()
