"""The deployment as it is documented: the real nginx with deploy/nginx.conf in front of the real
`usher serve` on a Unix socket.

    client -- https, http --> nginx --> http.sock --> usher serve, USHER_TRUSTED_PROXIES=unix

The configuration is the file that operators copy; only addresses, paths and the certificate are
replaced, and the server with TLS gets a second address without, for the crowd of bench/rush.c,
which speaks no TLS.
"""

import concurrent.futures
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import pathlib

import pytest

import private
from browser import Browser
from conftest import ENVIRON, ROOT, USHER, Reply, Server, at_most, wait_for
from organiser import add_user, log_in
from outbox import mails
from test_rush import RACE, Rush

pytestmark = pytest.mark.on("sqlite")  # the same for nginx
CONFIG = ROOT / "deploy/nginx.conf"
BODY_MAX = 32 * 1024


class Behind(Server):
    """`usher serve` on a Unix socket: it is asked over that."""

    def _read_port(self):
        self.path = self._read_said(rb"serves on unix:(\S+)\n(?s:.*)Ctrl-C.*\n")[1].decode()

    def request(self, method, path, body=None, headers=None, timeout=at_most(20)):
        connection = http.client.HTTPConnection("localhost", timeout=timeout)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(timeout)
        connection.sock.connect(self.path)
        return exchange(connection, method, path, body, headers)


class Site(Server):
    """What students see: the server of nginx with TLS. Asked as any other server is."""

    def __init__(self, folder, port, plain_port):
        self.folder, self.port, self.plain_port = folder, port, plain_port
        self.trust = ssl.create_default_context(cafile=folder / "cert.pem")

    def request(self, method, path, body=None, headers=None, timeout=at_most(20)):
        return exchange(http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout,
                                                    context=self.trust),
                        method, path, body, {"Origin": f"https://127.0.0.1:{self.port}"}
                        | (headers or {}))

    def form(self, path, fields, headers=None):
        return super().form(path, fields, {"Origin": f"https://127.0.0.1:{self.port}",
                                           **(headers or {})})


def exchange(connection, method, path, body, headers):
    try:
        headers = dict(headers or {})
        if isinstance(body, dict):
            headers["Content-Type"], body = "application/json", json.dumps(body)
        connection.request(method, path, body=body, headers=headers)
        return Reply(connection.getresponse())
    finally:
        connection.close()


class Deployment:
    """nginx with the server that stands behind it: Usher on its socket, unless `servers` are
    named."""

    def __init__(self, folder, servers=()):
        self.folder, self.nginx, self.usher = folder, None, None
        self.redirect, tls, plain = (private.free_port() for _ in range(3))
        private.make_certificate(folder, "IP:127.0.0.1")
        self.site = Site(folder, tls, plain)
        self.configuration = private.nginx_configuration(
            folder, http=[f"127.0.0.1:{self.redirect}"],
            https=[f"127.0.0.1:{tls}", ("plain", f"127.0.0.1:{plain}")],
            servers=[s.format(folder=folder) for s in servers or ["unix:{folder}/http.sock"]])

    def start_usher(self, fest, **env):
        self.usher = Behind(fest.folder, [str(USHER), "serve", "--workers", "2"], {
            **fest.env, "USHER_LISTEN": f"unix:{self.folder}/http.sock",
            "USHER_TRUSTED_PROXIES": "unix",
            "USHER_BASE_URL": f"https://127.0.0.1:{self.site.port}",
            **env})
        return self

    def start_nginx(self):
        self.nginx = private.nginx(self.folder, self.configuration)
        return self

    def stop(self):
        for part in (self.nginx, self.usher):
            if part:
                part.stop()


@pytest.fixture
def front():
    """A Deployment without Usher and not started yet."""
    with tempfile.TemporaryDirectory(prefix="deploy") as folder:
        made = []

        def make(*servers):
            made.append(Deployment(pathlib.Path(folder), servers))
            return made[-1]

        yield make
        for d in made:
            d.stop()


@pytest.fixture
def deploy(fest, front):
    """The whole, started."""
    return lambda **env: front().start_usher(fest, **env).start_nginx()


def test_form_ticket_and_mail(fest, deploy):
    """As a student does it; every link that leaves the server is the public https one."""
    fest.add_event(RACE, 5)
    d = deploy()
    public = f"https://127.0.0.1:{d.site.port}/"
    page = Browser(d.site).register(RACE)
    assert page.status == 200 and "Asha Rao" in page.text
    assert page.headers["strict-transport-security"]
    mail = wait_for("the mail", lambda: mails(fest))[0]
    assert re.search(r"https?://\S+/r/\w+", mail.text).group().startswith(public)
    answer = d.site.register(RACE, 1, key="a-key-of-mine")
    assert answer.status == 201 and answer.json["manage_url"].startswith(public)
    again = d.site.register(RACE, 1, key="a-key-of-mine")
    assert again.headers["idempotent-replayed"] == "true" and again.json["id"] == answer.json["id"]
    redirect = http.client.HTTPConnection("127.0.0.1", d.redirect, timeout=at_most(20))
    moved = exchange(redirect, "GET", "/e/robo-race?x=1", None, {"Host": "fest.example"})
    assert (moved.status, moved.headers["location"]) == (308,
                                                         "https://fest.example/e/robo-race?x=1")


def test_a_foreign_page_cannot_send_the_form(fest, deploy):
    fest.add_event(RACE, 5)
    d = deploy()
    form = Browser(d.site).open(f"/e/{RACE}/register").form("Register")
    fields = list(form.fields.items())
    assert d.site.form(f"/e/{RACE}/register", fields,
                       {"Origin": "https://evil.example"}).status == 403


class InPlace:
    """A listener in Usher's place: sees what nginx sends, answers what it is told, counts."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.listener.settimeout(at_most(20))
        self.connections, self.connection = 0, None

    def take(self, end):
        """Bytes up to and with `end`, on the connection at hand or on a new one."""
        came = b""
        while not came.endswith(end):
            if not self.connection:
                self.connection, _ = self.listener.accept()
                self.connection.settimeout(at_most(20))
                self.connections += 1
            part = self.connection.recv(4096)
            came += part
            if not part:
                assert not came
                self.drop()
        return came

    def say(self, text):
        self.connection.sendall(text)

    def drop(self):
        self.connection.close()
        self.connection = None

    def close(self):
        if self.connection:
            self.drop()
        self.listener.close()


@pytest.fixture
def in_place(front):
    """The site, who stands behind it, and a thread to ask with. To nginx there are two of them, so
    that it has another one to turn to."""
    d = front(*["unix:{folder}/http.sock"] * 2).start_nginx()
    stands_in = InPlace(d.folder / "http.sock")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        yield d, stands_in, lambda *args: pool.submit(d.site.request, *args)
        stands_in.close()


def test_what_a_client_writes_about_itself_is_not_passed_on(in_place):
    d, usher, ask = in_place
    lies = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "http", "Connection": "close",
            "X-Forwarded-Host": "evil.example", "Forwarded": "for=192.0.2.7", "a_b": "dropped"}
    asked = ask("POST", "/register", b"x" * 100, lies)
    came = usher.take(b"x" * 100)
    usher.say(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert asked.result(at_most(20)).status == 204
    line, *fields = came.split(b"\r\n\r\n")[0].decode().split("\r\n")
    assert line == "POST /register HTTP/1.1"
    fields = [tuple(f.lower().split(": ", 1)) for f in fields]
    assert sorted(f for f in fields if "forwarded" in f[0] or
                  f[0] in ("host", "connection", "a_b")) \
        == [("host", "127.0.0.1"), ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-host", "127.0.0.1"), ("x-forwarded-proto", "https")]


def test_connections_to_usher_are_kept(in_place):
    """They are used again, for students who each come with a connection of their own."""
    d, usher, ask = in_place
    for number in range(1, 31):
        asked = ask("GET", "/")
        usher.take(b"\r\n\r\n")
        usher.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
        assert asked.result(at_most(20)).body == b"OK"
        # On a slow machine half a second may pass between two; not every time.
        if number >= usher.connections + 5:
            break
    else:
        pytest.fail(f"{usher.connections} connections for {number} requests")


@pytest.mark.parametrize("after", [b"", b"HTTP/1.1 2"], ids=["silence", "half a status line"])
@pytest.mark.parametrize("is_fresh", [True, False], ids=["fresh", "kept"])
def test_a_post_is_sent_once(in_place, after, is_fresh):
    """Usher is gone with what it was asked: did it store it? The client is told to ask again, with
    its key; nginx does not do so by itself, also not when the connection was an old one."""
    d, usher, ask = in_place
    if not is_fresh:
        asked = ask("GET", "/")
        usher.take(b"\r\n\r\n")
        usher.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
        asked.result(at_most(20))
    asked = ask("POST", "/register", b"{}")
    usher.take(b"{}")
    if after:
        usher.say(after)
    usher.drop()
    answer = asked.result(at_most(20))
    assert answer.status == 503 and answer.headers["retry-after"] == "10"
    usher.listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        usher.listener.accept()


def test_events_arrive_as_they_are_sent(front, waits):
    """The second one is a minute away, and the first is not held back until then. A worker that
    leaves ends the stream, so that a browser connects to the next."""
    server = waits()
    d = front(f"127.0.0.1:{server.port}").start_nginx()
    with socket.create_connection(("127.0.0.1", d.site.port), at_most(20)) as plain, \
            d.site.trust.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
        connection.sendall(b"GET /events?ms=60000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stream = connection.makefile("rb")
        head = iter(stream.readline, b"\r\n")
        fields = dict(line.decode().lower().split(": ", 1) for line in list(head)[1:])
        assert fields["content-type"].startswith("text/event-stream")
        assert [stream.readline() for _ in range(3)][1:] == [b"data: 1\n", b"\n"]
        server.process.send_signal(signal.SIGHUP)
        assert stream.read() == b"\r\n"


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_http_2_and_the_certificate(fest, deploy):
    d = deploy()

    def curl(*options):
        return subprocess.run(
            ["curl", "-s", "-o", "/dev/null", "-w", "%{http_version} %{http_code}",
                               *options, f"https://127.0.0.1:{d.site.port}/"], text=True,
                              capture_output=True, timeout=at_most(20))
    assert curl("--cacert", d.folder / "cert.pem").stdout == "2 200"
    assert curl().returncode == 60  # nobody vouches for it
    assert curl("--cacert", d.folder / "cert.pem", "--tls-max", "1.1").returncode == 35


@pytest.mark.parametrize("trusted, statuses", [("unix", [201, 201, 201, 429]),
                                               ("192.0.2.0/24", [201, 201, 201, 201])])
def test_the_proxy_is_believed_and_nobody_else(fest, deploy, trusted, statuses):
    """Seen by the limit per address, which does not hold for this machine itself: it is at two a
    minute here, and the last three come from one client."""
    fest.add_event(RACE, 50)
    d = deploy(USHER_LIMIT_ADDR="2/60", USHER_TRUSTED_PROXIES=trusted)
    clients = ("192.0.2.1", "198.51.100.7", "198.51.100.7", "198.51.100.7")
    got = [d.usher.request("POST", "/register", {
        "event": RACE, "name": "Student", "email": f"s{n}@school.example", "school": "Test School"},
        {"X-Forwarded-For": client}).status for n, client in enumerate(clients)]
    assert got == statuses


def test_what_is_for_this_machine_stays_there(fest, deploy):
    d = deploy()
    assert d.usher.get("/metrics").status == 200
    assert d.usher.get("/metrics", X_Forwarded_For="192.0.2.7").status == 404
    for path in ("/metrics", "/outbox", "/outbox/x.eml", "/down/503.html"):
        assert d.site.get(path).status == 404, path


def test_the_limit_of_bodies_is_ours(fest, deploy):
    """nginx refuses what is one byte too large, and passes what is not."""
    fest.add_event(RACE, 5)
    d = deploy()
    head = b'{"event":"robo-race","name":"A B","email":"a@school.example","school":"x"'
    for size, status in ((BODY_MAX, 201), (BODY_MAX + 1, 413)):
        body = head + b" " * (size - len(head) - 1) + b"}"
        for server in (d.usher, d.site):
            got = server.request("POST", "/register", body, {
                "Content-Type": "application/json", "Idempotency-Key": "the-same-person"})
            assert got.status == status, (size, got.text)


def test_a_large_file_of_events(fest, deploy):
    """It comes through for an organiser; a stranger's is refused before Usher has received it, and
    the answer comes through, too."""
    d = deploy()
    owner = log_in(d.site, add_user(fest, "owner"))
    form = owner.open("/admin/events/import").form("Check")
    rows = "".join(f"e-{i},Event,2031-03-14 10:00,{'x' * 4900}\n" for i in range(1000))
    file = ("events.csv", b"slug,title,starts,description\n" + rows.encode())
    assert "1000 new" in owner.submit(form, upload=file, step="check").text
    refused = Browser(d.site).send(form, upload=file, step="check")
    assert refused.status == 401 and "log in" in refused.text


@pytest.mark.on("sqlite", "postgresql")
def test_new_workers_under_load_fail_no_request(fest, deploy):
    """HUP three times in a rush through nginx: no connection breaks, nobody hears 502 or 503. Each
    roll is over when no worker of before is left."""
    fest.add_event(RACE, 500, "unlimited")
    d = deploy()
    d.site.port, tls = d.site.plain_port, d.site.port
    rush = Rush(fest, d.site)
    d.site.port = tls
    web = lambda: set(d.usher.children().get("web", []))  # noqa: E731
    for _ in range(3):
        rush.more(1000)
        before = web()
        d.usher.process.send_signal(signal.SIGHUP)
        wait_for("a new worker for each", lambda: len(web() - before) >= 2)
        wait_for("the old ones to leave", lambda: not web() & before)
    rush.more(500)
    count = rush.end()
    assert count["broken"] == count["overloaded"] == 0, count
    assert "upstream" not in d.nginx.log_path.read_text()


def test_usher_away_and_back(fest, deploy):
    """The static page says what to do; service returns by itself."""
    fest.add_event(RACE, 5)
    d = deploy()
    d.usher.stop()
    page = d.site.get("/", Accept="text/html,*/*")
    assert (page.status, page.headers["content-type"]) == (503, "text/html")
    assert "What to do" in page.text and page.headers["retry-after"] == "10"
    problem = d.site.register(RACE, 1, key="a-key-of-mine")
    assert (problem.status, problem.headers["content-type"]) == (503, "application/problem+json")
    assert problem.json["code"] == "unavailable" and problem.headers["retry-after"] == "10"
    sent = d.site.form(f"/e/{RACE}/register", {"name": "A"}, {"Accept": "text/html"})
    assert sent.status == 503 and "What to do" in sent.text
    d.start_usher(fest)
    assert d.site.register(RACE, 1, key="a-key-of-mine").status == 201


def test_the_example_settings_are_settings(tmp_path):
    """As they are, and with those for several hosts in place of their namesakes."""
    one = (ROOT / "deploy/usher.env.example").read_text()
    others = re.findall(r"^# (USHER_\w+)=(.*)$", one.split("One of several hosts")[1], re.M)
    several = re.sub(r"^USHER_(LISTEN|TRUSTED_PROXIES|DATABASE_URL)=.*$", "", one, flags=re.M)
    for name, value in others[:4]:
        if name.endswith("_FILE"):
            (tmp_path / "url").write_text("postgresql://usher:x@10.0.0.21,10.0.0.22/usher")
            value = tmp_path / "url"
        several += f"{name}={value}\n"
    assert len(others) >= 4
    for text in (one, several):
        (tmp_path / "usher.env").write_text(text)
        run = subprocess.run([str(USHER), "version", "--config", tmp_path / "usher.env"],
                             env=ENVIRON, text=True, capture_output=True)
        assert run.returncode == 0, run.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_the_units_are_sound_and_closed(tmp_path):
    """No word that systemd does not know, and an exposure of at most 2.0 of 10."""
    unit, door = tmp_path / "usher.service", tmp_path / "usher.socket"
    text = (ROOT / "deploy/usher.service").read_text()
    unit.write_text(text.replace("/usr/local/bin/usher serve", f"{USHER} serve"))
    door.write_text((ROOT / "deploy/usher.socket").read_text())
    env = {**os.environ, "SYSTEMD_LOG_LEVEL": "warning"}
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", unit, door], env=env,
                              text=True, capture_output=True)
    assert "usher." not in verified.stderr, verified.stderr
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit],
                            env=env, text=True, capture_output=True)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_numbers_that_belong_together():
    """What the comments of deploy/nginx.conf say of Usher's own numbers is so."""
    conf, settings = CONFIG.read_text(), (ROOT / "app/domain/settings.c").read_text()

    def number(pattern, text):
        return int(re.search(pattern, text)[1])

    assert number(r"client_max_body_size (\d+)k;", conf) * 1024 == BODY_MAX
    assert number(r'"MAX_BODY".*"(\d+)K"', settings) * 1024 == BODY_MAX
    assert number(r"proxy_read_timeout (\d+)s;", conf) * 1000 > \
        number(r'"REQUEST_TIMEOUT_MS".*?"(\d+)"', settings)
    limits = (ROOT / "src/http/head.c").read_text()
    count, each = re.search(r"large_client_header_buffers (\d+) (\d+)k;", conf).groups()
    assert int(each) == number(r"\.header_bytes = (\d+) << 10", limits) \
        == number(r"\.request_line_bytes = (\d+) << 10", limits)
    assert int(count) * int(each) == number(r"\.head_bytes = (\d+) << 10", limits)
    for directive, ours in (("client_header_timeout", "head_ms"), ("send_timeout", "write_gap_ms"),
                            ("client_body_timeout", "body_gap_ms")):
        assert number(rf"{directive} (\d+)s;", conf) * 1000 == number(rf"\.{ours} = (\d+)", limits)
    # While a worker that drains still answers on idle connections, nginx closes them.
    idle_ms = number(r"\n    keepalive_timeout (\d+)ms;", conf)
    assert idle_ms * 2 <= number(r"LAST_MS = (\d+)", (ROOT / "src/http/server.c").read_text())
    assert "non_idempotent" not in re.sub(r"#.*", "", conf)


def wait_until_asked(server, rush, requests=50):
    """By others than this, which asks as well."""
    def others():
        asked = re.search(r"^usher_http_requests_total (\d+)", server.get("/metrics").text, re.M)
        return int(asked[1]) - next(own) > requests or rush.process.poll() is not None
    own = itertools.count(1)
    wait_for("nginx to ask it again", others)


@pytest.mark.on("postgresql")
def test_hosts_are_restarted_in_turn_under_load(fest, front):
    """As an upgrade does it: a host that stops answers who has connected and refuses who comes
    then, and nginx turns to the one that serves. Were they left waiting in its backlog, a hundred
    would hear 503. Between the last look at the backlog and its end one may still come."""
    fest.add_event(RACE, 500, "unlimited")
    ports = [private.free_port() for _ in range(2)]
    env = {"USHER_TRUSTED_PROXIES": "127.0.0.1/32", "USHER_LIMIT_EMAIL": "off"}

    def start(port):
        return fest.serve("--workers", "1", "--listen", f"127.0.0.1:{port}", env=env)
    servers = [start(port) for port in ports]
    d = front(*[f"127.0.0.1:{port}" for port in ports]).start_nginx()
    d.site.port = d.site.plain_port
    rush = Rush(fest, d.site)
    rush.more(1000)
    for number, server in enumerate(servers[:]):
        assert server.stop(signal.SIGTERM) == 0
        servers[number] = start(ports[number])
        wait_until_asked(servers[number], rush)
    count = rush.end()
    assert count["broken"] == 0 and count["overloaded"] <= 2, count
    assert "no live upstreams" not in d.nginx.log_path.read_text()
