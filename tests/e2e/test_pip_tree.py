"""The virtual environment: what pip itself makes of the same wheels, byte for byte where it matters."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from builder.built import Image
from builder.lock import Pin
from builder.manifest.model import Target
from builder.platforms import NATIVE
from builder.sandbox import Command, Root
from builder.sandbox import run as run_in
from tests.e2e.conftest import need_network
from tests.e2e.project import Site, share_sources
from tests.e2e.trees import Documented, Tree, differences, of_folder, of_layers

PREFIX = "opt/venv"
SITE = f"{PREFIX}/lib/python3.11/site-packages"
LIST = Path(__file__).with_name("differences-pip.txt")

COMPARE = """
import json, marshal, os, sys, types

def code(path):
    with open(path, 'rb') as stream:
        data = stream.read()
    return data[:8], marshal.loads(data[16:])

def same(one, other):
    if isinstance(one, types.CodeType) and isinstance(other, types.CodeType):
        return one == other and one.co_filename == other.co_filename and all(
            same(a, b) for a, b in zip(one.co_consts, other.co_consts))
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other))
    if isinstance(one, frozenset) and isinstance(other, frozenset):
        return one == other
    return type(one) is type(other) and repr(one) == repr(other)

different = []
for folder, _, names in os.walk('/ours'):
    for name in names:
        path = os.path.relpath(os.path.join(folder, name), '/ours')
        if name.endswith('.pyc') and os.path.exists('/theirs/' + path):
            (flags, one), (others, other) = code('/ours/' + path), code('/theirs/' + path)
            if flags != others or not same(one, other):
                different.append(path)
print(json.dumps(sorted(different)))
"""


def _install(site: Site, folder: Path, image: str, script: str, pins: tuple[Pin, ...]) -> Path:
    """The upper folder after a script ran in the root of an image, these files in /run/wheels."""
    for name in ("upper", "mount", "wheels"):
        (folder / name).mkdir()
    lines = []
    for pin in pins:
        shutil.copyfile(site.store.source(pin.digest), folder / "wheels" / pin.filename)
        lines.append(f"{pin.name}=={pin.version} --hash={pin.digest}\n")
    (folder / "wheels/requirements.txt").write_text("".join(lines))
    binds = ((str(folder / "wheels"), "run/wheels", True),)
    script = "unset SOURCE_DATE_EPOCH\n" + script  # With it, bytecode would hold digests of sources: not as usual.
    command = Command(argv=("/bin/sh", "-ec", script), binds=binds, umask=0o002)
    lowers = tuple(reversed(Image(site.store, site.result(image)).folders()))
    root = Root(workspace=folder / "mount", lowers=lowers, upper=folder / "upper")
    code = run_in(root, command, log=folder / "log")
    assert code == 0, (folder / "log").read_text()[-3000:]
    return folder / "upper"


def _bytecode_differs(site: Site, ours: Path, theirs: Path, folder: Path) -> list[str]:
    """Paths whose code is another one, or whose header says another kind of file; the source's time apart."""
    (folder / "mount").mkdir(parents=True)
    command = Command(
        argv=("/usr/bin/python3", "-I", "-c", COMPARE),
        binds=((str(ours), "ours", True), (str(theirs), "theirs", True)),
    )
    lowers = tuple(reversed(Image(site.store, site.result("base")).folders()))
    code = run_in(Root(workspace=folder / "mount", lowers=lowers), command, log=folder / "log")
    said = (folder / "log").read_text()
    assert code == 0, said
    found: list[str] = json.loads(said)
    return found


class Pair(NamedTuple):
    """The environment as a folder on disk, by us and by pip."""

    ours: Path
    theirs: Path


@pytest.fixture(scope="module")
def pair(catalogue: Site, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """jupyter's wheels, and what `venv` and `pip install` of its lock leave in base."""
    lock = catalogue.project().locks.read(Target("jupyter", "cpu", NATIVE), "pip")
    assert lock is not None
    (pip,) = [pin.filename for pin in lock.pins if pin.name == "pip"]
    script = f"""
        python3.11 -m venv --without-pip /{PREFIX}
        cd /run/wheels
        /{PREFIX}/bin/python {pip}/pip install --no-index --find-links . --no-deps --require-hashes \\
            --no-cache-dir --disable-pip-version-check --requirement requirements.txt
    """
    theirs = _install(catalogue, tmp_path_factory.mktemp("installed"), "base", script, lock.pins)
    ours = tmp_path_factory.mktemp("ours")
    for path in Image(catalogue.store, {**catalogue.result("jupyter"), "layers": _layers(catalogue)}).folders():
        shutil.copytree(path, ours, symlinks=True, dirs_exist_ok=True)
    return Pair(ours, theirs)


def _layers(site: Site) -> list[dict[str, Any]]:
    return site.layers("jupyter", "pip")


def test_the_tree_is_pips(catalogue: Site, pair: Pair, tmp_path: Path) -> None:
    """Type, mode, owner, size, content, target; bytecode by its code. docs/differences.md shows the exceptions."""
    ours = {path: node for path, node in of_layers(catalogue.store, _layers(catalogue)).items() if PREFIX in path}
    found = differences(_without_times(ours), _without_times(of_folder(pair.theirs, PREFIX)))
    found |= dict.fromkeys(_bytecode_differs(catalogue, pair.ours, pair.theirs, tmp_path / "compare"), "other code")
    unknown, idle = Documented(LIST).explain(found)
    assert not unknown, f"{len(unknown)}:\n" + "\n".join(unknown[:60])
    assert [line for line in idle if "kfp_server_api" not in line] == [], "documented, but equal"


def test_launchers_call_the_same(pair: Pair) -> None:
    """Behind the other template there is the same function; other scripts differ in their first line only."""
    compared = 0
    for theirs in sorted((pair.theirs / PREFIX / "bin").iterdir()):
        ours = pair.ours / PREFIX / "bin" / theirs.name
        if theirs.is_symlink() or not theirs.read_bytes().startswith(b"#!") or theirs.name == "pip3.11":
            continue
        assert _called(ours.read_text()) == _called(theirs.read_text()), theirs.name
        compared += 1
    assert compared > 30


def _called(text: str) -> str:
    """`module:function` of a launcher; of another script all but its first line."""
    found = re.search(r"^from (\S+) import (\S+)\n.*sys\.exit\((\S+)\(\)\)\n$", text, re.DOTALL | re.MULTILINE)
    return f"{found[1]}:{found[3]}" if found and len(text) < 400 else text.partition("\n")[2]


def test_records_hold_the_same_rows(pair: Pair) -> None:
    """But for files that are documented to differ."""
    records = sorted((pair.theirs / SITE).glob("*.dist-info/RECORD"))
    assert len(records) > 80
    for theirs in records:
        ours = pair.ours / SITE / theirs.parent.name / "RECORD"
        assert _rows(ours) == _rows(theirs), theirs.parent.name


def _rows(path: Path) -> list[str]:
    apart = re.compile(r"INSTALLER,|REQUESTED,|\.\./bin/|/tests/.*\.pyc,")
    return sorted(row for row in path.read_text().splitlines() if not apart.search(row))


def _without_times(tree: Tree) -> Tree:
    """Bytecode holds the time of its source, which pip sets to that of the installation: only its size is compared."""
    return {path: node._replace(content="", size=0) if path.endswith(".pyc") else node for path, node in tree.items()}


def test_pip_is_content(catalogue: Site) -> None:
    code, said = catalogue.inside("jupyter", "/opt/venv/bin/pip check")
    assert (code, said.strip()) == (0, "No broken requirements found.")


def test_pip_lists_what_is_locked(catalogue: Site) -> None:
    lock = catalogue.project().locks.read(Target("jupyter", "cpu", NATIVE), "pip")
    assert lock is not None
    code, said = catalogue.inside("jupyter", "/opt/venv/bin/pip list --format=json --disable-pip-version-check")
    assert code == 0, said
    names = {one["name"].lower().replace("_", "-").replace(".", "-"): one["version"] for one in json.loads(said)}
    assert names == {pin.name: pin.version for pin in lock.pins}


def test_every_launcher_and_module_belongs_to_pip(catalogue: Site) -> None:
    """RECORD is complete: uninstalling a package leaves nothing of it behind."""
    script = """
        set -e
        cd /opt/venv
        bin/pip uninstall -q --yes notebook ipykernel
        find . -path '*/notebook/*' -o -name '*ipykernel*'
    """
    code, said = catalogue.inside("jupyter", script)
    assert code == 0, said
    assert [line for line in said.splitlines() if line.startswith("./lib")] == []


def test_an_sdist_is_built_as_pip_would(catalogue: Site, downloads: Path, tmp_path: Path) -> None:
    """kfp-server-api has no wheel: ours is built in the sandbox without a network, from locked requirements."""
    site = catalogue.copy(tmp_path / "project", store=catalogue.store_path)
    with (site.folder / "stacks.toml").open("a") as manifest:
        manifest.write('\n[images.sdist]\nfrom = "base"\npython = { from = "apt", prefix = "/opt/venv" }\n')
        manifest.write('pip = ["pip==26.1.1", "kfp-server-api==2.16.1"]\nsdists = ["kfp-server-api"]\n')
    share_sources(downloads, site.store_path)
    for command in (("lock", "sdist"), ("build", "sdist")):
        said = site.try_(*command)
        if said.code:
            need_network(said.err)
            pytest.fail(said.err)
    project = site.project()
    target = Target("sdist", "cpu", NATIVE)
    pins = {pin.name: pin for pin in project.locks.read(target, "pip").pins}  # type: ignore[union-attr]
    needed = project.locks.read(target, "pip-build")
    assert needed is not None
    script = f"""
        python3.11 -m venv --without-pip /{PREFIX}
        cd /run/wheels
        pip="/{PREFIX}/bin/python {pins["pip"].filename}/pip"
        $pip install --no-index --no-deps --target /run/needed {" ".join(pin.filename for pin in needed.pins)}
        PYTHONPATH=/run/needed $pip install --no-index --no-deps --no-build-isolation --no-cache-dir \\
            --disable-pip-version-check {pins["kfp-server-api"].filename}
    """
    folder = tmp_path / "installed"
    folder.mkdir()
    upper = _install(site, folder, "base", script, (*pins.values(), *needed.pins))
    below = f"{PREFIX}/lib"
    ours = {
        path: node
        for path, node in of_layers(site.store, site.layers("sdist", "pip")).items()
        if path.startswith(below) and "kfp_server_api" in path
    }
    theirs = {path: node for path, node in of_folder(upper, below).items() if "kfp_server_api" in path}
    assert len(ours) > 100
    found = differences(_without_times(ours), _without_times(theirs))
    unknown, _ = Documented(LIST).explain(found)
    assert not unknown, f"{len(unknown)}:\n" + "\n".join(unknown[:4000])
