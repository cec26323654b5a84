"""`usher worker` beside a server without mail workers of its own, with and without a Redis."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

from conftest import ENVIRON, USHER, wait_for
from outbox import mails

EVENT = "quiz"


class Redis:
    """A private redis-server on a Unix socket."""

    def __init__(self, folder):
        self.folder = folder
        self.url = f"unix:{folder}/redis.sock"
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", "redis.sock", "--save", ""],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for("redis-server", lambda: self.ask("PING").startswith(b"+PONG"))

    def ask(self, command):
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(str(self.folder / "redis.sock"))
                s.sendall(command.encode() + b"\r\n")
                return s.recv(4096)
            except OSError:
                return b""

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


class Worker:
    def __init__(self, fest, env):
        self.log = open(fest.folder / "worker.log", "ab")
        self.process = subprocess.Popen(
            [str(USHER), "worker"], cwd=fest.folder, env={**ENVIRON, **fest.env, **env}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log)
        said = self.process.stdout.readline()
        name = re.escape(fest.url.split("?")[0])
        assert re.fullmatch(rf"Usher sends mails for {name}; pid \d+\n", said), said

    def children(self):
        pid = self.process.pid
        return [int(c) for c in
                pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.process.stdout.close()
        self.log.close()
        return self.process.returncode


@pytest.fixture
def redis(tmp_path):
    redis = Redis(tmp_path)
    redis.start()
    yield redis
    redis.stop()


def serve(fest, env):
    fest.add_event(EVENT, 100)
    return fest.serve("--workers", "1", env={"USHER_MAIL_WORKERS": "0", "USHER_LIMIT_ADDR": "off",
                                             **env})


def seconds_to_mail(fest, server, number):
    """From the answer to a registration until its mail is there."""
    assert server.register(EVENT, number).status == 201
    began = time.monotonic()
    wait_for("a mail", lambda: mails(fest, to=f"student{number}@school.example"))
    return time.monotonic() - began


def test_sends_what_the_server_does_not(fest):
    server = serve(fest, {})
    assert server.register(EVENT, 1).status == 201
    assert not mails(fest)
    worker = Worker(fest, {})
    wait_for("a mail", lambda: mails(fest))
    for child in worker.children():
        os.kill(child, signal.SIGKILL)
    seconds_to_mail(fest, server, 2)
    assert worker.stop() == 0 and server.stop() == 0


def test_redis_wakes_and_may_be_lost(fest, redis):
    env = {"USHER_REDIS_URL": redis.url}
    server, number = serve(fest, env), 0
    worker = Worker(fest, env)

    def fastest(n):
        """Who only asks each second finds a job that follows a mail no sooner than 0.7 s later."""
        nonlocal number
        took = []
        for _ in range(n):
            number += 1
            took.append(seconds_to_mail(fest, server, number))
        assert max(took) < 5
        return min(took)

    assert fastest(5) < 0.5
    redis.ask("FLUSHALL")
    assert fastest(5) < 0.5
    redis.process.send_signal(signal.SIGSTOP)
    assert fastest(2) < 2.5
    redis.process.send_signal(signal.SIGCONT)
    redis.stop()
    assert fastest(2) < 2.5
    redis.start()
    wait_for("the listener", lambda: b"workers" in redis.ask("XINFO GROUPS usher:jobs"))
    wait_for("hints again", lambda: fastest(1) < 0.5)
    assert worker.stop() == 0 and server.stop() == 0
    log = server.read_log() + (fest.folder / "worker.log").read_text()
    assert "hints.away" in log and "hints.back" in log


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_wrong_address_is_refused_and_not_shown(fest, command):
    done = fest.usher(command, check=False, env={"USHER_REDIS_URL": "redis//:hunter2@h"})
    assert done.returncode == 2 and "USHER_REDIS_URL" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
