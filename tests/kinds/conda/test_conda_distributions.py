"""What pip will see of a conda package."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.kinds.conda.distributions import Distributions, in_files
from builder.kinds.conda.record import of_document
from builder.net import Client
from builder.store import Store
from tests.conda_channel import Build, distribution, served, tree


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["site-packages/numpy-2.1.0.dist-info/METADATA"], ("numpy==2.1.0",)),
        (["lib/python3.12/site-packages/ruamel.yaml-0.18.6.dist-info/METADATA"], ("ruamel-yaml==0.18.6",)),
        (["lib/python3.12/site-packages/old-1.0-py3.12.egg-info/PKG-INFO"], ("old==1.0",)),
        (["lib/python3.12/site-packages/older-1.0-py3.12.egg-info"], ("older==1.0",)),
        (["site-packages/torch-2.12.0+cu130.dist-info/METADATA"], ("torch==2.12.0+cu130",)),
        (["site-packages/setuptools/_vendor/wheel-0.43.dist-info/METADATA"], ()),
        (["site-packages/numpy-2.1.0.dist-info/RECORD", "site-packages/numpy/__init__.py"], ()),
        (["share/site-packages-not/x-1.dist-info/METADATA"], ()),
        (["site-packages/bad-not.a.version.dist-info/METADATA"], ()),
        (
            ["site-packages/a-1.dist-info/METADATA", "site-packages/B_c-2.0.post1.dist-info/METADATA"],
            ("a==1", "b-c==2.0.post1"),
        ),
    ],
)
def test_distributions_are_what_lies_directly_in_site_packages(paths: list[str], found: tuple[str, ...]) -> None:
    assert in_files(paths) == found


@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
def test_a_package_is_asked_once(store: Store, suffix: str) -> None:
    build = Build(
        name="x",
        version="1",
        subdir="noarch",
        noarch="python",
        suffix=suffix,
        files=distribution("Real_Name", "1.0.0"),
    )
    record = of_document({**build.entry, "fn": build.file}, "main")
    with served({"main": tree([build])}) as server:
        url = f"{server.url}/main/noarch/{build.file}"
        assert Distributions(Client(), store)(record, [url]) == ("real-name==1.0.0",)
        asked = len(server.asked)
        assert Distributions(Client(), store)(record, [url]) == ("real-name==1.0.0",)
        assert len(server.asked) == asked == 1


def test_a_package_in_the_store_is_asked_there(store: Store) -> None:
    build = Build(name="x", version="1", subdir="noarch", noarch="python", files=distribution("y", "2.0"))
    record = of_document({**build.entry, "fn": build.file}, "main")
    with store.new_source() as incoming:
        incoming.write(build.content)
        from builder.digest import Digest

        incoming.commit(Digest.of(build.content))
    assert Distributions(Client(), store)(record, []) == ("y==2.0",)


@pytest.mark.parametrize("data", [b"", b"PK", b"BZh9 no", b"\0" * 4096])
@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
def test_what_is_no_package_leaves_what_the_channel_says(
    store: Store, tmp_path: Path, data: bytes, suffix: str
) -> None:
    build = Build(name="some_name", version="1.5", subdir="noarch", noarch="python", data=data, suffix=suffix)
    record = of_document({**build.entry, "fn": build.file}, "main")
    path = tmp_path / build.file
    path.write_bytes(data)
    assert Distributions(Client(), store)(record, [path.as_uri()]) == ("some-name==1.5",)


def test_a_version_that_pip_does_not_know_is_no_constraint(store: Store) -> None:
    build = Build(name="x", version="2024a_x", subdir="noarch", noarch="python", data=b"none")
    record = of_document({**build.entry, "fn": build.file}, "main")
    assert Distributions(Client(), store)(record, []) == ()
