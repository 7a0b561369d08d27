"""The text of a pip lock: `locks/<image>/<stem>.pip.txt` and `….pip-build.txt`.

    # stackbuild-lock: 2
    # written by `stackbuild lock`; edit stacks.toml instead
    # python: 3.11.2
    # platform: linux/amd64
    # glibc: 2.36
    #
    # request: jupyterlab==4.5.7
    #
    # constraint: tornado<7
    #
    # without: nvidia-nccl-cu12               (left out though something requires it; stacks.toml says why)

    # anyio
    anyio==4.9.0 \\
        --hash=sha256:…
        # file: anyio-4.9.0-py3-none-any.whl 100916
        # index: pytorch-cpu                    (only if not the default index)
        # requires: idna>=2.8                   (each Requires-Dist that is active for the target)
        # via jupyter-server                    (only if the lock does not show otherwise who asks for it)

`pip install -r` and `uv pip install -r` read it as it stands, with `--require-hashes`.

There is exactly one text for a lock: whatever `dumps` would not write, `loads` refuses. Unchanged lines part every two
items (`#` between requests, an empty line and the name between pins), as git conflicts where two changes touch: with
the empty line alone, a pin that comes or goes touches the next one that moves. Who asks for a pin is read off the
requests and the requirements: written at each pin, it would change where nothing moved, and conflict there. What an
ancestor's package requires under an extra that only the child asks for is nowhere else, so it is written.
The drawback: two branches that add different pins at the same place still conflict, as in any sorted list.

Format 1 had no names between pins, and all of `via`. It is read as it is, and written anew by the next `lock`.

Loading is on the path of a build with nothing to do, so nothing slow is imported here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from builder import limits
from builder.errors import StackbuildError, raise_all
from builder.kinds.pip import pin_lines
from builder.kinds.pip.askers import askers
from builder.kinds.pip.pin_lines import Wrong
from builder.lock import Lock, Pin

FORMAT = "2"
FORMATS = ("1", FORMAT)
_WRITTEN = "# written by `stackbuild lock`; edit stacks.toml instead"
_TARGET = ("python", "platform", "glibc")
_LISTED = ("request", "constraint", "without")
_CONTROL = re.compile(r"[\x00-\x1f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipLock(Lock):
    """A lock and the target that it was solved for.

    Attributes:
        constraints: limits on versions that request nothing, normalised and sorted.
        without: names that are left out though something requires them, sorted.
        python: the target's CPython with its patch version.
        platform: `linux/amd64`.
        glibc: the target's, `2.36`: wheels built for a newer one do not load there.
        form: the format of its text, one of `FORMATS`; locks that differ in it alone are equal.
    """

    python: str
    platform: str
    glibc: str
    constraints: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    form: str = field(default=FORMAT, compare=False)


def dumps(lock: PipLock) -> str:
    """The text of a lock; equal locks are equal bytes.

    Raises:
        StackbuildError: a value would break its line.
    """
    lines = [f"# stackbuild-lock: {lock.form}", _WRITTEN]
    lines += [f"# {key}: {getattr(lock, key)}" for key in _TARGET]
    for key, items in _listed(lock):
        for item in items:
            lines += ["#", f"# {key}: {item}"]
    asking = _asking(lock)
    for pin in lock.pins:
        lines += ["", *pin_lines.dumps(pin, asking[pin.name], named=lock.form != "1")]
    if any(map(_CONTROL.search, lines)):
        raise StackbuildError("a lock's value holds a control character", next_step="relock; report the package")
    return "\n".join(lines) + "\n"


def _listed(lock: PipLock) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What the header holds many of, in its order."""
    return ("request", lock.request), ("constraint", lock.constraints), ("without", lock.without)


def _asking(lock: PipLock) -> Mapping[str, Set[str]]:
    """Who asks for each pin, as far as the text need not say it; format 1 says it all."""
    return {pin.name: set() for pin in lock.pins} if lock.form == "1" else askers(lock.request, lock.pins)


def pin_line(lock: PipLock, name: str) -> int:
    """The line, counted from 1, of a pin in the lock's text; 1 where the lock has no such pin."""
    line = 1 + len(_TARGET) + 1 + 2 * sum(len(items) for _, items in _listed(lock)) + 2
    asking = _asking(lock)
    for pin in lock.pins:
        if pin.name == name:
            return line + (lock.form != "1")
        line += sum(1 for _ in pin_lines.dumps(pin, asking[pin.name], named=lock.form != "1")) + 1
    return 1


def request_line(lock: PipLock, item: str) -> int:
    """The line of a requested item in the lock's text; 1 where it has none."""
    return 7 + 2 * lock.request.index(item) if item in lock.request else 1


def loads(text: str, path: str) -> PipLock:
    """The lock of a text that `dumps` wrote. `path` is only for messages.

    Raises:
        Problems: every line that was edited by hand or badly merged, with its number.
    """
    lines = text.split("\n")
    form = lines[0].removeprefix("# stackbuild-lock: ")
    if form not in FORMATS:
        raise StackbuildError(
            f"not a pip lock of format {FORMAT}: {path}",
            where=f"{path}:1",
            expected=f"# stackbuild-lock: {FORMAT}",
            got=lines[0][:100],
            next_step="stackbuild lock writes it anew",
        )
    problems: list[StackbuildError] = []

    def wrong(number: int, what: str, **more: str) -> None:
        if len(problems) == limits.PROBLEMS:
            raise_all(problems)
        more.setdefault("next_step", "undo the edit (git checkout), or write it anew: stackbuild lock")
        problems.append(StackbuildError(f"broken lock: {what}", where=f"{path}:{number}", **more))

    blocks = _blocks(lines)
    head = _head(next(blocks)[1], wrong)
    pins: list[Pin] = []
    seen: set[str] = set()
    for start, block in blocks:
        pin = pin_lines.loads(start, block, wrong, named=form != "1")
        if pin is None:
            continue
        if pins and pin.name <= pins[-1].name:
            wrong(
                start, f"{pin.name} is pinned twice" if pin.name in seen else f"{pin.name} is not in its sorted place"
            )
        pins.append(pin)
        seen.add(pin.name)
    raise_all(problems)
    lock = PipLock(
        request=head["request"],
        constraints=head["constraint"],
        without=head["without"],
        pins=tuple(pins),
        form=form,
        **{key: head[key][0] for key in _TARGET},
    )
    asking = _asking(lock)
    asked = (replace(pin, via=tuple(sorted({*pin.via, *asking[pin.name]}))) for pin in lock.pins)
    lock = replace(lock, pins=tuple(asked))
    for number, (found, canonical) in enumerate(zip(lines, dumps(lock).split("\n"), strict=False), 1):
        if found != canonical:
            wrong(number, "a line is not as it was written", expected=canonical, got=found[:200])
            break
    else:
        if dumps(lock) != text:
            wrong(len(lines), "lines at the end that were not written")
    raise_all(problems)
    return lock


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """The header and each pin's lines, with the number of the first; they are parted by empty lines."""
    start, block = 1, list[str]()
    for number, line in enumerate(lines, 1):
        if line:
            block.append(line)
        elif number < len(lines):
            yield start, block
            start, block = number + 1, []
    yield start, block


def _head(lines: Sequence[str], wrong: Wrong) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {key: [] for key in (*_TARGET, *_LISTED)}
    for number, line in enumerate(lines, 1):
        key, colon, value = line.removeprefix("# ").partition(": ")
        if number == 1 or line in ("#", _WRITTEN):
            continue
        if not line.startswith("# ") or not colon or key not in found:
            wrong(number, f"unknown line in the header: {line[:100]}")
        elif key in _TARGET and found[key]:
            wrong(number, f"the header names {key} twice")
        else:
            found[key].append(value)
    for key in _TARGET:
        if not found[key]:
            wrong(1, f"the header does not name its {key}")
            found[key] = [""]
    for key in _LISTED:
        if found[key] != sorted(set(found[key])):
            wrong(1, f"the {key}s in the header are not sorted, or one is there twice")
    return {key: tuple(items) for key, items in found.items()}
