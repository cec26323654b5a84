"""A private PostgreSQL: made in a folder under /tmp, reached over a Unix socket in it or a port of
127.0.0.1, and stopped by its process id.

PostgreSQL refuses to run as root; then it runs as the user that Debian's package makes. Should
whoever started it be killed, the kernel has it stop too. fsync is on, as in service.
"""

import contextlib
import glob
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import psycopg2
import psycopg2.extras

BIN = pathlib.Path(max(glob.glob("/usr/lib/postgresql/*/bin")))
SETTINGS = {"max_connections": 80, "shared_buffers": "64MB", "log_line_prefix": "%m [%p] ",
            "log_min_messages": "warning", "deadlock_timeout": "300ms",
            # After a crash it would sync each of some thousand files alone.
            "recovery_init_sync_method": "syncfs"}


class Postgres:
    def __init__(self, port=0, **settings):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="usher-pg-"))
        self.data = self.folder / "data"
        self.host, self.port = ("127.0.0.1", port) if port else (self.folder, 5432)
        self.settings = {**SETTINGS, "listen_addresses": self.host if port else "",
                         "port": self.port, "unix_socket_directories": self.folder, **settings}
        self.process, self.copies = None, 0
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")

    def _command(self, program, *args):
        """As a user that is not root, and never for longer than we are."""
        user = []
        if os.geteuid() == 0:
            who = pwd.getpwnam("postgres")
            user = ["--reuid", str(who.pw_uid), "--regid", str(who.pw_gid), "--clear-groups"]
        return ["setpriv", *user, "--pdeathsig", "QUIT", str(BIN / program), *map(str, args)]

    def run(self, program, *args):
        done = subprocess.run(self._command(program, *args), cwd=self.folder, timeout=60, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        assert done.returncode == 0, f"{program}: {done.stdout}"

    def make(self):
        self.run("initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "--no-sync",
                 "--locale=C.UTF-8")
        return self

    def copy_of(self, other, name):
        """Becomes a standby that follows `other`, which knows it by `name`."""
        self.run("pg_basebackup", "-D", self.data, "-c", "fast", "-R", "--no-sync", "-d",
                 f"host={other.host} port={other.port} user=postgres application_name={name}")
        return self

    def start(self):
        log = open(self.folder / "log", "ab")
        options = [o for name, value in self.settings.items() for o in ("-c", f"{name}={value}")]
        self.process = subprocess.Popen(self._command("postgres", "-D", self.data, *options),
                                        cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log,
                                        stderr=log)
        log.close()
        self.wait_until_ready()
        return self

    def wait_until_ready(self, seconds=60):
        """Asks with pg_isready, which does not need a free place among the connections."""
        deadline = time.monotonic() + seconds
        while subprocess.run([BIN / "pg_isready", "-q", "-h", self.host, "-p", str(self.port)],
                             check=False).returncode != 0:
            assert self.process.poll() is None and time.monotonic() < deadline, self.read_log()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)

    def stop(self, signum=signal.SIGINT):
        """INT is its fast way: it ends all sessions. QUIT leaves recovery to the next start."""
        if self.process:
            self.process.send_signal(signum)
            self.process.wait(60)
            self.process = None

    def kill(self):
        """The postmaster alone; its children notice and end, and the next start waits for that."""
        self.stop(signal.SIGKILL)

    def promote(self):
        self.run("pg_ctl", "promote", "-D", self.data, "-w")

    def remove(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def url(self, database):
        return f"postgresql:///{database}?host={self.host}&port={self.port}&user=postgres"

    def connect(self, database="postgres"):
        """A session that commits each statement; rows by number and by name."""
        connection = psycopg2.connect(self.url(database),
                                      cursor_factory=psycopg2.extras.DictCursor)
        connection.autocommit = True
        return connection

    def ask(self, sql, *values, database="postgres"):
        with contextlib.closing(self.connect(database)) as connection:
            with connection.cursor() as cursor:
                cursor.execute(sql, values or None)
                return cursor.fetchall() if cursor.description else []

    def copy(self, template):
        """A new database like that one, to which nobody is connected; its URL."""
        self.copies += 1
        self.ask(f"CREATE DATABASE copy{self.copies} TEMPLATE {template}")
        return self.url(f"copy{self.copies}")

    def backends(self, database):
        """Process ids of the server's processes that serve others in this database."""
        return [row[0] for row in self.ask(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type ="
            " 'client backend' AND pid <> pg_backend_pid()", database)]

    def read_log(self):
        return (self.folder / "log").read_text(errors="replace")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Rows:
    """A database as tests ask it: `execute` as sqlite3's connections have it, `?` for values."""

    def __init__(self, connection):
        self.connection = connection

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def execute(self, sql, values=()):
        if not isinstance(self.connection, psycopg2.extensions.connection):
            return self.connection.execute(sql, values)
        cursor = self.connection.cursor()
        cursor.execute(sql.replace("?", "%s"), values or None)
        return cursor
