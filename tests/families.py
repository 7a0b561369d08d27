"""Families of any size: a tree of images that share packages, with locks as `stackbuild lock` writes them.

Nothing of it can be fetched: it is there to be planned, compared and explained. Equal shapes are equal files.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.digest import Digest
from builder.kinds.apt import lockfile as apt
from builder.kinds.pip import lockfile as pip
from builder.lock import Lock, Pin
from builder.manifest.model import Target

ROOT = "image-0000"
DEBS = {"libc6": "2.36-9", "python3.11-minimal": "3.11.2-6", "python3.11": "3.11.2-6"}
_LARGE = 9 << 20
"""Bytes of a package that is a layer of its own (`tree.THRESHOLD`)."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A family.

    Attributes:
        fan_out: children of an image, as long as there are images left: 1 is a chain, their number a star.
        packages: pins of each image below the root, each its own and its children's; sorted by size, the first `large`
            are layers of their own.
        shared: how many packages there are in all. Images that are not each other's ancestors have some in common.
    """

    images: int = 1000
    fan_out: int = 4
    variants: tuple[str, ...] = ("cpu", "cuda", "gaudi")
    platforms: tuple[str, ...] = ("linux/amd64", "linux/arm64")
    packages: int = 40
    large: int = 13
    shared: int = 3000

    def parent(self, number: int) -> int:
        """The number of an image's parent; not of the root's, which is 0."""
        return (number - 1) // self.fan_out

    def targets(self) -> int:
        return self.images * len(self.variants) * len(self.platforms)


def write(folder: Path, shape: Shape) -> None:
    """A project of that shape: manifest, locks, an overlay and a script for all."""
    asked = dict(_packages(shape))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stacks.toml").write_text("\n".join(_manifest(shape, asked)))
    for path, text in (("overlays/note/etc/note", "a note\n"), ("scripts/step", "#!/bin/sh\n")):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(text)
    for variant in shape.variants:
        for platform in shape.platforms:
            _write(folder, Target(ROOT, variant, platform), ".apt.lock", _apt(platform))
            for number, names in asked.items():
                pins = {name: _pin(name, "1.0", platform, variant, large) for name, large in names.items()}
                _write(folder, Target(f"image-{number:04}", variant, platform), ".pip.txt", _pip(platform, pins))


def bump(folder: Path, shape: Shape, number: int) -> str:
    """Raise the first package of an image in the manifest and in its locks, as `stackbuild bump` does; its name."""
    image = f"image-{number:04}"
    names = dict(_packages(shape))[number]
    bumped = min(names)
    manifest = folder / "stacks.toml"
    head, table, rest = manifest.read_text().partition(f"[images.{image}]\n")
    manifest.write_text(head + table + rest.replace(f"{bumped}==1.0", f"{bumped}==1.1", 1))
    for variant in shape.variants:
        for platform in shape.platforms:
            version = {name: "1.1" if name == bumped else "1.0" for name in names}
            pins = {name: _pin(name, version[name], platform, variant, large) for name, large in names.items()}
            _write(folder, Target(image, variant, platform), ".pip.txt", _pip(platform, pins))
    return bumped


def _packages(shape: Shape) -> Iterator[tuple[int, Mapping[str, bool]]]:
    """Number of an image → the names that it adds, sorted, and whether each is large. None twice in a lineage."""
    pick = random.Random(0)
    held: dict[int, frozenset[int]] = {0: frozenset()}
    for number in range(1, shape.images):
        above = held[shape.parent(number)]
        found: dict[int, bool] = {}
        while len(found) < shape.packages:
            one = pick.randrange(shape.shared)
            large = one * shape.packages < shape.large * shape.shared
            room = shape.large if large else shape.packages - shape.large
            if one not in above and one not in found and list(found.values()).count(large) < room:
                found[one] = large
        held[number] = above | found.keys()
        yield number, {f"package-{one:04}": found[one] for one in sorted(found)}


def _manifest(shape: Shape, asked: Mapping[int, Mapping[str, bool]]) -> Iterator[str]:
    platforms = ", ".join(f'"{one}"' for one in shape.platforms)
    variants = ", ".join(f'"{one}"' for one in shape.variants)
    yield f'[project]\nname = "family"\nplatforms = [{platforms}]\n'
    for variant in shape.variants:
        if variant != "cpu":
            yield f"[variants.{variant}]\n"
    yield '[archives.bookworm]\nsuites = ["bookworm"]\n'
    yield '[layouts.plain]\nuser = "somebody"\nuid = 1000\ngid = 0\nhome = "/home/somebody"\n'
    yield f'[images.{ROOT}]\nfrom = "archive:bookworm"\nlayout = "plain"\nvariants = [{variants}]'
    yield f"apt = {sorted(DEBS)!r}".replace("'", '"')
    yield 'python = { from = "apt", prefix = "/opt/venv" }\n'
    for number, names in asked.items():
        requests = ", ".join(f'"{name}==1.0"' for name in names)
        yield f'[images.image-{number:04}]\nfrom = "image-{shape.parent(number):04}"\nvariants = [{variants}]'
        yield f"pip = [{requests}]"
        yield 'overlays = ["note"]'
        yield 'run = [{ name = "step", script = "scripts/step" }]'
        yield f'env = {{ NUMBER = "{number}" }}\n'


def _write(folder: Path, target: Target, suffix: str, text: str) -> None:
    path = folder / "locks" / target.image / (target.stem + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _apt(platform: str) -> str:
    architecture = platform.partition("/")[2]
    pins = tuple(
        Pin(
            kind="apt",
            name=name,
            version=version,
            filename=f"pool/main/{name}_{version}_{architecture}.deb",
            digest=Digest.of(f"{name} {version} {architecture}".encode()),
            size=1 << 20,
            source="bookworm",
            via=("stacks.toml",),
            fields=(("Architecture", architecture), ("X-Suite", "bookworm"), ("X-Release", "20260711T101637Z")),
        )
        for name, version in sorted(DEBS.items())
    )
    header = apt.Header(archive="bookworm", architecture=architecture, suites=("bookworm",))
    return apt.dumps(Lock(request=tuple(sorted(DEBS)), pins=pins), header)


def _pip(platform: str, pins: Mapping[str, Pin]) -> str:
    request = tuple(f"{pin.name}=={pin.version}" for pin in pins.values())
    return pip.dumps(
        pip.PipLock(request=request, pins=tuple(pins.values()), python="3.11.2", platform=platform, glibc="2.36")
    )


def _pin(name: str, version: str, platform: str, variant: str, large: bool) -> Pin:
    """A large package is built for a platform, and every tenth of them for a variant too; a small one for any."""
    special = f"+{variant}" if large and name.endswith("0") and variant != "cpu" else ""
    machine = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}[platform]
    tag = f"cp311-cp311-manylinux_2_17_{machine}" if large else "py3-none-any"
    filename = f"{name.replace('-', '_')}-{version}{special}-{tag}.whl"
    return Pin(
        kind="pip",
        name=name,
        version=version + special,
        filename=filename,
        digest=Digest.of(filename.encode()),
        size=_LARGE if large else 1 << 16,
        via=("stacks.toml",),
    )
