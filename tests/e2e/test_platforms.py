"""A family for two platforms: the other one's package scripts run through qemu-user, and one index has both."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from builder.platforms import NATIVE, runs
from tests.e2e.conftest import SMALL, build, lock, tool
from tests.e2e.project import Site
from tests.e2e.services import Registry, docker
from tests.tools import absent, need

BINFMT = Path("/proc/sys/fs/binfmt_misc")
OTHER = "linux/arm64" if NATIVE == "linux/amd64" else "linux/amd64"
REF = "1.0"


def emulated() -> None:
    """Go on only where programs of the other platform run."""
    need("update-binfmts", "qemu-aarch64-static")
    if not (BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "none", str(BINFMT)], check=False)
    subprocess.run(["update-binfmts", "--enable"], check=False, capture_output=True)
    if not runs(OTHER):
        absent(f"this kernel registers no interpreter for {OTHER}")


@pytest.fixture(scope="module")
def both(small: Site, tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Site:
    """The small family, built for this machine's platform and for the other one."""
    emulated()
    manifest = SMALL.replace(f'platforms = ["{NATIVE}"]', f'platforms = ["{NATIVE}", "{OTHER}"]')
    site = small.clone(tmp_path_factory.mktemp("both"), unpacked=True)
    (site.folder / "stacks.toml").write_text(manifest)
    tool(site, "import platform; print(platform.machine())")
    lock(site, downloads)
    build(site, downloads, f"tool@{NATIVE}", f"tool@{OTHER}")
    return site


def machine(platform: str) -> str:
    return {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}[platform]


@pytest.mark.parametrize("platform", [NATIVE, OTHER])
def test_its_programs_run(both: Site, platform: str) -> None:
    said = both.run("shell", f"tool@{platform}", "--", "tool")
    assert said.out.strip() == machine(platform)
    packages = both.run("shell", f"tool@{platform}", "--", "dpkg", "--audit")
    assert packages.out == ""


def test_wheels_without_machine_code_are_one_layer_for_both(both: Site) -> None:
    layers = [
        {layer["digest"] for layer in both.result(f"tool@{platform}")["layers"] if layer["name"].startswith("pip/")}
        for platform in (NATIVE, OTHER)
    ]
    assert layers[0] == layers[1] != set()


def test_one_index_in_a_registry(both: Site, registry: Registry, tmp_path: Path) -> None:
    need("skopeo", "umoci")
    where = f"{registry.host}/both"
    both.run("push", "tool", "--to", where + "/{image}", "--tag", REF)
    source = f"docker://{where}/tool:{REF}"
    raw = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", source], capture_output=True, check=True
    ).stdout
    index = json.loads(raw)
    assert [row["platform"]["architecture"] for row in index["manifests"]] == ["amd64", "arm64"]
    assert index["annotations"]["org.opencontainers.image.title"] == "tool"
    arch = OTHER.partition("/")[2]
    copy = ["skopeo", "--override-arch", arch, "copy", "--quiet", "--insecure-policy", "--src-tls-verify=false"]
    subprocess.run([*copy, source, f"oci:{tmp_path}/layout:{REF}"], check=True)
    command = ["umoci", "unpack", "--keep-dirlinks", "--image", f"{tmp_path}/layout:{REF}", str(tmp_path / "bundle")]
    subprocess.run(command, check=True, capture_output=True)
    run = ["chroot", str(tmp_path / "bundle/rootfs"), "/usr/local/bin/tool"]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == machine(OTHER)


def test_docker_runs_the_other_one(both: Site, registry: Registry, daemon: str) -> None:
    """Pulled from the index by platform, as on a machine of that platform."""
    where = f"{registry.host}/docker"
    both.run("push", "tool", "--to", where + "/{image}", "--tag", REF)
    docker(daemon, "pull", "--quiet", "--platform", OTHER, f"{where}/tool:{REF}")
    run = ["run", "--rm", "--network=none", "--platform", OTHER, "--entrypoint", "/usr/local/bin/tool"]
    assert docker(daemon, *run, f"{where}/tool:{REF}").strip() == machine(OTHER)


def test_where_no_interpreter_is_registered(both: Site) -> None:
    """A clear error, and not the kernel's `exec format error` in the middle of a build."""
    script = f'umount {BINFMT} && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", *both.argv("build", f"base@{OTHER}", "--jobs", "1")]
    done = subprocess.run(command, env=both.environ(), capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert f"none of these targets can run on this machine: base:cpu@{OTHER}" in done.stderr
    assert "apt-get install qemu-user-static binfmt-support" in done.stderr
