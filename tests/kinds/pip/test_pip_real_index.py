"""The machine's own index: what the project's images really ask for."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder.kinds.pip.check import problems
from builder.kinds.pip.index import Indexes
from builder.kinds.pip.lockfile import dumps, loads
from builder.kinds.pip.question import PipQuestion
from builder.kinds.pip.resolve import resolve
from builder.kinds.pip.sdist import BuiltWheel, SdistQuestion, stub
from builder.net import Client
from builder.store import Store

CUTOFF = datetime(2026, 11, 1, tzinfo=UTC)
PARENT = ("jupyterlab==4.5.7", "notebook==7.5.6", "pip==26.1.1")
CHILD = ("numpy==2.4.6", "pandas==3.0.3", "dask==2026.3.0", "kfp==2.16.1")
CPU = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.open(tmp_path_factory.mktemp("store"))


@pytest.mark.parametrize("platform", sorted(CPU))
def test_a_parent_and_its_child(platform: str, real_index: str, shared: Store, tmp_path: Path) -> None:
    client = Client()
    parent_asks = PipQuestion(
        request=PARENT, python="3.11.2", platform=platform, glibc="2.36", image="jupyter", exclude_newer=CUTOFF
    )
    start = time.monotonic()
    parent, none = resolve(parent_asks, client, shared)
    assert time.monotonic() - start < 240
    assert none is None
    assert {"jupyterlab", "notebook", "pip", "tornado"} <= {pin.name for pin in parent.pins}
    assert len(parent.pins) > 80

    asked: list[SdistQuestion] = []

    def build_wheel(question: SdistQuestion) -> BuiltWheel:
        asked.append(question)
        requires = [
            "urllib3<2.7,>=1.15" if question.version == "never" else "urllib3>=1.15",
            "six>=1.10",
            "certifi",
        ]
        return BuiltWheel(path=stub(tmp_path, question.name, question.version, [*requires, "python-dateutil"]))

    child_asks = PipQuestion(
        request=CHILD,
        python="3.11.2",
        platform=platform,
        glibc="2.36",
        image="jupyter-scipy",
        inherited=(("jupyter", parent),),
        exclude_newer=CUTOFF,
        sdists=frozenset({"kfp-server-api"}),
    )
    child, build = resolve(child_asks, client, shared, build_wheel=build_wheel)
    assert build is not None
    assert {pin.name for pin in build.pins} >= {"setuptools", "wheel"}
    assert [one.name for one in asked] == ["kfp-server-api"]
    server = child.pin("kfp-server-api")
    assert server is not None
    assert server.filename == f"kfp_server_api-{server.version}.tar.gz"
    assert not {pin.name for pin in parent.pins} & {pin.name for pin in child.pins}
    other = CPU["linux/arm64" if platform == "linux/amd64" else "linux/amd64"]
    for lock in (parent, child, build):
        text = dumps(lock)
        assert loads(text, "x") == lock
        assert other not in text
        assert "://" not in text
    assert problems(parent, [], PARENT, "x") == []
    assert problems(child, [("jupyter", parent)], CHILD, "x") == []

    # Again: nothing moves, nothing is built.
    asked.clear()
    again = PipQuestion(
        request=CHILD,
        python="3.11.2",
        platform=platform,
        glibc="2.36",
        inherited=(("jupyter", parent),),
        existing=child,
        existing_build=build,
        exclude_newer=CUTOFF,
        sdists=frozenset({"kfp-server-api"}),
    )
    assert resolve(again, client, shared, build_wheel=build_wheel) == (child, build)
    assert asked == []

    # The smallest pins of all are fetched by their names and have the digests that the lock says.
    indexes = Indexes(client, {}, os.environ)
    for pin in sorted((*parent.pins, *child.pins), key=lambda one: one.size)[:5]:
        with shared.new_source() as incoming:
            client.download(indexes.urls(pin), digest=pin.digest, size=pin.size, into=incoming)


def test_pip_tools_on_the_real_index(real_index: str, shared: Store) -> None:
    import platform

    question = PipQuestion(
        request=("six==1.17.0", "python-dateutil==2.9.0.post0"),
        python=platform.python_version(),
        platform={one: name for name, one in CPU.items()}[platform.machine()],
        glibc=platform.libc_ver()[1],
        resolver="pip-tools",
        exclude_newer=CUTOFF,
    )
    lock, _ = resolve(question, Client(), shared)
    assert {pin.name: pin.version for pin in lock.pins} == {"six": "1.17.0", "python-dateutil": "2.9.0.post0"}
