"""Logins, certificates and proxies on their way: real servers, and who was told what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import StackbuildError, Unreachable
from builder.net import Client
from builder.store import Store
from tests.loopback import Certificates, Proxy, Service, basic, certificates, proxy, running, serve

LOGIN = "bob:hunter2"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.requester.time.sleep", lambda _: None)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serve(tmp_path / "served", login=LOGIN) as found:
        found.write("file", b"data")
        found.write("down/page.html", b"page")
        yield found


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Service]:
    """Another host, with nothing to hide."""
    with serve(tmp_path / "other", host="localhost") as found:
        found.write("file", b"other data")
        yield found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("tls") / "made")


@pytest.fixture
def secure(tmp_path: Path, made: Certificates) -> Iterator[Service]:
    with serve(tmp_path / "secure", login=LOGIN, tls=made) as found:
        found.write("file", b"data")
        yield found


def client(tmp_path: Path, **environ: str) -> Client:
    return Client(environ={"HOME": str(tmp_path), **environ})


def test_user_info_becomes_a_header(service: Service, tmp_path: Path) -> None:
    mine = client(tmp_path)
    url = service.with_login()
    assert mine.get(f"{url}/file") == b"data"
    assert mine.size(f"{url}/file") == 4
    assert mine.page(f"{url}/down/page.html") == (f"{service.url}/down/page.html", b"page")
    assert {sent for _, sent in service.seen} == {basic(LOGIN)}


def test_every_way_of_reading_has_the_login(service: Service, tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    with store.new_source() as into:
        client(tmp_path).download([f"{service.with_login()}/file"], digest=Digest.of(b"data"), size=4, into=into)
    with store.new_source() as into:
        client(tmp_path).learn(f"{service.with_login()}/file", into)


def test_a_password_of_any_letters(service: Service, tmp_path: Path) -> None:
    service.login = "bób:p@ss/wört:?#"
    assert client(tmp_path).get(service.with_login("b%C3%B3b:p%40ss%2Fw%C3%B6rt:%3F%23") + "/file") == b"data"


def test_netrc(service: Service, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1:{service.port} login bob password hunter2\n")
    assert client(tmp_path).get(f"{service.url}/file") == b"data"
    (tmp_path / ".netrc").write_text("default login bob password hunter2\n")
    with pytest.raises(Unreachable) as caught:
        client(tmp_path).get(f"{service.url}/file")
    assert caught.value.got == "HTTP 401"
    assert "STACKBUILD_CREDENTIAL_<NAME>" in caught.value.next_step
    assert service.seen[-1] == ("/file", "")


def test_the_processes_own_netrc_is_not_looked_at(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login bob password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(Unreachable):
        client(tmp_path).get(f"{service.url}/file")


def test_a_redirect_within_the_host_keeps_the_login(service: Service, tmp_path: Path) -> None:
    service.moved = {"/a": "/b", "/b": f"{service.url}/file"}
    assert client(tmp_path).get(f"{service.with_login()}/a") == b"data"
    assert service.seen == [(path, basic(LOGIN)) for path in ("/a", "/b", "/file")]


def test_a_redirect_to_another_host_drops_the_login(service: Service, other: Service, tmp_path: Path) -> None:
    service.moved = {"/a": f"{other.url}/file", "/b": other.url.replace("//", "//evil:login@") + "/file"}
    for path in service.moved:
        assert client(tmp_path).get(f"{service.with_login()}{path}") == b"other data"
    assert other.seen == [("/file", "")] * 2


def test_a_redirect_is_not_read_to_its_end(service: Service, tmp_path: Path) -> None:
    """A host that redirects with a body that never ends, and would fill the memory."""
    sent = 0

    def endless(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        handler.close_connection = True
        handler.send_response(302)
        handler.send_header("Location", service.with_login() + "/file")
        handler.end_headers()
        with suppress(ConnectionError):
            while sent < 1 << 30:
                sent += handler.wfile.write(bytes(1 << 20))

    service.login = ""
    with running(endless) as port:
        assert client(tmp_path).get(f"http://127.0.0.1:{port}/a") == b"data"
    assert sent < 1 << 28, "what the sockets' buffers take, and no more"


def test_another_port_is_another_host(service: Service, tmp_path: Path) -> None:
    with serve(tmp_path / "port") as there:
        there.write("file", b"x")
        service.moved = {"/a": f"{there.url}/file"}
        assert client(tmp_path).get(f"{service.with_login()}/a") == b"x"
        assert there.seen == [("/file", "")]


def test_after_a_redirect_the_netrcs_login_for_that_host(service: Service, other: Service, tmp_path: Path) -> None:
    other.login = "al:sesame"
    service.moved = {"/a": f"{other.url}/file"}
    (tmp_path / ".netrc").write_text("machine localhost login al password sesame\n")
    assert client(tmp_path).get(f"{service.with_login()}/a") == b"other data"


def test_nothing_leaves_in_clear(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine packages.example.com login bob password hunter2\n")
    with serve(tmp_path / "served") as service:
        service.write("file", b"data")
        with proxy(service) as through:
            mine = client(tmp_path, http_proxy=through.url)
            assert mine.get("http://packages.example.com/file") == b"data"
            with pytest.raises(StackbuildError, match="in clear"):
                mine.get("http://bob:hunter2@packages.example.com/file")
            assert through.seen == [("GET http://packages.example.com/file", "", "")]


def test_a_login_is_lost_when_https_ends(secure: Service, made: Certificates, tmp_path: Path) -> None:
    """Also where a netrc has one for that host: it was asked for over https."""
    (tmp_path / ".netrc").write_text("machine packages.example.com login bob password hunter2\n")
    with serve(tmp_path / "plain") as plain, proxy(plain) as through:
        plain.write("file", b"plain")
        secure.moved = {"/a": "http://packages.example.com/file"}
        mine = client(tmp_path, http_proxy=through.url, SSL_CERT_FILE=str(made.ca))
        assert mine.get(f"{secure.with_login()}/a") == b"plain"
        assert through.seen == [("GET http://packages.example.com/file", "", "")]


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_ca_of_ones_own(variable: str, secure: Service, made: Certificates, tmp_path: Path) -> None:
    mine = client(tmp_path, **{variable: str(made.ca)})
    assert mine.get(f"{secure.with_login()}/file") == b"data"


def test_a_certificate_that_nobody_knows(secure: Service, tmp_path: Path) -> None:
    with pytest.raises(Unreachable) as caught:
        client(tmp_path).get(f"{secure.with_login()}/file")
    assert "certificate" in caught.value.got
    assert "SSL_CERT_FILE" in caught.value.next_step
    assert secure.seen == []


def test_a_missing_ca_is_no_riddle(secure: Service, tmp_path: Path) -> None:
    with pytest.raises(StackbuildError, match="no such file of certificates"):
        client(tmp_path, SSL_CERT_FILE="/nowhere/ca.pem").get(f"{secure.url}/file")


@pytest.fixture
def through(secure: Service) -> Iterator[Proxy]:
    with proxy(secure) as found:
        yield found


def test_a_proxy_sees_no_login_of_https(through: Proxy, secure: Service, made: Certificates, tmp_path: Path) -> None:
    mine = client(
        tmp_path,
        HTTPS_PROXY=through.url.replace("//", "//pu:proxypass@"),
        SSL_CERT_FILE=str(made.ca),
        no_proxy="x.example",
    )
    assert mine.get("https://bob:hunter2@packages.example.com/file") == b"data"
    assert through.seen == [("CONNECT packages.example.com:443", "", basic("pu:proxypass"))]
    assert secure.seen == [("/file", basic(LOGIN))]


def test_no_proxy_for_this_machine_and_for_what_is_listed(
    through: Proxy, service: Service, tmp_path: Path, waits: None
) -> None:
    mine = client(tmp_path, http_proxy=through.url, no_proxy="packages.invalid")
    assert mine.get(f"{service.with_login()}/file") == b"data"
    with pytest.raises(Unreachable):
        mine.get("http://packages.invalid/file")
    assert through.seen == []


def test_a_redirect_finds_the_proxy_of_its_new_host(
    through: Proxy, secure: Service, service: Service, made: Certificates, tmp_path: Path
) -> None:
    secure.login = ""
    service.moved = {"/a": "https://packages.example.com/file"}
    mine = client(tmp_path, https_proxy=through.url, SSL_CERT_FILE=str(made.ca))
    assert mine.get(f"{service.with_login()}/a") == b"data"
    assert through.seen == [("CONNECT packages.example.com:443", "", "")]
    assert secure.seen == [("/file", "")]


def test_a_dead_proxy_is_named_as_such(tmp_path: Path, waits: None) -> None:
    with pytest.raises(Unreachable) as caught:
        client(tmp_path, https_proxy="http://u:hunter2@127.0.0.1:9").get("https://packages.example.com/file")
    assert "https_proxy" in caught.value.next_step
    assert "hunter2" not in str(caught.value)


def test_the_users_configuration_says_it_all(
    through: Proxy, secure: Service, made: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that is told nothing looks into the environment and the user's file."""
    (tmp_path / "config.toml").write_text(f'[tls]\nca = "{made.ca}"\n[proxy]\nhttps = "{through.url}"\n')
    for name in (
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "SSL_CERT_FILE",
        "https_proxy",
        "HTTPS_PROXY",
        "no_proxy",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STACKBUILD_CONFIG", str(tmp_path / "config.toml"))
    assert Client().get("https://bob:hunter2@packages.example.com/file") == b"data"
    assert [one for one, _, _ in through.seen] == ["CONNECT packages.example.com:443"]
