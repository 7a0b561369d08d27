"""Indexes for some packages: the right build for each variant, and no name looked for where it does not belong."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.errors import StackbuildError
from builder.kinds.pip.lockfile import PipLock
from builder.kinds.pip.locking import _sources
from builder.kinds.pip.question import PipQuestion
from builder.kinds.pip.resolve import resolve
from builder.manifest.model import Target
from builder.manifest.read import loads
from builder.net import Client
from builder.store import Store
from tests.loopback import certificates, proxy, serve

MANIFEST = """
[project]
name = "test"
platforms = ["linux/amd64"]

[archives.local]
suites = ["stable"]
keyring = "own.gpg"

[indexes]
torch-cpu = "https://cpu.example/simple"
torch-cuda = "https://cuda.example/simple"
gaudi = "https://gaudi.example/simple"
corp = "https://corp.example/simple"

[layouts.plain]
user = "somebody"
uid = 1000
gid = 0
home = "/home/somebody"

[variants.cpu]
indexes = {{ torch = "torch-cpu" }}
[variants.cuda]
indexes = {{ Torch = "torch-cuda" }}
[variants.gaudi]
indexes = {{ torch = "gaudi", habana_torch = "gaudi" }}

{sets}

[images.base]
from = "archive:local"
layout = "plain"
python = {{ from = "apt", prefix = "/opt/venv" }}
variants = ["cpu", "cuda", "gaudi"]
{image}
"""
VARIANTS = ("cpu", "cuda", "gaudi")


def sources(tmp_path: Path, variant: str, *, sets: str = "", image: str = "") -> dict[str, str]:
    manifest = loads(MANIFEST.format(sets=sets, image=image), tmp_path / "stacks.toml")
    return dict(_sources(manifest, Target("base", variant, "linux/amd64")))


def test_what_a_variant_says(tmp_path: Path) -> None:
    image = 'pip = ["torch", "numpy"]'
    assert sources(tmp_path, "cpu", image=image) == {"torch": "torch-cpu"}
    assert sources(tmp_path, "cuda", image=image) == {"torch": "torch-cuda"}
    assert sources(tmp_path, "gaudi", image=image) == {"torch": "gaudi", "habana-torch": "gaudi"}


def test_what_stands_beside_requests(tmp_path: Path) -> None:
    sets = '[sets.inner]\npip = ["Corp_Lib[x]>=1", "shared"]\nindex = "corp"\n'
    found = sources(tmp_path, "cpu", sets=sets, image='use = ["inner"]\npip = ["numpy", "shared==2"]')
    assert found == {"corp-lib": "corp", "shared": "corp", "torch": "torch-cpu"}
    found = sources(tmp_path, "cpu", sets=sets, image='use = ["inner"]\npip = ["shared==2"]\nindex = "pypi"')
    assert found == {"corp-lib": "corp", "shared": "pypi", "torch": "torch-cpu"}


def test_on_is_about_its_own_requests_or_else_about_the_tables(tmp_path: Path) -> None:
    sets = (
        '[sets.a]\npip = ["one"]\non.cuda = { index = "corp" }\n'
        '[sets.b]\npip = ["two"]\non.cuda = { index = "corp", pip = ["three"] }\n'
        '[sets.c]\npip = ["four"]\nindex = "corp"\non."@linux/amd64" = { pip = ["five"] }\n'
    )
    use = 'use = ["a", "b", "c"]'
    always = {"four": "corp", "five": "corp"}
    assert sources(tmp_path, "cpu", sets=sets, image=use) == {**always, "torch": "torch-cpu"}
    found = sources(tmp_path, "cuda", sets=sets, image=use)
    assert found == {**always, "one": "corp", "three": "corp", "torch": "torch-cuda"}


def test_the_more_special_word_counts(tmp_path: Path) -> None:
    """In general, for the variant, for the image's variant."""
    sets = '[sets.t]\npip = ["torch"]\nindex = "corp"\non.gaudi = { index = "pypi" }\n'
    found = {variant: sources(tmp_path, variant, sets=sets, image='use = ["t"]')["torch"] for variant in VARIANTS}
    assert found == {"cpu": "torch-cpu", "cuda": "torch-cuda", "gaudi": "pypi"}


Lock = Callable[..., PipLock]


@pytest.fixture
def lock(client: Client, store: Store, environ: dict[str, str]) -> Lock:
    def run(*request: str, **more: Any) -> PipLock:
        fixed = {"python": "3.11.2", "platform": "linux/amd64", "glibc": "2.36", "image": "child"}
        return resolve(PipQuestion(request=request, **fixed | more), client, store, environ=environ)[0]

    return run


def names(index: Any) -> set[str]:
    """The projects that an index was asked for."""
    return {path.split("/")[2] for _, path, _ in index.asked if path.startswith("/simple/")}


def test_each_variant_has_its_build(index: Any, new_index: Callable[[], Any], lock: Lock, tmp_path: Path) -> None:
    """torch from the variant's index, whether an image requests it or something that the image requests."""
    indexes = {name: new_index() for name in ("torch-cpu", "torch-cuda", "gaudi")}
    indexes["torch-cpu"].wheel("torch", "2.1+cpu")
    indexes["torch-cuda"].wheel("torch", "2.1+cu13", "nvidia-nccl")
    indexes["gaudi"].wheel("torch", "2.0a0", "habana-torch==1.2")
    indexes["gaudi"].wheel("habana-torch", "1.2", tag="cp311-cp311-manylinux_2_17_x86_64")
    for name in ("torch", "habana-torch"):
        index.wheel(name, "99")
    index.wheel("nvidia-nccl", "2")
    index.wheel("vision", "1", "torch>=2.0a0")
    urls = {name: one.url for name, one in indexes.items()}
    expected = {
        "cpu": {"torch": ("2.1+cpu", "torch-cpu")},
        "cuda": {"torch": ("2.1+cu13", "torch-cuda"), "nvidia-nccl": ("2", "")},
        "gaudi": {"torch": ("2.0a0", "gaudi"), "habana-torch": ("1.2", "gaudi")},
    }
    for variant in VARIANTS:
        mapped = sources(tmp_path, variant)
        for request in (("torch>=2.0a0",), ("torch>=2.0a0", "vision"), ("vision",)):
            found = lock(*request, indexes=urls, sources=mapped)
            pins = {pin.name: (pin.version, pin.source) for pin in found.pins if pin.name != "vision"}
            assert pins == expected[variant], (variant, request)
    assert not names(index) & {"torch", "habana-torch"}
    assert names(indexes["torch-cuda"]) == names(indexes["torch-cpu"]) == {"torch"}
    assert names(indexes["gaudi"]) == {"torch", "habana-torch"}


def test_a_name_is_never_looked_for_elsewhere(index: Any, new_index: Callable[[], Any], lock: Lock) -> None:
    """Dependency confusion: the public index has the private names in better versions, and the other way round."""
    corp = new_index()
    more = {"indexes": {"corp": corp.url}, "sources": {"corp-lib": "corp", "corp-deep": "corp"}}
    corp.wheel("corp-lib", "1", "corp-deep", "public")
    corp.wheel("corp-deep", "1")
    corp.wheel("public", "99")
    index.wheel("corp-lib", "99", "evil")
    index.wheel("corp-deep", "99")
    index.wheel("public", "1")
    index.wheel("evil", "1")
    index.wheel("app", "1", "corp-lib")
    expected = {"app": ("1", ""), "corp-deep": ("1", "corp"), "corp-lib": ("1", "corp"), "public": ("1", "")}
    found = lock("app", **more)
    assert {pin.name: (pin.version, pin.source) for pin in found.pins} == expected
    assert lock("app", **more, existing=found) == found
    assert names(index) == {"app", "public"}
    assert names(corp) == {"corp-lib", "corp-deep"}


def test_a_name_that_its_index_lacks_is_an_error(index: Any, new_index: Callable[[], Any], lock: Lock) -> None:
    corp = new_index()
    corp.wheel("other", "1")
    index.wheel("corp-lib", "99")
    index.wheel("app", "1", "corp-lib>=1")
    more = {"indexes": {"corp": corp.url}, "sources": {"corp-lib": "corp"}}
    for request in ("app", "corp-lib"):
        with pytest.raises(StackbuildError, match="corp-lib"):
            lock(request, **more)
    assert "corp-lib" not in names(index)


def test_a_version_that_its_index_lacks_is_an_error(index: Any, new_index: Callable[[], Any], lock: Lock) -> None:
    corp = new_index()
    corp.wheel("corp-lib", "1")
    index.wheel("corp-lib", "2")
    index.wheel("app", "1", "corp-lib>=2")
    more = {"indexes": {"corp": corp.url}, "sources": {"corp-lib": "corp"}}
    with pytest.raises(StackbuildError, match="corp-lib") as caught:
        lock("app", **more)
    assert "no solution" in str(caught.value)
    assert "corp-lib" not in names(index)


def test_an_ancestors_pin_stays_where_it_is_from(index: Any, new_index: Callable[[], Any], lock: Lock) -> None:
    """The parent has torch from the default index; the child's variant would have it from elsewhere."""
    own = new_index()
    own.wheel("torch", "3")
    index.wheel("torch", "2")
    index.wheel("app", "1", "torch")
    parent = lock("torch")
    more = {"indexes": {"own": own.url}, "sources": {"torch": "own"}}
    found = lock("app", "torch", inherited=(("parent", parent),), **more)
    assert [(pin.name, pin.version) for pin in found.pins] == [("app", "1")]
    assert own.asked == []


def test_a_constraint_on_a_name_with_an_index(index: Any, new_index: Callable[[], Any], lock: Lock) -> None:
    own = new_index()
    for version in ("2", "3"):
        own.wheel("torch", version)
    index.wheel("app", "1", "torch")
    more = {"indexes": {"own": own.url}, "sources": {"torch": "own"}, "constraints": ("torch<3,>1",)}
    assert [(pin.name, pin.version) for pin in lock("app", **more).pins] == [("app", "1"), ("torch", "2")]


@pytest.mark.parametrize("resolver", ["uv", "pip-tools"])
def test_an_index_behind_a_password_a_ca_and_a_proxy(
    resolver: str, make_wheel: Callable[..., bytes], tmp_path: Path
) -> None:
    """The resolver, its process and our own client: none of them needs more than the environment says."""
    made = certificates(tmp_path / "tls")
    with serve(tmp_path / "served", login="bob:hunter2hunter2", tls=made) as service, proxy(service) as through:
        service.publish("one", "one-1.0-py3-none-any.whl", make_wheel("one", "1.0", ["two"]))
        service.publish("two", "two-2.0-py3-none-any.whl", make_wheel("two", "2.0"))
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PIP_INDEX_URL": "https://packages.example.com/simple",
            "STACKBUILD_CREDENTIAL_PYPI": service.login,
            "SSL_CERT_FILE": str(made.ca),
            "https_proxy": through.url.replace("//", "//pu:proxypass@"),
        }
        question = PipQuestion(
            request=("one",), python=platform.python_version(), platform="linux/amd64", glibc="2.36", resolver=resolver
        )
        store = Store.open(tmp_path / "store")
        found, _ = resolve(question, Client(environ=environ), store, environ=environ)
        assert [(pin.name, pin.version) for pin in found.pins] == [("one", "1.0"), ("two", "2.0")]
        assert {one for one, _, _ in through.seen} == {"CONNECT packages.example.com:443"}
        assert {login for _, login, _ in through.seen} == {""}
        for wrong in ({"STACKBUILD_CREDENTIAL_PYPI": "bob:wrong-wrong"}, {"STACKBUILD_CREDENTIAL_PYPI": "tokentoken"}):
            with pytest.raises(StackbuildError) as caught:
                resolve(
                    question,
                    Client(environ={**environ, **wrong}),
                    Store.open(tmp_path / "new"),
                    environ=environ | wrong,
                )
            for secret in ("hunter2", "wrong-wrong", "tokentoken", "proxypass"):
                assert secret not in str(caught.value)
    for path in (one for one in store.path.rglob("*") if one.is_file()):
        data = path.read_bytes()
        assert b"hunter2" not in data and b"proxypass" not in data, path


def test_a_resolver_reads_no_netrc(index: Any, lock: Lock, client: Client, tmp_path: Path, store: Store) -> None:
    """A netrc's login is handed over for the index it is for; `default` would go to any host that a page names."""
    index.login = "bob:hunter2"
    index.wheel("one", "1.0")
    question = PipQuestion(request=("one",), python="3.11.2", platform="linux/amd64", glibc="2.36")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PIP_INDEX_URL": index.url}
    (tmp_path / ".netrc").write_text("default login bob password hunter2\n")
    with pytest.raises(StackbuildError):
        resolve(question, Client(environ=environ), store, environ=environ)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login bob password hunter2\n")
    found, _ = resolve(question, Client(environ=environ), store, environ=environ)
    assert [pin.name for pin in found.pins] == ["one"]
