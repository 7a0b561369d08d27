"""A registry that wants tokens, lies about digests, or is not there; and Debian's own, filled by skopeo."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.kinds.oci import documents
from builder.net import Answer, Client
from builder.platforms import NATIVE
from builder.store import Store
from builder.transports.docker_config import Credentials, find
from builder.transports.registry import Registry, _Tokens
from tests.fake_image import Image, file, tagged
from tests.fake_registry import FakeRegistry, reply
from tests.tools import absent

LOGIN = ("somebody", "open sesame")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[FakeRegistry]:
    found = FakeRegistry()
    found.repositories["team/base"] = tmp_path / "layout"
    tagged(tmp_path / "layout", "1.0", Image([[file("a", "one")]]))
    try:
        yield found
    finally:
        found.close()


def opened(registry: FakeRegistry, **environ: str) -> Registry:
    return Registry(Client(environ={}), registry.host, "team/base", environ)


def docker_config(folder: Path, registry: FakeRegistry, login: tuple[str, str] = LOGIN) -> dict[str, str]:
    entry = {"auth": Credentials(user=login[0], password=login[1]).basic().removeprefix("Basic ")}
    return written(folder, {"auths": {registry.host: entry}})


def written(folder: Path, settings: object) -> dict[str, str]:
    (folder / "config.json").write_text(json.dumps(settings))
    return {"DOCKER_CONFIG": str(folder)}


def helper(folder: Path, script: str) -> dict[str, str]:
    """An environment whose credential helper `fake` is a shell script."""
    program = folder / "docker-credential-fake"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_anonymous(registry: FakeRegistry) -> None:
    there = opened(registry)
    document = there.document("1.0")
    assert there.head("1.0") == document.digest == Digest.of(document.body)
    assert there.head("2.0") is None
    config = json.loads(document.body)["config"]
    assert Digest.of(there.blob(Digest(config["digest"]), config["size"])) == config["digest"]
    assert set(registry.headers) == {""}


def test_basic(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.login = LOGIN
    assert opened(registry, **docker_config(tmp_path, registry)).head("1.0")
    assert registry.headers[0] == "" and registry.headers[1].startswith("Basic ")


def test_bearer(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.login, registry.bearer = LOGIN, True
    there = opened(registry, **docker_config(tmp_path, registry))
    assert there.head("1.0") == there.document("1.0").digest
    assert registry.tokens == ["token-0-repository:team/base:pull"]


def test_anonymous_bearer(registry: FakeRegistry) -> None:
    registry.bearer = True
    assert opened(registry).head("1.0")
    assert registry.headers == ["", "", f"Bearer {registry.tokens[0]}"]


def test_an_expired_token_is_renewed(registry: FakeRegistry) -> None:
    registry.bearer = True
    there = opened(registry)
    there.head("1.0")
    registry.tokens.append("another")
    assert there.head("1.0")
    assert len(registry.tokens) == 3


def test_an_identity_token(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.login, registry.bearer = LOGIN, True
    environ = written(tmp_path, {"auths": {registry.host: {"identitytoken": "identity"}}})
    assert opened(registry, **environ).head("1.0")
    assert ("POST", "/token") in registry.seen


def test_a_large_blob_comes_with_the_token(registry: FakeRegistry, store: Store) -> None:
    registry.bearer = True
    client = Client(environ={})
    there = Registry(client, registry.host, "team/base", {})
    layer = json.loads(there.document("1.0").body)["layers"][0]
    registry.tokens.append("so that the first one is refused")
    with store.new_source() as incoming:
        client.download([there.url(layer["digest"])], digest=Digest(layer["digest"]), size=layer["size"], into=incoming)
    assert store.source(Digest(layer["digest"])).stat().st_size == layer["size"]


@pytest.mark.parametrize("bearer", [False, True])
def test_a_wrong_password(registry: FakeRegistry, tmp_path: Path, bearer: bool) -> None:
    registry.login, registry.bearer = LOGIN, bearer
    with pytest.raises(StackbuildError) as caught:
        opened(registry, **docker_config(tmp_path, registry, ("somebody", "wrong words"))).document("1.0")
    assert caught.value.next_step == f"docker login {registry.host}"
    assert "wrong words" not in str(caught.value)
    assert len(registry.seen) <= 4


def test_no_credentials(registry: FakeRegistry) -> None:
    registry.login = LOGIN
    with pytest.raises(StackbuildError, match="the registry refuses"):
        opened(registry).document("1.0")


def test_a_password_goes_to_no_plain_realm(registry: FakeRegistry, tmp_path: Path) -> None:
    """The registry says where tokens are: over https, a token service may not be plain http."""
    registry.login, registry.bearer, registry.realm = LOGIN, True, "ftp://elsewhere.example.com/token"
    with pytest.raises(HostileInput, match="plain HTTP"):
        opened(registry, **docker_config(tmp_path, registry)).head("1.0")


def test_an_identity_token_goes_to_no_plain_realm(registry: FakeRegistry, tmp_path: Path) -> None:
    """Not even where the registry itself may speak plain HTTP, which a manifest may say."""
    registry.login, registry.bearer, registry.realm = LOGIN, True, "http://registry.example.com/token"
    environ = written(tmp_path, {"auths": {registry.host: {"identitytoken": "secret"}}})
    with pytest.raises(StackbuildError, match="in clear") as caught:
        opened(registry, **environ).head("1.0")
    assert "secret" not in str(caught.value)


def test_a_realm_below_the_registry_itself(registry: FakeRegistry, tmp_path: Path) -> None:
    """Its refusal is no challenge of the registry's: an end, where asking for a token to ask for one has none."""
    registry.login, registry.bearer = LOGIN, True
    registry.realm = f"http://{registry.host}/v2/team/base/token"
    with pytest.raises(StackbuildError, match="gives no token"):
        opened(registry, **docker_config(tmp_path, registry)).head("1.0")


def test_a_registry_without_tls_gets_no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody on the way may say where tokens are, over https too."""
    auth = Credentials(user="u", password="secret").basic().removeprefix("Basic ")
    environ = written(tmp_path, {"auths": {"registry.example.com": {"auth": auth}}})
    client = Client(environ={})
    seen: list[tuple[str, dict[str, str]]] = []

    def exchange(method: str, url: str, *, headers: dict[str, str], **_: object) -> Answer:
        seen.append((url, headers))
        return Answer(url=url, status=200, headers={}, body=b'{"token": "t"}')

    monkeypatch.setattr(client, "exchange", exchange)
    tokens = _Tokens(client, "registry.example.com", environ, plain=True)
    tokens.refused('Bearer realm="https://elsewhere.example.com/t",service="x"', "")
    assert [headers for _, headers in seen] == [{}]


def test_a_mount_asks_for_both_repositories(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.login, registry.bearer = LOGIN, True
    there = opened(registry, **docker_config(tmp_path, registry))
    there.client.exchange("POST", there.mounting("team/other") + Digest.of(b""), body=b"")
    assert "repository:team/other:pull" in registry.tokens[-1]
    assert "repository:team/base" in registry.tokens[-1]


def test_scopes_add_up(registry: FakeRegistry, tmp_path: Path) -> None:
    """What one thread may do by the last token, another one may by the next."""
    registry.login, registry.bearer = LOGIN, True
    there = opened(registry, **docker_config(tmp_path, registry))
    there.head("1.0")
    registry.tokens.append("another")  # The one that was given is worth nothing now.
    there.client.exchange("GET", f"{there.base}/manifests/1.0?x=1")
    assert len(registry.tokens) == 3
    assert registry.tokens[-1].count("repository:team/base:pull") == 1


def test_a_tag_that_is_not_there(registry: FakeRegistry) -> None:
    with pytest.raises(StackbuildError) as caught:
        opened(registry).document("2.0")
    assert caught.value.what == f"no such image: {registry.host}/team/base:2.0"
    assert caught.value.got == "HTTP 404: MANIFEST_UNKNOWN (no such thing)"


def test_a_manifest_with_a_foreign_digest(registry: FakeRegistry) -> None:
    asked = Digest.of(b"other")
    registry.broken[f"/v2/team/base/manifests/{asked}"] = lambda request: reply(request, 200, b"{}")
    with pytest.raises(HostileInput, match="wrong digest"):
        opened(registry).document(asked)
    one = opened(registry)
    with pytest.raises(HostileInput, match="wrong digest"):  # It was taken: `sign` looked at what is in such an index.
        one.found(f"{one.base}/manifests/{asked}")


def test_a_registry_that_lies_about_a_tag(registry: FakeRegistry) -> None:
    told = {"Docker-Content-Digest": str(Digest.of(b"other"))}
    registry.broken["/v2/team/base/manifests/1.0"] = lambda request: reply(request, 200, b"{}", told)
    with pytest.raises(HostileInput, match="wrong digest"):
        opened(registry).document("1.0")


def test_a_blob_with_other_bytes(registry: FakeRegistry) -> None:
    digest = Digest.of(b"right")
    registry.broken[f"/v2/team/base/blobs/{digest}"] = lambda request: reply(request, 200, b"wrong")
    with pytest.raises(HostileInput, match="wrong digest"):
        opened(registry).blob(digest, 5)


def test_a_manifest_without_an_end(registry: FakeRegistry) -> None:
    registry.broken["/v2/team/base/manifests/1.0"] = lambda request: reply(request, 200, b" " * (5 << 20))
    with pytest.raises(HostileInput, match="too long"):
        opened(registry).document("1.0")


def test_nobody_there(registry: FakeRegistry) -> None:
    registry.close()
    with pytest.raises(Unreachable):
        opened(registry).head("1.0")


@pytest.mark.parametrize(
    ("host", "named", "url"),
    [
        ("docker.io", "", "https://registry-1.docker.io/v2/team/base"),
        ("localhost:5000", "", "http://localhost:5000/v2/team/base"),
        ("[::1]:5000", "", "http://[::1]:5000/v2/team/base"),
        ("127.0.0.2", "", "http://127.0.0.2/v2/team/base"),
        ("registry.example.com", "", "https://registry.example.com/v2/team/base"),
        (
            "registry.example.com:80",
            "a.example.com,registry.example.com:80",
            "http://registry.example.com:80/v2/team/base",
        ),
        ("127.0.0.1.example.com", "", "https://127.0.0.1.example.com/v2/team/base"),
    ],
)
def test_plain_http_is_for_this_machine(host: str, named: str, url: str) -> None:
    digest = Digest.of(b"")
    there = Registry(Client(environ={}), host, "team/base", {"STACKBUILD_PLAIN_HTTP": named})
    assert there.url(digest) == f"{url}/blobs/{digest}"


# Credentials ------------------------------------------------------------------------------------------------------


def test_docker_config(tmp_path: Path) -> None:
    auth = Credentials(user="u", password="p:w").basic().removeprefix("Basic ")
    settings = {
        "auths": {
            "a.example.com": {"auth": auth},
            "https://index.docker.io/v1/": {"username": "hub", "password": "secret"},
            "b.example.com": {},
        }
    }
    environ = written(tmp_path, settings)
    assert find("a.example.com", environ) == Credentials(user="u", password="p:w")
    assert find("docker.io", environ) == Credentials(user="hub", password="secret")
    assert find("b.example.com", environ) is None
    assert find("a.example.com", {"HOME": str(tmp_path)}) is None
    (tmp_path / ".docker").mkdir()
    shutil.move(tmp_path / "config.json", tmp_path / ".docker/config.json")
    assert find("docker.io", {"HOME": str(tmp_path)})
    assert find("docker.io", {"REGISTRY_AUTH_FILE": str(tmp_path / ".docker/config.json")})
    assert "secret" not in repr(find("docker.io", {"HOME": str(tmp_path)}))


def test_helpers(tmp_path: Path) -> None:
    said = 'read host; echo "{\\"ServerURL\\": \\"$host\\", \\"Username\\": \\"u\\", \\"Secret\\": \\"for $host\\"}"'
    environ = helper(tmp_path, said) | written(tmp_path, {"credsStore": "fake"})
    assert find("a.example.com", environ) == Credentials(user="u", password="for a.example.com")
    assert find("docker.io", environ) == Credentials(user="u", password="for https://index.docker.io/v1/")
    environ |= written(tmp_path, {"credHelpers": {"a.example.com": "fake"}})
    assert find("a.example.com", environ) == Credentials(user="u", password="for a.example.com")
    assert find("b.example.com", environ) is None
    environ |= helper(tmp_path, """echo '{"Username": "<token>", "Secret": "identity"}'""")
    assert find("a.example.com", environ) == Credentials(token="identity")
    environ |= helper(tmp_path, "echo credentials not found in native keychain; exit 1")
    assert find("a.example.com", environ) is None


@pytest.mark.parametrize(
    ("settings", "script", "said"),
    [
        ({"credsStore": "../../bin/sh"}, "", "not a credential helper"),
        ({"credsStore": "nowhere"}, "", "cannot run docker-credential-nowhere"),
        ({"credsStore": "fake"}, "echo 'secret words'", "gave no credentials"),
        ({"credsStore": "fake"}, "echo 'secret words' >&2; exit 3", "failed for a.example.com .exit 3."),
        ({"auths": {"a.example.com": {"auth": "secret words"}}}, "", "cannot read credentials"),
        ("secret words", "", None),
    ],
)
def test_broken_credentials(tmp_path: Path, settings: object, script: str, said: str | None) -> None:
    environ = helper(tmp_path, script) | written(tmp_path, settings)
    if said is None:
        assert find("a.example.com", environ) is None
        return
    with pytest.raises(StackbuildError, match=said) as caught:
        find("a.example.com", environ)
    assert "secret" not in str(caught.value)


def test_a_config_that_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"auth": "secret')
    with pytest.raises(StackbuildError, match="cannot read credentials") as caught:
        find("a.example.com", {"DOCKER_CONFIG": str(tmp_path)})
    assert "secret" not in str(caught.value)


# The real one -----------------------------------------------------------------------------------------------------

_CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:0"}}
"""


@pytest.fixture
def docker_registry(tmp_path: Path) -> Iterator[str]:
    """Debian's registry on a free port: its address."""
    for tool in ("docker-registry", "skopeo"):
        if shutil.which(tool) is None:
            absent(f"{tool} is not installed")
    (tmp_path / "registry.yml").write_text(_CONFIG.format(folder=tmp_path / "registry"))
    log = tmp_path / "registry.log"
    with log.open("wb") as output:
        command = ["docker-registry", "serve", str(tmp_path / "registry.yml")]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        for _ in range(6000):
            if "listening on" in (said := log.read_text()):
                break
            assert process.poll() is None, said
            time.sleep(0.02)
        yield said.split("listening on ")[1].split('"')[0].split()[0]
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("form", "prefix"), [("oci", "application/vnd.oci."), ("v2s2", "application/vnd.docker.")])
def test_debians_registry(docker_registry: str, tmp_path: Path, form: str, prefix: str) -> None:
    layout = tmp_path / "layout"
    digest = tagged(layout, "1.0", Image([[file("a", "one")], [file("b")]]))
    copy = ["skopeo", "copy", "--quiet", "--insecure-policy", f"--format={form}", "--dest-tls-verify=false"]
    subprocess.run([*copy, f"oci:{layout}:1.0", f"docker://{docker_registry}/team/base:1.0"], check=True)
    there = Registry(Client(environ={}), docker_registry, "team/base", {})
    document = there.document("1.0")
    assert there.head("1.0") == document.digest == Digest.of(document.body)
    assert (document.digest == digest) == (form == "oci")
    manifest = json.loads(document.body)
    config, layers = documents.manifest(document, "base")
    assert {one.media_type.startswith(prefix) for one in (config, *layers)} == {True}
    assert document.media_type == manifest["mediaType"]
    read = documents.config(there.blob(config.digest, config.size), NATIVE, 2, "base")
    assert len(read.diff_ids) == 2
    assert there.head("none") is None
    with pytest.raises(StackbuildError, match="MANIFEST_UNKNOWN"):
        there.document("none")
