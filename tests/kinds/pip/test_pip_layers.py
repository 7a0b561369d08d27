"""Layers of wheels as `prefer` and `override` of the manifest make them, and the keys that depend on these."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from builder import listing
from builder.action import Action, Result, Workshop
from builder.compression import codec
from builder.conflicts import clashes
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds.pip import build, override
from builder.kinds.pip.bytecode import Source
from builder.kinds.pip.override import hide
from builder.kinds.pip.part import write_wheels
from builder.kinds.pip.preferred import Preferred
from builder.kinds.pip.scheme import Environment
from builder.manifest.model import Target
from builder.parts import write_part
from builder.site import Planned, Site
from builder.store import Store
from builder.tree import Bytes, Entry, with_parents
from tests.fake_wheel import claim
from tests.pip_family import OPENSSL, PYTHON, VENV, Family, conda_pin
from tests.test_golden import inline

PLACE = Environment(prefix="/opt/venv", python="3.11")
SITE = PLACE.site
NCCL = "nvidia/nccl/lib/libnccl.so.2"


def put(store: Store, path: Path) -> Digest:
    data = path.read_bytes()
    with store.new_source() as incoming:
        incoming.write(data)
        incoming.commit(Digest.of(data))
    return Digest.of(data)


def wheel(store: Store, folder: Path, name: str, version: str, files: Mapping[str, bytes]) -> Source:
    """A wheel of that name in the store."""
    stem = name.replace("-", "_")
    dist = f"{stem}-{version}.dist-info"
    members = {
        **files,
        f"{dist}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{dist}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{one},{claim(data)},{len(data)}" for one, data in members.items()]
    members[f"{dist}/RECORD"] = "\n".join([*rows, f"{dist}/RECORD,,", ""]).encode()
    path = folder / f"{stem}-{version}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for one, data in members.items():
            archive.writestr(one, data)
    return Source(put(store, path), name, f"{stem}-{version}-py3-none-any.whl")


@pytest.fixture
def laid(store: Store, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Writes a layer of wheels, each given as name, version, files; without bytecode."""
    zipfile.ZipFile(tmp_path / "none", "w").close()
    none = put(store, tmp_path / "none")

    def write(*wheels: tuple[str, str, Mapping[str, bytes]], settled: tuple[Preferred, ...] = ()) -> dict[str, Any]:
        sources = [wheel(store, tmp_path, *one) for one in wheels]
        return write_wheels(store, "pip/x", sources, PLACE, {one.name: none for one in sources}, settled)

    return write


def paths(store: Store, layer: Mapping[str, Any]) -> set[str]:
    """Files and whiteouts of a layer, relative to site-packages where they are below it."""
    return {one.path.removeprefix(f"{SITE}/") for one in listing.read(store, layer) if one.kind != "dir"}


OLD = ("nccl-cu12", "1", {NCCL: b"12", "nvidia/__init__.py": b""})
NEW = ("nccl-cu13", "1", {NCCL: b"13", "nvidia/__init__.py": b""})


def test_two_packages_of_one_layer(laid: Callable[..., dict[str, Any]], store: Store) -> None:
    with pytest.raises(StackbuildError) as caught:
        laid(OLD, NEW)
    assert caught.value.what == f"two packages bring /{SITE}/{NCCL} with different content: nccl-cu12 and nccl-cu13"
    assert f'prefer = [{{ path = "/{SITE}/{NCCL}", package = "nccl-cu13", over = "nccl-cu12"' in caught.value.next_step
    for winner, content in (("nccl-cu12", b"12"), ("nccl-cu13", b"13")):
        loser = {"nccl-cu12": "nccl-cu13", "nccl-cu13": "nccl-cu12"}[winner]
        for over in (loser, ""):
            layer = laid(OLD, NEW, settled=(Preferred(f"{SITE}/{NCCL}", winner, over),))
            (entry,) = [one for one in listing.read(store, layer) if one.path.endswith("libnccl.so.2")]
            assert (entry.owner, entry.mark[:10]) == (winner, Digest.of(content).hex[:10])


def test_two_packages_of_two_layers(laid: Callable[..., dict[str, Any]], store: Store) -> None:
    one = Preferred(f"{SITE}/{NCCL}", "nccl-cu13", "nccl-cu12")
    lower, upper = laid(OLD, settled=(one,)), laid(NEW, settled=(one,))
    assert NCCL not in paths(store, lower)
    assert "nccl_cu12-1.dist-info/RECORD" in paths(store, lower)
    assert NCCL in paths(store, upper)
    assert list(clashes(store, [("pip", lower), ("pip", upper)])) == []
    assert list(clashes(store, [("pip", laid(OLD)), ("pip", upper)])) != []


def test_a_preference_about_what_is_not_there(laid: Callable[..., dict[str, Any]]) -> None:
    wrong = Preferred(f"{SITE}/nvidia/nccl/libnccl.so", "nccl-cu13", "nccl-cu12")
    with pytest.raises(StackbuildError, match="prefer is about a file that is not there"):
        laid(OLD, settled=(wrong,))
    laid(OLD, settled=(wrong._replace(over=""),))
    laid(NEW, settled=(wrong,))


def test_bytecode_goes_with_its_source(store: Store, tmp_path: Path) -> None:
    source = wheel(store, tmp_path, "one", "1", {"shared.py": b"1", "own.py": b"1"})
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        for name in ("shared", "own"):
            archive.writestr(f"{SITE}/{name}.py", b"code")
    zips = {"one": put(store, tmp_path / "zip")}
    found = paths(store, write_wheels(store, "x", [source], PLACE, zips, (Preferred(f"{SITE}/shared.py", "two", ""),)))
    assert {one for one in found if "dist-info" not in one} == {"own.py", "__pycache__/own.cpython-311.pyc"}


def test_headers_beside_a_python_of_its_own() -> None:
    assert PLACE.folder("headers", "x") == "opt/venv/include/site/python3.11/x"  # type: ignore[arg-type]
    conda = Environment(prefix="/opt/conda", python="3.11", virtual=False)
    assert conda.folder("headers", "x") == "opt/conda/include/python3.11/x"  # type: ignore[arg-type]
    assert conda.interpreter == "/opt/conda/bin/python3.11"


# Overrides --------------------------------------------------------------------------------------------------------


def perform(store: Store, layers: list[tuple[str, Mapping[str, Any]]], *names: str) -> Mapping[str, Any]:
    needs = {
        f"below-{n:03}": Action(kind=kind, version=1, name=str(n), options=str(n)) for n, (kind, _) in enumerate(layers)
    }
    action = Action(
        kind="pip.override", version=1, name="x", options={"codec": codec("gzip"), "names": list(names)}, needs=needs
    )
    results: dict[str, Result] = {f"below-{n:03}": {"layers": [layer]} for n, (_, layer) in enumerate(layers)}
    workshop = Workshop(store=store, heavy=inline, jobs=1, log=store.path / "log")
    (found,) = override.perform(action, results, workshop)["layers"]
    return dict(found)


def test_an_override_hides_all_that_the_old_package_had(laid: Callable[..., dict[str, Any]], store: Store) -> None:
    numpy = ("numpy", "2.4.0", {"numpy/__init__.py": b"", "numpy/new.py": b"", "shared/numpy.txt": b"", "top.py": b""})
    six = ("six", "1", {"six.py": b"", "shared/six.txt": b""})
    lower = laid(numpy, six)
    hidden = perform(store, [("pip", lower)], "numpy")
    assert paths(store, hidden) == {"numpy", "numpy-2.4.0.dist-info", "shared/numpy.txt", "top.py"}
    assert {one.kind for one in listing.read(store, hidden)} == {"dir", "whiteout"}
    folders = {one.path: one.mode for one in listing.read(store, lower) if one.kind == "dir"}
    for one in listing.read(store, hidden):
        assert one.kind != "dir" or one.mode == folders[one.path]
    upper = laid(("numpy", "1.26.4", {"numpy/__init__.py": b"old", "numpy/ancient.py": b""}))
    assert list(clashes(store, [("pip", lower), ("pip", hidden), ("pip", upper)])) == []


def test_what_others_brought_into_its_folders_stays(laid: Callable[..., dict[str, Any]], store: Store) -> None:
    """Another layer's package, an overlay, and what an earlier override hid already."""
    lower = laid(("numpy", "1", {"numpy/a.py": b"", "numpy/b.py": b"", "numpy/gone/c.py": b"", "n.txt": b""}))
    other = laid(("plugin", "1", {"numpy/b.py": b"", "numpy/plugins/p.py": b""}))
    file = Entry(f"{SITE}/n.txt.orig", "file", 0o644, content=Bytes(b""))
    overlay = write_part(store, "o", with_parents([file]), codec("gzip"))
    earlier = write_part(store, "w", with_parents([Entry(f"{SITE}/numpy/gone", "whiteout")]), codec("gzip"))
    below: list[tuple[str, Mapping[str, Any]]] = [
        ("pip", lower),
        ("pip", other),
        ("overlay", overlay),
        ("pip.override", earlier),
    ]
    assert paths(store, perform(store, below, "numpy")) == {"numpy-1.dist-info", "numpy/a.py", "n.txt"}


def test_hide_takes_whole_folders_only() -> None:
    owners = {"a/b/c": {"x"}, "a/b/d": {"x", "y"}, "e/f": {"x"}, "g": {""}, "e2/f": {"y"}}
    stand = {path: frozenset(names) for path, names in owners.items()}
    assert list(hide(stand, ["x"])) == ["a/b/c", "e"]
    assert list(hide(stand, ["x", "y"])) == ["a", "e", "e2"]
    assert list(hide(stand, [])) == []


# Plans ------------------------------------------------------------------------------------------------------------

New = Callable[[str], Family]
CHILD = '[images.son]\nfrom = "lab"\npip = ["torch"]\n'
LAB = f'[images.lab]\nfrom = "base"\n{VENV}pip = ["nccl-cu12", "six"]\n'


def planned(found: Family, *targets: str) -> dict[str, Action]:
    """pip's actions of these targets, parents first, by name without the target."""
    ancestors: tuple[Planned, ...] = ()
    actions: dict[str, Action] = {}
    for target in map(Target.parse, targets):
        own = build.plan(Site(manifest=found.manifest, target=target, locks=found.locks, ancestors=ancestors))
        ancestors = (*ancestors, Planned(target=target, actions=own))
        actions |= {one.name.replace(f":{target.variant}@{target.platform}", ""): one for one in own}
    return actions


@pytest.fixture
def stack(family: New, index: Any) -> Callable[[str], dict[str, Action]]:
    for name, version, requires in (("nccl-cu12", "1", ()), ("nccl-cu12", "2", ()), ("nccl-cu13", "1", ()),
                                    ("six", "1", ()), ("torch", "1", ("nccl-cu13",))):  # fmt: skip
        index.wheel(name, version, *requires, padding=9 << 20 if name != "six" else 0)

    def plan(more: str) -> dict[str, Action]:
        found = family(LAB + CHILD + more)
        for target in ("lab:cpu@linux/amd64", "son:cpu@linux/amd64"):
            found.lock(target)
        return planned(found, "lab:cpu@linux/amd64", "son:cpu@linux/amd64")

    return plan


def test_a_preference_changes_the_layers_that_it_concerns(
    stack: Callable[[str], dict[str, Action]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builder.kinds.pip.python.NATIVE", "linux/amd64")
    before = stack("")
    assert {"pip nccl-cu12 of lab", "pip nccl-cu13 of son", "pip torch of son"} <= before.keys()

    def differ(text: str) -> set[str]:
        after = stack(f"prefer = [{{ {text}, reason = 'r' }}]\n")
        assert after.keys() == before.keys()
        return {name for name in after if after[name].plan_key != before[name].plan_key}

    assert differ('path = "x", package = "nccl-cu13", over = "nccl-cu12"') == {"pip nccl-cu13 of son"}
    assert differ('path = "x", package = "nccl-cu12", over = "nccl-cu13"') == {"pip nccl-cu13 of son"}
    assert differ('path = "x", package = "nccl-cu13"') == {"pip nccl-cu13 of son", "pip torch of son"}
    assert differ('path = "x", package = "absent", over = "torch"') == set()


def test_an_override_is_a_layer_below_the_new_package(
    stack: Callable[[str], dict[str, Action]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builder.kinds.pip.python.NATIVE", "linux/amd64")
    found = stack('override = [{ pip = "nccl-cu12==1", reason = "r", until = 2027-01-01 }]\n')
    names = list(found)
    assert names.index("override of nccl-cu12 in son") < names.index("pip nccl-cu12 of son")
    hidden = found["override of nccl-cu12 in son"]
    below = {one.name.split(" of ")[0] for one in hidden.needs.values()}
    assert {"pip nccl-cu12", "environment"} <= below
    assert not any(one.kind.startswith("apt") for one in hidden.needs.values())


def test_condas_prefix_needs_no_skeleton(family: New, index: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.kinds.pip.python.NATIVE", "linux/amd64")
    index.wheel("six", "1")
    found = family(
        '[images.lab]\nfrom = "base"\nchannels = ["own"]\nconda = ["python"]\n'
        'python = { from = "conda" }\npip = ["six"]\n'
    )
    found.conda("lab:cpu@linux/amd64", PYTHON, OPENSSL, conda_pin("numpy", "2.1.0", "numpy==2.1.0"))
    found.lock("lab:cpu@linux/amd64")
    (layer,) = planned(found, "lab:cpu@linux/amd64").values()
    options: Any = layer.options
    assert (options["prefix"], options["python"]) == ("/opt/conda", "3.11")
    assert options["provider"] == {"from": "conda", "executable": "/opt/conda/bin/python3.11", "in": "/opt/conda"}
    assert {one for one in layer.sources if one.startswith("python:")} == {"python:python"}
    assert set(layer.tools) == {"python:openssl", "python:apt:libc6", "python:apt:libgcc-s1"}
