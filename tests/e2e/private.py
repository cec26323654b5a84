"""Private servers: PostgreSQL, Redis, a mail sink, nginx and Usher, each in a folder of its own.

They are what tests stand on, and what `make stack` (tools/stack) starts for trying out. A part is
one process (with the children that it makes). It has started when it has said so in its own words;
until then `start` waits, and says what it wrote if those words do not come. It is stopped by its
process id. Should whoever started it be killed, the kernel ends it too (PR_SET_PDEATHSIG).

PostgreSQL refuses to run as root, so there it runs as the user postgres; hence the folder of all
parts must be one that others may enter (`new_folder`). A part may run in a network namespace
(ip-netns(8)).
"""

import glob
import os
import pathlib
import pwd
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# How much slower than a quiet machine this one is: by what it had to do when the tests began, or as
# TESTS_PATIENCE says (.ci/run does: its cores are shared).
PATIENCE = float(os.environ.get("TESTS_PATIENCE", 1 + os.getloadavg()[0] / os.cpu_count()))


def at_most(seconds):
    """An upper bound, for this machine. Lower bounds need no patience."""
    return seconds * PATIENCE


START_S = at_most(30)


def new_folder(prefix):
    """A folder that other users may enter, not read."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o711)
    return folder


def wait_for(what, condition, seconds=30):
    """Asks `condition` until it is true; the answer is what it gave."""
    deadline = time.monotonic() + at_most(seconds)
    while True:
        got = condition()
        if got:
            return got
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        select.select([], [], [], 0.02)


held_ports = []


def free_port():
    """A port for a server that cannot choose one itself. Nobody takes it before that server does:
    it lies outside the range from which the kernel gives ports to connections and to those who ask
    for any, and a name that other tests look at holds it for as long as this process lives."""
    above = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10000, max(above, 20000))
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0usher-test-port-{port}")
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            held.close()
        else:
            held_ports.append(held)
            return port


class Part:
    """A process whose every line is kept in `log` and can be waited for."""

    def __init__(self, name, command, folder, started, *, namespace=None, user=None, env=None,
                 stop_with=signal.SIGTERM):
        self.name, self.folder, self.log_path = name, folder, folder / f"{name}.log"
        self.stop_with = stop_with
        self._lines, self._ended, self._news = [], False, threading.Condition()
        inside = ["ip", "netns", "exec", namespace] if namespace else []
        become = ["--reuid", user, "--regid", user, "--clear-groups"] if user else []
        self.process = subprocess.Popen(
            [*inside, "setpriv", *become, "--pdeathsig", "TERM", *map(str, command)], cwd=folder,
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if started:
            try:
                self.said = self.wait_for(started)
            except BaseException:
                self.stop()
                raise

    def _read(self):
        with open(self.log_path, "ab", buffering=0) as log:
            for line in self.process.stdout:
                log.write(line)
                with self._news:
                    self._lines.append(line.decode(errors="replace"))
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for(self, pattern, seconds=START_S, since=0):
        """Waits for a line, from line number `since` on; the match."""
        at, found = since, None

        def seen():
            nonlocal at, found
            while not found and at < len(self._lines):
                found = re.search(pattern, self._lines[at])
                at += 1
            return found or self._ended
        with self._news:
            self._news.wait_for(seen, seconds)
            if found:
                return found
            why = "it ended" if self._ended else f"not within {seconds} s"
            raise RuntimeError(f"{self.name} did not say {pattern!r}: {why}; its last words:\n"
                               + "".join(self._lines[-15:]))

    def lines(self):
        with self._news:
            return len(self._lines)

    def is_running(self):
        return self.process.poll() is None

    def stop(self, signum=None, seconds=at_most(20)):
        if self.is_running():
            self.process.send_signal(signum or self.stop_with)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        # A grandchild that holds the pipe a moment longer is no reason to wait for ever.
        self._reader.join(5)
        return self.process.returncode


def pg_bin(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    if not found:
        raise RuntimeError("PostgreSQL is not installed; tools/deps test installs it")
    return found[-1]


class Postgres:
    """A PostgreSQL cluster: its socket lies in its folder; TCP only where an address is given.
    Settings are those of a fresh cluster, so durable, but for what `settings` says."""

    USER = "usher"

    def __init__(self, folder, name="postgresql", *, address="", port=5432, namespace=None,
                 settings=None):
        self.name, self.folder, self.namespace = name, folder / name, namespace
        self.address, self.port, self.part = address, port, None
        self.settings = {"listen_addresses": address, "port": port,
                         "unix_socket_directories": self.folder, "max_connections": 100,
                         "timezone": "UTC", **(settings or {})}
        self.user = "postgres" if os.getuid() == 0 else None
        self.folder.mkdir()
        if self.user:
            who = pwd.getpwnam(self.user)
            os.chown(self.folder, who.pw_uid, who.pw_gid)
        self.data = self.folder / "data"

    def tool(self, name, *args):
        """Runs one of PostgreSQL's programs as its user to its end."""
        become = ["setpriv", "--reuid", self.user, "--regid", self.user,
                  "--clear-groups"] if self.user else []
        inside = ["ip", "netns", "exec", self.namespace] if self.namespace else []
        done = subprocess.run([*inside, *become, pg_bin(name), *map(str, args)], cwd=self.folder,
                              text=True, capture_output=True, timeout=at_most(60))
        if done.returncode != 0:
            raise RuntimeError(f"{name} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def make(self):
        self.tool("initdb", "--no-sync", "-A", "trust", "-U", self.USER, "--locale=C.UTF-8", "-D",
                  self.data)
        return self

    def allow(self, network):
        """Whoever is in it may do everything, also follow as a standby."""
        with open(self.data / "pg_hba.conf", "a") as file:
            for database in ("all", "replication"):
                file.write(f"host {database} all {network} trust\n")
        return self

    def copy_of(self, primary, name):
        """Becomes a standby that follows `primary`, which knows it by `name`."""
        self.tool("pg_basebackup", "--no-sync", "-c", "fast", "-R", "-D", self.data, "-d",
                  f"host={primary.address or primary.folder} port={primary.port} "
                  f"user={self.USER} application_name={name}")
        return self

    def start(self):
        options = [f"-c{k}={v}" for k, v in self.settings.items()]
        # TERM would wait for every client; INT cuts them off and shuts down in order.
        self.part = Part(self.name, [pg_bin("postgres"), "-D", self.data, *options], self.folder,
                         r"ready to accept (read-only )?connections", user=self.user,
                         namespace=self.namespace, stop_with=signal.SIGINT)
        return self

    def url(self, database="postgres"):
        return f"postgresql://{self.USER}@/{database}?host={self.folder}&port={self.port}"

    def ask(self, sql, database="postgres"):
        """The result as text, a row a line; over the socket, so also when the network is cut."""
        return self.tool("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-c",
                         sql)

    def stop(self, signum=None):
        if self.part:
            self.part.stop(signum)


class Redis:
    """A Redis without disk, on a Unix socket, or on an address."""

    def __init__(self, folder, name="redis", *, address=None, port=0, namespace=None, options=()):
        self.name, self.folder, self.namespace = name, folder / name, namespace
        self.options = [*(["--bind", address, "--port", str(port), "--protected-mode", "no"]
                          if address else ["--port", "0"]), *options]
        self.folder.mkdir()
        self.socket = self.folder / "redis.sock"
        self.url = f"redis://{address}:{port}" if address else f"unix:{self.socket}"
        self.part = None

    def start(self):
        self.part = Part(self.name, ["redis-server", "--unixsocket", self.socket, "--save", "",
                                     "--dir", self.folder, *self.options], self.folder,
                         r"Ready to accept connections|ready to accept connections at",
                         namespace=self.namespace)
        return self

    def ask(self, *words):
        return subprocess.run(["redis-cli", "-s", self.socket, *words], check=True, text=True,
                              capture_output=True, timeout=at_most(20)).stdout.strip()

    def stop(self, signum=None):
        if self.part:
            self.part.stop(signum)


def sink(folder, *options, name="mail", namespace=None, address="127.0.0.1", port=0):
    """tests/e2e/smtp_sink.py; `said[1]` is its address, each mail a file in folder/mails."""
    (folder / "mails").mkdir(exist_ok=True)
    # It serves until its standard input ends, which here is at once; `--stay` is for us.
    return Part(name, ["/usr/bin/python3", ROOT / "tests/e2e/smtp_sink.py", "--stay", "--host",
                       address, "--port", port, "--folder", folder / "mails", *options], folder,
                r"^(\S+:\d+)\n", namespace=namespace)


CONFIG = ROOT / "deploy/nginx.conf"
MAIN = """
daemon off; pid nginx.pid; error_log stderr notice; {main}
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    {site}
}}
"""


def make_certificate(folder, *names):
    """cert.pem and key.pem for names as openssl takes them: IP:127.0.0.1, DNS:localhost."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=" + ",".join(names),
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True,
        capture_output=True)


def nginx_configuration(folder, *, http, https, servers, main=""):
    """deploy/nginx.conf with each thing that belongs to one machine replaced; each must be there.

    `http` and `https` are lists of addresses to listen on; `servers` those of Usher. What is served
    without TLS beside `https` is asked for as ("plain", address): for crowds that speak no TLS.
    """
    plain = [a[1] for a in https if isinstance(a, tuple)]
    https = [a for a in https if not isinstance(a, tuple)]
    text, several = CONFIG.read_text(), len(servers) > 1
    for pattern, new in (
            (r"listen 80;", " ".join(f"listen {a};" for a in http)),
            (r"listen \[::\]:80;", ""),
            (r"listen 443 ssl http2;", " ".join([*(f"listen {a} ssl http2;" for a in https),
                                                 *(f"listen {a};" for a in plain)])),
            (r"listen \[::\]:443 ssl http2;", ""),
            (r"server_name fest\.example;", "server_name localhost;"),
            (r"\n    server unix:/run/usher/http\.sock (.*);",
             "" if several else rf"\n    server {servers[0]} \1;"),
            (r"\n    # server \S+ (.*);",
             "".join(rf"\n    server {s} \1;" for s in servers) if several else ""),
            (r"/etc/letsencrypt/live/fest\.example/fullchain\.pem", f"{folder}/cert.pem"),
            (r"/etc/letsencrypt/live/fest\.example/privkey\.pem", f"{folder}/key.pem"),
            (r"root /usr/local/share/usher;", f"root {ROOT}/deploy;")):
        text, n = re.subn(pattern, new, text)
        assert n > 0, f"deploy/nginx.conf has no {pattern}"
    return MAIN.format(site=text, main=main)


def nginx(folder, configuration, *, name="nginx", namespace=None):
    (folder / "nginx.conf").write_text(configuration)
    # As root its workers would be another user's, who may not open Usher's socket.
    also = ["-g", "user root;"] if os.getuid() == 0 else []
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    return Part(name, [program, "-e", "stderr", "-p", folder, "-c", "nginx.conf", *also], folder,
                r"start worker process \d+", namespace=namespace)
