"""Stacks of a vendor: what can be said of them from pins alone.

- A set that moves as one (`together`) comes from one index: a torch built for the CPU beside a torchvision of the
  default index loads, and then fails with missing operators.
- `NVIDIA_REQUIRE_CUDA` of the image's environment lets a container start only on drivers of that CUDA or newer. It
  must ask for the CUDA that the wheels are built for, as their names tell (`nvidia-…-cu12`, `+cu130`): if it asks for
  less, the image starts on a driver that its wheels cannot use; if for more, it does not start where it could.

Exact requirements between members (`torch==2.12.0` of torchvision) are the solver's business, and `check`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from builder.errors import StackbuildError
from builder.kinds.pip.inherit import KIND, Inherited
from builder.lock import Lock, Pin
from builder.manifest.env import image_env
from builder.manifest.model import Manifest, Target
from builder.manifest.settings import PYPI
from builder.manifest.shape import request_name

_REQUIRE = "NVIDIA_REQUIRE_CUDA"
_SUFFIX = re.compile(r"nvidia-.+-cu(\d+)")
_LOCAL = re.compile(r"[^+]+\+cu(\d+)\d")
_RUNTIME = "nvidia-cuda-runtime"
_ALTERNATIVE = re.compile(r"cuda(?:>=|>|=)(\d+)(?:\.\d+)*")


def problems(manifest: Manifest, target: Target, lock: Lock, inherited: Inherited) -> Iterator[StackbuildError]:
    """What does not fit together among the target's pins, own and inherited."""
    pins = {pin.name: pin for _, one in (*inherited, ("", lock)) for pin in one.pins}
    yield from _indexes(manifest, target, pins)
    yield from _cuda(manifest, target, pins)


def _indexes(manifest: Manifest, target: Target, pins: Mapping[str, Pin]) -> Iterator[StackbuildError]:
    for name in manifest.images[target.image].use:
        one = manifest.sets[name]
        asked = (
            asks for path, asks in manifest.asking(target) if re.fullmatch(rf"sets\.{re.escape(name)}(\..*)?", path)
        )
        members = sorted({request_name(str(item)) for asks in asked for item in _items(asks.get(KIND, ()))})
        found = {
            member: pins[member].source or PYPI for member in members if member in pins and pins[member].kind == KIND
        }
        if one.together and len(set(found.values())) > 1:
            yield StackbuildError(
                f"set {name} comes from several indexes: {target}",
                where=f"{manifest.path.name}:{manifest.lines.get(f'sets.{name}', 1)}",
                expected="one index for all that moves as one",
                got=", ".join(f"{member} from {index}" for member, index in found.items()),
                next_step=f'index = "NAME" in [sets.{name}], or below its `on`, for all of them',
            )


def _items(items: object) -> Sequence[object]:
    return items if isinstance(items, tuple) else ()


def _cuda(manifest: Manifest, target: Target, pins: Mapping[str, Pin]) -> Iterator[StackbuildError]:
    require = image_env(manifest, target).get(_REQUIRE, "")
    found = {pin: major for pin in pins.values() if (major := _major(pin))}
    asked = [int(match[1]) for one in require.split() for match in [_first(one)] if match]
    if not found or not asked:
        return
    wanted = max(found.values())
    if min(asked) != wanted:
        shown = sorted(f"{pin.name}=={pin.version}" for pin, major in found.items() if major == wanted)
        yield StackbuildError(
            f"{_REQUIRE} does not fit the wheels: {target}",
            where=manifest.path.name,
            expected=f"cuda>={wanted}.0, since CUDA {wanted} is what {_some(shown)} are built for",
            got=f"{_REQUIRE}={require}",
            next_step=f"change it in env of the image or its variant {target.variant}, or pin wheels for another CUDA",
        )


def _first(alternative: str) -> re.Match[str] | None:
    """The condition on CUDA among those of one alternative, which all must hold: `cuda>=12.5,driver>=550`."""
    return next((match for one in alternative.split(",") if (match := _ALTERNATIVE.fullmatch(one))), None)


def _major(pin: Pin) -> int:
    """The CUDA that a wheel is built for; 0 for one that does not say."""
    if match := _SUFFIX.fullmatch(pin.name) or _LOCAL.fullmatch(pin.version):
        return int(match[1])
    return int(pin.version.partition(".")[0]) if pin.name == _RUNTIME else 0


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
