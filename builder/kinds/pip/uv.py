"""Solving with uv: a subprocess that sees one generated pyproject.toml and nothing of the user's configuration.

Why a pyproject.toml: an index for some names only is `[tool.uv.sources]` with `explicit = true` there, and nowhere
else. It applies to direct requests alone, so `Attempt.direct` repeats such a name when only others ask for it.

uv chooses versions; it never builds: `--only-binary :all:` is not negotiable, stub wheels stand in for sdists.
Digests are not asked of it, as the one file of each pin is chosen from the index (`choose`).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from builder.errors import StackbuildError
from builder.kinds.pip.index import DEFAULT, Indexes
from builder.kinds.pip.question import Attempt, NoSolution, Solution, hostless
from builder.kinds.pip.target import uv_platform
from builder.store import Store

KEPT = re.compile(
    r"PATH|HOME|TMPDIR|NETRC|(?i:https?_proxy|all_proxy|no_proxy)|SSL_CERT_(FILE|DIR)|SSL_CLIENT_CERT"
    r"|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
)
"""Variables of the machine that say how to reach an index; none of them can change what is chosen."""

_UV_KEPT = re.compile(
    r"UV_(KEYRING_PROVIDER|HTTP_TIMEOUT|HTTP_RETRIES|SYSTEM_CERTS|NATIVE_TLS|INSECURE_HOST|CONCURRENT_.*)"
)
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
        (folder / "locked.txt").write_text("\n".join(attempt.preferences) + "\n")
        command = [_binary(), *_arguments(attempt)]
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        words = hostless(done.stderr.decode("utf-8", "replace"), secrets).replace(str(folder), ".")
        if done.returncode:
            if "No solution found" in words:
                raise NoSolution(attempt.question, list(explanation(words)))
            raise StackbuildError(
                f"uv failed: pip, {attempt.question.where} (exit {done.returncode})",
                where=shlex.join([Path(command[0]).name, *command[1:]]),
                got=words.strip()[-2000:],
                next_step="run the same command again; if it fails again, check that the index answers",
            )
        return pins((folder / "locked.txt").read_text())


def _binary() -> str:
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
    if attempt.links is not None:
        yield from ("--find-links", str(attempt.links))
    if question.upgrade_all:
        yield "--upgrade"
    for name in sorted(question.upgrade):
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
        yield f"url = {json.dumps(_split(indexes.url(index))[0])}"
    yield from ("", "[tool.uv.sources]")
    for name, index in sorted(sources.items()):
        yield f"{json.dumps(name)} = {{ index = {json.dumps(index)} }}"


def _environment(
    attempt: Attempt, indexes: Indexes, store: Store, environ: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """The environment of uv, and what in it must never be printed. Credentials travel here, never in a file."""
    found = {name: value for name, value in environ.items() if KEPT.fullmatch(name) or _UV_KEPT.fullmatch(name)}
    bundle = found.pop("REQUESTS_CA_BUNDLE", "") or found.pop("CURL_CA_BUNDLE", "")
    if bundle:
        found.setdefault("SSL_CERT_FILE", bundle)
    default = indexes.url()
    secrets = [*_split(default)[1:]]
    for index in sorted(set(attempt.question.sources.values()) - {DEFAULT}):
        _, user, password = _split(indexes.url(index))
        variable = "UV_INDEX_" + re.sub(r"[^A-Z0-9]", "_", index.upper())
        for name, value in ((f"{variable}_USERNAME", user), (f"{variable}_PASSWORD", password)):
            if value := value or environ.get(name, ""):
                found[name] = value
                secrets.append(value)
    found |= {
        "UV_DEFAULT_INDEX": default,
        "UV_CACHE_DIR": str(store.path / "uv"),
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    return found, [secret for secret in secrets if len(secret) > 3]


def _split(url: str) -> tuple[str, str, str]:
    """The URL without user info, the user, the password."""
    parts = urlsplit(url)
    bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
    return bare, unquote(parts.username or ""), unquote(parts.password or "")


def explanation(words: str) -> Iterator[str]:
    """uv's reasons, a sentence each, without its arrows and bars."""
    for line in words.splitlines():
        text = re.sub(r"^[\s×╰─▶│├]*(error: |cause: |hint: )?", "", line).strip()
        if text and not text.startswith("No solution found"):
            yield text.replace("stackbuild-request depends on", "stacks.toml requests")


def pins(text: str) -> Solution:
    """The pins of a resolver's output.

    Raises:
        StackbuildError: a line is no pin.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        pinned = _PINNED.fullmatch(line.strip())
        if pinned is None:
            raise StackbuildError("the resolver answered with what no lock can hold", got=hostless(line.strip()))
        found[re.sub(r"[-_.]+", "-", pinned.group(1)).lower()] = pinned.group(2)
    return tuple(sorted(found.items()))
