"""Built images go out: to a real registry, a real Docker daemon, a file; and other people's tools take them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from builder.platforms import NATIVE
from tests.e2e import services
from tests.e2e.project import Site
from tests.e2e.services import Registry, docker
from tests.tools import need

REF = "1.0"
HUNTER2 = "$2b$05$IQrEeUgceI48ud7Wk3oC1e272CWqNpvIosEp7PBnjm4jzuzJSBe9y"
"""bcrypt, as htpasswd(1) writes it."""

ASK = """
import sys, time, urllib.request
for _ in range(600):
    try:
        print(urllib.request.urlopen(sys.argv[1], timeout=60).status)
        break
    except OSError:
        time.sleep(0.2)
"""
"""Asked from inside: a container without a network takes no port of this machine from anybody."""


def skopeo(*arguments: str) -> str:
    need("skopeo")
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pushed(site: Site, where: str, *arguments: str, **env: str) -> dict[str, int]:
    """What a push counted."""
    said = site.run("push", *arguments, "--to", where + "/{image}", "--tag", REF, "--json", env=env)
    found: dict[str, int] = json.loads(said.out)["blobs"]
    return found


def test_skopeo_pulls_what_was_pushed_and_umoci_unpacks_it(small: Site, registry: Registry, tmp_path: Path) -> None:
    need("umoci")
    where = f"{registry.host}/family"
    assert pushed(small, where)["uploaded"] > 0
    for image in ("base", "tool"):
        found = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{where}/{image}:{REF}"))
        assert found["Digest"] == small.result(image)["manifest"]["digest"]
    copy = ["copy", "--quiet", "--insecure-policy", "--preserve-digests", "--src-tls-verify=false"]
    skopeo(*copy, f"docker://{where}/tool:{REF}", f"oci:{tmp_path}/layout:{REF}")
    command = ["umoci", "unpack", "--keep-dirlinks", "--image", f"{tmp_path}/layout:{REF}", str(tmp_path / "bundle")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    run = ["chroot", str(tmp_path / "bundle/rootfs"), "/usr/local/bin/tool"]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "24.2\n"


def test_again_sends_nothing_and_a_sibling_is_mounted(small: Site, tmp_path: Path) -> None:
    with services.registry(tmp_path / "registry") as registry:
        where = f"{registry.host}/again"
        first = pushed(small, where, "base")
        second = pushed(small, where, "tool")
        assert second["mounted"] == first["uploaded"] - 1, "all of base but its config"
        before = registry.asked("POST", "PUT", "PATCH")
        assert set(pushed(small, where).values()) == {0}
        assert registry.asked("POST", "PUT", "PATCH") == before
        assert pushed(small, f"{registry.host}/elsewhere")["sent"] == 0, "by another name, all is mounted"


def test_an_empty_store_knows_from_the_registry_what_to_build(small: Site, registry: Registry, tmp_path: Path) -> None:
    """The plan keys lie beside the images, in a registry that lists no referrers by itself."""
    where = f"{registry.host}/keys/{{image}}"
    site = small.copy(tmp_path / "project", store=tmp_path / "store")
    text = (site.folder / "stacks.toml").read_text().replace("[project]\n", f'[project]\nrepository = "{where}"\n', 1)
    (site.folder / "stacks.toml").write_text(text)
    small.run("push", "base", "--to", where, "--tag", REF)
    said = site.run("build", "--dry-run", "--pushed", REF, "base")
    assert said.out == ""
    assert "nothing to do" in said.err
    assert "image tool:" in site.run("build", "--dry-run", "--pushed", REF).out, "tool was not pushed"
    found = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{where.format(image='base')}:{REF}"))
    assert found["annotations"]["org.opencontainers.image.title"] == "base"


def test_what_was_pushed_is_told_for_deployment(small: Site, registry: Registry, tmp_path: Path) -> None:
    where = f"{registry.host}/told"
    said = small.run("push", "tool", "--to", where + "/{image}", "--digest-file", str(tmp_path / "digests.json"))
    digest = small.result("tool")["manifest"]["digest"]
    tag = digest.removeprefix("sha256:")[:12]
    told = {"reference": f"{where}/tool@{digest}", "tags": [tag], "platforms": {NATIVE: digest}}
    assert json.loads((tmp_path / "digests.json").read_text()) == {f"{where}/tool": told}
    assert said.out == f"{where}/tool@{digest}  {tag}\n"
    assert small.try_("push", "tool").err.startswith("error: no registry to push to: tool")


def test_a_registry_that_asks_who_we_are(small: Site, tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(f"bob:{HUNTER2}\n")
    auth = f"auth: {{htpasswd: {{realm: here, path: {tmp_path}/htpasswd}}}}\n"
    (tmp_path / "docker").mkdir()
    config = tmp_path / "docker/config.json"
    env = {"DOCKER_CONFIG": str(tmp_path / "docker")}
    with services.registry(tmp_path / "registry", more=auth) as found:
        config.write_text("{}")
        refused = small.try_("push", "base", "--to", f"{found.host}/x/{{image}}", env=env)
        assert refused.code == 1
        assert f"docker login {found.host}" in refused.err
        config.write_text(json.dumps({"auths": {found.host: {"auth": "Ym9iOmh1bnRlcjI="}}}))
        assert pushed(small, f"{found.host}/x", "base", **env)["uploaded"] > 0


def test_a_registry_that_is_not_there(small: Site) -> None:
    said = small.try_("push", "base", "--to", "127.0.0.1:1/x/{image}")
    assert said.code == 1
    assert said.err.startswith("error: cannot HEAD http://127.0.0.1:1/v2/x/base/manifests/")


def test_docker_loads_and_runs(catalogue: Site, daemon: str) -> None:
    """jupyter answers in a container of Docker's, with the config that the manifest says."""
    said = catalogue.run("load", "jupyter", "--tag", REF, env={"DOCKER_HOST": daemon})
    name = said.out.strip()
    assert name == f"registry.example.com/notebook-servers/jupyter:{REF}"
    assert (
        docker(daemon, "image", "inspect", "--format", "{{.Id}}", name).strip() == catalogue.result("jupyter")["config"]
    )
    prefix = "/notebook/x/y/"
    run = ["run", "--detach", "--network=none", "--env", f"NB_PREFIX={prefix.rstrip('/')}", name]
    container = docker(daemon, *run).strip()
    try:
        ask = ["exec", container, "/opt/venv/bin/python", "-c", ASK, f"http://127.0.0.1:8888{prefix}api"]
        assert docker(daemon, *ask).strip() == "200", docker(daemon, "logs", container)
    finally:
        docker(daemon, "rm", "--force", container)


def test_docker_without_a_daemon(small: Site, tmp_path: Path) -> None:
    said = small.try_("load", "base", env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert said.code == 1
    assert said.err.startswith("error: no Docker daemon answers")
    assert "stackbuild save" in said.err


@pytest.mark.parametrize("form", ["oci", "docker"])
def test_a_file_of_two_images(small: Site, daemon: str, tmp_path: Path, form: str) -> None:
    """Blobs once; read by skopeo, and by Docker; written again, it is the same file."""
    path = tmp_path / "both.tar"
    said = small.run("save", "base", "tool", "--format", form, "--tag", REF, "-o", str(path))
    assert said.err.split() == [f"base:{REF}", f"tool:{REF}"]
    listed = subprocess.run(["tar", "-tf", str(path)], capture_output=True, text=True, check=True).stdout.split()
    assert len(listed) == len(set(listed))
    small.run("save", "base", "tool", "--format", form, "--tag", REF, "-o", str(tmp_path / "again.tar"))
    assert path.read_bytes() == (tmp_path / "again.tar").read_bytes()
    if form == "docker":
        docker(daemon, "load", "--input", str(path))
        assert docker(daemon, "run", "--rm", "--network=none", "--entrypoint=tool", f"tool:{REF}") == "24.2\n"
    else:
        found = skopeo("inspect", f"oci-archive:{path}:base:{REF}")
        assert json.loads(found)["Digest"] == small.result("base")["manifest"]["digest"]


def test_an_empty_machine_builds_nothing(small: Site, registry: Registry, tmp_path: Path) -> None:
    """Another store gets every image from the cache, with no other network at all; then one of another content."""
    place = f"oci://{registry.host}/team/cache"
    trusted = "\n[cache]\ntrusted = true\n"
    first = small.copy(tmp_path / "first", store=small.store_path)
    first.edit("[images.base]", trusted + "\n[images.base]")
    said = first.run("build", "--no-start", "--share", "--cache", place)
    assert "cache: left" in said.err
    empty = first.copy(tmp_path / "second", store=tmp_path / "store")
    away = {"https_proxy": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1", "no_proxy": "127.0.0.1"}
    said = empty.run("build", "--no-start", "--cache", place, env=away)
    assert said.performed == []
    for image in ("base", "tool"):
        assert empty.result(image) == small.result(image)
    overlay = empty.folder / "overlays/tool/usr/local/bin/tool"
    overlay.write_text("#!/bin/sh\necho other\n")
    third = empty.copy(tmp_path / "third", store=tmp_path / "third-store")
    said = third.run("build", "tool", "--no-start", "--cache", place, env=away)
    assert said.performed == ["overlays of tool:cpu@" + NATIVE, "image tool:cpu@" + NATIVE]
    code, text = third.inside("tool", "tool")
    assert (code, text) == (0, "other\n")
