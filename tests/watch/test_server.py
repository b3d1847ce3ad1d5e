"""Who gets the page: this machine, with the token, under its own name."""

import http.client
import json
import socket
import threading
from urllib.parse import quote, urlsplit

import pytest

from ablate.errors import EnvironmentProblem
from ablate.store import Store
from ablate.watch import live, server
from ablate.watch.live import Live
from ablate.watch.server import serving
from tests.watch.studies import begin, finish, finished


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serving(Live(finished(tmp_path_factory.mktemp("store")), "s")) as address:
        yield urlsplit(address)


def ask(address, path=None, method="GET", **headers):
    """Status, headers and text of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=30)
    connection.request(method, address.path if path is None else path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode()


def test_it_listens_on_loopback_and_its_address_has_a_token(address):
    assert address.hostname == "127.0.0.1"
    assert len(address.path.strip("/")) >= 32
    status, headers, text = ask(address)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "<title>s</title>" in text
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "'unsafe-inline'" not in policy.partition("style-src")[0]
    assert "frame-ancestors 'none'" in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Python" not in headers["Server"]


def test_without_the_token_there_is_nothing(address):
    token = address.path.strip("/")
    for path in ("/", "/events", f"/{token[:-1]}/", f"/{token}x/", f"/{token}", f"/{token}/x", "/%C3%A4/", "//", f"/x/{token}/"):
        status, _, text = ask(address, path)
        assert (status, token in text) == (404, False), path


def test_bytes_that_are_no_address_are_answered(address):
    with socket.create_connection(("127.0.0.1", address.port), timeout=30) as connection:
        connection.sendall(b"GET /\xff\xc3\xa4/ HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % address.port)
        assert connection.recv(100).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", "127.0.0.1.evil.example:{port}", ""])
def test_under_another_name_there_is_nothing(address, host):
    status, _, text = ask(address, Host=host.format(port=address.port))
    assert status == 403
    assert f"localhost:{address.port}" in text


def test_under_its_own_names_there_is_the_page(address):
    for name in ("127.0.0.1", "localhost"):
        assert ask(address, Host=f"{name}:{address.port}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "DELETE"])
def test_it_only_answers(address, method):
    assert ask(address, method=method)[0] == 501


def events(address, since="", **headers):
    """The stream of changes: id and data of each."""
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=60)
    connection.request("GET", f"{address.path}events?since={since}", headers=headers)
    answer = connection.getresponse()
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    while line := answer.readline().decode():
        if line.startswith("id: "):
            yield int(line[4:]), json.loads(answer.readline().decode().removeprefix("data: "))


@pytest.mark.parametrize("since", ["", "-5", "x" * 10_000, "9" * 400, "٣"])
def test_a_stream_begins_with_all_that_is_not_known(address, since):
    found = {}
    for _, told in events(address, quote(since)):
        found |= told["changed"]
        if "1-comparison" in told["order"]:
            break
    assert {"state", "1-header", "1-comparison"} <= found.keys()


def test_many_that_look_cost_one_report(tmp_path, monkeypatch):
    made = []
    plain = live.page
    monkeypatch.setattr(live, "page", lambda study: made.append(1) or plain(study))
    seen = []

    def look(address):
        for _, told in events(address):
            if "2 of 6" in told["changed"].get("1-header", ""):
                seen.append(1)
                return

    with Store(tmp_path) as driver:
        begin(driver)
        finish(driver, 0, 0, 0.5)
        with serving(Live(tmp_path, "s")) as address:
            viewers = [threading.Thread(target=look, args=(urlsplit(address),)) for _ in range(20)]
            for viewer in viewers:
                viewer.start()
            finish(driver, 1, 0, 0.6)
            for viewer in viewers:
                viewer.join(60)
    assert len(seen) == 20
    assert len(made) <= 3


def test_more_than_some_are_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "MOST_VIEWERS", 0)
    with serving(Live(finished(tmp_path), "s")) as address:
        status, _, text = ask(urlsplit(address), urlsplit(address).path + "events")
    assert (status, text) == (503, "0 pages are open already.\n")


def test_a_port_that_is_taken(address, tmp_path):
    again = serving(Live(tmp_path, "s"), address.port)
    with pytest.raises(EnvironmentProblem, match=f"port {address.port} of 127.0.0.1: .* Give another --port"), again:
        pass
