"""The rows of http_case.py through real nginx: what it forwards, we read with its boundaries.

    client -- bytes of a row, good request --> nginx --> tap --> examples/waits

nginx is more lenient than we are, so it forwards some rows that we refuse; then it has rewritten
them, and only the boundaries matter. Three things are asserted:

1. Where both accept a row, both see the same number of requests and the same bodies.
2. nginx gets one answer for each request that it forwards, and each answer is that request's: the
   good request carries an id which its answer must show. A desynchronised connection between nginx
   and the server would give somebody another one's answer.
3. Over all rows, the server wrote as many answers as nginx forwarded requests; the tap, which
   stands in between, counts them. (nginx drops a connection on which too much came, silently.)

Each row runs with nginx buffering request bodies (it sends a Content-Length) and with nginx
streaming them (it sends chunks).
"""

import os
import re
import selectors
import socket
import subprocess
import tempfile
import threading

import pytest

from conftest import at_most, wait_for
from http_cases import CASES, NOTHING, OPEN, head
from raw import converse, parse_answer

PROBE = head("Connection: close", target="/echo").encode()
CONFIG = """
daemon off; master_process off; pid pid; error_log error.log info;
events {{ worker_connections 256; }}
http {{
    log_format forwarded "$upstream_status $status $request";
    access_log access.log forwarded;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    upstream waits {{ server unix:tap.sock; keepalive 1; }}
    client_header_timeout 500ms; client_body_timeout 500ms; keepalive_timeout 500ms;
    lingering_timeout 500ms; proxy_ignore_client_abort on;
    proxy_http_version 1.1;
    proxy_set_header Host a;
    proxy_set_header Connection "";
    proxy_set_header X-Probe $request_id;
    add_header X-Probe $request_id always;
    add_header X-Upstream $upstream_status always;
    {servers}
}}
"""
SERVER = """
    server {{
        listen unix:{name}.sock;
        location / {{ proxy_pass http://waits; proxy_request_buffering {buffering}; }}
    }}
"""


class Tap(threading.Thread):
    """Relays connections from a Unix socket to a port and keeps what came back."""

    def __init__(self, path, port):
        super().__init__(daemon=True)
        self.port, self.came, self.peers = port, [], {}
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self.wake, self.stopped = socket.socketpair()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.selector.register(self.stopped, selectors.EVENT_READ)

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.stopped:
                    return
                if key.fileobj is self.listener:
                    self._open()
                elif key.fileobj in self.peers:
                    self._relay(key.fileobj, key.data)

    def _open(self):
        client, _ = self.listener.accept()
        server = socket.create_connection(("127.0.0.1", self.port))
        self.peers.update({client: server, server: client})
        self.came.append(bytearray())
        self.selector.register(client, selectors.EVENT_READ, None)
        self.selector.register(server, selectors.EVENT_READ, self.came[-1])

    def _relay(self, source, record):
        try:
            part = source.recv(1 << 16)
        except ConnectionResetError:
            part = b""
        if record is not None:
            record += part
        peer = self.peers[source]
        try:
            if part:
                peer.sendall(part)
                return
            peer.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it will end by itself
        self.selector.unregister(source)
        del self.peers[source]
        if peer not in self.peers:
            source.close()
            peer.close()

    def stop(self):
        self.wake.send(b"x")
        self.join()

    def answers(self):
        """How many: no row has these lines in a body that is sent back."""
        line = rb"HTTP/1\.1 [2-5]\d\d [^\r]*\r\n(?:Date|Content-Type): "
        return sum(len(re.findall(line, came)) for came in self.came)


@pytest.fixture(scope="module")
def chain(waits_for_module):
    """nginx in front of examples/waits; its folder and the tap."""
    port = waits_for_module("--workers", "1").port
    with tempfile.TemporaryDirectory(prefix="nginx") as folder:
        path = lambda name: os.path.join(folder, name)  # noqa: E731
        tap = Tap(path("tap.sock"), port)
        tap.start()
        servers = "".join(SERVER.format(name=name, buffering=buffering)
                          for name, buffering in (("buffered", "on"), ("streamed", "off")))
        text = CONFIG.format(servers=servers).replace("unix:", f"unix:{folder}/")
        with open(path("nginx.conf"), "w") as f:
            f.write(text)
        nginx = subprocess.Popen(["/usr/sbin/nginx", "-p", folder, "-c", "nginx.conf"],
                                 stderr=subprocess.PIPE)
        try:
            wait_for("nginx to listen", lambda: nginx.poll() is not None
                     or os.path.exists(path("streamed.sock")))
            assert nginx.poll() is None, nginx.stderr.read()
            yield path, tap
        finally:
            nginx.terminate()
            nginx.wait(at_most(10))
            nginx.stderr.close()
            tap.stop()


def read_answers(data, methods):
    """As many whole answers as there are. nginx answers HTTP/0.9 with a bare body."""
    answers, left = [], list(methods)
    while data.startswith(b"HTTP/1.1"):
        got = parse_answer(data, left.pop(0) if left else "GET", at_end=False)
        if not got:
            break
        answers.append(got[0])
        data = data[got[1]:]
    return answers


def is_forwarded(answer):
    return answer.get("X-Upstream") is not None


def judge(case, answers):
    for answer in answers:
        assert answer.status not in (502, 504), (case.clause, answers)
    probe = answers[-1] if answers and answers[-1].get("X-Probe") else None
    if probe and probe.status == 200 and probe.body.startswith(b"Host: a\n"):
        assert f"X-Probe: {probe.get('X-Probe')}\n".encode() in probe.body, "another one's answer"
    if case.nginx or case.then == NOTHING:
        return
    for i, (status, body) in enumerate(case.want):
        if status >= 400:
            return  # we refuse it; behind it boundaries mean nothing
        assert i < len(answers), (case.clause, answers)
        answer = answers[i]
        if not is_forwarded(answer) or answer.status >= 400:
            return  # nginx does
        assert answer.status == status, (case.clause, answers)
        is_echo = b" /echo " in case.raw
        assert body is None or is_echo or answer.body == body, (case.clause, answers)
    assert len(answers) == len(case.want) + (case.then == OPEN), (case.clause, answers)


@pytest.mark.parametrize("mode", ["buffered", "streamed"])
@pytest.mark.parametrize("case", CASES, ids=repr)
def test_case(chain, case, mode):
    path, _ = chain
    if case.then == NOTHING:
        came = converse(path(f"{mode}.sock"), case.raw, half_close=True)
    else:
        came = converse(path(f"{mode}.sock"), case.raw + PROBE)
    judge(case, read_answers(came, case.methods + ["GET"]))


def test_as_many_answers_as_forwarded_requests(chain):
    """Over the rows above."""
    path, tap = chain
    with open(path("access.log"), "rb") as log:
        forwarded = sum(1 for line in log if not line.startswith(b"-"))
    wait_for("the last answers", lambda: tap.answers() >= forwarded, 5)
    assert tap.answers() == forwarded
