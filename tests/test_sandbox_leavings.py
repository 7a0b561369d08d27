"""What foreign code leaves behind for the host: in its root, in folders that it was lent, in its log, and running."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder import listing, removal, sandbox, unpacked
from builder.compression import codec
from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.kinds.pip import bytecode
from builder.kinds.pip.python import Runnable
from builder.parts import write_part
from builder.sandbox import Command, Root, run
from builder.scan import scan
from builder.store import Store
from builder.tree import Bytes, Entry
from tests import fake_deb
from tests.init.conftest import debian  # noqa: F401
from tests.kinds.apt.test_install import base, install, on_debian, pin  # noqa: F401
from tests.kinds.pip.test_source_build import SOUND, bench  # noqa: F401
from tests.tools import Host, Python

SECRET = "what no image may hold"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text(SECRET)
    (folder / "one.list").write_text("/etc/shadow\n")
    return folder


def _install(store: Store, tmp_path: Path, script: str) -> list[listing.Listed]:
    deb = fake_deb.build(tmp_path, "one", {"usr/share/one/x": "1"}, postinst=f"#!/bin/sh\nset -e\n{script}\n")
    return install(store, pin(store, deb))


def test_links_are_packed_and_not_followed(
    on_debian: None,  # noqa: F811
    store: Store,
    outside: Path,
    tmp_path: Path,
) -> None:
    """To a file, to a folder, up and out, to the process that reads it; and in the places of what the host reads."""
    script = f"""
        mkdir /left; cd /left
        ln -s {outside}/secret straight; ln -s {outside} folder; ln -s ../../../../../../../..{outside}/secret climbing
        ln -s /proc/self/environ environ; ln -s /dev/stdin input
        rm /var/lib/dpkg/info/one.list; ln -s {outside}/one.list /var/lib/dpkg/info/one.list
        ln -s {outside} /var/lib/dpkg/info/one.folder
        rm -r /usr/share/one; ln -s {outside} /usr/share/one
    """
    found = {entry.path: entry for entry in _install(store, tmp_path, script)}
    assert {found[f"left/{name}"].kind for name in ("straight", "folder", "climbing", "environ", "input")} == {"link"}
    assert found["var/lib/dpkg/info/one.list"].kind == "link"
    assert found["usr/share/one"].kind == "link"
    assert not [path for path in found if path.endswith("secret")]
    for blob in (store.path / "images/blobs/sha256").iterdir():
        with unpacked.decompressed(blob) as stream:
            assert SECRET.encode() not in stream.read()


def test_list_of_files_that_is_a_link_to_another_place(
    on_debian: None,  # noqa: F811
    store: Store,
    outside: Path,
    tmp_path: Path,
) -> None:
    """The host read dpkg's lists through links of the root, which foreign scripts had made: a pipe there was waited for
    without end."""
    os.mkfifo(outside / "pipe")
    script = f"rm /var/lib/dpkg/info/one.list; ln -s {outside}/pipe /var/lib/dpkg/info/one.list"
    found = {entry.path: entry for entry in _install(store, tmp_path, script)}
    assert found["usr/share/one/x"].owner == ""


def test_folder_of_lists_that_is_a_link(
    on_debian: None,  # noqa: F811
    store: Store,
    outside: Path,
    tmp_path: Path,
) -> None:
    script = f"cp -a /var/lib/dpkg /moved; (sleep 1; rm -r /var/lib/dpkg/info; ln -s {outside} /var/lib/dpkg/info) &"
    found = {entry.path: entry for entry in _install(store, tmp_path, script)}
    assert "moved/info/one.list" in found


@pytest.mark.parametrize("script", ["mkfifo /var/left", "mkfifo /var/lib/dpkg/info/left.list"])
def test_pipes(script: str, on_debian: None, store: Store, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(HostileInput, match="a device, socket or pipe"):
        _install(store, tmp_path, script)


def test_names_with_newlines(on_debian: None, store: Store, tmp_path: Path) -> None:  # noqa: F811
    script = 'mkdir /left; touch "/left/a\nb" "/left/$(printf \'\\033[2Jx\')" "/left/$(printf \'\\377\')"'
    found = {entry.path for entry in _install(store, tmp_path, script) if entry.path.startswith("left/")}
    assert len(found) == 3


def test_hard_links_to_what_was_lent(on_debian: None, store: Store, tmp_path: Path) -> None:  # noqa: F811
    """Across mounts there are none."""
    script = "for one in /run/stackbuild/sources/*; do ! ln $one /left || exit 1; ! echo x >> $one || exit 1; done"
    assert "left" not in {entry.path for entry in _install(store, tmp_path, script)}


def test_only_the_packages_of_the_step_are_lent(on_debian: None, store: Store, tmp_path: Path) -> None:  # noqa: F811
    """All that was ever fetched was there to be read, packages of a private index too."""
    other = fake_deb.build(tmp_path, "other", {"usr/share/other/x": SECRET})
    pin(store, other)
    found = {one.path: one for one in _install(store, tmp_path, "ls /run/stackbuild/sources | wc -l > /left")}
    assert found["left"].mark == Digest.of(b"1\n").hex[:32]


DEEP = "import os\nos.mkdir('/left')\nos.chdir('/left')\nfor _ in range(1100): os.mkdir('deep'); os.chdir('deep')"


def test_folders_deeper_than_a_path_is_long(host: Host, tmp_path: Path) -> None:
    """The folder was not to be removed, by the step or any later build, which all ended with a traceback."""
    (tmp_path / "upper").mkdir()
    done, said = host.shell(f'python3 -I -c "{DEEP}"', tmp_path / "work", upper=tmp_path / "upper")
    assert done == 0, said
    try:
        with pytest.raises(HostileInput, match="a path is too long for an image: /left/deep/deep"):
            list(scan(str(tmp_path / "upper"), {}))
    finally:
        removal.remove(tmp_path / "upper")
    assert not (tmp_path / "upper").exists()


def test_removal_follows_nothing(outside: Path, tmp_path: Path) -> None:
    """As it goes about folders that are too deep, here with less of them."""
    place = tmp_path / "made"
    for depth in range(1, 20):
        folder = place.joinpath(*["d"] * depth)
        folder.mkdir(parents=True)
        (folder / "link").symlink_to(outside)
        (folder / "file").touch()
    removal._flattened(place)
    assert not place.exists()
    assert (outside / "secret").read_text() == SECRET


def test_holes_are_no_way_to_endless_layers(host: Host, tmp_path: Path) -> None:
    (tmp_path / "upper").mkdir()
    code, said = host.shell("truncate -s 1T /left", tmp_path / "work", upper=tmp_path / "upper")
    assert (code, "File too large" in said) == (1, True)
    script = "for i in 1 2 3 4 5 6 7 8 9; do truncate -s 32G /left$i; done"
    code, said = host.shell(script, tmp_path / "work2", upper=tmp_path / "upper")
    assert (code, said) == (0, "")
    with pytest.raises(HostileInput, match="files are too large for an image"):
        list(scan(str(tmp_path / "upper"), {}))


def test_setuid_programs_are_nobodys_but_the_stores_owners(store: Store) -> None:
    """Layers are unpacked to be mounted. Whoever could get there as another user had a foreign program run as root."""
    entry = Entry("evil", "file", 0o4755, content=Bytes(b"#!/bin/sh\n"))
    (folder,) = unpacked.layers(store, [write_part(store, "layer", [entry], codec("gzip"))])
    assert stat.S_IMODE((folder / "evil").stat().st_mode) == 0o4755
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    user = ["setpriv", "--reuid=65533", "--clear-groups", "cat", str(folder / "evil")]
    if shutil.which("setpriv"):
        assert subprocess.run(user, capture_output=True, check=False).returncode


def test_log_is_no_file_of_the_script(host: Host, tmp_path: Path) -> None:
    """It was: emptied, filled and made setuid root by the script, in a folder that others can read."""
    log = tmp_path / "log"
    log.write_text("before\n")
    script = "chmod 4777 /proc/self/fd/1; truncate -s 0 /proc/self/fd/1; (: > /dev/stdout); echo after"
    (tmp_path / "work").mkdir()
    command = Command(argv=("/bin/sh", "-c", script), binds=host.binds)
    assert run(Root(workspace=tmp_path / "work", lowers=(host.lower,)), command, log=log) == 0
    assert log.read_text().startswith("before\n") and log.read_text().endswith("after\n")
    assert stat.S_IMODE(log.stat().st_mode) & 0o7111 == 0


def test_endless_output(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_LOG", 1 << 20)
    code, said = host.shell("head -c 100M /dev/zero; echo end", tmp_path / "work")
    assert code == 0
    assert len(said) < (1 << 20) + 100
    assert said.endswith("(what follows was left out)\n")


@pytest.mark.parametrize("script", ["while :; do :; done", "exec > /dev/null 2>&1; sleep 31415926", "yes"])
def test_script_without_an_end(script: str, host: Host, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    command = Command(argv=("/bin/sh", "-c", script), binds=host.binds, longest=0.5)
    root = Root(workspace=tmp_path / "work", lowers=(host.lower,))
    with pytest.raises(StackbuildError, match="did not end: /bin/sh") as caught:
        run(root, command, log=tmp_path / "log")
    assert caught.value.expected == "at most 0.5 seconds"


def test_daemon_that_holds_the_output(host: Host, tmp_path: Path) -> None:
    """It ends with its step, whose end nobody has to wait for."""
    code, said = host.shell("setsid sh -c 'trap \"\" TERM HUP INT; sleep 31415926' & echo done", tmp_path / "work")
    assert (code, said) == (0, "done\n")


def test_more_memory_than_there_is(host: Host, tmp_path: Path) -> None:
    """The kernel's killer looks at these processes first."""
    code, said = host.shell("cat /proc/self/oom_score_adj /proc/1/oom_score_adj", tmp_path / "work")
    assert (code, said.split()) == (0, ["1000", "1000"])
    assert Path("/proc/self/oom_score_adj").read_text().strip() != "1000"


@pytest.mark.parametrize(
    "code",
    [
        "os.symlink('{outside}', folder + '/fake-1.0-py3-none-any.whl'); return 'fake-1.0-py3-none-any.whl'",
        "os.symlink('{outside}/secret', folder + '/fake-1.0-py3-none-any.whl'); return 'fake-1.0-py3-none-any.whl'",
        "os.mkfifo(folder + '/fake-1.0-py3-none-any.whl'); return 'fake-1.0-py3-none-any.whl'",
        "open(folder + '/fake-1.0-py3-none-any.whl', 'w').truncate(9 << 30); return 'fake-1.0-py3-none-any.whl'",
        "return '../../../outside/secret'",
        "os.symlink('{outside}/secret', folder + '/told.json'); os._exit(0)",
    ],
)
def test_answers_of_a_build_backend(code: str, bench: Any, outside: Path) -> None:  # noqa: F811
    body = code.replace("{outside}", str(outside))
    with pytest.raises(HostileInput):
        bench.backend(f"import os\ndef build_wheel(folder, settings):\n    {body}\n")


def _compiled(store: Store, python: Python, tmp_path: Path, interpreter: str) -> Digest:
    """Compile one source with an interpreter that is a shell script."""
    program = tmp_path / "lower/usr/bin/evil"
    program.parent.mkdir(parents=True)
    program.write_text(
        f"#!/usr/bin/python{python.short} -I\nimport os, zipfile\nout = '/run/stackbuild/out/'\n{interpreter}\n"
    )
    program.chmod(0o755)
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/one").write_bytes(b"x = 1\n")
    batch = bytecode.Batch("one", "one", (("usr/one.py", 0, 6, 6, 0),))
    runnable = Runnable("/usr/bin/evil", (tmp_path / "lower", python.root))
    (found,) = bytecode.compile_batches(store, tmp_path / "sources", [batch], runnable, 1, tmp_path / "log")
    return found


@pytest.mark.parametrize(
    "interpreter",
    [
        "os.symlink('{outside}/private.zip', out + '0.0')",
        "os.mkfifo(out + '0.0')",
        "open(out + '0.0', 'w').write('nonsense')",
        "os.mkdir(out + '0.0')",
        "zipfile.ZipFile(out + '0.0', 'w').writestr('etc/passwd', 'x')",
        "z = zipfile.ZipFile(out + '0.0', 'w', 8); z.writestr('usr/one.py', bytes(300 << 20)); z.close()",
    ],
)
def test_answers_of_an_interpreter(
    interpreter: str, host: Host, store: Store, python: Python, outside: Path, tmp_path: Path
) -> None:
    """A link in the place of a zip was followed, and what it held went into the image."""
    with zipfile.ZipFile(outside / "private.zip", "w") as archive:
        archive.writestr("usr/one.py", SECRET)
    with pytest.raises(HostileInput, match="the interpreter left no bytecode of one"):
        _compiled(store, python, tmp_path, interpreter.replace("{outside}", str(outside)))


def test_answer_of_a_sound_interpreter(host: Host, store: Store, python: Python, tmp_path: Path) -> None:
    """What the tests above would find if nobody looked: the same, but whole."""
    found = _compiled(store, python, tmp_path, "zipfile.ZipFile(out + '0.0', 'w').writestr('usr/one.py', 'y')")
    assert list(bytecode.members(store, found)) == ["usr/one.py"]


def test_a_mount_that_is_lent_stays_as_it_is(host: Host, tmp_path: Path) -> None:
    lent = tmp_path / "lent"
    lent.mkdir()
    (lent / "file").write_text("x")
    (tmp_path / "work").mkdir()
    command = Command(
        argv=("/bin/sh", "-c", "chmod 777 /mnt/file || touch /mnt/new || rm /mnt/file || echo kept"),
        binds=(*host.binds, (str(lent), "mnt", True)),
    )
    command = replace(command, cwd="/")
    assert run(Root(workspace=tmp_path / "work", lowers=(host.lower,)), command, log=tmp_path / "log") == 0
    assert (tmp_path / "log").read_text().endswith("kept\n")
