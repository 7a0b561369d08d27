"""Lay the home folders of a layout, and say what it adds to the account files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from builder.action import Action, Result, Workshop
from builder.digest import Json
from builder.manifest.settings import Layout
from builder.parts import write_parts
from builder.site import Site
from builder.tree import Entry, with_parents


def passwd(layout: Layout) -> Json:
    """The lines that a layout adds to the account files, as `kinds/apt/install.py` takes them."""
    return {
        "user": layout.user,
        "passwd": f"{layout.user}:x:{layout.uid}:{layout.gid}::{layout.home}:/bin/bash",
        "group": f"{layout.user}:x:{layout.gid}:" if layout.gid >= 1000 else "",
        "groups": list(layout.groups),
    }


def plan(site: Site) -> tuple[Action, ...]:
    """One layer below all others of a root: the user's home and the folders that every container mounts over."""
    if not site.image.archive:
        return ()
    layout = site.layout
    homes = [layout.home] + ([layout.home_template] if layout.home_template else [])
    homes += [f"{layout.home}/{folder}" for folder in sorted(layout.folders)]
    options: Json = {"homes": homes, "uid": layout.uid, "gid": layout.gid, "codec": site.codec}
    return (Action(kind="account", version=1, name=f"home of {site.target}", options=options),)


def perform(action: Action, results: Mapping[str, Result], workshop: Workshop) -> Result:
    """Lay the home folders, setgid so that what anybody writes there stays the group's."""
    options = cast(dict[str, Any], action.options)
    entries = [Entry(name, "dir") for name in ("dev", "proc", "sys")]
    entries += [Entry("tmp", "dir", 0o1777), Entry("run", "dir", 0o775)]
    for home in options["homes"]:
        entries.append(Entry(home.strip("/"), "dir", 0o2775, options["uid"], options["gid"]))
    return write_parts(workshop, [("account", with_parents(entries))], options["codec"])
