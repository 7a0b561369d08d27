"""Enterprise Gateway's objects: they fit each other, ask for no right too many, and name every image by digest."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from builder.errors import StackbuildError
from builder.workflow.export import export
from builder.workflow.project import select
from tests.conftest import Golden
from tests.fake_uploads import FakeUploads
from tests.image_family import Site
from tests.kernels_family import KERNELS, Kernels

LAYOUT = """
[layouts.kernel]
user = "jovyan"
uid = 1000
gid = 100
home = "/home/jovyan"
"""
REQUIRED = {
    "Namespace": ("metadata.name",),
    "ServiceAccount": ("metadata.name", "metadata.namespace"),
    "Role": ("metadata.name", "metadata.namespace", "rules"),
    "RoleBinding": (
        "metadata.name",
        "metadata.namespace",
        "roleRef.apiGroup",
        "roleRef.kind",
        "roleRef.name",
        "subjects",
    ),
    "ClusterRole": ("metadata.name", "rules"),
    "ClusterRoleBinding": ("metadata.name", "roleRef.apiGroup", "roleRef.kind", "roleRef.name", "subjects"),
    "ConfigMap": ("metadata.name", "metadata.namespace", "data"),
    "Deployment": (
        "metadata.name",
        "metadata.namespace",
        "spec.selector.matchLabels",
        "spec.template.metadata.labels",
        "spec.template.spec.containers",
        "spec.template.spec.serviceAccountName",
    ),
    "Service": ("metadata.name", "metadata.namespace", "spec.selector", "spec.ports"),
}
"""Fields without which Kubernetes refuses an object, or it means nothing (API reference, v1.31)."""
VERSIONS = {
    "Namespace": "v1",
    "ServiceAccount": "v1",
    "ConfigMap": "v1",
    "Service": "v1",
    "Deployment": "apps/v1",
    **dict.fromkeys(("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"), "rbac.authorization.k8s.io/v1"),
}
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@pytest.fixture
def kernels(site: Site) -> Kernels:
    """Published, but for the R kernel."""
    text = LAYOUT + KERNELS.replace(
        '[images.gateway]\nfrom = "root"', '[images.gateway]\nfrom = "root"\nlayout = "kernel"'
    )
    found = Kernels(
        site, text.replace('image = "kernel-r", for = "gp-kubernetes"', 'image = "kernel-r", for = "eg-kubernetes"')
    )
    found.build_all()
    site.push("gateway", "kernel-py", "kernel-r")
    return found


def written(kernels: Kernels, reader: str = "shared-namespace", image: str = "gateway") -> str:
    project = kernels.site.project()
    return export(project, select(project.manifest, [image]), "enterprise-gateway", reader=reader)


def objects(kernels: Kernels, reader: str = "shared-namespace") -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(written(kernels, reader)))


def only(found: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (one,) = [each for each in found if each["kind"] == kind]
    return one


def container(found: list[dict[str, Any]]) -> dict[str, Any]:
    (one,) = only(found, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(one)


@pytest.mark.parametrize("reader", ["shared-namespace", "kernel-namespaces"])
def test_the_objects(kernels: Kernels, registry: FakeUploads, golden: Golden, reader: str) -> None:
    text = written(kernels, reader)
    # The gateway holds kernelspecs, these the registry's port, which is another one every time.
    (own,) = set(re.findall(r"/notebooks/gateway@(sha256:[0-9a-f]{64})", text))
    text = text.replace(own, f"sha256:{'0' * 64}").replace(registry.host, "registry.example.com")
    golden(f"enterprise-gateway.{reader}.yaml", text)


@pytest.mark.parametrize("reader", ["shared-namespace", "kernel-namespaces"])
def test_each_has_what_kubernetes_requires(kernels: Kernels, reader: str) -> None:
    for one in objects(kernels, reader):
        assert one["apiVersion"] == VERSIONS[one["kind"]]
        for path in REQUIRED[one["kind"]]:
            found: Any = one
            for part in path.split("."):
                assert part in found, f"{one['kind']}: {path}"
                found = found[part]
            assert found is not None, f"{one['kind']}: {path}"
        assert _LABEL.fullmatch(one["metadata"]["name"])
    pod = only(objects(kernels, reader), "Deployment")["spec"]["template"]["spec"]
    for one in pod["containers"]:
        assert {"name", "image"} <= set(one)
        assert all(set(each) in ({"name", "value"}, {"name", "valueFrom"}) for each in one["env"])
        assert all(isinstance(each.get("value", ""), str) for each in one["env"])
        assert {each["name"] for each in one["volumeMounts"]} <= {each["name"] for each in pod["volumes"]}


@pytest.mark.parametrize("reader", ["shared-namespace", "kernel-namespaces"])
def test_they_fit_each_other(kernels: Kernels, reader: str) -> None:
    found = objects(kernels, reader)
    deployment, service = only(found, "Deployment"), only(found, "Service")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert service["spec"]["selector"].items() <= labels.items()
    ports = {one["name"]: one["containerPort"] for one in container(found)["ports"]}
    assert ports == {"http": 8888, "response": 8877}
    assert [one["targetPort"] for one in service["spec"]["ports"]] == ["http"]
    namespace = only(found, "Namespace")["metadata"]["name"]
    assert {one["metadata"].get("namespace", namespace) for one in found} == {namespace}
    account = only(found, "ServiceAccount")["metadata"]
    for one in found:
        if one["kind"].endswith("Binding"):
            (subject,) = one["subjects"]
            assert subject == {"kind": "ServiceAccount", "name": account["name"], "namespace": namespace}
            assert one["roleRef"]["name"] in {
                role["metadata"]["name"] for role in found if role["kind"] == one["roleRef"]["kind"]
            }
    config = only(found, "ConfigMap")
    (volume,) = deployment["spec"]["template"]["spec"]["volumes"]
    assert volume["configMap"]["name"] == config["metadata"]["name"]
    assert [one["subPath"] for one in container(found)["volumeMounts"]] == list(config["data"])


def test_kernels_are_named_by_their_indexes(kernels: Kernels, registry: FakeUploads) -> None:
    """The image itself names those of one platform; a published index has them all."""
    data = only(objects(kernels), "ConfigMap")["data"]
    assert list(data) == ["python_kubernetes.json", "r_kubernetes.json"]
    for name, image in (("r_kubernetes.json", "kernel-r"), ("python_kubernetes.json", "kernel-py")):
        config = json.loads(data[name])["metadata"]["process_proxy"]["config"]
        place, _, digest = config["image_name"].partition("@")
        assert place == f"{registry.host}/notebooks/{image}"
        assert len(json.loads(registry.manifests[f"notebooks/{image}", digest])["manifests"]) == 2
    reference = container(objects(kernels))["image"]
    assert reference.startswith(f"{registry.host}/notebooks/gateway@sha256:")


def test_what_it_may_do(kernels: Kernels) -> None:
    """In its own namespace: kernels' pods. Over namespaces: these too, and to bind one role that allows nothing."""
    shared = objects(kernels)
    assert not [one for one in shared if one["kind"].startswith("Cluster")]
    assert only(shared, "Role")["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "delete", "list"]}
    ]
    many = objects(kernels, "kernel-namespaces")
    roles = {one["metadata"]["name"]: one["rules"] for one in many if one["kind"] == "ClusterRole"}
    assert roles["gateway-kernel"] == []
    allowed = {
        (resource, verb) for rule in roles["gateway"] for resource in rule["resources"] for verb in rule["verbs"]
    }
    assert allowed == {
        *(("pods", verb) for verb in ("create", "delete", "list")),
        *(("namespaces", verb) for verb in ("create", "delete")),
        ("rolebindings", "create"),
        ("clusterroles", "bind"),
    }
    (bound,) = [rule for rule in roles["gateway"] if rule["verbs"] == ["bind"]]
    assert bound["resourceNames"] == ["gateway-kernel"]
    env = {one["name"]: one.get("value") for one in container(many)["env"]}
    assert (env["EG_KERNEL_CLUSTER_ROLE"], env["EG_SHARED_NAMESPACE"]) == ("gateway-kernel", "false")
    assert not [word for one in (*shared, *many) for word in ("*", "cluster-admin") if word in json.dumps(one)]


def test_it_runs_as_the_layouts_user_with_no_privilege(kernels: Kernels) -> None:
    pod = only(objects(kernels), "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == 1000
    assert pod["securityContext"]["runAsGroup"] == 100
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container(objects(kernels))["securityContext"]["allowPrivilegeEscalation"] is False


def test_it_offers_what_kubernetes_can_start_and_nothing_else(kernels: Kernels) -> None:
    env = {one["name"]: one for one in container(objects(kernels))["env"]}
    assert env["EG_ALLOWED_KERNELS"]["value"] == "python_kubernetes,r_kubernetes"
    assert env["EG_DEFAULT_KERNEL_NAME"]["value"] == "python_kubernetes"
    assert env["EG_RESPONSE_IP"]["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    assert env["EG_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]["optional"] is True


def test_what_is_no_such_gateway(kernels: Kernels) -> None:
    with pytest.raises(StackbuildError, match="no gateway for Kubernetes: lab"):
        written(kernels, image="lab")
    with pytest.raises(StackbuildError, match="enterprise-gateway needs a reader") as caught:
        written(kernels, "")
    assert caught.value.expected == "--for shared-namespace or kernel-namespaces"


def test_a_gateway_that_was_not_pushed(site: Site) -> None:
    text = LAYOUT + KERNELS.replace(
        '[images.gateway]\nfrom = "root"', '[images.gateway]\nfrom = "root"\nlayout = "kernel"'
    )
    found = Kernels(site, text)
    found.build_all()
    site.push("kernel-py", "kernel-r")
    with pytest.raises(StackbuildError, match="not pushed from here: gateway"):
        written(found)
