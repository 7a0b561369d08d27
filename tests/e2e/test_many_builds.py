"""Eight builds of real packages and a collector at once on one store, as commands: each layer is laid once."""

from __future__ import annotations

import json
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from builder.platforms import NATIVE
from builder.store import Store
from tests.e2e.project import Said, Site, share_sources, tags

_MANY = 8
_ROUNDS = 3


@pytest.mark.catalogue
def test_eight_builds_of_packages_and_a_collector(small: Site, tmp_path: Path) -> None:
    """Each has an overlay of its own on the packages that all share, and edits it while `gc` runs."""
    store = Store.open(tmp_path / "store")
    share_sources(small.store_path, store.path)
    sites = [small.copy(tmp_path / str(number), store=store.path) for number in range(_MANY)]
    stop = threading.Event()
    collected: list[Said] = []

    def built(number: int) -> list[Said]:
        found = []
        for turn in range(_ROUNDS):
            own = sites[number].folder / "overlays/tool/etc/own"
            own.parent.mkdir(parents=True, exist_ok=True)
            own.write_text(f"{number} {turn}")
            found.append(sites[number].try_("build", "--no-start"))
        return found

    def collect() -> None:
        while not stop.is_set():
            bound = ("--max-size", "1kB") if len(collected) % 2 else ()
            collected.append(sites[0].try_("gc", "--grace", "0", "--wait", "300", *bound))
            stop.wait(0.2)

    collector = threading.Thread(target=collect)
    collector.start()
    with ThreadPoolExecutor(_MANY) as threads:
        done = [one for each in threads.map(built, range(_MANY)) for one in each]
    stop.set()
    collector.join()
    assert [one.err for one in done if one.code] == []
    assert [one.err for one in collected if one.code and "the store is in use" not in one.err] == []
    performed = Counter(name for one in done for name in one.performed)
    assert {name: count for name, count in performed.items() if name.split()[0] in {"apt", "pip"} and count > 1} == {}
    assert {name.split()[0] for name in performed} >= {"apt", "pip", "overlays", "image"}
    checked = subprocess.run(
        sites[0].argv("store", "check", "--json"), env=sites[0].environ(), capture_output=True, text=True, check=False
    )
    assert json.loads(checked.stdout)["findings"] == []
    assert f"tool-{NATIVE.replace('/', '-')}" in tags(store.path)
    print(f"{len(done)} builds, {sum(not one.code for one in collected)} collections; done: {dict(performed)}")
