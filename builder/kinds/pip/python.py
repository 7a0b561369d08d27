"""Which Python a target's packages are for, where they lie, and how that Python is run beside any image.

Packages of one prefix are one environment. An image that says `python = {…}` anew begins another one, and what its
ancestors have in theirs is none of its business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import cast

from builder.action import Action
from builder.digest import Json, key
from builder.errors import StackbuildError
from builder.interpreter import Interpreter, Provider
from builder.kinds import submodule
from builder.kinds.apt import interpreter as apt
from builder.kinds.pip.scheme import Environment
from builder.lock import Lock, Pin
from builder.locking import inherited_locks
from builder.locks import Locks
from builder.manifest.env import CONDA
from builder.manifest.model import Manifest, Target
from builder.platforms import NATIVE
from builder.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Where a target's Python packages lie; those of equal homes are one environment.

    Attributes:
        kind: what brings the Python.
        prefix: of the virtual environment; with conda, conda's own.
    """

    kind: Provider
    prefix: str

    def environment(self, python: str) -> Environment:
        """For `3.11`, say."""
        return Environment(prefix=self.prefix, python=python, virtual=self.kind == "apt")


def home(manifest: Manifest, target: Target) -> Home | None:
    """What `python` says, the image's or an ancestor's; None where nobody says it.

    Raises:
        StackbuildError: it has no prefix, or not conda's.
    """
    asked = manifest.option(target, "python")
    if not isinstance(asked, Mapping):
        return None
    given = str(asked.get("prefix", ""))
    if asked["from"] == "apt":
        if given:
            return Home(kind="apt", prefix=given)
        raise StackbuildError(
            f"no prefix for the Python packages of {target.image}",
            where=_where(manifest, target),
            expected="a virtual environment, since Debian's own folders belong to dpkg",
            next_step='python = { from = "apt", prefix = "/opt/venv" }',
        )
    if asked["from"] == "oci":
        if given and manifest.image(manifest.lineage(target)[0]).base:
            return Home(kind="oci", prefix=given)
        raise StackbuildError(
            f"no Python of a base image for {target.image}",
            where=_where(manifest, target),
            expected='a family that begins with from = "oci:…", and the prefix of a Python in it',
            next_step='python = { from = "oci", prefix = "/opt/conda" }',
        )
    prefix = str(manifest.option(target, "conda-prefix") or CONDA)
    if given not in {"", prefix}:
        raise StackbuildError(
            f"two prefixes for the Python packages of {target.image}",
            where=_where(manifest, target),
            expected=f"{prefix}, where conda's Python is",
            got=given,
            next_step='python = { from = "conda" }, and conda-prefix for the place',
        )
    return Home(kind="conda", prefix=prefix)


def _where(manifest: Manifest, target: Target) -> str:
    """The line of the nearest `python`."""
    for one in reversed(manifest.lineage(target)):
        if f"images.{one.image}.python" in manifest.lines:
            return f"{manifest.path.name}:{manifest.lines[f'images.{one.image}.python']}"
    return manifest.path.name


def sharing(manifest: Manifest, target: Target) -> tuple[Target, ...]:
    """The ancestors whose Python packages lie in the same environment, root first."""
    own = home(manifest, target)
    return tuple(one for one in manifest.lineage(target)[:-1] if own is not None and home(manifest, one) == own)


def locked(manifest: Manifest, locks: Locks, target: Target, kind: str) -> tuple[tuple[str, Lock], ...]:
    """The locks of one kind of the ancestors, root first, and last the target's own, each with its image's name."""
    own = locks.read(target, kind)
    return (*inherited_locks(manifest, locks, target, kind), *(((target.image, own),) if own else ()))


def find(manifest: Manifest, locks: Locks, target: Target) -> Interpreter:
    """The interpreter that a target's packages are for, as its locks pin it.

    Raises:
        StackbuildError: the manifest names none, or it is not among the pins.
    """
    return _find(manifest, locks, target, str(target))


def _find(manifest: Manifest, locks: Locks, target: Target, whose: str) -> Interpreter:
    where = home(manifest, target)
    if where is None:
        raise StackbuildError(
            f"no Python for pip: {whose}",
            next_step='python = { from = "apt", prefix = "/opt/venv" }, or from = "conda"',
        )
    found = cast(
        Interpreter, _provider(where.kind).find(_pins(manifest, locks, target, where.kind), whose, where.prefix)
    )
    if where.kind == "conda":
        found = replace(found, pins=(*found.pins, *apt.library(_pins(manifest, locks, target, "apt"))))
    # What lies in a foreign image has no file to be fetched and run beside it.
    return found if all(pin.filename for pin in found.pins) else replace(found, pins=())


def _provider(kind: str) -> ModuleType:
    found = submodule(kind, "interpreter")
    assert found is not None, kind
    return found


def native(manifest: Manifest, locks: Locks, target: Target) -> Interpreter:
    """The same CPython for the machine that builds: bytecode and pure wheels do not depend on the platform.

    Raises:
        StackbuildError: no lock for this machine's platform has it, or it is another version there.
    """
    wanted = find(manifest, locks, target)
    if target.platform == NATIVE or not wanted.portable:
        return wanted
    here = replace(target, platform=NATIVE)
    found = _find(manifest, locks, here, f"{target.image} for {NATIVE}, on which {target} is built")
    if found.version != wanted.version:
        raise StackbuildError(
            f"two Pythons: {target} has {wanted.version}, {NATIVE} has {found.version}",
            next_step=f"stackbuild lock --upgrade-package {'python3' if found.kind == 'apt' else 'python'}",
        )
    return found


def builder(manifest: Manifest, locks: Locks, target: Target) -> Interpreter:
    """The same, to build source archives with.

    Raises:
        StackbuildError: as `native`; or it lies in a foreign image, which is not unpacked for that.
    """
    found = native(manifest, locks, target)
    if not found.portable:
        raise StackbuildError(
            f"nothing to build a source archive with: {target}",
            expected="a Python that apt or conda brings",
            got=f"{found.executable} of the base image",
            next_step="leave it out of sdists, and ask for a release that has a wheel",
        )
    return found


def _pins(manifest: Manifest, locks: Locks, target: Target, kind: str) -> Mapping[str, Pin]:
    return {pin.name: pin for _, lock in locked(manifest, locks, target, kind) for pin in lock.pins}


def glibc(manifest: Manifest, locks: Locks, target: Target) -> str:
    """The version of the target's C library, `2.36`: what its apt locks pin, else what its variant takes it to have.

    Raises:
        StackbuildError: neither says it.
    """
    pins = _pins(manifest, locks, target, "apt")
    said = [pins["libc6"].version] if "libc6" in pins else []
    said += [
        one.partition("=")[2].lstrip("=") for one in manifest.variants[target.variant].virtual if "__glibc=" in one
    ]
    said.append(str(getattr(locks.read(manifest.lineage(target)[0], "inherited"), "glibc", "")))
    for one in said:
        if match := re.match(r"\d+\.\d+", one):
            return match[0]
    raise StackbuildError(
        f"no glibc for pip: {target}", expected="libc6 among its apt pins, or __glibc among the variant's virtual"
    )


def described(interpreter: Interpreter) -> dict[str, Json]:
    """What an action's options say of an interpreter, beside `python`, its short version."""
    if interpreter.kind == "apt":
        return {}  # It follows from its version.
    return {"provider": {"from": interpreter.kind, "executable": interpreter.executable, "in": interpreter.prefix}}


def sources(interpreter: Interpreter) -> dict[str, Pin]:
    """An interpreter's packages as sources of an action that lets a package's own code run in it, by role."""
    return {f"python:{name}": pin for name, pin in interpreter.roles.items()}


def compiler(interpreter: Interpreter) -> dict[str, Pin]:
    """Those of `sources` that are read by an action that only compiles."""
    return {f"python:{name}": pin for name, pin in interpreter.compiler.items()}


def tools(interpreter: Interpreter) -> dict[str, Pin]:
    """The other ones: what the compiler is loaded with."""
    compiling = compiler(interpreter)
    return {role: pin for role, pin in sources(interpreter).items() if role not in compiling}


def of(action: Action) -> Interpreter:
    """The interpreter that `described` and `sources`, or `compiler` and `tools`, put into an action."""
    options = cast(Mapping[str, Json], action.options)
    roles = {**action.sources, **action.tools}
    python = str(options["python"])
    default = {"from": "apt", "executable": f"/usr/bin/python{python}", "in": "/usr"}
    provider = cast(Mapping[str, str], options.get("provider", default))
    return Interpreter(
        kind=cast(Provider, provider["from"]),
        version=python,
        executable=provider["executable"],
        prefix=provider["in"],
        pins=tuple(sorted((pin for role, pin in roles.items() if role.startswith("python:")), key=_by_name)),
    )


def _by_name(pin: Pin) -> tuple[str, str]:
    return pin.name, pin.kind


@dataclass(frozen=True, slots=True)
class Runnable:
    """An interpreter on disk: its path inside, and the unpacked folders, uppermost first, that make its root."""

    executable: str
    lowers: tuple[Path, ...]


def runnable(store: Store, interpreter: Interpreter, jobs: int, log: Path) -> Runnable:
    """Unpack an interpreter for this machine; its packages are in the store.

    Raises:
        HostileInput: a package in the store has changed.
        StackbuildError: a package cannot be unpacked.
    """
    architecture = NATIVE.partition("/")[2]
    provider = _provider(interpreter.kind)
    own = tuple(pin for pin in interpreter.pins if pin.kind == interpreter.kind)
    library = tuple(pin for pin in interpreter.pins if pin.kind != interpreter.kind)
    lowers = [provider.root(store, replace(interpreter, pins=own), architecture, jobs, log)]
    if library:
        name = f"library-{key([pin.digest for pin in library]).hex}"
        lowers.append(apt.unpack(store, library, name, architecture, jobs, log))
    elif interpreter.kind == "conda":  # No pins say which C library the image has; what is compiled is the same.
        lowers.append(provider.host_library(store))
    return Runnable(interpreter.executable, tuple(lowers))
