"""The skeleton of a virtual environment (PEP 405): interpreter links, pyvenv.cfg, the activation script."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from builder.action import Action, Result, Workshop
from builder.digest import Json
from builder.interpreter import Interpreter
from builder.kinds.pip.part import in_prefix
from builder.kinds.pip.scheme import FILE_MODE, Environment
from builder.parts import write_parts
from builder.site import Site
from builder.tree import Bytes, Entry

_ACTIVATE = """\
# To be sourced by a shell: puts this environment's programs first in PATH, until `deactivate`.
deactivate () {{
    PATH="$_STACKBUILD_OLD_PATH"; export PATH
    unset VIRTUAL_ENV _STACKBUILD_OLD_PATH
    unset -f deactivate
}}
_STACKBUILD_OLD_PATH="$PATH"
VIRTUAL_ENV="{prefix}"; export VIRTUAL_ENV
PATH="{prefix}/bin:$PATH"; export PATH
"""


def plan(site: Site, place: Environment, python: Interpreter) -> Action:
    """The environment of one image, a function of its prefix and the Python's version."""
    options: Json = {"prefix": place.prefix, "python": place.python, "version": python.version, "codec": site.codec}
    return Action(kind="pip.environment", version=2, name=f"environment of {site.target}", options=options)


def perform(action: Action, workshop: Workshop) -> Result:
    """Lay the skeleton."""
    options = cast(dict[str, Any], action.options)
    place = Environment(prefix=options["prefix"], python=options["python"])
    base = place.prefix.strip("/")
    settings = f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {options['version']}\n"
    entries = [
        Entry(place.site, "dir"),
        Entry(f"{base}/include", "dir"),
        Entry(f"{base}/lib64", "link", 0o777, target="lib"),
        Entry(f"{base}/pyvenv.cfg", "file", FILE_MODE, content=Bytes(settings.encode())),
        Entry(f"{base}/bin/activate", "file", FILE_MODE, content=Bytes(_ACTIVATE.format(prefix=place.prefix).encode())),
        Entry(f"{base}/bin/python", "link", 0o777, target=f"python{place.python}"),
        Entry(f"{base}/bin/python3", "link", 0o777, target=f"python{place.python}"),
        Entry(f"{base}/bin/python{place.python}", "link", 0o777, target=f"/usr/bin/python{place.python}"),
    ]
    owned = [replace(entry, owner="environment") for entry in entries]  # No wheel may bring another `bin/python`.
    return write_parts(workshop, [("environment", in_prefix(owned, place))], options["codec"])
