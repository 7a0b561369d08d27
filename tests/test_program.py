"""stackbuild's own files, and the wheels it runs on: by pip itself, from a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder import program
from builder.digest import Digest
from builder.errors import StackbuildError, Unreachable
from builder.program import Wheel, known_wheels, wheels
from builder.store import Store
from tests.fake_wheel import NAME, wheel

ROOT = Path(__file__).parent.parent


@pytest.fixture
def requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One pin, whose file pip finds in `links`, and the digest of a file for another platform."""
    links = tmp_path / "links"
    links.mkdir()
    wheel(links / NAME, {"fake.py": b"x = 1\n"})
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(links), "CONFIG_FILE": os.devnull, "TARGET": "/no"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    path = tmp_path / "requirements.txt"
    digest = Digest.of_file(links / NAME).hex
    path.write_text(f"fake==1.0 \\\n    --hash=sha256:{digest} \\\n    --hash=sha256:{'0' * 64}\n    # via nobody\n")
    return path


def test_files_are_those_of_the_package() -> None:
    found = dict(program.files())
    assert found["py.typed"] == ROOT / "builder/py.typed"
    assert found["requirements.txt"].read_bytes() == (ROOT / "scripts/requirements/run.txt").read_bytes()
    assert found["templates/overlays/s6/init"].read_bytes() == (ROOT / "overlays/s6/init").read_bytes()
    assert not [name for name in found if "__pycache__" in name or name.endswith(".pyc")]


def test_wheels_are_downloaded_once(store: Store, requirements: Path, tmp_path: Path) -> None:
    assert known_wheels(store, requirements) is None
    path = tmp_path / "links" / NAME
    expected = (Wheel(NAME, Digest.of_file(path), path.stat().st_size),)
    assert wheels(store, requirements) == expected
    assert store.source(expected[0].digest).read_bytes() == path.read_bytes()
    path.unlink()
    assert wheels(store, requirements) == expected, "nobody is asked again"
    store.source(expected[0].digest).unlink()
    assert known_wheels(store, requirements) is None
    with pytest.raises(StackbuildError, match="pip cannot download what stackbuild runs on"):
        wheels(store, requirements)
    assert not list(store.scratch.glob("stackbuild-*"))


def test_another_pin_is_another_choice(store: Store, requirements: Path) -> None:
    wheels(store, requirements)
    requirements.write_text(requirements.read_text() + "# changed\n")
    assert known_wheels(store, requirements) is None


@pytest.mark.parametrize(
    "table", ["nonsense", "[]", "[[1]]", '[["a.whl","sha256:0",1]]', '[["../a.whl","sha256:%s",1]]' % ("0" * 64)]
)
def test_a_damaged_table_is_none(table: str, store: Store, requirements: Path) -> None:
    found = wheels(store, requirements)
    (path,) = (store.path / "wheels").iterdir()
    path.write_text(table)
    assert known_wheels(store, requirements) is None
    assert wheels(store, requirements) == found


def test_a_wheel_that_nobody_pinned(store: Store, requirements: Path) -> None:
    requirements.write_text(f"fake==1.0 --hash=sha256:{'1' * 64}\n")
    with pytest.raises(StackbuildError, match="pip cannot download") as caught:
        wheels(store, requirements)
    assert "HASH" in caught.value.got.upper()


def test_offline_nothing_is_downloaded(store: Store, requirements: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKBUILD_OFFLINE", "1")
    with pytest.raises(Unreachable, match="offline: the wheels"):
        wheels(store, requirements)
