"""A published image as an OpenShift template: notebooks from a Git repository, built into it by S2I, behind a route.

    REPOSITORY_URL ─→ BuildConfig ─→ ImageStream ─→ Deployment ─→ Service ─→ Route (TLS edge) ─→ ROUTE_HOSTNAME
                      image@digest                      ↑
    USER_PASSWORD ─→ Secret ────────────────────── PASSWORD

The parameters are those of the OpenShift Jupyter stacks' templates, so that what their users type goes on to work.

A template's objects have no escape for `${NAME}`, so nothing from the manifest with such a text may come into them;
what is outside of the objects, as the description, is never substituted.

Sources: OpenShift API reference, template.openshift.io/v1, build.openshift.io/v1, image.openshift.io/v1,
route.openshift.io/v1; "Triggering updates on image stream changes", for the Deployment's annotation.
"""

from __future__ import annotations

import json
import re
from typing import Final

from builder.digest import Json
from builder.errors import StackbuildError
from builder.exports import Scope, Subject
from builder.exports.yaml_text import dumps
from builder.manifest.settings import PLAIN

SCOPE = Scope.IMAGE
DIGESTS = True
_NAME: Final = "${APPLICATION_NAME}"
_META: Final[Json] = {"name": _NAME, "labels": {"app": _NAME}}
_SCRIPTS: Final = "io.openshift.s2i.scripts-url"
_SERVICES: Final = "io.openshift.expose-services"
_STREAM: Final[Json] = {"kind": "ImageStreamTag", "name": f"{_NAME}:latest"}

_PARAMETERS: Final[Json] = [
    {
        "name": "APPLICATION_NAME",
        "displayName": "Name",
        "description": "Identifies the resources created for this application.",
        "required": True,
    },
    {
        "name": "REPOSITORY_URL",
        "displayName": "Git Repository URL",
        "description": "Repository for your Jupyter Notebooks and data.",
        "required": True,
    },
    {
        "name": "USER_PASSWORD",
        "displayName": "User Password",
        "description": "User password for accessing Jupyter Notebook.",
        "required": True,
        "generate": "expression",
        "from": "[a-zA-Z0-9]{16}",
    },
    {
        "name": "ROUTE_HOSTNAME",
        "displayName": "Hostname",
        "description": "Public hostname for the route. If not specified, a hostname is generated.",
    },
]


def export(subject: Subject) -> str:
    """The text (YAML), for `oc create -f` or `oc process -f`.

    Raises:
        StackbuildError: the image is no S2I builder, or listens nowhere; it was not pushed.
    """
    labels = _labels(subject)
    if _SCRIPTS not in labels and not subject.manifest.family(subject.target)[0].base:
        raise StackbuildError(
            f"no S2I builder: {subject.target.image}",
            where=f"images.{subject.target.image}.labels",
            expected="a label that says where its scripts are",
            next_step=f'labels."{_SCRIPTS}" = "image:///usr/libexec/s2i"',
        )
    ports = _ports(subject, labels)
    reference = subject.references(subject.targets)[subject.target]
    if "${" in reference:
        raise StackbuildError(f"OpenShift would take this for a parameter: {reference}", expected="a place without ${")
    objects = [_image_stream(), _build(reference), _secret(), _deployment(ports), _service(ports), _route(ports)]
    return dumps(
        {
            "apiVersion": "template.openshift.io/v1",
            "kind": "Template",
            "metadata": _metadata(subject),
            "parameters": _PARAMETERS,
            "objects": objects,
        }
    )


def _metadata(subject: Subject) -> Json:
    target = subject.target
    name = target.image if target.variant == PLAIN else f"{target.image}-{target.variant}"
    description = subject.manifest.images[target.image].description
    return {
        "name": name,
        "annotations": {
            "openshift.io/display-name": name,
            **({"description": description} if description else {}),
            "iconClass": "icon-python",
            "tags": "instant-app,jupyter",
        },
    }


def _labels(subject: Subject) -> dict[str, str]:
    """The image's labels, as far as the manifest says them."""
    return {name: text for image in subject.manifest.family(subject.target) for name, text in image.labels.items()}


def _ports(subject: Subject, labels: dict[str, str]) -> dict[str, int]:
    """Names and numbers of the ports that the image listens on, the one for browsers first, which is called `http`.

    They are those of its label for OpenShift, `8888:http,4040:spark`, else those that it exposes.
    """
    numbers = [int(one) for one in re.findall(r"(?:^|,)\s*([0-9]{1,5})(?=[:/,]|$)", labels.get(_SERVICES, ""))]
    if not numbers:
        numbers = [port for image in subject.manifest.family(subject.target) for port in image.expose]
    if not numbers:
        raise StackbuildError(
            f"no port to reach it by: {subject.target.image}",
            where=f"images.{subject.target.image}",
            next_step=f'expose = [8888], or labels."{_SERVICES}" = "8888:http"',
        )
    first, *others = dict.fromkeys(numbers)
    return {"http": first, **{f"port-{number}": number for number in others}}


def _image_stream() -> Json:
    return {"apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": _META}


def _build(reference: str) -> Json:
    return {
        "apiVersion": "build.openshift.io/v1",
        "kind": "BuildConfig",
        "metadata": _META,
        "spec": {
            "source": {"type": "Git", "git": {"uri": "${REPOSITORY_URL}"}},
            "strategy": {"type": "Source", "sourceStrategy": {"from": {"kind": "DockerImage", "name": reference}}},
            "output": {"to": _STREAM},
            "triggers": [{"type": "ConfigChange"}],
        },
    }


def _secret() -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _META,
        "type": "Opaque",
        "stringData": {"password": "${USER_PASSWORD}"},
    }


def _deployment(ports: dict[str, int]) -> Json:
    """One pod. Its image is what the build puts into the stream; until then it is " ", as `oc new-app` writes it."""
    path = 'spec.template.spec.containers[?(@.name=="notebook")].image'
    password = {"secretKeyRef": {"name": _NAME, "key": "password"}}
    container: Json = {
        "name": "notebook",
        "image": " ",
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()],
        "env": [{"name": "PASSWORD", "valueFrom": password}],
        "readinessProbe": {"tcpSocket": {"port": "http"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": _NAME,
            "labels": {"app": _NAME},
            "annotations": {"image.openshift.io/triggers": json.dumps([{"from": _STREAM, "fieldPath": path}])},
        },
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},  # A volume of one writer goes to the next pod once the last is gone.
            "selector": {"matchLabels": {"app": _NAME}},
            "template": {"metadata": {"labels": {"app": _NAME}}, "spec": {"containers": [container]}},
        },
    }


def _service(ports: dict[str, int]) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _META,
        "spec": {
            "selector": {"app": _NAME},
            "ports": [
                {"name": name, "port": port, "targetPort": name, "protocol": "TCP"} for name, port in ports.items()
            ],
        },
    }


def _route(ports: dict[str, int]) -> Json:
    return {
        "apiVersion": "route.openshift.io/v1",
        "kind": "Route",
        "metadata": _META,
        "spec": {
            "host": "${ROUTE_HOSTNAME}",
            "to": {"kind": "Service", "name": _NAME, "weight": 100},
            "port": {"targetPort": next(iter(ports))},
            "tls": {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"},
        },
    }
