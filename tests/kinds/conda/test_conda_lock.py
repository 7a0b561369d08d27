"""Locking a family: what is chosen for which target, what is kept, what moves."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from builder.errors import StackbuildError
from builder.kinds.conda.lockfile import dumps
from tests.conda_channel import SUBDIRS, Build, Served, distribution, family, tree
from tests.conda_world import MANIFEST, NOTEBOOK, SMALL, Make

CELLS = [f"notebook:{variant}@linux/{cpu}" for variant in ("cpu", "cuda", "gaudi") for cpu in ("amd64", "arm64")]

CHILD = """
[images.child]
from = "notebook"
platforms = ["linux/amd64"]
conda = ["REQUEST"]
"""


def test_each_variant_and_platform_gets_its_builds(channel: Served, world: Make) -> None:
    """2 platforms × 3 variants; only the variant with `__cuda` gets the build for CUDA."""
    found = world(NOTEBOOK)
    found.lock()
    for cell in CELLS:
        pins = found.pins(cell)
        build = "cuda_py312_1" if ":cuda@" in cell else "cpu_py312_0"
        assert pins["tiny-torch"] == f"2.12.0={build}"
        assert ("tiny-cudart" in pins) == (":cuda@" in cell)
        assert pins["python"] == "3.12.11=h2_1_cpython"
        subdir = "linux-64" if cell.endswith("amd64") else "linux-aarch64"
        files = {pin.name: pin.filename for pin in found.read(cell).pins}
        assert files["libtiny"] == f"{subdir}/libtiny-1.3.0-h1_0.conda"
        assert files["tiny-lab"] == "noarch/tiny-lab-4.5.7-pyhd_0.conda"
    assert found.check() == []


def test_a_lock_holds_no_place_and_no_machine(channel: Served, world: Make, tmp_path: Path) -> None:
    for text in world(NOTEBOOK).lock().values():
        assert "127.0.0.1" not in text
        assert str(tmp_path) not in text
        assert "https://conda.example.com/main/noarch/tiny-lab-4.5.7-pyhd_0.conda" in text


def test_a_channel_only_this_machine_knows_has_a_url_that_leads_nowhere(channel: Served, world: Make) -> None:
    found = world(SMALL.replace('["main"]', '["main", "extra"]').replace('"tiny-torch"', '"only-extra"'))
    text = found.lock()[found.target(CELLS[0])]
    assert "https://channel.invalid/extra/linux-64/only-extra-1.0-h1_0.conda" in text
    pin = found.read(CELLS[0]).pin("only-extra")
    assert pin is not None and pin.source == "extra"
    assert found.check() == []


def test_a_second_lock_changes_nothing(channel: Served, world: Make) -> None:
    found = world(SMALL)
    first = found.lock()
    channel.put("main", tree([Build(name="tiny-server", version="2.9", subdir="noarch", noarch="python")]))
    assert world(SMALL).lock(write=False) == first


def _newer(channel: Served) -> None:
    """The channel as before, with a newer tiny-server and a newer libtiny."""
    channel.files.clear()
    more = [
        Build(
            name="tiny-server",
            version="2.9",
            build="pyhd_0",
            depends=("python >=3.10",),
            subdir="noarch",
            noarch="python",
            files=distribution("tiny_server", "2.9"),
        ),
        *(Build(name="libtiny", version="1.9.0", build="h1_0", subdir=one) for one in SUBDIRS[:2]),
    ]
    old = family()["main"]
    new = tree(more)
    for subdir in SUBDIRS:
        name = f"{subdir}/repodata.json"
        both = json.loads(old[name])
        both["packages.conda"] |= json.loads(new[name])["packages.conda"]
        new[name] = json.dumps(both).encode()
    channel.put("main", {**old, **new})


def test_only_what_is_upgraded_moves(channel: Served, world: Make) -> None:
    found = world(SMALL)
    found.lock()
    before = found.pins(CELLS[0])
    _newer(channel)
    found.lock()
    assert found.pins(CELLS[0]) == before
    found.lock(upgrade=["tiny-server"])
    assert found.pins(CELLS[0]) == before | {"tiny-server": "2.9=pyhd_0"}
    found.lock(keep=False)
    assert found.pins(CELLS[0]) == before | {"tiny-server": "2.9=pyhd_0", "libtiny": "1.9.0=h1_0"}


def test_a_pin_that_no_source_has_moves_alone(channel: Served, world: Make) -> None:
    found = world(SMALL)
    found.lock()
    before = found.pins(CELLS[0])
    _newer(channel)
    found.lock(vanished=["libtiny"])
    assert found.pins(CELLS[0]) == before | {"libtiny": "1.9.0=h1_0"}


def test_a_bump_in_the_manifest_moves_what_it_forces(channel: Served, world: Make) -> None:
    found = world(SMALL)
    found.lock()
    found = world(SMALL.replace("3.12.11", "3.12.10"))
    assert any("lock is stale" in error.what for error in found.check())
    found.lock()
    assert found.pins(CELLS[0])["python"] == "3.12.10=h2_1_cpython"
    assert found.check() == []


def test_a_child_adds_to_its_parent(channel: Served, world: Make) -> None:
    parent = NOTEBOOK.replace(', "tiny-torch"', "")
    child = CHILD.replace('platforms = ["linux/amd64"]', 'variants = ["cpu", "cuda"]')
    found = world(parent + child.replace("REQUEST", "tiny-torch"))
    found.lock()
    assert found.pins("child:cpu@linux/amd64").keys() == {"tiny-torch", "python_abi"}
    assert found.pins("child:cuda@linux/arm64").keys() == {"tiny-torch", "python_abi", "tiny-cudart"}
    assert found.check() == []


def test_a_child_that_asks_for_what_is_there_adds_nothing(channel: Served, world: Make) -> None:
    found = world(SMALL + CHILD.replace("REQUEST", "libtiny>=1.3"))
    found.lock()
    assert found.pins("child:cpu@linux/amd64") == {}
    assert found.check() == []


@pytest.mark.parametrize("request_", ["libtiny==1.2.0", "python=3.11", "tiny-server>=3"])
def test_a_child_may_not_move_its_parent(channel: Served, world: Make, request_: str) -> None:
    found = world(SMALL + CHILD.replace("REQUEST", request_))
    with pytest.raises(StackbuildError) as caught:
        found.lock()
    name = re.split("[=>]", request_)[0]
    said = str(caught.value)
    assert f"child may not move its parent: child needs {name}==" in said or "child does not go with" in said
    assert "notebook pins" in said
    assert "child:cpu@linux/amd64" in said
    assert f"stacks.toml:{(found.manifest.path.read_text()).count(chr(10))} asks {request_}" in said


def test_an_ancestors_constraints_hold_for_the_child(channel: Served, world: Make) -> None:
    """python constrains python_abi; a child must not bring another one."""
    channel.put("extra", tree([Build(name="python_abi", version="3.13", build="8_cp313")]))
    parent = SMALL.replace(', "tiny-torch"', "").replace('["main"]', '["extra", "main"]')
    found = world(parent + CHILD.replace("REQUEST", "python_abi==3.13"))
    with pytest.raises(StackbuildError, match="child does not go with its parent: child, notebook") as caught:
        found.lock()
    assert "stacks.toml:33 asks python_abi==3.13" in str(caught.value)
    assert "notebook pins python==3.12.11" in str(caught.value)


def test_the_glibc_is_the_apt_locks(channel: Served, world: Make) -> None:
    found = world(SMALL)
    found.lock()
    assert "__glibc==2.28" in found.read(CELLS[0]).virtual
    found = world(SMALL.replace('variants = ["cpu"', 'variants = ["cpu", "new"'), head=_with_variant(found))
    found.lock()
    assert "__glibc==2.39" in found.read("notebook:new@linux/amd64").virtual


def _with_variant(found: object) -> str:
    return MANIFEST + '[variants.new]\nvirtual = ["__glibc==2.39"]\n\n'


def test_pip_names_come_from_the_packages(channel: Served, world: Make) -> None:
    found = world(NOTEBOOK)
    found.lock()
    lock = found.read("notebook:cuda@linux/arm64")
    names = {pin.name: [value for key, value in pin.fields if key == "pypi"] for pin in lock.pins}
    assert names == {
        "libtiny": [],
        "python": [],
        "python_abi": [],
        "tiny-cudart": [],
        "tiny-lab": ["tiny-lab==4.5.7"],
        "tiny-server": ["tiny-server==2.0"],
        "tiny-torch": ["torch==2.12.0+cuda"],
    }


def test_who_asked_is_known(channel: Served, world: Make) -> None:
    found = world(SMALL)
    found.lock()
    via = {pin.name: pin.via for pin in found.read(CELLS[0]).pins}
    assert via["python"] == ("stacks.toml", "tiny-lab", "tiny-server", "tiny-torch")
    assert via["libtiny"] == ("python",)


def test_reading_gives_what_was_written(channel: Served, world: Make) -> None:
    found = world(SMALL)
    for target, text in found.lock().items():
        assert dumps(found.read(str(target))) == text


def test_a_package_of_the_old_format_is_locked_too(channel: Served, world: Make) -> None:
    old = Build(
        name="old-style",
        version="1.0",
        build="py_0",
        depends=("python",),
        subdir="noarch",
        noarch="python",
        suffix=".tar.bz2",
        files=distribution("Old.Style", "1.0.0"),
    )
    channel.put("extra", tree([old]))
    found = world(SMALL.replace('["main"]', '["main", "extra"]').replace('"tiny-torch"', '"old-style"'))
    found.lock()
    pin = found.read(CELLS[0]).pin("old-style")
    assert pin is not None
    assert pin.filename == "noarch/old-style-1.0-py_0.tar.bz2"
    assert pin.field("pypi") == "old-style==1.0.0"
