"""The apt base: the tree that Debian's own tools make of the same packages, and a root that apt can go on with."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import NamedTuple, cast

import pytest

from builder.kinds.account.build import passwd
from builder.manifest.model import Target
from builder.platforms import NATIVE
from tests.e2e.project import Site
from tests.e2e.trees import Documented, Tree, differences, of_layers, of_tar, run
from tests.fake_deb import build
from tests.tools import need

HOOKS = Path("/usr/share/mmdebstrap/hooks/file-mirror-automount")


class Peer(NamedTuple):
    """What mmdebstrap made."""

    archive: Path
    tree: Tree


def _repository(folder: Path) -> str:
    """A flat apt repository of the packages in a folder."""
    with (folder / "Packages").open("wb") as index:
        command = ["dpkg-scanpackages", "--multiversion", "."]
        subprocess.run(command, cwd=folder, stdout=index, stderr=subprocess.DEVNULL, check=True)
    return f"deb [trusted=yes] file:{folder} ./"


@pytest.fixture(scope="module")
def theirs(catalogue: Site, tmp_path_factory: pytest.TempPathFactory) -> Peer:
    """mmdebstrap's tree of exactly the locked packages, with the same account and the same answers."""
    need("mmdebstrap", "dpkg-scanpackages")
    folder = tmp_path_factory.mktemp("mmdebstrap")
    packages = folder / "packages"
    packages.mkdir()
    project = catalogue.project()
    lock = project.locks.read(Target("base", "cpu", NATIVE), "apt")
    assert lock is not None
    for pin in lock.pins:
        shutil.copyfile(catalogue.store.source(pin.digest), packages / os.path.basename(pin.filename))
    target = Target("base", "cpu", NATIVE)
    account = cast(dict[str, str], passwd(project.manifest.layouts["kubeflow"]))
    asking = [asked for _, asked in project.manifest.asking(target)]
    answers = "\n".join(str(one) for asked in asking for one in asked.get("debconf", ()))  # type: ignore[union-attr]
    command = [
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=essential",
        "--format=tar",
        f"--hook-dir={HOOKS}",
        "--include=" + ",".join(project.manifest.ask(target, "apt")),
        f'--essential-hook=echo {shlex.quote(answers)} | chroot "$1" debconf-set-selections',
        f'--essential-hook=echo {shlex.quote(account["passwd"])} >> "$1/etc/passwd"',
        f'--essential-hook=sed -i "s/^users:.*:/&{account["user"]}/" "$1/etc/group"',
        "",
        str(folder / "root.tar"),
        _repository(packages),
    ]
    run(command, env={**os.environ, "SOURCE_DATE_EPOCH": "1767225600", "TMPDIR": str(folder)})
    return Peer(folder / "root.tar", of_tar(folder / "root.tar"))


def test_the_tree_is_mmdebstraps(catalogue: Site, theirs: Peer) -> None:
    """Entry by entry: type, mode, owner, size, content, target. docs/differences.md shows the list of exceptions."""
    ours = of_layers(catalogue.store, catalogue.layers("base", "apt", "account"))
    assert len(ours) > 10_000
    unknown, idle = Documented(Path(__file__).with_name("differences-apt.txt")).explain(differences(ours, theirs.tree))
    assert not unknown, "\n".join(unknown[:60])
    assert not idle, f"documented, but equal: {idle}"


DATABASES = ("etc/group", "etc/gshadow", "etc/passwd", "etc/shadow", "etc/shells", "var/lib/dpkg/triggers/File")


def test_databases_hold_the_same_lines(catalogue: Site, theirs: Peer) -> None:
    """What differences-apt.txt says of files that differ in the order of lines only."""
    for path in DATABASES:
        code, said = catalogue.inside("base", f"cat /{path}")
        assert code == 0, said
        with tarfile.open(theirs.archive) as archive:
            stream = archive.extractfile(f"./{path}")
            assert stream is not None
            text = stream.read().decode()
        assert _lines(said) == _lines(text), path


def _lines(text: str) -> list[str]:
    """Sorted, without comments, the day of shadow(5)'s last change left out."""
    rows = [line for line in text.splitlines() if line and not line.startswith("#")]
    return sorted(re.sub(r"^([^:]*:[^:]*):[0-9]+:", r"\1::", row) if row.count(":") == 8 else row for row in rows)


def test_dpkg_finds_nothing_wrong(catalogue: Site) -> None:
    code, said = catalogue.inside("base", "dpkg --audit && dpkg --verify && dpkg --configure --pending")
    assert (code, said) == (0, "")


def test_every_package_is_installed_as_locked(catalogue: Site) -> None:
    lock = catalogue.project().locks.read(Target("base", "cpu", NATIVE), "apt")
    assert lock is not None
    code, said = catalogue.inside("base", "dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\\n'")
    assert code == 0
    assert sorted(said.splitlines()) == sorted(f"{pin.name} {pin.version} ii " for pin in lock.pins)


def test_apt_get_installs_one_more(catalogue: Site, tmp_path: Path) -> None:
    """A package that brings a conffile and a trigger's file, is configured, and removed again; without a network."""
    need("dpkg-scanpackages")
    packages = tmp_path / "packages"
    packages.mkdir()
    files = {"usr/bin/more-of-it": "#!/bin/sh\n", "etc/more.conf": "x\n", "usr/share/ca-certificates/more.crt": ""}
    scripts = {
        "postinst": "#!/bin/sh\ntest -e /etc/more.conf && touch /var/lib/more\n",
        "conffiles": "/etc/more.conf\n",
    }
    deb = build(tmp_path, "more", files, fields="Depends: git, python3\nSection: misc\nPriority: optional\n", **scripts)
    shutil.copy(deb, packages / "more_1.0_all.deb")
    _repository(packages)
    script = """
        set -e
        echo 'deb [trusted=yes] file:/srv/packages ./' > /etc/apt/sources.list
        rm -f /etc/apt/sources.list.d/*
        apt-get -q update
        apt-get -q install --yes more
        test -e /var/lib/more -a -e /usr/bin/more-of-it
        apt-get -q check
        dpkg --audit
        apt-get -q purge --yes more
        test ! -e /etc/more.conf
    """
    code, said = catalogue.inside("base", script, volumes=((packages, "/srv/packages"),))
    assert code == 0, said
    assert "Setting up more (1.0)" in said
