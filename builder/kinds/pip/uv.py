"""Solving with uv: a subprocess that sees one generated pyproject.toml and nothing of the user's configuration.

Why a pyproject.toml: an index for some names only is `[tool.uv.sources]` with `explicit = true` there, and nowhere
else. It applies to direct requests alone, so `Attempt.direct` repeats such a name when only others ask for it. Until it
is known that they do, an override makes that name a local stub: uv would look for it on the default index otherwise,
where anybody may have registered it.

uv chooses versions; it never builds: `--only-binary :all:` is not negotiable, stub wheels stand in for sdists.
Digests are not asked of it, as the one file of each pin is chosen from the index (`choose`). Logins travel in its
environment, index by index, and never in a file or an argument; it sees no netrc and no keyring.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from builder import credentials
from builder.errors import StackbuildError
from builder.kinds.pip.index import DEFAULT, Indexes
from builder.kinds.pip.question import Attempt, NoSolution, Solution, hostless
from builder.kinds.pip.sdist import stub
from builder.kinds.pip.target import uv_platform
from builder.store import Store
from builder.user_config import environment_for_tools, variable

KEPT = re.compile(r"PATH|HOME|TMPDIR|SSL_CERT_DIR|SSL_CLIENT_CERT")
"""Variables of the machine that a resolver needs besides those that say how to reach an index."""

_UV_KEPT = re.compile(r"UV_(HTTP_TIMEOUT|HTTP_RETRIES|SYSTEM_CERTS|NATIVE_TLS|INSECURE_HOST|CONCURRENT_.*)")
_AT_ONCE = "8"
"""Requests of one uv. Its own 50, times the targets that are solved side by side, are more questions than a small name
server takes in one moment, and each that it drops is asked again after 5 s (resolv.conf(5))."""
_STUB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]* @ file://\S+-py3-none-any\.whl")
_NOTHING = "0"
"""The version of a stub that stands for a held name."""
_PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9.!+_-]*)")


def solve(attempt: Attempt, indexes: Indexes, store: Store, environ: Mapping[str, str]) -> Solution:
    """What uv finds.

    Raises:
        NoSolution: there is none, with uv's explanation.
        StackbuildError: uv is missing or failed in another way.
    """
    with store.workspace() as folder:
        environment, secrets = _environment(attempt, indexes, store, environ)
        (folder / "pyproject.toml").write_text("\n".join(_project(attempt, indexes)) + "\n")
        (folder / "constraints.txt").write_text("\n".join(attempt.constraints) + "\n")
        (folder / "without.txt").write_text("\n".join(attempt.question.without) + "\n")
        (folder / "locked.txt").write_text("\n".join(attempt.preferences) + "\n")
        stubs = [f"{name} @ {stub(folder, name, _NOTHING, ()).as_uri()}" for name in sorted(attempt.held)]
        (folder / "overrides.txt").write_text("\n".join(stubs) + "\n")
        command = [binary(), *_arguments(attempt)]
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        words = hostless(done.stderr.decode("utf-8", "replace"), secrets).replace(str(folder), ".")
        if done.returncode:
            if "No solution found" in words:
                raise NoSolution(attempt.question, list(explanation(words)))
            raise StackbuildError(
                f"uv failed: pip, {attempt.question.where} (exit {done.returncode})",
                where=_told(command),
                got=words.strip()[-2000:],
                next_step="run the same command again; if it fails again, check that the index answers",
            )
        return pins((folder / "locked.txt").read_text(), attempt.held)


def _told(command: Sequence[str]) -> str:
    """The command without what it says of single packages, which may be hundreds of words."""
    words = shlex.join([Path(command[0]).name, *command[1:]])
    return re.sub(r"( --exclude-newer-package \S+)+", " --exclude-newer-package …", words)


def binary() -> str:
    """The path of the program, which comes as a wheel.

    Raises:
        StackbuildError: it is not installed beside us.
    """
    try:
        import uv
    except ImportError:
        raise StackbuildError("uv is not installed beside stackbuild", next_step="pip install uv") from None
    return os.fspath(uv.find_uv_bin())


def _arguments(attempt: Attempt) -> Iterator[str]:
    question = attempt.question
    yield from ("pip", "compile", "pyproject.toml", "--quiet", "--no-header", "--no-annotate")
    yield from ("--only-binary", ":all:")
    yield from ("--python", sys.executable, "--python-version", question.python)
    yield from ("--python-platform", uv_platform(question.platform, question.glibc))
    yield from ("--constraints", "constraints.txt", "--output-file", "locked.txt")
    if question.without:
        yield from ("--excludes", "without.txt")
    if attempt.held:
        yield from ("--overrides", "overrides.txt")
    if attempt.links is not None:
        yield from ("--find-links", str(attempt.links))
    if question.upgrade_all:
        yield "--upgrade"
    for name in sorted(question.upgrade - question.toward.keys()):
        yield from ("--upgrade-package", name)
    if question.exclude_newer is not None:
        yield from ("--exclude-newer", question.exclude_newer.isoformat().replace("+00:00", "Z"))
        # An ancestor's pin was judged by the cutoff when the ancestor was locked.
        for name in sorted(question.exempt | (question.pinned.keys() if attempt.forced else set())):
            yield from ("--exclude-newer-package", f"{name}=false")


def _project(attempt: Attempt, indexes: Indexes) -> Iterator[str]:
    """The lines of pyproject.toml; JSON's strings are TOML's basic strings."""
    question = attempt.question
    sources = {name: index for name, index in question.sources.items() if index != DEFAULT}
    yield from ("[project]", 'name = "stackbuild-request"', 'version = "0"')
    yield f"requires-python = {json.dumps('>=' + question.python)}"
    yield f"dependencies = {json.dumps([*question.request, *attempt.direct])}"
    for index in sorted(set(sources.values())):
        yield from ("", "[[tool.uv.index]]", f"name = {json.dumps(index)}", "explicit = true")
        yield f"url = {json.dumps(indexes.access(index)[0])}"
    yield from ("", "[tool.uv.sources]")
    for name, index in sorted(sources.items()):
        yield f"{json.dumps(name)} = {{ index = {json.dumps(index)} }}"


def _environment(
    attempt: Attempt, indexes: Indexes, store: Store, environ: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """The environment of uv, and what in it must never be printed."""
    found = {"UV_CONCURRENT_DOWNLOADS": _AT_ONCE}
    found |= {name: value for name, value in environ.items() if KEPT.fullmatch(name) or _UV_KEPT.fullmatch(name)}
    secrets = list(credentials.secrets(environ))
    for index in sorted({DEFAULT, *attempt.question.sources.values()}):
        url, login = indexes.access(index)
        if index == DEFAULT:
            found["UV_DEFAULT_INDEX"] = f"{DEFAULT}={url}"
        if login is not None:
            name = variable("INDEX", index).replace("STACKBUILD", "UV")
            found |= dict(zip((f"{name}_USERNAME", f"{name}_PASSWORD"), login.pair, strict=True))
            secrets += login.pair
    found |= environment_for_tools(environ)
    found |= {
        "NETRC": os.devnull,
        "UV_CACHE_DIR": str(store.path / "uv"),
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    return found, secrets


def explanation(words: str) -> Iterator[str]:
    """uv's reasons, a sentence each, without its arrows and bars."""
    for line in words.splitlines():
        text = re.sub(r"^[\s×╰─▶│├]*(error: |cause: |hint: )?", "", line).strip()
        if text and not text.startswith("No solution found"):
            yield text.replace("stackbuild-request depends on", "stacks.toml requests")


def pins(text: str, held: Collection[str] = ()) -> Solution:
    """The pins of a resolver's output, but for stubs of what another kind brings: only stubs have a place of a file.

    Args:
        held: names whose stubs are told too; their version means nothing.

    Raises:
        StackbuildError: a line is no pin.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if _STUB.fullmatch(line.strip()):
            name = line.split()[0]
            found |= {name: _NOTHING} if name in held else {}
            continue
        pinned = _PINNED.fullmatch(line.strip())
        if pinned is None:
            raise StackbuildError("the resolver answered with what no lock can hold", got=hostless(line.strip()))
        found[re.sub(r"[-_.]+", "-", pinned.group(1)).lower()] = pinned.group(2)
    return tuple(sorted(found.items()))
