"""What a target is to pip: marker values and wheel tags, computed for the target and never for this host.

Sources: PEP 508 (markers), PEP 425 (tags), PEP 600 (manylinux_X_Y and its three older names).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from packaging.tags import Tag, compatible_tags, cpython_tags

from builder.digits import digits
from builder.errors import StackbuildError

MACHINES: Mapping[str, str] = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
_OLDER_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_OLDEST = {"x86_64": 5, "aarch64": 17}
_UV_KNOWS = (17, 28, *range(31, 41))
"""The minor versions of glibc 2 that `uv --python-platform` has a name for."""


def machine(platform: str) -> str:
    """The kernel's name of a platform's processor.

    Raises:
        StackbuildError: pip wheels for that platform are not supported.
    """
    found = MACHINES.get(platform)
    if found is None:
        raise StackbuildError(
            f"pip does not know the platform {platform}", expected=" or ".join(sorted(MACHINES)), got=platform
        )
    return found


@lru_cache(maxsize=64)
def environment(python: str, platform: str) -> Mapping[str, str]:
    """PEP 508's marker values for CPython `python` (its patch version too) on `platform`.

    What a target does not know before it runs (the kernel's release and version) is the empty string, as in uv.
    """
    return {
        "implementation_name": "cpython",
        "implementation_version": python,
        "os_name": "posix",
        "platform_machine": machine(platform),
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": "linux",
    }


@lru_cache(maxsize=64)
def tags(python: str, platform: str, glibc: str) -> Mapping[Tag, int]:
    """The tags of wheels that fit the target, each with its rank: 0 fits best."""
    major, minor = (int(part) for part in python.split(".")[:2])
    cpu = machine(platform)
    platforms: list[str] = []
    for level in range(_glibc_minor(glibc), _OLDEST[cpu] - 1, -1):
        platforms.append(f"manylinux_2_{level}_{cpu}")
        if level in _OLDER_NAMES:
            platforms.append(f"{_OLDER_NAMES[level]}_{cpu}")
    platforms.append(f"linux_{cpu}")
    interpreter = f"cp{major}{minor}"
    found = [
        *cpython_tags((major, minor), abis=[interpreter], platforms=platforms),
        *compatible_tags((major, minor), interpreter=interpreter, platforms=platforms),
    ]
    return {tag: rank for rank, tag in reversed(list(enumerate(found)))}


def uv_platform(platform: str, glibc: str) -> str:
    """The value of `--python-platform`: the newest level that uv knows and the target's glibc still has."""
    level = _glibc_minor(glibc)
    known = [one for one in _UV_KNOWS if one <= level]
    if not known:
        raise StackbuildError(f"glibc {glibc} is older than manylinux2014", expected="2.17 or newer", got=glibc)
    return f"{machine(platform)}-manylinux_2_{known[-1]}"


def _glibc_minor(glibc: str) -> int:
    major, _, minor = glibc.partition(".")
    if major != "2" or not digits(minor):
        raise StackbuildError(f"not a version of glibc: {glibc}", expected="2.<number>, as ldd --version prints it")
    return int(minor)
