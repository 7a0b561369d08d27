"""Installing tiny packages in the sandbox: sound ones, failing ones, and ones that try to get out of the root."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import subprocess
import tarfile
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from builder import listing, unpacked
from builder.action import Action, Workshop
from builder.compression import codec
from builder.digest import Digest
from builder.errors import HostileInput, Problems, StackbuildError
from builder.executors.local import execute
from builder.kinds.apt import build as apt
from builder.kinds.apt.waves import FIRST
from builder.lock import Pin
from builder.plan import Plan
from builder.platforms import NATIVE
from builder.sandbox import Command, Root, run
from builder.store import Store
from builder.tree import NEWEST
from tests.fake_deb import EPOCH, build, forge, member, tar
from tests.init.conftest import debian  # noqa: F401
from tests.tools import Host, absent

_ARCHITECTURE = NATIVE.partition("/")[2]


def unpack(tmp_path: Path, *packages: bytes) -> tuple[int, str, Path]:
    """Unpack packages into an empty root: exit code, what was said, the root."""
    (tmp_path / "debs").mkdir()
    for name in ("upper", "mount"):
        (tmp_path / name).mkdir()
    for number, data in enumerate(packages):
        (tmp_path / f"debs/{number}").write_bytes(data)
    debs = [f"/run/debs/{number}" for number in range(len(packages))]
    command = Command(
        argv=(json.dumps({"debs": debs, "architecture": _ARCHITECTURE, "jobs": 2}),),
        program="builder.kinds.apt.extract",
        tmpfs=(("run", "mode=0755"),),
        binds=((str(tmp_path / "debs"), "run/debs", True),),
    )
    log = tmp_path / "log"
    code = run(Root(workspace=tmp_path / "mount", upper=tmp_path / "upper"), command, log=log)
    return code, log.read_text(errors="replace"), tmp_path / "upper"


def _file(name: str, data: bytes = b"evil") -> tuple[tarfile.TarInfo, bytes]:
    return member(name, data=data), data


def _link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, kind, link=target), b""


def test_sound_package_is_unpacked(host: Host, tmp_path: Path) -> None:
    code, said, root = unpack(tmp_path, forge([_file("./usr/x", b"x"), _link("./usr/y", "./usr/x", tarfile.LNKTYPE)]))
    assert (code, said) == (0, "")
    assert (root / "usr/y").read_bytes() == b"x"
    assert (root / "usr/x").stat().st_nlink == 2


@pytest.mark.parametrize("size", [0, 5, 9000, (1 << 18) + 5])
def test_setuid_is_kept(size: int, host: Host, tmp_path: Path) -> None:
    """The bit was set before the last bytes were written, which takes it away again."""
    info = member("./usr/bin/su", data=bytes(size))
    info.mode, info.uid, info.gid = 0o6755, 7, 8
    code, _, root = unpack(tmp_path, forge([(info, bytes(size))]))
    found = (root / "usr/bin/su").stat()
    assert (code, found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0, 0o6755, 7, 8)


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ([_file("../evil")], "fake: unsafe path '../evil'"),
        ([_file("./usr/../../evil")], "fake: unsafe path './usr/../../evil'"),
        ([_file("/etc/evil")], "fake: unsafe path '/etc/evil'"),
        ([_file("./a\nb")], "unsafe path"),
        ([_link("./usr/evil", "../../etc/shadow", tarfile.LNKTYPE)], "unsafe path '../../etc/shadow'"),
        ([_link("./usr/evil", "/etc/shadow", tarfile.LNKTYPE)], "unsafe path '/etc/shadow'"),
        ([(member("./dev2/disk", tarfile.BLKTYPE), b"")], "/dev2/disk is a device or a pipe"),
        ([(member("./memory", tarfile.CHRTYPE), b"")], "/memory is a device or a pipe"),
        ([(member("./pipe", tarfile.FIFOTYPE), b"")], "/pipe is a device or a pipe"),
        ([_file("./usr/lib/x/y"), _file("./usr/lib/x")], "/usr/lib/x would replace a folder"),
        ([_link("./usr/x", "./usr/absent", tarfile.LNKTYPE)], "fake: [Errno 2]"),
    ],
)
def test_hostile_package(files: list[Any], wanted: str, host: Host, tmp_path: Path) -> None:
    code, said, _ = unpack(tmp_path, forge(files))
    assert code == 1
    assert wanted in said
    assert "Traceback" not in said


def test_file_through_a_link_stays_in_the_root(host: Host, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    files = [
        (member(f".{outside}", tarfile.DIRTYPE), b""),
        _link("./climb", "../../../../../../../.." + str(outside)),
        _file("./climb/one"),
        _link("./straight", str(outside)),
        _file("./straight/two"),
        _link("./mnt", "/"),
        _file("./mnt/three"),
    ]
    code, said, root = unpack(tmp_path, forge(files))
    assert (code, said) == (0, "")
    assert list(outside.iterdir()) == []
    inside = root / str(outside).strip("/")
    assert sorted(path.name for path in inside.iterdir()) == ["one", "two"]
    assert (root / "three").read_bytes() == b"evil"
    assert not Path("/three").exists()


def test_packages_cannot_write_what_lies_beside_them(host: Host, tmp_path: Path) -> None:
    """The folder of all fetched packages is there, read-only."""
    code, said, _ = unpack(tmp_path, forge([_file("./run/debs/0")]))
    assert code == 1
    assert "Read-only file system" in said
    assert (tmp_path / "debs/0").read_bytes().startswith(b"!<arch>")


@pytest.mark.parametrize("cut", [10, 60, 200])
def test_truncated_data_archive(cut: int, host: Host, tmp_path: Path) -> None:
    """A worker that met an error of lzma ended without a word: the log was empty."""
    packed = lzma.compress(tar([_file("./usr/x", bytes(range(256)) * 500)]))
    code, said, _ = unpack(tmp_path, forge([], data=packed[:cut]))
    assert code == 1
    assert said.startswith("unpack: fake: ")


@pytest.mark.parametrize("data", [b"no package", b"!<arch>\n" + b"x" * 200])
def test_no_package(data: bytes, host: Host, tmp_path: Path) -> None:
    code, said, _ = unpack(tmp_path, forge([]), data)
    assert code == 1
    assert said.startswith("unpack: /run/debs/1: ")


# With the dpkg of a Debian --------------------------------------------------------------------------------------


def inline(function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
    done: Future[Any] = Future()
    done.set_result(function(*arguments))
    return done


def pin(store: Store, deb: Path) -> Pin:
    data = deb.read_bytes()
    with store.new_source() as incoming:
        incoming.write(data)
        incoming.commit(Digest.of(data))
    return Pin(
        kind="apt", name=deb.stem, version="1.0", filename=f"pool/{deb.name}", digest=Digest.of(data), size=len(data)
    )


def action(*pins: Pin) -> Action:
    options: dict[str, Any] = {
        "codec": codec("gzip"),
        "account": None,
        "architecture": _ARCHITECTURE,
        "debconf": [],
        "essential": [],
        "fresh": False,
        "newest": NEWEST,
        "waves": True,
        "parts": [["part", [one.name for one in pins]]],
    }
    return Action(kind="apt", version=1, name="apt of test", options=options, sources={one.name: one for one in pins})


@pytest.fixture(scope="module")
def base(host: Host, debian: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A Debian as our own layers hold it: no file is newer than the constant."""
    root = tmp_path_factory.mktemp("debian") / "root"
    subprocess.run(["cp", "-a", "--reflink=auto", str(debian), str(root)], check=True)
    for folder, _, files in os.walk(root):
        for name in files:
            os.utime(os.path.join(folder, name), (NEWEST, NEWEST), follow_symlinks=False)
    return root


@pytest.fixture
def on_debian(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Actions read a Debian that is unpacked already."""
    monkeypatch.setattr(unpacked, "layers", lambda store, wanted: (base,))


def perform(store: Store, *pins: Pin, jobs: int = 2) -> Any:
    log = store.path / "logs/test.txt"
    return apt.perform(action(*pins), {}, Workshop(store=store, heavy=inline, jobs=jobs, log=log))


def install(store: Store, *pins: Pin) -> list[listing.Listed]:
    result = perform(store, *pins)
    return [entry for layer in result["layers"] for entry in listing.read(store, layer)]


def test_packages_are_installed(on_debian: None, store: Store, tmp_path: Path) -> None:
    """The first is unpacked by us, the second, as it has a preinst, by dpkg: both must be registered alike. A package
    without md5sums was not: dpkg makes them up, and its audit failed."""
    one = build(
        tmp_path, "one", {"usr/share/one/x": "1", "etc/one.conf": "a=1\n"},
        conffiles="/etc/one.conf\n", postinst="#!/bin/sh\nset -e\necho made > /var/made\nid -u\n",
    )  # fmt: skip
    two = build(
        tmp_path, "two", {"usr/share/two/y": "2"}, fields="Depends: one\n",
        preinst="#!/bin/sh\necho before > /var/before\n", postinst="#!/bin/sh\ntest -s /var/made\n",
    )  # fmt: skip
    entries = {entry.path: entry for entry in install(store, pin(store, one), pin(store, two))}
    for name, data in (("one", b"1"), ("two", b"2")):
        path = f"usr/share/{name}/{'x' if name == 'one' else 'y'}"
        summed = f"{hashlib.md5(data).hexdigest()}  {path}\n".encode()
        assert entries[f"var/lib/dpkg/info/{name}.md5sums"].mark == Digest.of(summed).hex[:32]
    assert entries["usr/share/one/x"].owner == "one"
    assert entries["usr/share/two/y"].owner == "two"
    assert entries["etc/one.conf"].mode == "0644"
    assert {entries[path].owner for path in ("var/made", "var/before", "var/lib/dpkg/status")} == {""}
    kept = [path for path, entry in entries.items() if entry.kind == "file"]
    assert not [path for path in kept if path.endswith((".dpkg-new", "-old")) or path.startswith(("tmp/", "run/"))]
    assert len(kept) < 30


def test_two_runs_are_equal(on_debian: None, store: Store, tmp_path: Path) -> None:
    deb = build(tmp_path, "one", {"usr/share/one/x": "1"}, postinst="#!/bin/sh\necho 1 > /var/made\n")
    assert install(store, pin(store, deb)) == install(Store.open(tmp_path / "other"), _again(tmp_path, deb))


def test_packages_of_zstd_leave_what_others_leave(on_debian: None, store: Store, tmp_path: Path) -> None:
    """Ubuntu's are packed so. One is unpacked by us, one, as it has a preinst, by dpkg."""
    debs = [
        build(tmp_path, "one", {"usr/share/one/x": "1" * 99}, postinst="#!/bin/sh\necho 1 > /var/made\n"),
        build(tmp_path, "two", {"usr/share/two/y": "2" * 98}, preinst="#!/bin/sh\necho before > /var/before\n"),
    ]
    expected = install(store, *[pin(store, deb) for deb in debs])
    for deb in debs:
        command = ["dpkg-deb", "--root-owner-group", "-Zzstd", "--build", str(deb.with_name(f"{deb.stem}-root"))]
        subprocess.run([*command, str(deb)], check=True, capture_output=True, env={**os.environ, **EPOCH})
        assert b"control.tar.zst" in deb.read_bytes() and b"data.tar.zst" in deb.read_bytes()
    other = Store.open(tmp_path / "other")
    assert install(other, *[pin(other, deb) for deb in debs]) == expected


def _again(tmp_path: Path, deb: Path) -> Pin:
    return pin(Store.open(tmp_path / "other"), deb)


def test_deflating_ahead_changes_nothing(on_debian: None, store: Store, tmp_path: Path) -> None:
    """While scripts run: one changes a file in place and puts its time back, one waits until everything is deflated."""
    one = build(
        tmp_path, "one", {"usr/share/one/x": "1" * 5000, "usr/share/one/y": "2" * 5000}, fields="Depends: two\n",
        postinst="#!/bin/sh\nset -e\ncd /usr/share/one\ntouch -r x /tmp/time\nprintf 3 | dd of=x conv=notrunc\n"
        "touch -r /tmp/time x\nmv y z\n",
    )  # fmt: skip
    two = build(tmp_path, "two", {"usr/share/two/x": "4"}, postinst="#!/bin/sh\nsleep 0.3\n")
    pins = (pin(store, one), pin(store, two))
    assert perform(store, *pins, jobs=2) == perform(store, *pins, jobs=1)


def _enlarge(deb: Path) -> None:
    """Give a package as many bytes as a first wave has, without compression."""
    root = deb.with_name(f"{deb.stem}-root")
    (root / f"usr/share/{deb.stem}/large").write_bytes(bytes(FIRST))
    command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(deb)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def test_waves(on_debian: None, store: Store, tmp_path: Path) -> None:
    """The first wave diverts a path and writes a conffile that the second brings: dpkg unpacks those packages."""
    one = build(
        tmp_path, "one", {"usr/share/one/x": "1"},
        postinst="#!/bin/sh\nset -e\ntest ! -e /usr/share/two\necho mine > /etc/three.conf\n"
        "dpkg-divert --package one --add --rename /usr/share/two/y\n",
    )  # fmt: skip
    two = build(
        tmp_path,
        "two",
        {"usr/share/two/y": "2", "usr/share/two/z": "3"},
        fields="Depends: one\n",
        md5sums=f"{hashlib.md5(b'2').hexdigest()}  usr/share/two/y\n",
    )
    three = build(
        tmp_path, "three", {"etc/three.conf": "theirs"}, fields="Depends: two\n", conffiles="/etc/three.conf\n"
    )
    for deb in (one, two):
        _enlarge(deb)
    pins = [pin(store, deb) for deb in (one, two, three)]
    result = perform(store, *pins, jobs=2)
    found = {entry.path: entry for layer in result["layers"] for entry in listing.read(store, layer)}
    assert {"usr/share/two/y.distrib", "usr/share/two/z", "etc/three.conf"} <= set(found)
    assert "usr/share/two/y" not in found
    assert found["etc/three.conf"].mark == Digest.of(b"mine\n").hex[:32]
    assert not [path for path in found if ".stackbuild" in path]
    assert result == perform(store, *pins, jobs=1)


def test_process_1_is_nobodys_init(on_debian: None, store: Store, tmp_path: Path) -> None:
    """libc6's postinst took it for one, told it to start anew, and slept for a second."""
    deb = build(tmp_path, "one", {"usr/share/one/x": "1"}, postinst="#!/bin/sh\nischroot && echo yes > /var/answer\n")
    found = {entry.path: entry for entry in install(store, pin(store, deb))}
    assert "var/answer" in found
    assert not [path for path in found if path.endswith("ischroot")]


def test_scratch_that_is_full(on_debian: None, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(small)], check=False).returncode:
        absent("this root may not mount")
    monkeypatch.setenv("STACKBUILD_SCRATCH", str(small))
    deb = build(tmp_path, "one", {"usr/share/one/x": "1"}, postinst="#!/bin/sh\nhead -c 5M /dev/zero > /var/large\n")
    try:
        with pytest.raises(StackbuildError, match="step failed") as caught:
            install(store, pin(store, deb))
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)
    assert f"the file system in memory at {small} is full" in caught.value.next_step
    assert "STACKBUILD_SCRATCH" in caught.value.next_step


class Silent:
    def started(self, action: Action) -> None: ...

    def finished(self, action: Action, how: str) -> None: ...


def test_failing_postinst(on_debian: None, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the log and the shell; log, failed root and finished actions are kept."""
    script = "#!/bin/sh\nset -e\necho before\nfc-cache --no-such\n"
    failing = action(pin(store, build(tmp_path, "bad", {"usr/share/bad/x": "1"}, postinst=script)))
    fine = Action(kind="fake", version=1, name="fine", options={})
    above = Action(kind="fake", version=1, name="above", options={}, needs={"bad": failing, "fine": fine})
    real = apt.perform

    def perform(one: Action, results: Any, workshop: Workshop) -> Any:
        return {"layers": []} if one.kind == "fake" else real(one, results, workshop)

    monkeypatch.setattr("builder.executors.step.perform", perform)
    plan = Plan.of([above])
    with pytest.raises(Problems) as caught:
        execute(plan, plan.stale(store, [above]), store, jobs=2, fetch=lambda pins: None, watcher=Silent())
    (error,) = caught.value.problems
    assert error.what == "step failed: apt of test (exit 1)"
    log = Path(error.where.removeprefix("log: "))
    assert "fc-cache: not found" in log.read_text()
    assert error.next_step == f"stackbuild shell --at {log.stem}"
    assert store.action(fine.plan_key)
    assert store.action(failing.plan_key) is None
    assert store.action(above.plan_key) is None
    assert not list((store.path / "tmp").glob("stackbuild-*"))


def test_preinst_that_fails(on_debian: None, store: Store, tmp_path: Path) -> None:
    deb = build(tmp_path, "bad", {"usr/share/bad/x": "1"}, preinst="#!/bin/sh\necho no thanks\nexit 7\n")
    with pytest.raises(StackbuildError, match="step failed") as caught:
        install(store, pin(store, deb))
    assert "no thanks" in Path(caught.value.where.removeprefix("log: ")).read_text()


def test_package_that_conflicts_with_nothing_but_misses_a_dependency(
    on_debian: None, store: Store, tmp_path: Path
) -> None:
    deb = build(tmp_path, "bad", {"usr/share/bad/x": "1"}, fields="Depends: no-such-package\n")
    with pytest.raises(StackbuildError, match="step failed"):
        install(store, pin(store, deb))


def test_flipped_bit_in_a_package(on_debian: None, store: Store, tmp_path: Path) -> None:
    pinned = pin(store, build(tmp_path, "one", {"usr/share/one/x": "1"}))
    path = store.source(pinned.digest)
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)
    with pytest.raises(HostileInput, match="has changed"):
        install(store, pinned)
    assert not path.exists()
