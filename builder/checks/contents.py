"""The contract of every image: what manifest and locks promise is in it, as they say, and nothing besides.

What lies in the image is read from the host, in a container that only sleeps; what its own programs say of it (dpkg,
pip, Python's imports) comes from containers of their own. What `docs/checks.md` lists as exceptions is left alone.
"""

from __future__ import annotations

import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from builder.built import ROOT
from builder.checks import Broken, Environment, Outcome, Promised, Subject, kept, outcomes
from builder.checks import _root as look
from builder.checks._hosts import ADDRESS, named
from builder.checks._python import Said, copies, files, importable, installed, parsed, pinned, unnamed
from builder.checks._root import Survey
from builder.errors import StackbuildError
from builder.files import Files
from builder.processes import give_address
from builder.runtimes import Start

_SECONDS = 120.0
_IMPORTS = Path(__file__).with_name("_imports.py")
_MISSING = re.compile(r"missing\s+(?:c\s+)?(/.*)")
"""A line of `dpkg --verify`, dpkg(1), in rpm's format."""
_PIP = "/run/stackbuild-pip"
_RUN_PIP = f"import runpy, sys; sys.path.append('{_PIP}'); runpy.run_module('pip', run_name='__main__')"

Points = dict[str, Callable[[], float]]


def check(subject: Subject) -> Iterator[Outcome]:
    """The points of the contract, as far as they concern the image.

    Raises:
        StackbuildError: the image cannot be looked into.
    """
    promised = subject.promised()
    with subject.container(Start(user=ROOT, argv=("/bin/sleep", "86400"))) as asleep:
        root = asleep.files
        try:
            walked = look.survey(root)
        except OSError as error:
            got = "\n".join([str(error), asleep.said(3)])
            raise StackbuildError("the image cannot be looked into", got=got, expected="/bin/sleep in it") from None
        points: Points = {}
        for one in promised.environments:
            points |= _of_python(subject, promised, one, root, walked)
        if promised.conda:
            points["conda's packages are those of the locks"] = lambda: _conda(promised, root)
        if promised.apt:
            points["dpkg's packages are those of the locks"] = lambda: _dpkg(subject, promised)
            points["dpkg --audit finds nothing"] = lambda: _audit(subject)
            points["dpkg's packages have their files"] = lambda: _verify(subject)
        points["CUDA's libraries in CUDA's variants, and in no other"] = lambda: cuda(promised, walked)
        if "NVIDIA_REQUIRE_CUDA" in subject.env:
            points["NVIDIA_REQUIRE_CUDA asks for the CUDA that is there"] = lambda: driver(subject.env, walked)
        yield from outcomes(points)


def _of_python(subject: Subject, promised: Promised, one: Environment, root: Files, walked: Survey) -> Points:
    asked = cache(lambda: _imported(subject, one))
    where = f" ({one.prefix})" if len(promised.environments) > 1 else ""
    points: Points = {
        "every pinned Python package is there in its version": lambda: pinned(one, installed(root, walked, one)),
        "no Python package that no lock names": lambda: unnamed(one, installed(root, walked, one)),
        "pip check finds nothing": lambda: _pip_check(subject, one),
        "no second copy of a Python package": lambda: copies(promised, one, root, walked, asked()),
    }
    if one.asked:
        points["what the manifest asks for can be imported, from its own files"] = lambda: importable(asked())
    if one.wheels:
        points["Python packages have the files of their wheels"] = lambda: files(one, root, walked)
    return {name + where: point for name, point in points.items()}


# The image's own programs -------------------------------------------------------------------------------------------


def _pip_check(subject: Subject, one: Environment) -> float:
    """By the environment's own pip, else by the one that stackbuild itself has."""
    spec = find_spec("pip")
    python = f"{one.prefix}/bin/python3"
    with subject.volume(ROOT, mode=0o755) as folder:
        if "pip" not in one.pins and spec is not None and spec.origin is not None:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(Path(spec.origin).parent, folder / "pip", ignore=ignored)
        start = Start(
            user=ROOT,
            argv=(python, "-c", _RUN_PIP, "check", "--disable-pip-version-check"),
            env={"PYTHONDONTWRITEBYTECODE": "1"},
            volumes=((folder, _PIP),),
        )
        code, said = _run(subject, start)
    return kept(said.strip().splitlines() or ["it says nothing"]) if code else 0.0


def _imported(subject: Subject, one: Environment) -> Said:
    """What `_imports.py` says, run as the image's own user with the image's own environment.

    The container has an address of its own, as on any network: some packages look for one when they are imported.
    """
    argv = (f"{one.prefix}/bin/python3", "-c", _IMPORTS.read_text("utf-8"), *one.asked)
    with named(subject) as hosts:
        start = Start(argv=("/bin/sleep", "86400"), volumes=((hosts, "/etc/hosts"),))
        with subject.container(start) as running:
            with suppress(OSError):  # Without, those that want one say so.
                give_address(running.pid, ADDRESS)
            over = threading.Timer(_SECONDS * (1 + len(one.asked)), running.signal, (signal.SIGKILL,))
            over.start()  # A Python of the image that hangs ends with its container.
            try:
                code, said = running.run(*argv)
            finally:
                over.cancel()
    if code:
        raise Broken("\n".join([f"Python ended with exit code {code}", *said.splitlines()[-5:]]))
    return parsed(said)


# conda, dpkg, CUDA ------------------------------------------------------------------------------------------------


def _conda(promised: Promised, root: Files) -> float:
    wrong: list[str] = []
    for prefix, wanted in sorted(promised.conda.items()):
        wrong += differences(wanted, look.conda_packages(root, prefix))
    return kept(wrong)


def _dpkg(subject: Subject, promised: Promised) -> float:
    architecture = promised.target.platform.partition("/")[2]
    shown = "${db:Status-Status} ${Package} ${Architecture} ${Version}\\n"
    code, said = _run(subject, Start(user=ROOT, argv=("dpkg-query", "--show", "--showformat", shown)))
    if code:
        raise Broken(f"dpkg-query ended with exit code {code}\n{said[-500:]}")
    rows = [line.split(" ", 3) for line in said.splitlines()]
    if any(len(row) != 4 for row in rows):
        raise Broken(f"dpkg-query says something else\n{said[-500:]}")
    found = {}
    for state, name, which, version in rows:
        known = which in {architecture, "all"}
        if state in {"not-installed", "config-files"} or not (known or not promised.foreign):
            continue
        found[name if known else f"{name}:{which}"] = version if state == "installed" else f"{version} ({state})"
    return kept(differences(promised.apt, found))


def _audit(subject: Subject) -> float:
    code, said = _run(subject, Start(user=ROOT, argv=("dpkg", "--audit")))
    return kept(said.strip().splitlines() or [f"exit code {code}"]) if code or said.strip() else 0.0


def _verify(subject: Subject) -> float:
    """Files that are gone; what has other bytes is left alone, as overlays are there to change configuration."""
    code, said = _run(subject, Start(user=ROOT, argv=("dpkg", "--verify")))
    if code not in {0, 1}:
        raise Broken(f"dpkg --verify ended with exit code {code}\n{said[-500:]}")
    return kept(found[1] for line in said.splitlines() if (found := _MISSING.fullmatch(line)))


def differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    """How what is there differs from what the locks say; nothing if it does not."""
    for name in sorted({*wanted, *found}):
        if name not in found:
            yield f"{name} {wanted[name]} is not there"
        elif name not in wanted:
            yield f"{name} {found[name]} is in no lock"
        elif wanted[name] != found[name]:
            yield f"{name}: the locks say {wanted[name]}, there is {found[name]}"


def cuda(promised: Promised, walked: Survey) -> float:
    if not promised.cuda:
        return kept(f"{path} in variant {promised.target.variant}" for path in walked.libraries)
    wrong = []
    if not any("libcudart" in path for path in walked.libraries):
        wrong.append(f"variant {promised.target.variant} has no libcudart")
    if len(found := _majors(walked)) > 1:
        wrong.append(f"several versions of CUDA: {', '.join(f'{major} ({path})' for major, path in found.items())}")
    return kept(wrong)


def driver(env: Mapping[str, str], walked: Survey) -> float:
    """What the container runtime asks of the driver is the major version that the libraries are of.

    Source: NVIDIA Container Toolkit, "Constraints": terms parted by commas all hold, of words parted by blanks one.
    """
    wanted = {int(one) for one in re.findall(r"\bcuda>=(\d+)", env["NVIDIA_REQUIRE_CUDA"])}
    found = set(_majors(walked))
    if not found or wanted == found:
        return 0.0
    raise Broken(
        f"NVIDIA_REQUIRE_CUDA={env['NVIDIA_REQUIRE_CUDA']}, the image has CUDA {', '.join(map(str, sorted(found)))}: "
        + ", ".join(_majors(walked).values())
    )


def _majors(walked: Survey) -> dict[int, str]:
    """The major versions of CUDA's runtime libraries, each with the first library that says so."""
    found: dict[int, str] = {}
    for path in walked.libraries:
        if matched := re.search(r"/libcudart[^/]*\.so\.(\d+)", path):
            found.setdefault(int(matched[1]), path)
    return found


# ------------------------------------------------------------------------------------------------------------------


def _run(subject: Subject, start: Start, seconds: float = _SECONDS) -> tuple[int, str]:
    """A program in a container of its own: exit code and output."""
    with subject.container(start) as running:
        code = running.wait(seconds)
        return code, running.output()
