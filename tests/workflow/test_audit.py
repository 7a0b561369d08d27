"""An audit of the project's own locks, against entries of which it is known what they hit; and the command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from builder.advisories.database import open_databases
from builder.advisories.findings import Audited, Finding
from builder.locks import Locks
from builder.manifest.model import Target
from builder.net import Client
from builder.workflow.audit import Wish, audit
from tests.e2e.project import ROOT, Site
from tests.osv import affected, entry, folder, serving

CVSS = [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}]
LOW = [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"}]
ALL = [{"introduced": "0"}]
ENTRIES = [
    entry("DEBIAN-CVE-1", affected("Debian:12", "openssl", *ALL), upstream=["CVE-2026-1"], severity=CVSS),
    entry("PYSEC-2", affected("PyPI", "jinja2", *ALL, {"fixed": "99.0"}), aliases=["CVE-2026-2"], severity=LOW),
    entry("GHSA-3", affected("npm", "ws", *ALL)),
    entry("GHSA-4", affected("npm", "jinja2", *ALL), affected("PyPI", "bash", *ALL), affected("Debian:13", "curl")),
    entry("OLD-5", affected("PyPI", "jinja2", *ALL, {"fixed": "0.1"})),
    entry("GONE-6", affected("PyPI", "jinja2", *ALL), withdrawn="2026-01-01T00:00:00Z"),
]
TODAY = date(2026, 11, 22)
BASE, LAB, SCIPY = (Target(name, "cpu", "linux/amd64") for name in ("base", "jupyter", "jupyter-scipy"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The catalogue's manifest and locks, to be edited."""
    (tmp_path / "project").mkdir()
    shutil.copy(ROOT / "stacks.toml", tmp_path / "project")
    for name in ("locks", "overlays"):
        shutil.copytree(ROOT / name, tmp_path / "project" / name, symlinks=True)
    return Site(tmp_path / "project", tmp_path / "store")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return folder(tmp_path / "osv", ENTRIES)


def of(site: Site, database: Path, *targets: Target, **wish: Any) -> Audited:
    project = site.project()
    databases = open_databases([str(database)], project.store, Client(environ={}))
    return audit(project, targets or (SCIPY,), databases, Wish(today=TODAY, **wish))


def rows(found: Audited) -> list[tuple[str, str, str]]:
    return [(one.image, one.id, one.state) for one in found.findings]


def finding(found: Audited, ident: str) -> Finding:
    (one,) = (one for one in found.findings if one.id == ident)
    return one


def accept(site: Site, **keys: str) -> None:
    with (site.folder / "stacks.toml").open("a") as stream:
        stream.write("\n[[audit.accept]]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()))


def test_each_is_told_once_where_it_is_brought(site: Site, database: Path) -> None:
    found = of(site, database, BASE, LAB, SCIPY)
    assert rows(found) == [("base", "DEBIAN-CVE-1", "open"), ("jupyter", "PYSEC-2", "open")]
    openssl, jinja = finding(found, "DEBIAN-CVE-1"), finding(found, "PYSEC-2")
    assert (openssl.own, openssl.heirs) == ((BASE,), (LAB, SCIPY))
    assert [one.name for one in openssl.packages] == ["libssl3", "openssl"], "Debian's advisories go by the source"
    assert openssl.fixed == "" and openssl.aliases == ("CVE-2026-1",)
    assert (jinja.own, jinja.heirs, jinja.fixed) == ((LAB,), (SCIPY,), "99.0")
    assert jinja.via[0].startswith("jinja2 ← jupyterlab ← stacks.toml:")
    assert jinja.version == next(pin.version for pin in _pins(LAB, "pip") if pin.name == "jinja2")


def _pins(target: Target, kind: str) -> Iterator[Any]:
    lock = Locks(ROOT / "locks").read(target, kind)
    assert lock is not None
    yield from lock.pins


def test_platforms_that_hold_the_same_are_one_row(site: Site, database: Path) -> None:
    arm = Target("base", "cpu", "linux/arm64")
    assert finding(of(site, database, BASE, arm), "DEBIAN-CVE-1").own == (BASE, arm)


def test_a_module_in_a_module_is_found_by_its_own_name(site: Site, database: Path) -> None:
    found = finding(of(site, database, Target("codeserver", "cpu", "linux/amd64")), "GHSA-3")
    assert "code-server/ws" in [one.name for one in found.packages]


def test_everything_of_these_locks_is_known_to_some_database(site: Site, database: Path) -> None:
    found = of(site, database)
    assert found.uncovered == {}
    assert found.checked == sum(1 for one in (BASE, LAB, SCIPY) for kind in ("apt", "pip") for _ in _or_none(one, kind))


def _or_none(target: Target, kind: str) -> tuple[Any, ...]:
    lock = Locks(ROOT / "locks").read(target, kind)
    return lock.pins if lock else ()


def test_an_archive_that_debian_did_not_sign_is_not_debian(site: Site, database: Path) -> None:
    """A vendor's archive may have a suite `bookworm` with an `openssl` of its own."""
    path = site.folder / "stacks.toml"
    path.write_text(path.read_text().replace("[archives.bookworm]\n", '[archives.bookworm]\nkeyring = "ubuntu"\n', 1))
    found = of(site, database, BASE)
    assert found.findings == ()
    assert found.uncovered == {"apt": len(_or_none(BASE, "apt"))}


def test_ignored_and_below(site: Site, database: Path) -> None:
    assert rows(of(site, database, ignore=frozenset({"CVE-2026-1"}), least="high")) == [
        ("base", "DEBIAN-CVE-1", "ignored"),
        ("jupyter", "PYSEC-2", "below"),
    ]
    code = Target("codeserver", "cpu", "linux/amd64")
    assert finding(of(site, database, code, least="critical"), "GHSA-3").state == "open", "unknown is not harmless"


def test_accepted_until_a_day(site: Site, database: Path) -> None:
    accept(site, id='"CVE-2026-1"', reason='"no TLS here"', until="2026-11-22")
    accept(site, id='"PYSEC-2"', reason='"templates are ours"', until='"2026-11-21"')
    found = of(site, database)
    openssl, jinja = finding(found, "DEBIAN-CVE-1"), finding(found, "PYSEC-2")
    assert openssl.state == "accepted" and openssl.note.startswith("no TLS here (until 2026-11-22, stacks.toml:")
    assert jinja.state == "open" and "accepted until 2026-11-21 only" in jinja.note


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({"package": '"openssl"'}, "accepted"),
        ({"package": '"libssl3"'}, "accepted"),
        ({"package": '"curl"'}, "open"),
        ({"images": '["base"]'}, "accepted"),
        ({"images": '["jupyter-scipy"]'}, "open"),
    ],
)
def test_acceptances_may_be_narrow(site: Site, database: Path, more: dict[str, str], state: str) -> None:
    accept(site, id='"DEBIAN-CVE-1"', reason='"known"', until="2027-01-01", **more)
    assert finding(of(site, database), "DEBIAN-CVE-1").state == state


def test_an_acceptance_of_nothing_is_told(site: Site, database: Path) -> None:
    accept(site, id='"CVE-1999-1"', reason='"long gone"', until="2027-01-01")
    (idle,) = of(site, database).idle
    assert idle.startswith("stacks.toml:") and idle.endswith(": CVE-1999-1")


def test_a_day_that_is_in_no_calendar(site: Site, database: Path) -> None:
    accept(site, id='"A-1"', reason='"x"', until='"2027-02-30"')
    said = site.try_("audit", "base", "--database", str(database))
    assert said.code == 1 and "no such day: 2027-02-30" in said.err


def test_the_command(site: Site, database: Path) -> None:
    said = site.try_("audit", "jupyter-scipy@linux/amd64", "--database", str(database))
    assert said.code == 1, said.err
    assert "in base (base:cpu@linux/amd64; inherited by 1 target)" in said.out
    assert "high 7.5  DEBIAN-CVE-1 (CVE-2026-1)  libssl3, openssl (openssl)" in said.out
    assert "2 open; " in said.out
    ignored = ("--ignore", "CVE-2026-1", "--severity", "medium")
    assert site.try_("audit", "jupyter-scipy@linux/amd64", "--database", str(database), *ignored).code == 0
    document = json.loads(site.try_("audit", "jupyter-scipy", "--database", str(database), "--json").out)
    assert document["open"] == 2 and {one["id"] for one in document["findings"]} == {"DEBIAN-CVE-1", "PYSEC-2"}


def test_a_service_says_the_same_and_offline_is_heeded(site: Site, database: Path, tmp_path: Path) -> None:
    here = ("audit", "jupyter@linux/amd64", "--json")
    told = json.loads(site.try_(*here, "--database", str(database)).out)
    with serving(ENTRIES) as service:
        config = tmp_path / "config.toml"
        config.write_text(f'[advisories]\ndatabases = ["{service.url}"]\n')
        environ = {"STACKBUILD_CONFIG": str(config)}
        asked = site.try_(*here, env=environ)
        assert json.loads(asked.out)["findings"] == told["findings"], asked.err
        secret = service.url.replace("://", "://me:hunter2@")
        logged_in = site.try_(*here, "--database", secret)
        assert json.loads(logged_in.out)["open"] == json.loads(asked.out)["open"]
        assert "hunter2" not in logged_in.out + logged_in.err
        service.paths.clear()
        refused = site.try_("--offline", *here, env=environ)
        assert refused.code == 1 and "offline" in refused.err and service.paths == []
    assert site.try_("--offline", *here, "--database", str(database)).out, "files need no network"


def test_no_database_is_an_error_that_says_what_to_do(site: Site) -> None:
    said = site.try_("audit", "base", env={"STACKBUILD_ADVISORIES": ""})
    assert said.code == 1 and "no database of advisories is named" in said.err and "--database" in said.err


def test_hostile_texts_do_not_reach_the_terminal(site: Site, tmp_path: Path) -> None:
    events = ({"introduced": "0"}, {"fixed": "99\u001b[2J\u202e"})
    place = folder(tmp_path / "hostile", [entry("EVIL-1", affected("Debian:12", "openssl", *events))])
    said = site.try_("audit", "base@linux/amd64", "--database", str(place))
    assert "EVIL-1" in said.out and "\\x1b[2J" in said.out
    assert "\u001b" not in said.out and "\u202e" not in said.out
