"""An OpenShift template: what its users type goes on to work, it names the image by digest, and nothing breaks out."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from builder.errors import StackbuildError
from builder.workflow.export import export
from builder.workflow.project import select
from builder.workflow.published import Place
from tests.conftest import Golden
from tests.exports.notebooks import notebooks
from tests.fake_uploads import FakeUploads
from tests.image_family import Site


def template(site: Site, text: str = "jupyter", **place: str) -> str:
    project = site.project()
    return export(project, select(project.manifest, [text]), "openshift-template", place=Place(**place))


def processed(text: str, **parameters: str) -> dict[str, Any]:
    """The objects by kind as OpenShift makes them of a template: it replaces in every string, keys too."""
    found = yaml.safe_load(text)
    values = {one["name"]: parameters.get(one["name"], one.get("value", "")) for one in found["parameters"]}
    missing = [one["name"] for one in found["parameters"] if one.get("required") and not values[one["name"]]]
    assert not [one for one in missing if one != "USER_PASSWORD"], missing

    def filled(node: Any) -> Any:
        if isinstance(node, dict):
            return {filled(key): filled(value) for key, value in node.items()}
        if isinstance(node, list):
            return [filled(one) for one in node]
        return re.sub(r"\$\{(\w+)\}", lambda one: values[one[1]], node) if isinstance(node, str) else node

    return {one["kind"]: filled(one) for one in found["objects"]}


PARAMETERS = {
    "APPLICATION_NAME": "my-notebook",
    "REPOSITORY_URL": "https://git.example.com/lectures.git",
    "USER_PASSWORD": "secret",
    "ROUTE_HOSTNAME": "nb.example.com",
}


def test_the_template(site: Site, registry: FakeUploads, golden: Golden) -> None:
    notebooks(site).build()
    site.push()
    golden("openshift-template.yaml", template(site).replace(registry.host, "registry.example.com"))


def test_its_parameters_are_those_that_its_users_know(site: Site) -> None:
    notebooks(site).build()
    site.push()
    found = yaml.safe_load(template(site))
    assert (found["apiVersion"], found["kind"]) == ("template.openshift.io/v1", "Template")
    assert found["metadata"]["name"] == "jupyter"
    assert found["metadata"]["annotations"]["description"] == "JupyterLab: notebooks"
    parameters = {one["name"]: one for one in found["parameters"]}
    assert list(parameters) == list(PARAMETERS)
    assert [name for name, one in parameters.items() if one.get("required")] == list(PARAMETERS)[:3]
    password = parameters["USER_PASSWORD"]
    assert (password["generate"], password["from"]) == ("expression", "[a-zA-Z0-9]{16}")
    assert "value" not in password


def test_objects_fit_each_other(site: Site, registry: FakeUploads) -> None:
    notebooks(site).build()
    pushed, _ = site.push()
    digest = next(one.digest for one in pushed if one.name.endswith("/jupyter"))
    objects = processed(template(site), **PARAMETERS)
    assert list(objects) == ["ImageStream", "BuildConfig", "Secret", "Deployment", "Service", "Route"]
    assert {kind: one["apiVersion"] for kind, one in objects.items()} == {
        "ImageStream": "image.openshift.io/v1",
        "BuildConfig": "build.openshift.io/v1",
        "Secret": "v1",
        "Deployment": "apps/v1",
        "Service": "v1",
        "Route": "route.openshift.io/v1",
    }
    for one in objects.values():
        assert one["metadata"]["name"] == "my-notebook"
        assert one["metadata"]["labels"] == {"app": "my-notebook"}

    build = objects["BuildConfig"]["spec"]
    assert build["source"]["git"]["uri"] == PARAMETERS["REPOSITORY_URL"]
    assert build["strategy"]["type"] == "Source"
    builder = build["strategy"]["sourceStrategy"]["from"]
    assert builder == {"kind": "DockerImage", "name": f"{registry.host}/notebooks/jupyter@{digest}"}
    index = json.loads(registry.manifests["notebooks/jupyter", digest])
    assert len(index["manifests"]) == 2, "the digest is the index's"

    deployment = objects["Deployment"]
    pod = deployment["spec"]["template"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    (container,) = pod["spec"]["containers"]
    (trigger,) = json.loads(deployment["metadata"]["annotations"]["image.openshift.io/triggers"])
    assert trigger["from"] == build["output"]["to"] == {"kind": "ImageStreamTag", "name": "my-notebook:latest"}
    assert f'(@.name=="{container["name"]}")' in trigger["fieldPath"]
    (variable,) = container["env"]
    reference = variable["valueFrom"]["secretKeyRef"]
    assert variable["name"] == "PASSWORD", "as the images' contract calls it"
    assert reference["name"] == objects["Secret"]["metadata"]["name"]
    assert objects["Secret"]["stringData"][reference["key"]] == "secret"

    service, route = objects["Service"]["spec"], objects["Route"]["spec"]
    assert service["selector"].items() <= pod["metadata"]["labels"].items()
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports == {"http": 8888, "port-4040": 4040}
    assert {one["name"]: ports[one["targetPort"]] for one in service["ports"]} == ports
    assert route["to"]["name"] == objects["Service"]["metadata"]["name"]
    assert route["port"]["targetPort"] == "http"
    assert route["tls"] == {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"}
    assert route["host"] == "nb.example.com"


def test_ports_are_those_of_the_label_for_openshift(site: Site) -> None:
    more = 'labels."io.openshift.expose-services" = "9999:http, 4041:spark"\n'
    notebooks(site, f'[images.ported]\nfrom = "jupyter"\n{more}').build()
    site.push("ported")
    (container,) = processed(template(site, "ported"), **PARAMETERS)["Deployment"]["spec"]["template"]["spec"][
        "containers"
    ]
    assert [one["containerPort"] for one in container["ports"]] == [9999, 4041]


@pytest.mark.parametrize("name", ["1e3", "null", "0x10", "on", "n", "012"])
def test_a_name_that_yaml_would_take_for_something_else(site: Site, name: str) -> None:
    notebooks(site, f'[images."{name}"]\nfrom = "jupyter"\n').build(name)
    site.push(name)
    assert yaml.safe_load(template(site, name))["metadata"]["name"] == name


def test_what_the_manifest_says_is_data(site: Site) -> None:
    """A description may hold anything; it lies where OpenShift replaces nothing."""
    hostile = "${USER_PASSWORD} # 'no': [x\n---\nobjects: []\n- &a *a !!python/object:os.system {{ x }} \u2028\ttab"
    more = f'[images.odd]\nfrom = "jupyter"\ndescription = {json.dumps(hostile)}\n'
    notebooks(site, more).build("odd")
    site.push("odd")
    text = template(site, "odd")
    (found,) = yaml.safe_load_all(text)
    assert found["metadata"]["annotations"]["description"] == hostile
    assert len(found["objects"]) == 6
    assert "${USER_PASSWORD}" not in json.dumps([one for one in found["objects"] if one["kind"] != "Secret"])
    for value in re.findall(r"\$\{(\w+)\}", json.dumps(found["objects"])):
        assert value in PARAMETERS


def test_a_place_that_openshift_would_substitute_is_refused(site: Site, registry: FakeUploads) -> None:
    notebooks(site).build("jupyter")
    place = registry.host + "/${USER_PASSWORD}/{image}"
    line = {"time": "2026-11-21T00:00:00Z", "project": "family", "name": place.replace("{image}", "jupyter")}
    row = {**line, "digest": "sha256:" + "0" * 64, "tags": ["x"], "platforms": {}}
    (site.store.path / "pushed.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(StackbuildError, match="OpenShift would take this for a parameter"):
        template(site, repository=place)


def test_variants_are_images_of_their_own(site: Site) -> None:
    notebooks(site).build()
    site.push()
    assert yaml.safe_load(template(site, "torch:cuda"))["metadata"]["name"] == "torch-cuda"
    with pytest.raises(StackbuildError, match="several images: openshift-template is about one image") as error:
        template(site, "torch")
    assert error.value.next_step == "stackbuild export openshift-template torch:cpu"


def test_what_cannot_be_built_on_is_refused(site: Site) -> None:
    notebooks(site)
    bare = '[images.bare]\nfrom = "root"\nlabels."io.openshift.s2i.scripts-url" = "image:///s2i"\n'
    manifest = site.folder / "stacks.toml"
    manifest.write_text(manifest.read_text() + bare)
    with pytest.raises(StackbuildError, match="no port to reach it by: bare"):
        template(site, "bare")
    with pytest.raises(StackbuildError, match="not pushed from here: jupyter"):
        template(site)


def test_no_s2i_builder_is_refused(site: Site) -> None:
    """Only of a root that is no image of a registry is it known what labels it has."""
    path = notebooks(site).folder / "stacks.toml"
    archive = '[archives.bookworm]\nsuites = ["bookworm"]\n'
    layout = '[layouts.one]\nuser = "me"\nuid = 1000\ngid = 0\nhome = "/home/me"\n'
    plain = '[images.plain]\nfrom = "archive:bookworm"\nlayout = "one"\nexpose = [8888]\n'
    path.write_text(path.read_text() + archive + layout + plain)
    with pytest.raises(StackbuildError, match="no S2I builder: plain") as error:
        template(site, "plain")
    assert error.value.next_step == 'labels."io.openshift.s2i.scripts-url" = "image:///usr/libexec/s2i"'
