"""A hub served on this machine: read-only, to its own name, and nothing but the hub."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

from dc_hub import errors, from_pretrained, ls, open_hub, publish, read_tensors, verify
from dc_hub.site.serving import MAX_CONNECTIONS, HubServer


@contextmanager
def serving(hub, **options):
    with HubServer(hub, 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(10)


@pytest.fixture
def published(hub, linear, dataset):
    return publish(linear, "lab/m", hub=hub, golden=dataset.X, tag="v1")


@pytest.fixture
def server(hub, published):
    with serving(hub) as server:
        yield server


def ask(server, path, method="GET", host=None, headers=(), body=None):
    """Return the status, the headers and the body of the answer to one request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in (("Host", host or f"127.0.0.1:{server.server_port}"), *headers):
            if value:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_a_model_loads_from_a_served_hub(server, linear, dataset):
    loaded = from_pretrained("lab/m", hub=server.url)
    np.testing.assert_array_equal(loaded.predict(dataset), linear.predict(dataset))
    assert verify("lab/m@v1", hub=server.url).revision
    assert [listing.name for listing in ls(hub=server.url)] == ["lab/m"]


def test_a_hub_that_is_served_by_another_can_be_served_again(server, linear, dataset):
    with serving(open_hub(server.url)) as again:
        loaded = from_pretrained("lab/m", hub=again.url)
        np.testing.assert_array_equal(loaded.predict(dataset), linear.predict(dataset))


def test_the_pages_are_served_and_say_how_to_load_from_here(server, published):
    status, headers, body = ask(server, "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b'href="models/lab~m.html"' in body
    assert ask(server, "/index.html")[2] == body
    status, _, body = ask(server, "/models/lab~m.html")
    assert status == 200
    assert published.revision in body.decode()
    assert server.url in body.decode()


def test_a_model_that_is_published_while_the_server_runs_is_there(server, hub, linear):
    publish(linear, "new", hub=hub)
    assert ask(server, "/models/new.html")[0] == 200
    assert from_pretrained("new", hub=server.url)


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=10-", 10, None),
        ("bytes=-7", -7, None),
        ("bytes=0-999999999", 0, None),
        ("bytes=5-5", 5, 6),
    ],
)
def test_a_range_is_answered_with_its_bytes(server, published, wanted, start, stop):
    data = (published.path / "model.safetensors").read_bytes()
    path = f"/lab/m/revisions/{published.revision}/model.safetensors"
    status, headers, body = ask(server, path, headers=[("Range", wanted)])
    assert body == data[start:stop]
    if len(body) == len(data):
        assert status == 200
    else:
        first = start % len(data)
        assert status == 206
        assert headers["Content-Range"] == f"bytes {first}-{first + len(body) - 1}/{len(data)}"


@pytest.mark.parametrize("wanted", ["bytes=9999999-", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(server, published, wanted):
    path = f"/lab/m/revisions/{published.revision}/params.json"
    status, headers, body = ask(server, path, headers=[("Range", wanted)])
    size = (published.path / "params.json").stat().st_size
    assert (status, headers["Content-Range"], body) == (416, f"bytes */{size}", b"")


@pytest.mark.parametrize(
    "wanted", ["bytes=0-1,3-4", "lines=1-2", "bytes=x-", "bytes=9-2", "bytes=-"]
)
def test_a_range_that_is_not_understood_is_ignored(server, published, wanted):
    path = f"/lab/m/revisions/{published.revision}/params.json"
    status, _, body = ask(server, path, headers=[("Range", wanted)])
    assert (status, body) == (200, (published.path / "params.json").read_bytes())


def test_head_has_the_headers_of_get_and_no_body(server, published):
    path = f"/lab/m/revisions/{published.revision}/params.json"
    _, got, body = ask(server, path)
    status, told, nothing = ask(server, path, "HEAD")
    assert (status, nothing) == (200, b"")
    assert told["Content-Length"] == got["Content-Length"] == str(len(body))


PATHS = [
    *("/../secret", "/..%2fsecret", "/%2e%2e/secret", "/lab/../../secret", "//secret", "/./"),
    *("/%252e%252e/secret", "/lab%2fm%00/refs/main.json", "/lab\\m/refs/main.json", "/%ff"),
    *("/lab/m", "/lab", "/lab/m/", "/lab/m/refs/", "/lab/m/refs/none.json", "/lab/m/refs/main"),
    *("/lab/m/refs/..%2f..%2fsecret.json", "/lab/m/revisions/{digest}", "/none/refs/main.json"),
    *("/lab/m/revisions/{digest}/", "/lab/m/revisions/{digest}/secret", "/favicon.ico"),
    *("/lab/m/revisions/{digest}/../../../../../secret", "/lab/m/revisions/main/params.json"),
    *("/lab/m/revisions/{short}/params.json", "/lab/m/revisions/{zeros}/params.json"),
    *("/lab/m/revisions/{digest}/..%2fparams.json", "/lab/m/revisions/{digest}/link"),
    *("/lab/m/revisions/{digest}/x/params.json", "/models/none.html", "/models/..~secret.html"),
    *("/models/lab~m", "/models/lab%2fm.html", "/models/", "/dc-site.json", "/lab/m/.lock"),
    *("http://127.0.0.1/index.html", "/a%C3%A9", "/%e2%80%a8", "*"),
]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_names_no_page_and_no_file_of_the_hub_is_not_found(
    server, published, hub, tmp_path, path
):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secret.json").write_text("secret")
    (hub.path / "secret").write_text("secret")
    (published.path / "link").symlink_to(tmp_path / "secret")
    digest = published.revision
    target = path.format(digest=digest, short=digest[:20], zeros="0" * 64)
    status, _, body = ask(server, target)
    assert status == 404
    assert b"secret\n" not in body
    assert str(tmp_path).encode() not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_no_other_method_is_allowed(server, hub, method):
    status, headers, _ = ask(server, "/lab/m/refs/main.json", method, body=b"x")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert hub.tags("lab/m")
    assert ask(server, "/", "BREW")[0] == 501


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "127.0.0.1:{port}.x"],
)
def test_a_request_for_another_host_is_refused(server, host):
    shown = host.format(port=server.server_port)
    status, _, body = ask(server, "/", headers=[] if shown else [("X", "y")], host=shown or " ")
    assert status == 421
    assert b"lab" not in body
    double = [("Host", "evil.example")]
    assert ask(server, "/", headers=double)[0] == 421
    assert ask(server, "/", host=f"localhost:{server.server_port}")[0] == 200


def test_every_answer_keeps_browsers_from_guessing_framing_and_other_origins(server):
    for path in ("/", "/lab/m/refs/main.json", "/none", "/models/lab~m.html"):
        _, headers, _ = ask(server, path)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Access-Control-Allow-Origin"] is None


def test_a_file_that_was_changed_is_not_served(server, published):
    weights = published.path / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    status, _, body = ask(server, f"/lab/m/revisions/{published.revision}/model.safetensors")
    assert status == 500
    assert data[:64] not in body
    with pytest.raises(errors.HubError):
        from_pretrained("lab/m", hub=server.url)


def test_a_request_with_a_body_is_refused(server):
    status, _, _ = ask(server, "/", headers=[("Content-Length", "3")], body=b"abc")
    assert status == 400


def test_only_this_machine_can_connect(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"


def test_connections_that_say_nothing_do_not_stop_others(server):
    silent = [socket.create_connection(("127.0.0.1", server.server_port)) for _ in range(8)]
    try:
        assert ask(server, "/")[0] == 200
    finally:
        for connection in silent:
            connection.close()


def test_a_client_that_reads_slowly_gets_all_of_a_file(hub, linear, monkeypatch):
    monkeypatch.setattr("dc_hub.site.serving._Handler.timeout", 2.0)
    size = 1 << 24
    linear.coefficients = np.zeros((size // 16, 2))
    published = publish(linear, "large", hub=hub)
    path = f"/large/revisions/{published.revision}/model.safetensors"
    with serving(hub) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        client.connect(("127.0.0.1", server.server_port))
        host = f"Host: 127.0.0.1:{server.server_port}"
        client.sendall(f"GET {path} HTTP/1.0\r\n{host}\r\n\r\n".encode())
        received = 0
        while data := client.recv(1 << 18):
            received += len(data)
            time.sleep(0.02)
    assert received > size


def test_clients_that_stay_connected_do_not_stop_others(server):
    request = f"GET /lab/m/refs/main.json HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            client = stack.enter_context(
                socket.create_connection(("127.0.0.1", server.server_port))
            )
            client.sendall(request.encode())
            assert client.recv(1 << 16)
        assert ask(server, "/")[0] == 200


def test_the_index_of_a_served_hub_is_as_new_as_the_hub(server, hub, linear):
    assert list(json.loads(ask(server, "/index.json")[2])["models"]) == ["lab/m"]
    publish(linear, "new", hub=hub)
    assert list(json.loads(ask(server, "/index.json")[2])["models"]) == ["lab/m", "new"]


def test_the_bytes_of_a_file_are_those_that_were_published(server, published):
    for file in published.path.iterdir():
        path = f"/lab/m/revisions/{published.revision}/{file.name}"
        assert ask(server, path)[2] == file.read_bytes()
    assert read_tensors(published.path / "golden.safetensors")


SERVE = """
import signal
from dc_hub.command.program import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
main()
"""


@pytest.mark.needs("process numbers")
def test_the_command_prints_its_address_and_ends_with_ctrl_c(published, hub):
    command = [sys.executable, "-c", SERVE, "serve", hub.path, "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            url = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
            assert from_pretrained("lab/m", hub=url)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, err) == (0, "")


def test_a_port_that_is_taken_is_an_error_of_one_line(server, hub, monkeypatch, capsys):
    from dc_hub.command import program

    monkeypatch.setattr(
        sys, "argv", ["dc-hub", "serve", str(hub.path), "--port", str(server.server_port)]
    )
    with pytest.raises(SystemExit) as caught:
        program.main()
    assert caught.value.code == 2
    assert "cannot be served" in capsys.readouterr().err
