"""Fixtures that start the real binary in a folder of its own and stop it by its process id.

Nothing here waits for a fixed time: a server has started when it has printed its address, and has
stopped when its process has ended.

A test that takes `fest` runs over both databases, SQLite and a private PostgreSQL. What is about
one of them says so by name: `@pytest.mark.on("sqlite")`.
"""

import contextlib
import json
import http.client
import os
import pathlib
import re
import select
import signal
import sqlite3
import subprocess
import time
import urllib.parse

import psycopg2.extras
import pytest

from postgres import Postgres, Rows
from private import at_most, wait_for  # noqa: F401 (tests take them from here)

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("TESTED_BUILD", "build")
# The settings of whoever runs the tests are not those of the server under test.
ENVIRON = {k: v for k, v in os.environ.items() if not k.startswith("USHER_")}
USHER = BUILD / "usher"
START_S = at_most(30)
STOP_S = at_most(90)


class Reply:
    """A whole answer: status, header fields by lower-case name, body."""

    def __init__(self, raw):
        self.status = raw.status
        self.headers = {k.lower(): v for k, v in raw.getheaders()}
        self.cookies = [v for k, v in raw.getheaders() if k.lower() == "set-cookie"]
        self.body = raw.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    """`usher serve` (or another program that prints `http://127.0.0.1:PORT`) on a free port."""

    def __init__(self, folder, command, env=None, pass_fds=()):
        self.folder = folder
        self.env = {**ENVIRON, "USHER_LISTEN": "127.0.0.1:0", **(env or {})}
        self.log = open(folder / "log", "ab")
        self.process = subprocess.Popen(
            command, cwd=folder, env=self.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self.log, pass_fds=pass_fds,
        )
        self.port = self._read_port()

    def _read_port(self):
        return int(self._read_said(rb"http://127\.0\.0\.1:(\d+).*\n")[1])

    def _read_said(self, pattern):
        """Waits for a line on standard output; the match."""
        deadline, seen = time.monotonic() + START_S, b""
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.process.stdout], [], [], 0.5)
            if ready:
                part = os.read(self.process.stdout.fileno(), 4096)
                if not part:
                    break
                seen += part
                said = re.search(pattern, seen)
                if said:
                    self.said = seen.decode()
                    return said
        self.stop(signal.SIGKILL)
        raise AssertionError(f"no address was printed; it said {seen!r}\n{self.read_log()}")

    def read_log(self):
        return (self.folder / "log").read_text(errors="replace")

    def request(self, method, path, body=None, headers=None, timeout=at_most(20)):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            headers = dict(headers or {})
            if isinstance(body, dict) and "Content-Type" not in headers:
                headers["Content-Type"] = "application/json"
                body = json.dumps(body)
            connection.request(method, path, body=body, headers=headers)
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path,
                            headers={k.replace("_", "-"): v for k, v in headers.items()})

    def form(self, path, fields, headers=None):
        """What a browser sends for a form; `fields` is a dict or a list of pairs. A header that is
        None is left out."""
        sent = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html",
                "Origin": f"http://127.0.0.1:{self.port}", **(headers or {})}
        body = fields if isinstance(fields, bytes) else urllib.parse.urlencode(fields)
        return self.request("POST", path, body,
                            {k: v for k, v in sent.items() if v is not None})

    def register(self, event, number, key=None, **fields):
        body = {"event": event, "name": f"Student {number}",
                "email": f"student{number}@school.example", "school": "Test School", **fields}
        return self.request("POST", "/register", body, {"Idempotency-Key": key} if key else None)

    def children(self):
        """Process ids of the workers by role: the first word of a worker's name ("web 2")."""
        out = {}
        for pid in children_of(self.process.pid):
            try:
                role = pathlib.Path(f"/proc/{pid}/comm").read_text().split()[0]
            except OSError:
                continue
            out.setdefault(role, []).append(pid)
        return out

    def stop(self, signum=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(signum)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        self.process.stdout.close()
        self.log.close()
        return self.process.returncode


def children_of(pid):
    try:
        return [int(c) for c in
                pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Fest:
    """A folder with a database, and the command line on it."""

    def __init__(self, folder, url="sqlite:usher.db"):
        self.folder = folder
        self.url = url
        self.env = {"USHER_MAIL_URL": "file:outbox", "USHER_DATABASE_URL": url,
                    "USHER_UNDO_S": "0"}
        self.servers = []

    @property
    def is_sqlite(self):
        return self.url.startswith("sqlite:")

    @property
    def database_name(self):
        return urllib.parse.urlsplit(self.url).path[1:]

    def usher(self, *args, check=True, env=None, stdin=None):
        done = subprocess.run(
            [str(USHER), *args], cwd=self.folder, text=True, capture_output=True,
            timeout=at_most(120),
            input=stdin, env={**ENVIRON, **self.env, **(env or {})},
        )
        if check and done.returncode != 0:
            raise AssertionError(f"usher {' '.join(args)} ended with {done.returncode}\n"
                                 f"{done.stdout}{done.stderr}")
        return done

    def add_event(self, slug, capacity, waitlist=0, **columns):
        row = {"slug": slug, "title": slug.replace("-", " ").title(), "venue": "Hall 1",
               "starts": "2031-03-14T10:00:00Z", "ends": "2031-03-14T12:00:00Z",
               "opens": "2020-01-01T00:00:00Z", "closes": "2031-03-14T09:00:00Z",
               "capacity": capacity, "waitlist": waitlist, **columns}
        path = self.folder / f"{slug}.json"
        path.write_text(json.dumps([row]))
        self.usher("event", "import", str(path), "--yes")

    def serve(self, *args, env=None, wrapper=(), pass_fds=()):
        server = Server(self.folder, [*wrapper, str(USHER), "serve", *args],
                        {**self.env, **(env or {})}, pass_fds)
        self.servers.append(server)
        return server

    def database(self):
        if not self.is_sqlite:
            connection = psycopg2.connect(self.url, cursor_factory=psycopg2.extras.DictCursor)
            connection.autocommit = True
            return Rows(connection)
        connection = sqlite3.connect(f"file:{self.folder / 'usher.db'}?mode=ro", uri=True)
        connection.row_factory = sqlite3.Row
        return Rows(connection)

    @contextlib.contextmanager
    def held_changes(self, server):
        """Nothing is stored until the block ends: the writer stands still; on PostgreSQL somebody
        has locked the seats. What is asked meanwhile is under way. At most 5 s there: a statement
        of the server's takes no longer. Gives what tells whether anybody waits for the lock."""
        if self.is_sqlite:
            (writer,) = server.children()["writer"]
            os.kill(writer, signal.SIGSTOP)
            try:
                yield lambda: True
            finally:
                os.kill(writer, signal.SIGCONT)
        else:
            with self.database() as db:
                db.execute("BEGIN")
                db.execute("LOCK TABLE event_seats IN EXCLUSIVE MODE")
                yield lambda: db.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone()

    def kill_storage(self, server):
        """Kills who stores: the writer; on PostgreSQL the other ends of all connections."""
        if self.is_sqlite:
            os.kill(wait_for("writer", lambda: server.children().get("writer"))[0], signal.SIGKILL)
        else:
            with self.database() as db:
                db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                           " WHERE datname = current_database() AND pid <> pg_backend_pid()")

    def stop(self):
        """Also a crowd that a failed test has left behind: it would go on for long."""
        for pid in children_of(os.getpid()):
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{pid}/comm").read_text() == "rush\n":
                    os.kill(pid, signal.SIGKILL)
        for server in self.servers:
            server.stop()


def pytest_configure(config):
    config.addinivalue_line("markers", "on(database): the test is about this database alone")


def pytest_generate_tests(metafunc):
    if "database" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("on")
        metafunc.parametrize("database", only.args if only else ("sqlite", "postgresql"),
                             scope="session")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """The server of all tests, with a database that is migrated and copied where one is needed."""
    server = Postgres().make()
    try:
        server.start().ask("CREATE DATABASE fest")
        Fest(tmp_path_factory.mktemp("template"), server.url("fest")).usher("migrate")
        server.tables = server.ask(
            "SELECT string_agg(tablename, ', ') FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename <> 'usher_migrations'", database="fest")[0][0]
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def spare_databases():
    """Those whose test has passed. To empty one takes a sixth of the time of a new copy."""
    return []


@pytest.fixture
def fest_database(request, database, spare_databases):
    """The URL of a database with empty tables; None for SQLite, whose file the test makes."""
    if database == "sqlite":
        yield None
        return
    server = request.getfixturevalue("postgres")
    if not spare_databases:
        url = server.copy("fest")
    else:
        url = spare_databases.pop()
        with contextlib.closing(psycopg2.connect(url)) as connection, connection:
            connection.cursor().execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid();"
                f"TRUNCATE {server.tables} RESTART IDENTITY")
    yield url
    if request.node.passed:
        spare_databases.append(url)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    item.passed = getattr(item, "passed", True) and report.passed


@pytest.fixture
def fest(tmp_path, fest_database):
    f = Fest(tmp_path, fest_database) if fest_database else Fest(tmp_path)
    if f.is_sqlite:
        f.usher("migrate")
    yield f
    f.stop()


def _waits(folder):
    servers = []

    def start(*args):
        server = Server(folder, [str(BUILD / "examples/waits"), "--port", "0", *args])
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def waits(tmp_path):
    """Starts examples/waits with the given options."""
    yield from _waits(tmp_path)


@pytest.fixture(scope="module")
def waits_for_module(tmp_path_factory):
    """The same, for a server that all tests of a file share."""
    yield from _waits(tmp_path_factory.mktemp("waits"))
