"""Java from Debian's packages: the same image each time, though its list of authorities is made by a script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import build, lock, on_small
from tests.e2e.project import Site

MANIFEST = """
[images.java]
from = "base"
apt = ["default-jre-headless"]
"""


@pytest.mark.catalogue  # tests/kinds/apt/test_keystore.py has the file alone.
def test_java_is_the_same_each_time(small: Site, tmp_path: Path, downloads: Path) -> None:
    site = on_small(small, tmp_path, (small.folder / "stacks.toml").read_text() + MANIFEST)
    lock(site, downloads)
    build(site, downloads, "java")
    (row,) = json.loads(site.run("verify", "java", "--json").out)
    assert row["differences"] == []
    program = "ls /etc/ssl/certs/*.pem | wc -l; keytool -list -cacerts -storepass changeit | grep -c trustedCertEntry"
    code, said = site.inside("java", program)
    pems, known = map(int, said.split()[-2:])
    assert code == 0 and 100 < known <= pems
