"""A private PostgreSQL (private.py) of a test's own, asked through psycopg2; and databases of
either kind behind one face.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time

import psycopg2
import psycopg2.extras

import private

SETTINGS = {"max_connections": 80, "shared_buffers": "64MB", "log_line_prefix": "%m [%p] ",
            "log_min_messages": "warning", "deadlock_timeout": "300ms",
            # After a crash it would sync each of some thousand files alone.
            "recovery_init_sync_method": "syncfs"}


class Postgres(private.Postgres):
    """In a folder of its own, which goes with it; on its socket, or on a port of 127.0.0.1."""

    USER = "postgres"

    def __init__(self, port=0, **settings):
        super().__init__(private.new_folder("usher-pg-"), address="127.0.0.1" if port else "",
                         port=port or 5432, settings={**SETTINGS, **settings})
        self.copies = 0

    def url(self, database="postgres"):
        host = self.address or self.folder
        return f"postgresql:///{database}?host={host}&port={self.port}&user={self.USER}"

    def start(self, seconds=30):
        """Behind a killed one it refuses until the last of its children has gone."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return super().start()
            except RuntimeError as why:
                if "still in use" not in str(why) or time.monotonic() > deadline:
                    raise

    def kill(self):
        """The postmaster alone; its children notice and end, and `start` waits for that."""
        self.stop(signal.SIGKILL)

    def kill_backend(self, database, choose):
        """Kills one that serves others in this database, upon which the postmaster ends them all
        and starts anew; when this returns it has begun to."""
        self.wait_until_ready()
        while True:
            pid = choose(private.wait_for("a backend", lambda: self.backends(database)))
            try:
                os.kill(pid, signal.SIGKILL)
                break
            except ProcessLookupError:
                pass  # its client had left
        private.wait_for("the postmaster to notice", lambda: not os.path.exists(f"/proc/{pid}"))

    def wait_until_ready(self):
        """Asks with pg_isready, which does not need a free place among the connections."""
        private.wait_for("PostgreSQL", lambda: subprocess.run(
            [private.pg_bin("pg_isready"), "-q", "-h", self.folder, "-p", str(self.port)],
            check=False).returncode == 0)

    def promote(self):
        self.tool("pg_ctl", "promote", "-D", self.data, "-w")

    def remove(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder.parent)

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
