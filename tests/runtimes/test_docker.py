"""What is Docker's alone: which daemon, what it is given, and what of it stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from builder.built import Image
from builder.errors import StackbuildError
from builder.runtimes import Start, docker, keeping_last, named
from builder.store import Store
from builder.transports import daemon as transport
from builder.transports.archive import Archived, stream
from tests.e2e import services
from tests.fake_image import file, tar
from tests.runtimes.conftest import CONFIG, image_of, layer

ASLEEP = Start(argv=("/bin/sleep", "60"))


def images(daemon: str) -> set[str]:
    return set(services.docker(daemon, "images", "--quiet", "--no-trunc").split())


def containers(daemon: str) -> str:
    return services.docker(daemon, "ps", "--all", "--quiet", "--filter", f"label={docker.LABEL}")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many blobs each load sent: what is measured is on its way to a real daemon."""
    found: list[int] = []

    def counted(whole: list[Archived], form: Any) -> Any:
        found.append(sum(len(one.blobs) for one in whole))
        return stream(whole, form)

    monkeypatch.setattr(transport, "stream", counted)
    return found


def child(store: Store, layers: list[dict[str, Any]], name: str) -> Image:
    return image_of(store, [*layers, layer(store, tar([file(f"etc/{name}", name)]))], CONFIG)


def test_what_was_brought_goes_and_what_was_there_stays(daemon: str, image: Image) -> None:
    before = images(daemon)
    with named("docker")(image) as container, container(ASLEEP):
        assert len(containers(daemon).split()) == 1
        assert images(daemon) == before | {str(image.result["config"])}
        with named("docker")(image) as again, again(ASLEEP):
            pass
        assert images(daemon) == before | {str(image.result["config"])}
    assert images(daemon) == before
    assert containers(daemon) == ""


def test_only_missing_layers_are_sent(
    daemon: str, runtime_store: Store, layers: list[dict[str, Any]], sent: list[int]
) -> None:
    """And an image goes only when the next one is there. The manifest and the config are two blobs more."""
    before = images(daemon)
    one, two = child(runtime_store, layers, "one"), child(runtime_store, layers, "two")
    with keeping_last(named("docker")) as ready:
        for image, name in ((one, "one"), (two, "two")):
            with ready(image) as container, container(Start(argv=("cat", f"/etc/{name}"))) as running:
                assert (running.wait(60), running.output()) == (0, name)
    assert sent[-1] == 3
    assert images(daemon) == before


def test_what_the_daemon_has_is_not_brought(daemon: str, image: Image, sent: list[int]) -> None:
    with named("docker")(image):
        sent.clear()
        with named("docker")(image):
            pass
        assert sent == []


def test_a_check_that_is_interrupted_leaves_nothing(daemon: str, image: Image) -> None:
    """TERM is what a CI system sends; `stackbuild check` takes it for ^C."""
    program = (
        "import sys, json, signal, time\n"
        "from builder.built import Image\n"
        "from builder.runtimes import Start, named\n"
        "from builder.store import Store\n"
        "from pathlib import Path\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "image = Image(Store.open(Path(sys.argv[1])), json.loads(sys.argv[2]))\n"
        "with named('docker')(image) as container, container(Start(argv=('/bin/sleep', '60'))):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    before = images(daemon)
    argv = [sys.executable, "-c", program, str(image.store.path), json.dumps(image.result)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as one:
        assert one.stdout is not None
        assert one.stdout.readline() == b"ready\n"
        assert containers(daemon)
        one.terminate()
        assert one.wait(60) != 0
    assert containers(daemon) == ""
    assert images(daemon) == before


def test_another_machines_daemon(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    with pytest.raises(StackbuildError, match="another machine's Docker daemon cannot be"), named("docker")(image):
        pass


def test_no_daemon(image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(StackbuildError, match="no Docker daemon answers"), named("docker")(image):
        pass


def test_containers_that_cannot_be_seen_from_here(daemon: str, image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon in a virtual machine tells numbers of processes that are others here, or none."""
    monkeypatch.setattr(docker, "_LOOKS", 3)
    with named("docker")(image) as container, container(ASLEEP) as running:
        (one,) = transport.client().containers.list(filters={"label": docker.LABEL})
        docker._seen(running.pid, one)
        for pid in (os.getpid(), 2**22 + 1):
            with pytest.raises(StackbuildError, match="not to be seen from here"):
                docker._seen(pid, one)
