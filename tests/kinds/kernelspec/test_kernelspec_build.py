"""A gateway names kernel images by digest: what that says, what it rebuilds, and what cannot be."""

from __future__ import annotations

import json

import pytest

from builder import listing
from builder.errors import HostileInput, Problems, StackbuildError
from builder.workflow import build, explain, push, shipment
from builder.workflow.lock import check
from tests.conftest import Golden
from tests.fake_uploads import FakeUploads
from tests.image_family import Site
from tests.kernels_family import KERNELS, LAUNCHERS, Kernels, file_of, wheel
from tests.test_golden import text

FOLDER = "usr/local/share/jupyter/kernels"


def spec(kernels: Kernels, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        file_of(kernels.site, kernels.result("gateway"), f"{FOLDER}/{name}/kernel.json")
    )
    return found


def test_one_small_layer_with_each_kernel(kernels: Kernels, golden: Golden) -> None:
    kernels.build("gateway")
    layers = kernels.result("gateway")["layers"]
    assert isinstance(layers, list)
    layer = next(one for one in layers if one["name"] == "kernelspecs")
    rows = [(one.kind, one.mode, one.ids, one.path) for one in listing.read(kernels.site.store, layer)]
    golden("kernelspec.txt", "".join(f"{kind:5} {mode} {ids} {path}\n" for kind, mode, ids, path in rows))
    assert "diff_id" in layer and text(kernels.site.store, layer)


def test_the_image_is_named_by_the_digest_of_its_manifest(kernels: Kernels, registry: FakeUploads) -> None:
    """On each platform by that of the same platform: an index is another one as soon as a platform joins it."""
    kernels.build("gateway")
    for image, name in (("kernel-py", "python_docker"), ("kernel-r", "r_kubernetes")):
        metadata = spec(kernels, name)["metadata"]
        assert isinstance(metadata, dict)
        (key,) = {"process_proxy", "kernel_provisioner"} & set(metadata)
        manifest = kernels.result(image)["manifest"]
        assert isinstance(manifest, dict)
        expected = f"{registry.host}/notebooks/{image}@{manifest['digest']}"
        assert metadata[key]["config"] == {"image_name": expected}
    assert spec(kernels, "python_docker")["display_name"] == "Python 3 (in a container)"
    assert spec(kernels, "python_kubernetes")["display_name"] == "Python on the team's cluster"
    assert spec(kernels, "r_kubernetes")["display_name"] == "kernel-r"
    kernels.build_all()
    project = kernels.site.project()
    digests = {}
    for target in (one for one in project.manifest.targets() if one.image in {"gateway", "kernel-py"}):
        digests[target.image, target.platform] = build.result(project, build.plan(project, [target]), target)
    for platform in ("linux/amd64", "linux/arm64"):
        said = file_of(kernels.site, digests["gateway", platform], f"{FOLDER}/python_docker/kernel.json").decode()
        assert digests["kernel-py", platform]["manifest"]["digest"] in said


def test_launchers_are_those_of_the_wheel(kernels: Kernels) -> None:
    kernels.build("gateway")
    gateway = kernels.result("gateway")
    for name, launcher in (("python_docker", "docker"), ("python_kubernetes", "kubernetes")):
        said = file_of(kernels.site, gateway, f"{FOLDER}/{name}/scripts/launch_{launcher}.py")
        assert said == f"print('{launcher}')\n".encode()
    assert file_of(kernels.site, gateway, f"{FOLDER}/r_kubernetes/kernel.js") == b"r"


def test_a_changed_kernel_image_rebuilds_one_layer_of_the_gateway(kernels: Kernels) -> None:
    kernels.build("gateway")
    kernels.site.overlay("lab", "changed")
    assert kernels.build("gateway") == [
        "image gateway: done",
        "image kernel-py: done",
        "kernelspecs of gateway: done",
        "overlays of kernel-py: done",
    ]
    kernels.site.overlay("full", "changed")
    assert kernels.build("gateway") == ["image gateway: done", "overlays of gateway: done"]
    assert kernels.stale("gateway", "kernel-py", "kernel-r") == []


def test_a_kernel_image_with_the_same_bytes_rebuilds_nothing(kernels: Kernels) -> None:
    """Early cutoff: a file of an overlay moves to another overlay, and the image is the same."""
    kernels.build("gateway")
    before = kernels.result("gateway")
    kernels.edit(
        'env = { KERNEL_LANGUAGE = "python" }\noverlays = ["lab"]',
        'env = { KERNEL_LANGUAGE = "python" }\noverlays = ["moved"]',
    )
    old = kernels.site.folder / "overlays/lab/opt/lab"
    new = kernels.site.folder / "overlays/moved/opt/lab"
    new.parent.mkdir(parents=True)
    new.write_text(old.read_text())
    assert kernels.build("gateway") == []
    assert kernels.result("gateway") == before


def test_explain_says_that_the_kernel_image_moved(kernels: Kernels) -> None:
    kernels.build("gateway")
    kernels.site.overlay("lab", "changed")
    project = kernels.site.project()
    target = kernels.target("gateway")
    reasons = {one.action: one.because for one in explain.explain(project, build.plan(project, [target]), target)}
    assert reasons["kernelspecs of gateway:cpu@linux/amd64"] == ("image kernel-py:cpu@linux/amd64 is rebuilt",)
    kernels.site.overlay("lab", "lab")
    kernels.edit("Python 3 (in a container)", "Python")
    project = kernels.site.project()
    reasons = {one.action: one.because for one in explain.explain(project, build.plan(project, [target]), target)}
    assert reasons["kernelspecs of gateway:cpu@linux/amd64"] == (
        "specs.python_docker.display: Python 3 (in a container) → Python",
    )


def test_another_wheel_of_launchers(kernels: Kernels) -> None:
    kernels.build("gateway")
    kernels.launchers(
        wheel({**LAUNCHERS, f"{'gateway_provisioners'}/kernel-launchers/docker/scripts/launch_docker.py": "2"}), "0.6.0"
    )
    assert kernels.build("gateway") == ["image gateway: done", "kernelspecs of gateway: done"]
    assert file_of(kernels.site, kernels.result("gateway"), f"{FOLDER}/python_docker/scripts/launch_docker.py") == b"2"


def test_a_kernel_image_without_launchers(site: Site) -> None:
    found = Kernels(site)
    project = site.project()
    for target in (one for one in project.manifest.targets() if one.image == "kernel-py"):
        project.locks.path(target, "pip").unlink()
    with pytest.raises(Problems, match="no launcher for the kernelspec python_docker") as caught:
        found.build("gateway")
    assert "gateway-provisioners==0.5.0" in str(caught.value)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"gateway_provisioners/__init__.py": ""}, "no launch_docker.py in gateway_provisioners-0.5.0"),
        ({f"gateway_provisioners/kernel-launchers/docker/scripts/{n}": "" for n in range(40)}, "too many or too large"),
        ({"gateway_provisioners/kernel-launchers/docker/scripts/x": "x" * (1 << 20) + "x"}, "too many or too large"),
        ({"gateway_provisioners/kernel-launchers/docker/scripts/../../x": ""}, "unsafe path"),
    ],
)
def test_wheels_that_are_no_such(site: Site, files: dict[str, str], said: str) -> None:
    found = Kernels(site, data=wheel(files))
    with pytest.raises(Problems, match=said):
        found.build("gateway")


def test_a_wheel_that_is_no_archive(site: Site) -> None:
    found = Kernels(site, data=b"no archive")
    with pytest.raises(Problems) as caught:
        found.build("gateway")
    assert isinstance(caught.value.problems[0], HostileInput)


def test_an_image_that_is_no_kernel_image(kernels: Kernels) -> None:
    kernels.edit('{ image = "kernel-r"', '{ image = "lab"')
    with pytest.raises(StackbuildError, match="no kernel image: lab"):
        kernels.build("gateway")


def test_a_repository_that_nobody_can_pull_from(kernels: Kernels, registry: FakeUploads) -> None:
    kernels.edit(f'repository = "{registry.host}/notebooks/{{image}}"\n', "")
    with pytest.raises(StackbuildError, match="nobody could pull it: kernel-py@sha256"):
        kernels.build("gateway")


def test_a_folder_on_the_way_is_repeated_as_it_stands(site: Site) -> None:
    """A layer that has a folder with another mode would change it for everyone."""
    from tests.fake_image import Image, file, folder, tagged

    ground = [folder("usr/local/share", mode=0o2775, ids=(0, 50)), file("etc/a", "x")]
    both = [Image([ground], platform=platform) for platform in ("linux/amd64", "linux/arm64")]
    tagged(site.folder.parent / "layout", "1.0", *both)
    kernels = Kernels(site)
    kernels.build("gateway")
    layers = kernels.result("gateway")["layers"]
    assert isinstance(layers, list)
    layer = next(one for one in layers if one["name"] == "kernelspecs")
    rows = {one.path: (one.mode, one.ids) for one in listing.read(site.store, layer)}
    assert rows["usr/local/share"] == ("2775", "0:50")


def test_checking_locks_looks_at_what_is_named(kernels: Kernels) -> None:
    target = kernels.target("gateway")

    def stale() -> list[str]:
        return [str(one) for one in check(kernels.site.project(), [target]) if "fetch" in str(one)]

    assert stale() == []
    fetch = '{ name = "a", version = "1", url = "https://example.com/a", to = "/opt/a" }'
    kernels.edit('env = { KERNEL_LANGUAGE = "R" }', f'env = {{ KERNEL_LANGUAGE = "R" }}\nfetch = [{fetch}]')
    (problem,) = stale()
    assert "kernel-r:cpu@linux/amd64" in problem


def test_pushing_a_gateway_takes_its_kernel_images(kernels: Kernels, registry: FakeUploads) -> None:
    kernels.build_all()
    with pytest.raises(StackbuildError, match="names an image that is not there") as caught:
        kernels.site.push("gateway")
    assert "stackbuild push kernel-py gateway" in str(caught.value)
    assert not [path for method, path in registry.seen if method in {"PUT", "POST"}], "nothing was sent"
    kernels.site.push("gateway", "kernel-py", "kernel-r")
    kernels.site.push("gateway")


def test_pushing_it_elsewhere_only_tells(kernels: Kernels, registry: FakeUploads) -> None:
    """What it names stays where the manifest says, whose registry may not be reached from here."""
    kernels.build_all()
    project = kernels.site.project()
    wanted = [one for one in project.manifest.targets() if one.image == "gateway"]
    planned = build.plan(project, wanted)
    said: list[str] = []
    chosen, _ = shipment.ready(project, planned, wanted)
    push.push(project, planned, chosen, repository=f"{registry.host}/mirror/{{image}}", told=said.append)
    assert [line for line in said if "kernel-py@sha256:" in line]
    assert [path for (path, _) in registry.manifests if path == "mirror/gateway"]


def test_a_set_may_have_them(site: Site) -> None:
    text = KERNELS.replace("kernelspecs = [", "use = ['kernels']\n[sets.kernels]\nkernelspecs = [")
    kernels = Kernels(site, text)
    kernels.build("gateway")
    assert spec(kernels, "python_docker")["language"] == "python"
