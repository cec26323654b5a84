"""What the measurements share: processes that are started on a free port and stopped by their id,
processor time and memory as the kernel counts them, medians with their spread.

Every comparison runs its sides in turn (A B A B …) in one run on one machine, and reports the
median of the ratios. Everything listens on and is loaded from 127.0.0.1.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / os.environ.get("TESTED_BUILD", "build")
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, process, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(
                f"bench: {process.args[0]} ended with {process.returncode} at its start")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"bench: nothing listens on port {port}")


def tree(pid):
    """A process and all its descendants."""
    out = [pid]
    try:
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            out += tree(int(child))
    except OSError:
        pass
    return out


def cpu_s(pid):
    """User and system seconds of a process tree so far."""
    total = 0
    for p in tree(pid):
        try:
            fields = pathlib.Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return total / TICK


def anonymous_bytes(pid):
    """Resident memory that is the process tree's own: no file pages, no shared ones."""
    total = 0
    for p in tree(pid):
        try:
            for line in pathlib.Path(f"/proc/{p}/smaps_rollup").read_text().splitlines():
                if line.startswith("Anonymous:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            pass
    return total


class Program:
    """A server under test; `with` stops it."""

    def __init__(self, args, port, cwd=None, env=None, quiet=True):
        self.port = port
        self.process = subprocess.Popen(
            [str(a) for a in args], cwd=cwd, env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if quiet else None,
            stderr=subprocess.DEVNULL if quiet else None,
        )
        wait_port(port, self.process)

    @property
    def pid(self):
        return self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                for p in reversed(tree(self.process.pid)):
                    os.kill(p, signal.SIGKILL)
                self.process.wait()


def waits(workers=1):
    port = free_port()
    return Program([BUILD / "examples/waits", "--port", port, "--workers", workers], port)


def bare_loop():
    port = free_port()
    return Program([BUILD / "bench/bare_loop", "--port", port], port)


def nginx(folder):
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    port = free_port()
    (folder / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 100000000; default_type text/plain;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{ listen 127.0.0.1:{port}; location = /plain {{ return 200 "Hello, World!"; }} }}
}}
""")
    return Program([binary, "-e", folder / "nginx.err", "-p", folder, "-c", folder / "nginx.conf"],
                   port)


def usher(folder, workers, extra=(), env=None):
    port = free_port()
    return Program(
        [BUILD / "usher", "serve", "--workers", workers, *extra], port, cwd=folder,
        env={"USHER_LISTEN": f"127.0.0.1:{port}", "USHER_MAIL_URL": "file:outbox",
             "USHER_LOG_LEVEL": "warn", **(env or {})},
    )


def tool(folder, *args, check=True):
    done = subprocess.run([str(BUILD / "usher"), *args], cwd=folder, text=True, capture_output=True,
                          timeout=600)
    if check and done.returncode:
        raise SystemExit(f"bench: usher {' '.join(args)}: {done.stdout}{done.stderr}")
    return done


def new_fest(folder, events):
    """A fresh database; `events` is a list of (slug, capacity, waitlist)."""
    for old in folder.glob("usher.db*"):
        old.unlink()
    shutil.rmtree(folder / "outbox", ignore_errors=True)
    tool(folder, "migrate")
    rows = [{"slug": slug, "title": slug, "venue": "Hall", "starts": "2031-03-14T10:00:00Z",
             "ends": "2031-03-14T12:00:00Z", "opens": "2020-01-01T00:00:00Z",
             "closes": "2031-03-14T09:00:00Z", "capacity": capacity, "waitlist": waitlist}
            for slug, capacity, waitlist in events]
    (folder / "events.json").write_text(json.dumps(rows))
    tool(folder, "event", "import", "events.json", "--yes")


def rush(port, events, **options):
    args = [str(BUILD / "bench/rush"), "--port", str(port)]
    for e in events:
        args += ["--event", e]
    for k, v in options.items():
        args += ["--" + k.replace("_", "-"), str(v)]
    done = subprocess.run(args, text=True, capture_output=True, timeout=900)
    sys.stderr.write(done.stderr)
    return json.loads(done.stdout)


def wrk(port, path, connections, seconds, script=None):
    """Requests, requests per second and latency percentiles (ms) as wrk counted them."""
    lua = tempfile.NamedTemporaryFile("w", suffix=".lua", delete=False)
    lua.write((script or "") + """
function done(summary, latency, requests)
    io.write(string.format('\\n{"requests":%d,"us":%d,"errors":%d,"p50":%f,"p99":%f}\\n',
        summary.requests, summary.duration,
        summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
        + summary.errors.timeout, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
""")
    lua.close()
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", lua.name,
         f"http://127.0.0.1:{port}{path}"], text=True, capture_output=True, timeout=seconds + 60)
    os.unlink(lua.name)
    out = json.loads(done.stdout.strip().splitlines()[-1])
    out["per_second"] = out["requests"] / (out["us"] / 1e6)
    return out


class Series:
    """Values of one figure over the rounds."""

    def __init__(self, values):
        self.values = list(values)

    @property
    def median(self):
        return statistics.median(self.values)

    def show(self, form="{:,.0f}", unit=""):
        low, high = form.format(min(self.values)), form.format(max(self.values))
        middle = form.format(self.median)
        return f"{middle}{unit} ({low} to {high})" if len(self.values) > 1 else f"{middle}{unit}"


def ratios(a, b):
    return Series(x / y for x, y in zip(a.values, b.values))
