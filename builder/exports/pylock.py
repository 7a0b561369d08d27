"""The Python packages of a target, its ancestors' too, as `pylock.toml` (PEP 751), which pip and uv install.

The format wants a URL for each file. A lock has none, so indexes are asked; where a file is today, anybody may read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from builder.errors import StackbuildError
from builder.exports import Scope, Subject
from builder.kinds.pip.lockfile import PipLock
from builder.lock import Pin
from builder.redaction import redact

SCOPE = Scope.TARGET
_THREADS = 16


def export(subject: Subject) -> str:
    """The text (TOML); packages by name.

    Raises:
        StackbuildError: the target has no Python packages of pip.
        Unreachable: an index does not answer, or no longer has a file.
    """
    pins = subject.pins("pip")
    if not pins:
        raise StackbuildError(
            f"no pip packages: {subject.target}", next_step="stackbuild export --format conda-explicit"
        )
    with ThreadPoolExecutor(_THREADS) as pool:
        urls = list(pool.map(lambda pin: redact(subject.urls(pin)[0]), pins))
    lines = [f"# {subject.target}", 'lock-version = "1.0"', 'created-by = "stackbuild"']
    if python := _python(subject):
        minor = python.rpartition(".")[0]
        lines.append(f"requires-python = {_text(f'=={minor}.*')}")
    for pin, url in zip(pins, urls, strict=True):
        lines += ["", *_package(pin, url)]
    return "\n".join(lines) + "\n"


def _package(pin: Pin, url: str) -> Iterator[str]:
    yield "[[packages]]"
    yield f"name = {_text(pin.name)}"
    yield f"version = {_text(pin.version)}"
    file = f"{{ name = {_text(pin.filename)}, url = {_text(url)}, size = {pin.size}, "
    file += f"hashes = {{ sha256 = {_text(pin.digest.removeprefix('sha256:'))} }} }}"
    yield f"wheels = [{file}]" if pin.filename.endswith(".whl") else f"sdist = {file}"


def _python(subject: Subject) -> str:
    """The Python that the nearest lock was solved for."""
    for target in reversed(subject.manifest.lineage(subject.target)):
        if isinstance(lock := subject.locks.read(target, "pip"), PipLock):
            return lock.python
    return ""


def _text(value: str) -> str:
    """A TOML basic string; JSON's are such."""
    return json.dumps(value)
