"""Virtual packages (CEP 30): what a solver may take the machine to have. From the manifest, never from this host.

__unix==0               every target
__linux==5.10           every target; the kernel belongs to whoever runs the image
__glibc==2.36           libc6 of the target's apt locks, else 2.28, as conda-lock takes it
__archspec==1=x86_64    the platform's oldest processors; aarch64
__cuda==13.0            what the variant's `virtual` says, which also replaces one of the above by its name
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from builder.errors import StackbuildError
from builder.lock import Lock

SUBDIRS: Final[Mapping[str, str]] = {"linux/amd64": "linux-64", "linux/arm64": "linux-aarch64"}
"""conda's names of the platforms."""

_PROCESSORS: Final = {"linux-64": "x86_64", "linux-aarch64": "aarch64"}
_KERNEL: Final = "5.10"
_GLIBC: Final = "2.28"


def subdir(platform: str) -> str:
    """The subdir of a channel that has a platform's packages.

    Raises:
        StackbuildError: conda packages are not supported there.
    """
    found = SUBDIRS.get(platform)
    if found is None:
        raise StackbuildError(f"conda does not know the platform {platform}", expected=" or ".join(SUBDIRS))
    return found


def virtual(platform: str, apt: Iterable[Lock], wanted: Iterable[str]) -> tuple[str, ...]:
    """The virtual packages of a target, sorted: `name==version`, or `name==version=build`.

    Args:
        apt: the apt locks of the image and its ancestors, root first.
        wanted: the variant's `virtual`.
    """
    libc = {pin.name: pin.version for lock in apt for pin in lock.pins}.get("libc6", "")
    glibc = re.match(r"\d+\.\d+", libc)
    found = {
        "__unix": "0",
        "__linux": _KERNEL,
        "__glibc": glibc[0] if glibc else _GLIBC,
        "__archspec": f"1={_PROCESSORS[subdir(platform)]}",
    }
    for item in wanted:
        name, _, version = item.partition("==")
        found[name] = version or "0"
    return tuple(sorted(f"{name}=={version}" for name, version in found.items()))


def parts(item: str) -> tuple[str, str, str]:
    """Name, version and build of what `virtual` gives."""
    name, _, rest = item.partition("==")
    version, _, build = rest.partition("=")
    return name, version, build or "0"
