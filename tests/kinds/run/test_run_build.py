"""Scripts on a composed root: what they see, what becomes of what they change, and what may not be."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder import failed, listing, unpacked
from builder.action import Action, Result, Workshop
from builder.compression import codec
from builder.errors import HostileInput, Problems, StackbuildError
from builder.kinds.run import build
from builder.locks import Locks
from builder.manifest.model import Target
from builder.manifest.read import loads
from builder.parts import write_part
from builder.site import Site
from builder.store import Store
from builder.tree import NEWEST, Bytes, Entry, File, with_parents
from tests.tools import Host

MANIFEST = """
[project]
name = "test"
platforms = ["linux/amd64"]
[archives.debian]
suites = ["bookworm"]
[layouts.plain]
user = "jovyan"
uid = 1000
gid = 100
groups = [27]
home = "/home/jovyan"
[images.base]
from = "archive:debian"
layout = "plain"
env = { LANG = "C.UTF-8", COLOUR = "blue" }
"""
PROGRAMS = ("sh", "cat", "chmod", "env", "id", "ln", "mkdir", "mkfifo", "mv", "rm", "touch")


def inline(function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
    done: Future[Any] = Future()
    done.set_result(function(*arguments))
    return done


@pytest.fixture(scope="session")
def programs(host: Host) -> list[Entry]:
    """A root with a shell of this machine's, and some files to change."""
    paths = [Path(shutil.which(name) or f"/bin/{name}") for name in PROGRAMS]
    said = subprocess.run(["ldd", *map(str, paths)], check=True, capture_output=True, text=True).stdout
    libraries = {Path(word) for word in said.split() if word.startswith("/") and not word.endswith(":")}
    entries = [Entry(name, "dir") for name in ("dev", "proc", "sys", "home", "old", "old/deep")]
    entries += [Entry("tmp", "dir", 0o1777), Entry("run", "dir"), Entry("home/jovyan", "dir", 0o755, 1000, 100)]
    entries += [Entry(f"old/{name}", "file", 0o644, content=Bytes(name.encode())) for name in ("a", "b", "deep/c")]
    entries += [Entry(name, "link", 0o777, target=f"usr/{name}") for name in ("bin", "lib", "lib64")]
    for path in {one.parent.resolve() / one.name for one in (*paths, *libraries)}:
        real = path.resolve()
        entries.append(Entry(str(path).lstrip("/"), "file", 0o755, content=File(str(real), real.stat().st_size)))
    return with_parents(entries)


@pytest.fixture
def root(programs: list[Entry], store: Store) -> Result:
    return {"layers": [write_part(store, "root", programs, codec("gzip"))]}


def planned(folder: Path, script: str, keys: str = "", own: tuple[Action, ...] = ()) -> Action:
    """The action of one script, whose text lies in the project."""
    (folder / "scripts").mkdir(exist_ok=True)
    (folder / "scripts/step.sh").write_text(script)
    text = MANIFEST + f'run = [{{ name = "step", script = "scripts/step.sh"{keys} }}]\n'
    (found,) = plans(folder, text, own)
    return found


def plans(folder: Path, text: str, own: tuple[Action, ...] = ()) -> tuple[Action, ...]:
    manifest = loads(text, folder / "stacks.toml")
    target = Target.parse("base:cpu@linux/amd64")
    return build.plan(Site(manifest=manifest, target=target, locks=Locks(folder / "locks"), ancestors=(), own=own))


def performed(store: Store, action: Action, *results: Result) -> Result:
    log = store.path / "logs" / f"{action.plan_key.hex[:12]}.txt"
    below = {f"below-{n:03}": one for n, one in enumerate(results)}
    return build.perform(action, below, Workshop(store=store, heavy=inline, jobs=1, log=log))


def changed(store: Store, result: Result) -> list[str]:
    return [
        f"{one.kind} {one.mode} {one.ids} {one.path}"
        for layer in result["layers"]
        for one in listing.read(store, layer)
    ]


def content(store: Store, result: Result, path: str) -> str:
    (folder,) = unpacked.layers(store, result["layers"])
    return (folder / path).read_text()


def test_what_it_changes_is_a_layer(tmp_path: Path, store: Store, root: Result) -> None:
    script = """
        mkdir /new && echo words > /new/file && ln -s file /new/link && chmod 640 /new/file
        rm /old/a && echo more >> /old/deep/c
        rm -r /home/jovyan && mkdir /home/jovyan
    """
    result = performed(store, planned(tmp_path, script), root)
    assert changed(store, result) == [
        "dir 0755 0:0 home",
        "dir 0755 0:0 home/jovyan",
        "whiteout 0755 0:0 home/jovyan/.wh..opq",
        "dir 0755 0:0 new",
        "file 0640 0:0 new/file",
        "link 0777 0:0 new/link",
        "dir 0755 0:0 old",
        "whiteout 0755 0:0 old/a",
        "dir 0755 0:0 old/deep",
        "file 0644 0:0 old/deep/c",
    ]
    assert result["impure"] is True
    assert [layer["name"] for layer in result["layers"]] == ["run/step"]
    assert content(store, result, "old/deep/c") == "deep/cmore\n"


def test_twice_is_the_same(tmp_path: Path, store: Store, root: Result) -> None:
    script = "mkdir /d; for name in c a b; do echo $name > /d/$name; done"
    action = planned(tmp_path, script)
    one, other = performed(store, action, root), performed(store, action, root)
    assert one == other
    (folder,) = unpacked.layers(store, one["layers"])
    assert {(folder / "d" / name).stat().st_mtime for name in "abc"} == {NEWEST}


def test_environment(tmp_path: Path, store: Store, root: Result) -> None:
    action = planned(
        tmp_path,
        "env > /said; umask >> /said; id -u >> /said; cat /proc/net/route >> /said",
        ', env = { COLOUR = "red" }',
    )
    result = performed(store, action, root)
    said = content(store, result, "said").splitlines()
    assert {
        "HOME=/root",
        "COLOUR=red",
        "LANG=C.UTF-8",
        "TZ=UTC",
        f"SOURCE_DATE_EPOCH={NEWEST}",
        "NB_USER=jovyan",
    } <= set(said)
    assert "0022" in said and "0" in said
    assert said[-1].startswith("Iface"), "there is no way out"


def test_as_the_user(tmp_path: Path, store: Store, root: Result) -> None:
    action = planned(tmp_path, "#!/bin/sh\nid > ~/said; rm /old/a", ', user = "user"')
    with pytest.raises(StackbuildError, match=r"step failed: run step of base:cpu@linux/amd64 \(exit 1\)"):
        performed(store, action, root)
    result = performed(store, planned(tmp_path, "#!/bin/sh\nid > ~/said", ', user = "user"'), root)
    assert content(store, result, "home/jovyan/said") == "uid=1000 gid=100 groups=100,27\n"
    assert changed(store, result)[-1] == "file 0644 1000:100 home/jovyan/said"


def test_nothing_changed_is_no_layer(tmp_path: Path, store: Store, root: Result) -> None:
    result = performed(
        store, planned(tmp_path, "echo fine; echo x > /tmp/x; echo x > /run/x; echo x > /dev/shm/x"), root
    )
    assert result == {"layers": [], "impure": True}


def test_it_sees_earlier_layers(tmp_path: Path, store: Store, root: Result) -> None:
    first = performed(store, planned(tmp_path, "echo one > /first; rm /old/a"), root)
    second = performed(store, planned(tmp_path, "cat /first > /second; test ! -e /old/a"), root, first)
    assert content(store, second, "second") == "one\n"


def test_a_failure_can_be_looked_into(tmp_path: Path, store: Store, root: Result) -> None:
    action = planned(tmp_path, "echo before > /before; echo no good; exit 3")
    with pytest.raises(StackbuildError) as caught:
        performed(store, action, root)
    name = action.plan_key.hex[:12]
    assert str(caught.value).splitlines()[0] == "step failed: run step of base:cpu@linux/amd64 (exit 3)"
    assert "no good" in str(caught.value) and f"stackbuild shell --at {name}" in str(caught.value)
    upper, lowers = failed.find(store, name)
    assert (upper / "before").read_text() == "before\n" and len(lowers) == 1


@pytest.mark.parametrize("script", [
    "echo b > /proc/sysrq-trigger", "echo 1 > /proc/sys/kernel/panic", "#!/no/such/program\n", "no-such-command",
])  # fmt: skip
def test_what_no_script_may_do(script: str, tmp_path: Path, store: Store, root: Result) -> None:
    with pytest.raises(StackbuildError, match="step failed"):
        performed(store, planned(tmp_path, f"{script}" if script.startswith("#!") else f"set -e\n{script}"), root)


def test_no_pipe_gets_into_an_image(tmp_path: Path, store: Store, root: Result) -> None:
    with pytest.raises(HostileInput, match="a device, socket or pipe cannot be part of an image: /pipe") as caught:
        performed(store, planned(tmp_path, "mkfifo /pipe"), root)
    assert "run step of base" in str(caught.value)


def test_script_changes_while_it_is_built(tmp_path: Path, store: Store, root: Result) -> None:
    action = planned(tmp_path, "true")
    (tmp_path / "scripts/step.sh").write_text("false")
    with pytest.raises(StackbuildError, match="a script changed while it was built"):
        performed(store, action, root)


def test_the_key_is_of_what_it_reads(tmp_path: Path) -> None:
    first = planned(tmp_path, "true")
    (tmp_path / "scripts/step.sh").chmod(0o755)
    assert planned(tmp_path, "true").plan_key == first.plan_key
    keys = {first.plan_key, planned(tmp_path, "false").plan_key}
    keys |= {planned(tmp_path, "true", more).plan_key for more in (', env = { A = "b" }', ', user = "user"')}
    below = Action(kind="overlay", version=1, name="overlay", options=None)
    keys |= {planned(tmp_path, "true", own=(below,)).plan_key}
    keys |= {planned(tmp_path, "true", own=(replace(below, version=2),)).plan_key}
    assert len(keys) == 6


def test_each_reads_those_before_it(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    for name in ("b.sh", "a.sh"):
        (tmp_path / "scripts" / name).write_text("true")
    rows = ", ".join(f'{{ name = "{name}", script = "scripts/{name}.sh" }}' for name in ("b", "a"))
    one, other = plans(tmp_path, MANIFEST + f"run = [{rows}]\n")
    assert (one.name, other.name) == ("run b of base:cpu@linux/amd64", "run a of base:cpu@linux/amd64")
    assert list(one.needs.values()) == [] and list(other.needs.values()) == [one]


def test_what_is_missing_or_not_there_yet(tmp_path: Path) -> None:
    text = MANIFEST + 'run = [\n{ name = "step", script = "scripts/no.sh" }]\n'
    with pytest.raises(StackbuildError, match=r"script is missing: scripts/no.sh") as caught:
        plans(tmp_path, text)
    assert "stacks.toml:18" in str(caught.value)
    with pytest.raises(StackbuildError, match="not yet: a script with network: step"):
        planned(tmp_path, "true", ", network = true")
    assert planned(tmp_path, "true", ", network = false")
    (tmp_path / "scripts/no.sh").symlink_to("step.sh")
    with pytest.raises(StackbuildError, match=r"reached through a link: scripts/no.sh"):
        plans(tmp_path, text)


@pytest.mark.parametrize(
    "script", ["/etc/passwd", "../x.sh", "scripts/../../x.sh", "other/x.sh", "scripts/", "scripts"]
)
def test_scripts_elsewhere(script: str, tmp_path: Path) -> None:
    with pytest.raises(Problems, match=r"bad value: images.base.run\[0\].script"):
        plans(tmp_path, MANIFEST + f'run = [{{ name = "step", script = "{script}" }}]\n')
