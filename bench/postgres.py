"""A private PostgreSQL for the measurements, as a server in service has it: fsync and
synchronous_commit on. And what Usher is measured beside: pgbench, which runs the same SQL with one
commit per registration, and a small web application on FastAPI (fastapi_app.py).
"""

import glob
import os
import pwd
import re
import shutil
import signal
import subprocess
import time

import measure as m

# One registration as the desk stores it, in one round trip: pgbench is given every advantage but
# the batch. Keys are made by the server, because pgbench has no bytes.
REGISTER = r"""
\set event random(1, :events)
\startpipeline
BEGIN;
SELECT event_id, capacity, waitlist_capacity, taken, waiting, next_seq, opens_at, closes_at, gate,
       school_limit, promote_until
  FROM event_seats WHERE event_id = :event FOR UPDATE;
SELECT id FROM registrations WHERE request_key = (SELECT uuid_send(gen_random_uuid()));
SELECT registration_id FROM participants WHERE dedupe_key = (SELECT uuid_send(gen_random_uuid()));
INSERT INTO registrations (id, status, request_key, request_fp, submit_id, source, guardian_ok,
                           created_at, updated_at)
SELECT event_id << 32 | next_seq, 1, uuid_send(gen_random_uuid()), uuid_send(gen_random_uuid()), 7,
       2, 0, 1900000000000, 1900000000000
  FROM event_seats WHERE event_id = :event;
INSERT INTO participants (registration_id, position, name, email, dedupe_key)
SELECT event_id << 32 | next_seq, 0, 'A student', 'student@school.example',
       uuid_send(gen_random_uuid())
  FROM event_seats WHERE event_id = :event;
INSERT INTO jobs (kind, lane, subject, payload, due_at, created_at)
SELECT 'ticket', 'mail', event_id << 32 | next_seq, '', 1900000000000, 1900000000000
  FROM event_seats WHERE event_id = :event;
UPDATE event_seats SET taken = taken + 1, next_seq = next_seq + 1 WHERE event_id = :event;
COMMIT;
\endpipeline
"""


def binary(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return found[-1] if found else shutil.which(name)


class Postgres:
    """A cluster in `folder`, reached over a Unix socket; `with` stops it. PostgreSQL refuses to
    run as root: then it runs as the user of Debian's package."""

    def __init__(self, folder):
        self.folder = folder / "pg"
        self.folder.mkdir()
        self.user = pwd.getpwnam("postgres") if os.getuid() == 0 else None
        self.socket = m.tempfile.mkdtemp(prefix="usher-pg-")
        if self.user:
            for path in (self.folder, self.socket):
                os.chown(path, self.user.pw_uid, self.user.pw_gid)
            for path in [self.folder, *self.folder.parents][1:]:
                if path == m.ROOT:
                    break
                path.chmod(path.stat().st_mode | 0o011)
        self.call("initdb", "-D", self.folder / "data", "-A", "trust", "-U", "postgres",
                  "--locale=C.UTF-8")
        self.process = subprocess.Popen(
            [binary("postgres"), "-D", self.folder / "data", "-k", self.socket,
             *(f"-c{s}" for s in ("listen_addresses=", "max_connections=300", "fsync=on",
                                  "synchronous_commit=on", "shared_buffers=256MB",
                                  "max_wal_size=4GB", "log_min_messages=warning"))],
            stdout=open(self.folder / "log", "w"), stderr=subprocess.STDOUT, **self.who())
        deadline = time.monotonic() + 30
        while subprocess.run([binary("pg_isready"), "-q", "-h", self.socket]).returncode:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"bench: PostgreSQL does not start; see {self.folder}/log")

    def who(self):
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": [],
                "cwd": self.folder} if self.user else {"cwd": self.folder}

    def call(self, name, *args):
        subprocess.run([binary(name), *map(str, args)], check=True, stdout=subprocess.DEVNULL,
                       **self.who())

    def url(self, database):
        return f"postgresql:///{database}?host={self.socket}&user=postgres"

    def sql(self, text, database="postgres"):
        done = subprocess.run(
            [binary("psql"), "-qAt", "-h", self.socket, "-U", "postgres", "-d", database, "-v",
             "ON_ERROR_STOP=1", "-c", text], text=True, capture_output=True, check=True)
        return done.stdout.strip()

    def slow_flushes(self, microseconds):
        """Each flush of the log waits so long before it begins, as on many cloud disks."""
        self.sql(f"ALTER SYSTEM SET commit_delay = {microseconds}")
        self.sql("ALTER SYSTEM SET commit_siblings = 0")
        self.sql("SELECT pg_reload_conf()")

    def model(self, events):
        """The tables of Usher with these events, to be copied by fresh()."""
        self.sql("CREATE DATABASE model")
        os.environ["USHER_DATABASE_URL"] = self.url("model")
        try:
            m.new_fest(self.folder.parent, events)
        finally:
            del os.environ["USHER_DATABASE_URL"]

    def fresh(self):
        """Everybody begins with empty tables. Returns the URL."""
        self.sql("DROP DATABASE IF EXISTS fest WITH (FORCE)")
        self.sql("CREATE DATABASE fest TEMPLATE model")
        self.sql("CHECKPOINT")
        return self.url("fest")

    def commits(self):
        """Transactions of the fest that changed something: those that only read roll back."""
        return int(self.sql("SELECT xact_commit FROM pg_stat_database WHERE datname = 'fest'"))

    def pgbench(self, clients, seconds, events):
        """Registrations per second into `events` events. The planner is told what Usher tells it,
        or it would keep plans made for empty tables."""
        self.fresh()
        script = self.folder / "register.sql"
        script.write_text(REGISTER)
        done = subprocess.run(
            [binary("pgbench"), "-n", "-h", self.socket, "-U", "postgres", "-M", "prepared", "-c",
             str(clients), "-j", str(min(clients, 2)), "-T", str(seconds), "-D",
             f"events={events}", "-f", str(script), "fest"],
            text=True, capture_output=True,
            env={**os.environ, "PGOPTIONS": "-c enable_seqscan=off -c jit=off "
                                            "-c plan_cache_mode=force_generic_plan"})
        found = re.search(r"tps = ([0-9.]+)", done.stdout)
        if done.returncode or not found or "number of failed transactions: 0 " not in done.stdout:
            raise SystemExit(f"bench: pgbench: {done.stdout}{done.stderr}")
        return float(found[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        shutil.rmtree(self.socket, ignore_errors=True)


def fastapi(url, workers):
    """See fastapi_app.py."""
    port = m.free_port()
    return m.Program(
        ["/usr/bin/python3", "/usr/bin/gunicorn", "fastapi_app:app", "-k",
         "uvicorn.workers.UvicornWorker", "-w", workers, "-b", f"127.0.0.1:{port}", "--log-level",
         "error"],
        port, cwd=m.ROOT / "bench",
        env={"DATABASE_URL": url, "SECRET": "of this run", "PYTHONDONTWRITEBYTECODE": "1"})
