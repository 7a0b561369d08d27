"""The launchers that kernelspecs run, out of the wheel of gateway_provisioners.

    gateway_provisioners/kernel-launchers/docker/scripts/launch_docker.py           → scripts/launch_docker.py
    gateway_provisioners/kernel-launchers/kubernetes/scripts/launch_kubernetes.py   → scripts/launch_kubernetes.py
                                                     scripts/kernel-pod.yaml.j2     → scripts/kernel-pod.yaml.j2
    gateway_provisioners/kernel-resources/python/logo-64x64.png                     → logo-64x64.png

Nothing of it is installed where the launchers are to run: Enterprise Gateway 3.3 wants jupyter_client<7, and
gateway_provisioners jupyter_client>=7.4, so that one environment cannot have both. What a launcher imports (docker;
kubernetes and jinja2) either of the two brings.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from builder.errors import HostileInput, StackbuildError
from builder.headers import bounded
from builder.kinds.kernelspec.document import launcher
from builder.tree import safe

PACKAGE: Final = "gateway-provisioners"
_ROOT: Final = "gateway_provisioners"
_MOST_FILES, _MOST_BYTES = 32, 1 << 20
_MALFORMED: Final = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError, ValueError)


def files(wheel: Path, filename: str, reader: str, language: str) -> Iterator[tuple[str, bytes]]:
    """(path below the kernelspec's folder, bytes), by path: the launcher with what lies beside it, then the logos.

    Raises:
        HostileInput: the wheel is no zip archive, or holds more and larger files there than launchers are.
        StackbuildError: it has no such launcher.
    """
    kind = "kubernetes" if reader.endswith("kubernetes") else "docker"
    places = {
        f"{_ROOT}/kernel-launchers/{kind}/scripts/": "scripts/",
        f"{_ROOT}/kernel-resources/{language.lower()}/": "",
    }
    try:
        with wheel.open("rb") as stream, zipfile.ZipFile(bounded(stream)) as archive:
            found = dict(_members(archive, filename, places))
    except _MALFORMED as error:
        raise HostileInput(f"no wheel: {filename}", got=str(error)) from None
    if f"scripts/{launcher(reader)}" not in found:
        raise StackbuildError(
            f"no {launcher(reader)} in {filename}", expected=f"{_ROOT} 0.4 or newer, which has launchers for {kind}"
        )
    yield from sorted(found.items())


def _members(archive: zipfile.ZipFile, filename: str, places: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    count = 0
    for one in archive.infolist():
        place = next((place for place in places if one.filename.startswith(place)), None)
        if place is None or one.filename.endswith("/"):
            continue
        count += 1
        if count > _MOST_FILES or one.file_size > _MOST_BYTES:
            raise HostileInput(
                f"launchers that are too many or too large: {filename}",
                expected=f"at most {_MOST_FILES} files of {_MOST_BYTES} bytes",
                got=f"{one.filename}, {one.file_size} bytes",
            )
        name = safe(one.filename.removeprefix(place), filename)
        if "/" not in name:
            with archive.open(one) as stream:
                yield places[place] + name, stream.read(_MOST_BYTES)
