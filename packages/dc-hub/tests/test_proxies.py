"""Hubs on web servers are reached through the proxies that the environment names."""

import base64
import datetime
import ipaddress
import runpy
import select
import socket
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from dc_hub import from_pretrained, publish
from dc_hub.errors import HubUnavailable
from dc_hub.remote import retrying
from dc_hub.remote.proxies import Proxy, proxy_of

web = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("web.py"))))

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD")


@pytest.fixture(autouse=True)
def without_proxies(no_proxies, monkeypatch):
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    monkeypatch.setattr(retrying, "PAUSE", 0.0)


class Forward(BaseHTTPRequestHandler):
    """A proxy: it asks for what it is asked for, or connects its client to a host."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def allowed(self):
        proxy = self.server.proxy
        headers = {name.title(): value for name, value in self.headers.items()}
        proxy.requests.append((self.command, self.path, headers))
        if proxy.password in ("", self.headers.get("Proxy-Authorization")):
            return True
        self.send_response(407)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def do_GET(self):
        if not self.allowed():
            return
        parts = urlsplit(self.path)
        with socket.create_connection((parts.hostname, parts.port)) as server:
            head = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
            for name in ("Range", "Accept-Encoding", "Authorization"):
                if name in self.headers:
                    head += f"{name}: {self.headers[name]}\r\n"
            server.sendall(f"{head}\r\n".encode())
            while data := server.recv(1 << 16):
                self.wfile.write(data)
        self.close_connection = True

    def do_CONNECT(self):
        if not self.allowed():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as server:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: server, server: self.connection}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    data = end.recv(1 << 16)
                    if not data:
                        self.close_connection = True
                        return
                    ends[end].sendall(data)


@pytest.fixture
def proxy():
    """A proxy on loopback: its URL, what it was asked for, and what it wants to be told."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
    server.daemon_threads = True
    url = f"http://127.0.0.1:{server.server_port}"
    server.proxy = SimpleNamespace(url=url, requests=[], password="")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server.proxy
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def served(hub, linear):
    publish(linear, "m", hub=hub)
    with web.serve(hub.path) as server:
        yield server


def test_a_hub_is_reached_through_the_proxy(served, proxy, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    from_pretrained("m", hub=served.url)
    asked = [path for _, path, _ in proxy.requests]
    assert asked[0] == f"{served.url}/m/refs/main.json"
    assert len(asked) == len(served.requests)


def test_a_host_without_proxy_is_reached_directly(served, proxy, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "example.org, 127.0.0.1")
    from_pretrained("m", hub=served.url)
    assert proxy.requests == []


def test_a_redirect_takes_the_proxy_of_where_it_leads(served, proxy, hub, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    port = urlsplit(served.url).port
    monkeypatch.setenv("NO_PROXY", "localhost")
    there = f"http://localhost:{port}/m/refs/main.json"
    served.faults["main.json"] = web.times(1, web.redirect(there))
    assert from_pretrained("m", hub=served.url) is not None
    asked = [path for _, path, _ in proxy.requests]
    assert asked[0].startswith("http://127.0.0.1:")
    assert not any("localhost" in path for path in asked)
    assert served.counts["m/refs/main.json"] == 2


def certificate(folder):
    """Write a certificate for 127.0.0.1 and its key, and return their path."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hub")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


@contextmanager
def serve_securely(root, file):
    """Serve the directory ``root`` by TLS."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), web.Handler)
    server.daemon_threads = True
    server.web = web.Server(root)
    server.handle_error = lambda *_: None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.web.url = f"https://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.web
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_a_secure_hub_is_reached_through_a_tunnel(hub, linear, proxy, tmp_path, monkeypatch):
    publish(linear, "m", hub=hub)
    file = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with serve_securely(hub.path, file) as server:
        from_pretrained("m", hub=server.url)
        assert {(verb, path) for verb, path, _ in proxy.requests} == {
            ("CONNECT", server.url.removeprefix("https://"))
        }
        assert server.counts["m/refs/main.json"] == 1


def test_user_and_password_of_a_proxy_are_sent_to_it_alone(served, proxy, monkeypatch):
    proxy.password = "Basic " + base64.b64encode(b"me:p@ss word").decode()
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//me:p%40ss%20word@"))
    from_pretrained("m", hub=served.url)
    sent = [headers.get("Proxy-Authorization") for _, _, headers in proxy.requests]
    assert set(sent) == {proxy.password}
    assert not any("proxy-authorization" in str(headers).lower() for *_, headers in served.requests)


@pytest.mark.parametrize("url", ["http://me:secret@127.0.0.1:1", None])
def test_a_proxy_that_refuses_is_a_typed_error_without_its_password(
    served, proxy, monkeypatch, url
):
    proxy.password = "Basic other"
    monkeypatch.setenv("HTTP_PROXY", url or proxy.url.replace("//", "//me:secret@"))
    with pytest.raises(HubUnavailable) as caught:
        from_pretrained("m", hub=served.url)
    assert "secret" not in str(caught.value)
    assert "bWU6c2VjcmV0" not in str(caught.value)  # the same in Base64


def test_who_has_no_password_for_the_proxy_is_told_where_to_set_it(served, proxy, monkeypatch):
    proxy.password = "Basic other"
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    with pytest.raises(HubUnavailable, match=r"the proxy denies access \(407\).*HTTP_PROXY"):
        from_pretrained("m", hub=served.url)


@pytest.mark.parametrize("given", ["socks5://127.0.0.1:1", "http://", "http://host:port"])
def test_a_proxy_that_cannot_be_used_is_a_typed_error(served, monkeypatch, given):
    monkeypatch.setenv("ALL_PROXY", given)
    with pytest.raises(HubUnavailable, match=r"is not a proxy that can be used.*NO_PROXY"):
        from_pretrained("m", hub=served.url)


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "http://host/x", None),
        ({"HTTP_PROXY": "proxy:3128"}, "http://host/x", Proxy("http://proxy:3128")),
        ({"http_proxy": "http://[::1]:3128/"}, "http://host/x", Proxy("http://[::1]:3128")),
        ({"HTTP_PROXY": "proxy:3128"}, "https://host/x", None),
        ({"ALL_PROXY": "https://proxy"}, "https://host/x", Proxy("https://proxy")),
        ({"HTTP_PROXY": "proxy", "NO_PROXY": "*"}, "http://host/x", None),
        ({"HTTP_PROXY": "proxy", "NO_PROXY": ".site.org"}, "http://a.site.org:80/x", None),
        ({"HTTP_PROXY": "proxy", "NO_PROXY": "b.org"}, "http://a.org/x", Proxy("http://proxy")),
        # On a web server, a client's header "Proxy:" could have set it.
        ({"HTTP_PROXY": "proxy", "REQUEST_METHOD": "GET"}, "http://host/x", None),
    ],
)
def test_the_environment_is_read_as_other_programs_read_it(environment, url, proxy, monkeypatch):
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert proxy_of(url) == proxy
