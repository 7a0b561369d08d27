"""Credentials of every sort, through runs that succeed and runs that fail; then everything that was left is searched.

What a whole build leaves is searched in `tests/e2e/test_secrets.py`.
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import subprocess
import sys
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import zstandard

from tests import tiny
from tests.leaks import leaks
from tests.loopback import Service, basic, certificates, proxy, serve

ROOT = Path(__file__).parent.parent
SECRETS = {
    "archive": "Arch1ve-s3cret",
    "default": "D3fault-s3cret",
    "corp": "C0rp-s3cret",
    "token": "T0ken-s3cret-without-user",
    "netrc": "N3trc-s3cret",
    "ring": "R1ng-s3cret",
    "proxy": "Pr0xy-s3cret",
    "config": "C0nfig/s3cret pass",
    "signature": "S1gnature-s3cret",
}
IMAGE = """
[indexes]
corp = "{corp}/simple"
token = "{token}/simple"
netrc = "{netrc}/simple"
ring = "{ring}/simple"
config = "https://packages.example.com/config/simple"

[sets.corp]
pip = ["corp-lib"]
index = "corp"
[sets.token]
pip = ["token-lib"]
index = "token"
[sets.netrc]
pip = ["netrc-lib"]
index = "netrc"
[sets.ring]
pip = ["ring-lib"]
index = "ring"
[sets.config]
pip = ["config-lib"]
index = "config"

[images.app]
from = "base"
use = ["corp", "token", "netrc", "ring", "config"]
pip = ["plain-lib"]
"""


def _zip(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("member", data)
    return out.getvalue()


HIDDEN: dict[str, Callable[[bytes], bytes]] = {
    "base64": b64encode,
    "base64 one later": lambda data: b64encode(b"z" + data),
    "base64 two later": lambda data: b64encode(b"zz" + data),
    "gzip": gzip.compress,
    "gzip of two members": lambda data: gzip.compress(b"first") + gzip.compress(data),
    "hexadecimal": lambda data: data.hex().encode(),
    "plain": bytes,
    "xz": lzma.compress,
    "zip in gzip": lambda data: gzip.compress(_zip(data)),
    "zstd": zstandard.compress,
}


@dataclass
class Run:
    """The project, whose every output is kept for the search."""

    folder: Path
    environ: dict[str, str]
    services: dict[str, Service]
    said: list[str] = field(default_factory=list)

    @property
    def project(self) -> Path:
        return self.folder / "project"

    def __call__(self, *arguments: str, code: int | None = None, **environ: str) -> str:
        command = [sys.executable, "-P", "-m", "builder.cli", "-C", str(self.project), *arguments]
        done = subprocess.run(
            command, env=self.environ | environ, capture_output=True, text=True, check=False, timeout=200
        )
        self.said.append(done.stdout + done.stderr)
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def searched(self) -> list[str]:
        return leaks(SECRETS.values(), (self.project, self.folder / "store"), self.said)


LOGINS = {
    "archive": "deb:" + SECRETS["archive"],
    "default": "bob:" + SECRETS["default"],
    "corp": "bob:" + SECRETS["corp"],
    "token": "__token__:" + SECRETS["token"],
    "netrc": "bob:" + SECRETS["netrc"],
    "ring": "bob:" + SECRETS["ring"],
    "config": "bob:" + SECRETS["config"],
}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A project that needs all of them to be locked."""
    for name in ("project", "home", "bin"):
        (tmp_path / name).mkdir()
    made = certificates(tmp_path / "tls")
    with ExitStack() as stack:
        services = {}
        for name, login in LOGINS.items():
            host = "localhost" if name == "netrc" else "127.0.0.1"  # A netrc knows hosts, not ports.
            tls = made if name == "config" else None
            services[name] = stack.enter_context(serve(tmp_path / "served" / name, login=login, host=host, tls=tls))
        through = stack.enter_context(proxy(services["config"]))
        tiny.archive(services["archive"], tmp_path / "project")
        for name, service in services.items():
            service.publish(*tiny.wheel(f"{name}-lib", "1.0", ["plain-lib"] if name != "default" else ()))
        services["default"].publish(*tiny.wheel("plain-lib", "1.0"))
        services["config"].folder.joinpath("config").symlink_to(".")
        urls = {name: one.url for name, one in services.items()}
        (tmp_path / "project/stacks.toml").write_text(tiny.MANIFEST + IMAGE.format(**urls))
        (tmp_path / "home/.netrc").write_text(f"machine localhost login bob password {SECRETS['netrc']}\n")
        (tmp_path / "home/config.toml").write_text(
            f'[mirrors.indexes]\nconfig = "https://bob:C0nfig%2Fs3cret%20pass@packages.example.com/config/simple"\n'
            f'[tls]\nca = "{made.ca}"\n'
            f'[proxy]\nhttps = "{through.url.replace("//", "//pu:" + SECRETS["proxy"] + "@")}"\n'
        )
        (tmp_path / "bin/keyring").write_text(f'#!/bin/sh\n[ "$3" = bob ] && echo {SECRETS["ring"]}\n')
        (tmp_path / "bin/keyring").chmod(0o755)
        environ = {
            "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path / "home"),
            "STACKBUILD_CONFIG": str(tmp_path / "home/config.toml"),
            "STACKBUILD_STORE": str(tmp_path / "store"),
            "STACKBUILD_MIRROR_TOY": services["archive"].with_login(),
            "PIP_INDEX_URL": services["default"].with_login() + "/simple",
            "STACKBUILD_CREDENTIAL_CORP": LOGINS["corp"],
            "STACKBUILD_CREDENTIAL_TOKEN": SECRETS["token"],
            "STACKBUILD_INDEX_RING": services["ring"].with_login("bob") + "/simple",
        }
        yield Run(tmp_path, environ, services)
        for name, service in services.items():
            sent = {login for _, login in service.seen if login}
            assert sent <= {basic(LOGINS[name])}, f"{name} was sent another place's login"


def test_locks_and_what_is_fetched(run: Run) -> None:
    run("lock", code=0)
    run("lock", "--upgrade", code=0)
    run("lock", "--check", "--json", code=0)
    assert all(basic(LOGINS[name]) in {sent for _, sent in one.seen} for name, one in run.services.items())
    locks = "".join(path.read_text() for path in (run.project / "locks").rglob("*.*"))
    for name in ("plain-lib", "corp-lib", "token-lib", "netrc-lib", "ring-lib", "config-lib"):
        assert name in locks
    assert "127.0.0.1" not in locks
    assert "packages.example.com" not in locks
    run("build", code=1)  # These packages hold nothing that could be unpacked; all are fetched before that is seen.
    fetched = {path.read_bytes() for path in (run.folder / "store/sources/sha256").iterdir()}
    assert {f"{name} {version}".encode() for name, version in tiny.DEBS.items()} < fetched
    for arguments in (["status"], ["explain"], ["build", "--dry-run"], ["graph"]):
        run(*arguments)
    assert run.searched() == []


def test_failures(run: Run, tmp_path: Path) -> None:
    """A wrong password, a dead host, no such package, a changed file, a file that is none: told without secrets."""
    services = run.services
    wrong = {"STACKBUILD_MIRROR_TOY": "http://deb:Arch1ve-s3cret@127.0.0.1:9/x?token=S1gnature-s3cret"}
    assert "toy" in run("lock", code=1, **wrong)
    assert "in clear" in run("lock", code=1, STACKBUILD_MIRROR_TOY="http://u:Arch1ve-s3cret@mirror.example/debian")
    assert "in clear" in run("lock", code=1, PIP_INDEX_URL="http://u:D3fault-s3cret@packages.example/simple")
    assert "no such file" in run("lock", code=1, SSL_CERT_FILE="/nowhere/https://u:C0rp-s3cret@h")
    run("lock", code=1, https_proxy="socks5://u:Pr0xy-s3cret@127.0.0.1:9", UV_HTTP_RETRIES="0")
    run("lock", code=1, https_proxy="http://u:Pr0xy-s3cret@127.0.0.1:9", UV_HTTP_RETRIES="0")
    broken = tmp_path / "broken"
    broken.write_text("machine localhost login bob password N3trc-s3cret\nN3trc-s3cret D3fault-s3cret\n")
    assert "not a netrc" in run("lock", code=1, NETRC=str(broken))
    broken.write_text('[mirrors.indexes]\nconfig = "C0nfig/s3cret pass"\n"C0rp-s3cret://" = 1\n')
    assert f"{broken}:2" in run("lock", code=1, STACKBUILD_CONFIG=str(broken))
    for name, service in services.items():
        held, service.login = service.login, service.login + "-changed"
        assert "error: " in run("lock", code=1)
        service.login = held
        assert run.searched() == [], name
    manifest = run.project / "stacks.toml"
    text = manifest.read_text()
    manifest.write_text(text.replace('pip = ["plain-lib"]', 'pip = ["plain-lib==9"]'))
    assert "plain-lib" in run("lock", code=1)
    manifest.write_text(text.replace('corp = "http://', 'corp = "http://bob:C0rp-s3cret@'))
    assert "indexes.corp" in run("lock", code=1)
    manifest.write_text(text)
    run("lock", code=0)
    services["archive"].write("pool/libc6.deb", b"libc6 9.99-9")
    services["corp"].moved = {"/files/corp_lib-1.0-py3-none-any.whl": "http://127.0.0.1:9/x?sig=S1gnature-s3cret"}
    told = run("build", code=1)
    assert "libc6" in told
    assert run.searched() == []


def test_an_error_that_nobody_foresaw(run: Run) -> None:
    """A traceback has no credential of this machine in it either, whatever the exception says."""
    told = " ".join(SECRETS[name] for name in ("archive", "default", "corp", "token", "netrc", "proxy"))
    program = (
        "import sys, builder.cli, builder.workflow.lock\n"
        "def fail(*arguments):\n"
        f"    raise ValueError({told!r} + ' https://x:S1gnature-s3cret@h/p?S1gnature-s3cret')\n"
        "builder.workflow.lock.lock = fail\n"
        f"sys.argv = ['stackbuild', '-C', {str(run.project)!r}, 'lock']\n"
        "builder.cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], env=run.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ValueError: *** *** *** *** *** *** https://h/p" in done.stderr
    # The program's own line is no part of a real traceback.
    assert leaks(SECRETS.values(), (), [done.stdout + done.stderr]) == []


@pytest.mark.parametrize("form", sorted(HIDDEN))
def test_the_search_finds_what_is_hidden(form: str, tmp_path: Path) -> None:
    """In each form that a leak could have; otherwise the tests above would prove nothing."""
    (tmp_path / "innocent").write_bytes(HIDDEN[form](b"nothing of interest"))
    assert leaks(["hunter2!"], [tmp_path], ["nothing"]) == []
    (tmp_path / "guilty").write_bytes(HIDDEN[form](b"x" * 100 + b"hunter2!" + b"y" * 100))
    assert leaks(["hunter2!"], [tmp_path], []) == [str(tmp_path / "guilty")]


def test_the_search_looks_at_names_and_texts(tmp_path: Path) -> None:
    (tmp_path / "a-hunter2!").touch()
    assert leaks(["hunter2!"], [tmp_path], ["fine\nbut hunter2%21 here"]) == [
        str(tmp_path / "a-hunter2!"),
        "but hunter2%21 here",
    ]
