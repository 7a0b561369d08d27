"""The family that is rehearsed on: the catalogue's base, JupyterLab and scientific list, a child of it, and siblings.

    base ─┬─ jupyter ─┬─ science (cpu, cuda) ── more (cpu, cuda)
          │           ├─ docs      nothing of the list
          │           └─ maps      numpy, which it does not ask for itself
          └─ web                   nothing of the list, and a Python environment of its own

What is bumped are the requests of `science`, and those of `jupyter` and `more`, which may hold one back. The others
are never asked to move.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import tomli
import tomlkit

from builder.platforms import NATIVE
from tests.e2e.project import ROOT

PARENTS: Final = {
    "base": "",
    "jupyter": "base",
    "science": "jupyter",
    "more": "science",
    "docs": "jupyter",
    "maps": "jupyter",
    "web": "base",
}
VARIANTS: Final = {"science": ("cpu", "cuda"), "more": ("cpu", "cuda")}
AROUND: Final[tuple[str, ...]] = ("jupyterlab", "lmfit", "notebook", "pip", "plotnine", "xarray")
"""What `jupyter` and `more` ask for."""
_MORE: Final = ("lmfit", "plotnine", "xarray")
_SETS: Final = ("science", "scipy", "kubeflow", "lab-git")
_OVERLAYS: Final = ("base", "fix-permissions", "jupyter", "s6")


def chains() -> dict[str, tuple[tuple[str, str], ...]]:
    """Target → it and its ancestors, from the root down, as image and variant."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for image, parent in PARENTS.items():
        for variant in _variants(image):
            above = f"{parent}:{variant if variant in _variants(parent) else 'cpu'}@{NATIVE}"
            found[f"{image}:{variant}@{NATIVE}"] = (*found.get(above, ()), (image, variant))
    return found


def _variants(image: str) -> tuple[str, ...]:
    return VARIANTS.get(image, ("cpu",))


def scientific() -> tuple[str, ...]:
    """The names of the catalogue's scientific list, in the order of the alphabet."""
    return tuple(sorted({name for one in _SETS for name in _names(_catalogue()["sets"][one])}))


def _catalogue() -> dict[str, Any]:
    return tomli.loads((ROOT / "stacks.toml").read_text("utf-8"))


def _names(table: Mapping[str, Any]) -> Iterator[str]:
    lists = [table["pip"], *(table.get("on", {}).get(variant, {}).get("pip", ()) for variant in VARIANTS["science"])]
    return (request.partition("==")[0] for requests in lists for request in requests)


def project(folder: Path, pins: Mapping[str, str], *, cutoff: str) -> None:
    """Write the family into a new folder, locked as far as Debian's packages go: as the catalogue is."""
    for name in _OVERLAYS:
        shutil.copytree(ROOT / "overlays" / name, folder / "overlays" / name, symlinks=True)
    lock = f"locks/base/{NATIVE.replace('/', '-')}.apt.lock"
    (folder / lock).parent.mkdir(parents=True)
    shutil.copy(ROOT / lock, folder / lock)
    (folder / "stacks.toml").write_text(manifest(pins, cutoff=cutoff, apart=True), "utf-8")


def manifest(pins: Mapping[str, str], *, cutoff: str, apart: bool) -> str:
    """The text of the family's manifest.

    Args:
        pins: versions by name; what has none is asked for in any.
        cutoff: what `exclude-newer` says.
        apart: requests are parted by lines that do not change, as pins are in locks.
    """
    ours = _catalogue()
    sets, images, layout = ours["sets"], ours["images"], ours["layouts"]["kubeflow"]
    taken = {
        "archives": {"bookworm": ours["archives"]["bookworm"]},
        "layouts": {"kubeflow": {key: value for key, value in layout.items() if key != "check"}},
        "variants": {"cuda": ours["variants"]["cuda"]},
        "sets": {name: sets[name] for name in ("locale", "shell")},
        "images": {"base": images["base"]},
    }

    def asked(names: Sequence[str]) -> str:
        requests = [f'"{name}=={pins[name]}"' if name in pins else f'"{name}"' for name in names]
        if len(requests) == 1:
            return f"[{requests[0]}]"
        return "[\n" + ("\n" if apart else "").join(f"    {one},\n" for one in requests) + "]"

    between = "\n\n" if apart else "\n"

    def own(table: Mapping[str, Any]) -> str:
        return asked([request.partition("==")[0] for request in table["pip"]])

    special = between.join(f"on.{one} = {{ pip = {own(sets['science']['on'][one])} }}" for one in VARIANTS["science"])
    return f"""[project]
name = "rehearsal"
platforms = ["{NATIVE}"]
exclude-newer = {cutoff}
exempt = ["bookworm"] # Its lock stands.

{tomlkit.dumps(taken)}
[sets.science]
pip = {own(sets["science"])}
{special}

[sets.scipy]
pip = {own(sets["scipy"])}

[sets.kubeflow]
pip = {own(sets["kubeflow"])}
sdists = ["kfp-server-api"]

[sets.lab-git]
pip = {own(sets["lab-git"])}

[images.jupyter]
from = "base"
python = {{ from = "apt", prefix = "/opt/venv" }}
pip = {own(images["jupyter"])}
overlays = ["jupyter"]

[images.science]
from = "jupyter"
use = ["science", "scipy", "kubeflow", "lab-git"]
variants = ["cpu", "cuda"]

[images.more]
from = "science"
pip = {asked(_MORE)}
variants = ["cpu", "cuda"]

[images.docs]
from = "jupyter"
pip = ["myst-parser", "sphinx"]

[images.maps]
from = "jupyter"
pip = ["shapely"]

[images.web]
from = "base"
python = {{ from = "apt", prefix = "/opt/venv" }}
pip = ["fastapi", "uvicorn"]
"""
