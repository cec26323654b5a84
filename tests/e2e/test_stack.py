"""`make stack`: what it prints is so, mails land where it says, and every part ends with it."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.request

import pytest

from conftest import ENVIRON, ROOT, Reply, at_most, wait_for
from private import Part, new_folder

PARTS = ("postgresql", "redis", "mail", "serve", "worker", "nginx")


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0] != "Z"
    except OSError:
        return False


class Stack:
    def __init__(self, folder):
        self.part = Part("stack", [ROOT / "tools/stack", "--port", "0", "--workers", "2"], folder,
                         "^Ctrl-C stops everything", env=ENVIRON, stop_with=signal.SIGINT)
        said = self.part.log_path.read_text()
        self.url = re.search(r"students +(https://localhost:\d+) ", said)[1]
        self.folder = pathlib.Path(re.search(r"mails +(/\S+)/mails/ ", said)[1])
        self.usher = re.search(r"commands +(\S+) reg list", said)[1]
        self.pids = dict(re.findall(r"(\w+) (\d+)", re.search("pids +(.*)", said)[1]))

    def post(self, body):
        trust = ssl.create_default_context(cafile=self.folder / "cert.pem")
        request = urllib.request.Request(self.url + "/register", body.encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=at_most(20), context=trust) as answer:
            return Reply(answer)

    def command(self, *args):
        return subprocess.run([ROOT / self.usher, *args, "--config", self.folder / "usher.env"],
                              cwd=self.folder, env=ENVIRON, text=True, capture_output=True)

    def is_gone(self):
        return not self.folder.exists() and not any(map(is_alive, self.pids.values()))


@pytest.fixture
def stack(tmp_path):
    stack = Stack(tmp_path)
    yield stack
    stack.part.stop()
    shutil.rmtree(stack.folder, ignore_errors=True)


def test_it_serves_and_stops(stack):
    assert tuple(stack.pids) == PARTS and all(map(is_alive, stack.pids.values()))
    answer = stack.post('{"event":"robotics-challenge","name":"Asha Rao",'
                        '"email":"asha@school.example","school":"Test School"}')
    assert answer.status == 201
    mail = wait_for("the mail", lambda: list((stack.folder / "mails").glob("*.eml")))
    assert b"asha@school.example" in mail[0].read_bytes()
    verified = stack.command("verify")
    assert verified.returncode == 0 and "1 registrations" in verified.stdout, verified.stdout
    # Whose links lead to localhost serves nobody else; all other parts are as they should be.
    examined = json.loads(stack.command("doctor", "--json").stdout)
    assert [d["check"] for d in examined if d["level"] == "error"] == ["base_url"], examined
    assert stack.part.stop(signal.SIGTERM) == 0
    assert stack.is_gone()


def test_a_part_that_ends_ends_all(stack):
    os.kill(int(stack.pids["redis"]), signal.SIGKILL)
    assert stack.part.process.wait(at_most(30)) == 1
    stack.part.wait_for("redis ended with -9")
    assert stack.is_gone()


def test_a_killed_script_leaves_no_part(stack):
    """Nobody could stop them any more; the kernel does."""
    stack.part.stop(signal.SIGKILL)
    wait_for("the parts to end", lambda: not any(map(is_alive, stack.pids.values())))


def test_a_part_that_does_not_start():
    """nginx, the last one, finds its port taken: those before it are stopped again."""
    folder = new_folder("usher-test-")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = subprocess.run([ROOT / "tools/stack", "--port", str(taken.getsockname()[1])],
                             text=True,
                             capture_output=True, timeout=at_most(60), cwd=folder,
                             env={**ENVIRON, "TMPDIR": str(folder)})
    assert run.returncode == 1 and "Address already in use" in run.stderr, run.stderr
    folder.rmdir()  # only when it is empty
