"""The real archive and the real apt-get: for Kubeflow's base and scipy lists we must choose what it chooses."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder.errors import Unreachable
from builder.kinds.apt import check, lockfile, places
from builder.kinds.apt.archive import Means, Universes
from builder.kinds.apt.package import fields_of
from builder.kinds.apt.resolve import AptQuestion, resolve
from builder.lock import Lock
from builder.manifest.settings import Archive
from builder.net import Client
from builder.store import Store

BASE = (
    *(
        "apt-transport-https",
        "bash",
        "bzip2",
        "ca-certificates",
        "curl",
        "execline",
        "git",
        "gnupg",
        "gnupg2",
    ),
    *(
        "locales",
        "lsb-release",
        "nano",
        "python3",
        "s6",
        "software-properties-common",
        "tmux",
        "tzdata",
        "unzip",
    ),
    *("vim", "wget", "xz-utils", "zip"),
)
SCIPY = ("cm-super", "dvipng", "ffmpeg")
DEBIAN = Archive(name="debian", suites=("bookworm",))
Needed = Callable[[bool, str], None]


@pytest.fixture(scope="module")
def means(tmp_path_factory: pytest.TempPathFactory) -> Means:
    """The host's own mirrors, a store of this module, today's clock."""
    folder = tmp_path_factory.mktemp("real")
    host = places.read_host(os.environ)
    return Means(client=Client(), store=Store.open(folder / "store"), host=host, folder=folder, now=datetime.now(UTC))


@pytest.fixture(scope="module")
def universes(means: Means) -> Universes:
    return Universes(means)


def locks(architecture: str, universes: Universes, needed: Needed) -> tuple[Lock, Lock]:
    """Base and scipy of one architecture."""
    base = AptQuestion(archive=DEBIAN, architecture=architecture, request=BASE)
    try:
        root = resolve(base, universes)
    except Unreachable as error:
        needed(False, f"Debian's archive cannot be read: {error.what}")
        raise
    child = AptQuestion(archive=DEBIAN, architecture=architecture, request=SCIPY, inherited=(("base", root),))
    return root, resolve(child, universes)


@pytest.fixture
def apt(means: Means, tmp_path: Path, needed: Needed) -> Callable[..., set[str]]:
    """`apt-get install` in a world of its own; gives `name=version` of what would be new."""
    needed(shutil.which("apt-get") is not None, "apt-get is not installed")
    needed(bool(places.places(DEBIAN, "bookworm", means.host)), "this host knows no mirror of bookworm")
    for name in ("lists/partial", "cache/archives/partial", "etc/parts"):
        (tmp_path / name).mkdir(parents=True)
    mirror = places.places(DEBIAN, "bookworm", means.host)[0]
    keys = Path(places.__file__).parents[2] / "keyrings/debian.gpg"
    (tmp_path / "etc/sources.list").write_text(f"deb [signed-by={keys}] {mirror} bookworm main\n")
    (tmp_path / "apt.conf").write_text(
        f"""
        Dir::State "{tmp_path}"; Dir::State::status "{tmp_path}/status"; Dir::Cache "{tmp_path}/cache";
        Dir::Etc "{tmp_path}/etc"; Dir::Etc::sourcelist "{tmp_path}/etc/sources.list";
        Dir::Etc::sourceparts "{tmp_path}/etc/parts"; Dir::Etc::preferencesparts "{tmp_path}/etc/parts";
        Dir::Etc::trustedparts "{tmp_path}/etc/parts"; Dir::Etc::parts "{tmp_path}/etc/parts";
        APT::Architecture "amd64"; APT::Architectures {{ "amd64"; }}; APT::Sandbox::User "root";
        Debug::NoLocking "true"; Acquire::Languages "none"; Acquire::Check-Date "false";
        pkgCacheGen::ForceEssential ",";
        """
    )
    (tmp_path / "status").write_text("")
    environ = {"APT_CONFIG": str(tmp_path / "apt.conf"), "PATH": os.environ["PATH"], "LC_ALL": "C"}
    environ |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    subprocess.run(["apt-get", "-qq", "update"], env=environ, check=True)

    def install(*names: str, status: str = "") -> set[str]:
        (tmp_path / "status").write_text(status)
        command = ["apt-get", "-s", "--no-install-recommends", "install", *names]
        done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
        return {f"{name}={version}" for name, version in re.findall(r"^Inst (\S+) \((\S+) ", done.stdout, re.M)}

    return install


def chosen(lock: Lock) -> set[str]:
    return {f"{pin.name}={pin.version}" for pin in lock.pins}


def status_of(lock: Lock) -> str:
    """dpkg's status as if the lock were installed."""
    rows = []
    for pin in lock.pins:
        fields = {
            "Package": pin.name,
            "Status": "install ok installed",
            "Version": pin.version,
            **dict(pin.fields),
        }
        rows.append("\n".join(f"{name}: {value}" for name, value in fields.items()) + "\n")
    return "\n".join(rows)


def test_same_packages_as_apt_get(universes: Universes, needed: Needed, apt: Callable[..., set[str]]) -> None:
    root, child = locks("amd64", universes, needed)
    assert chosen(root) == apt("?essential", *BASE)
    assert chosen(child) == apt(*SCIPY, status=status_of(root))


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_real_locks_are_sound_and_stay(architecture: str, universes: Universes, needed: Needed) -> None:
    root, child = locks(architecture, universes, needed)
    for lock, request, above in ((root, BASE, ()), (child, SCIPY, (("base", root),))):
        question = AptQuestion(
            archive=DEBIAN, architecture=architecture, request=request, inherited=above, existing=lock
        )
        text = lockfile.dumps(lock, question.header)
        assert lockfile.load(text, "x") == (question.header, lock)
        assert check.problems(check.Subject(path="x", lock=lock, text=text), above, request) == []
        assert resolve(question, universes) == lock


def test_a_file_lies_where_its_pin_says(means: Means, universes: Universes, needed: Needed) -> None:
    root, _ = locks("amd64", universes, needed)
    pin = root.pin("tzdata")
    assert pin is not None
    with means.store.new_source() as incoming:
        urls = places.urls(DEBIAN, pin, means.host)
        means.client.download(urls, digest=pin.digest, size=pin.size, into=incoming)
    control = subprocess.run(
        ["dpkg-deb", "--field", means.store.source(pin.digest)], capture_output=True, text=True, check=False
    )
    if control.returncode == 0:
        assert fields_of(control.stdout)["Version"] == pin.version
