"""`usher doctor`: a good set-up has no finding, and each fault is found, named and told apart from
what is only unusual."""

import json
import os
import resource
import socket
import subprocess

import pytest

from conftest import ENVIRON, ROOT, USHER

pytestmark = pytest.mark.on("sqlite")  # what it looks at is a file and its disk

PUBLIC = {"USHER_BASE_URL": "https://fest.example", "USHER_LISTEN": "unix:/run/usher/http.sock",
          "USHER_TRUSTED_PROXIES": "unix"}


def examine(fest, **env):
    """Level and text by check, and whether it ended with 1."""
    done = fest.usher("doctor", "--json", check=False, env=env)
    assert done.returncode in (0, 1), done.stderr
    rows = json.loads(done.stdout)
    found = {r["check"]: (r["level"], r["text"]) for r in rows}
    assert len(found) == len(rows) and all(r["text"] for r in rows)
    assert done.returncode == any(level == "error" for level, _ in found.values())
    return found


def files(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_default_set_up_is_sound(fest):
    fest.usher("event", "list")  # makes the secret
    found = examine(fest)
    may_warn = {"clock", "flush", "files", "disk"}  # are the machine's
    assert {c for c, (level, _) in found.items() if level != "ok"} <= may_warn, found
    assert set(found) == {"database", "migrations", "storing", "durability", "disk", "flush",
                          "secret", "clock", "files", "listen", "base_url", "proxies", "mail"}
    table = fest.usher("doctor").stdout.splitlines()
    assert table[0].split() == ["check", "level", "text"] and len(table) == len(found) + 1


def test_nothing_is_made(tmp_path):
    done = subprocess.run([str(USHER), "doctor", "--json"], cwd=tmp_path, env=ENVIRON,
                          capture_output=True, text=True)
    assert done.returncode == 0 and files(tmp_path) == []
    found = {r["check"]: r for r in json.loads(done.stdout)}
    assert found["database"]["level"] == found["secret"]["level"] == "warn"
    assert "migrations" not in found


def test_beside_a_server(fest):
    server = fest.serve("--workers", "1")
    before = files(fest.folder)
    assert examine(fest)["storing"][0] == "ok"
    assert files(fest.folder) == before
    server.stop()


@pytest.mark.parametrize("check, level, says, env", [
    ("proxies", "error", "0.0.0.0/0", {"USHER_TRUSTED_PROXIES": "unix 0.0.0.0/0"}),
    ("proxies", "error", "::/0", {"USHER_TRUSTED_PROXIES": "10.0.0.0/8,::/0"}),
    ("proxies", "ok", "10.0.0.0/8", {"USHER_TRUSTED_PROXIES": "10.0.0.0/8, unix"}),
    ("proxies", "warn", '"unix"', {**PUBLIC, "USHER_TRUSTED_PROXIES": ""}),
    ("proxies", "warn", "look like the proxy", {"USHER_BASE_URL": "https://fest.example"}),
    ("listen", "warn", "nginx", {"USHER_LISTEN": "0.0.0.0:8080"}),
    ("listen", "warn", "beside the proxy", {**PUBLIC, "USHER_LISTEN": "0.0.0.0:8080"}),
    ("listen", "ok", "unix:", PUBLIC),
    ("base_url", "error", "USHER_BASE_URL", {"USHER_LISTEN": "0.0.0.0:8080"}),
    ("base_url", "error", "USHER_BASE_URL", {**PUBLIC, "USHER_BASE_URL": ""}),
    ("base_url", "warn", "no TLS", {**PUBLIC, "USHER_BASE_URL": "http://fest.example"}),
    ("base_url", "ok", "https://fest.example", PUBLIC),
    ("mail", "warn", "sent to nobody", PUBLIC),
    ("mail", "error", "/outbox", {"USHER_BASE_URL": "https://fest.example"}),
    ("mail_tls", "warn", "unencrypted", {"USHER_MAIL_URL": "smtp://me@127.0.0.1:1"}),
    ("mail_tls", "warn", "the token", {"USHER_MAIL_URL": "http://api.example/v1"}),
    ("mail", "warn", "USHER_MAIL_TOKEN", {"USHER_MAIL_URL": "https://api.example/v1"}),
    ("mail", "ok", "mail test",
     {"USHER_MAIL_URL": "https://api.example/v1", "USHER_MAIL_TOKEN": "x"}),
    ("mail", "error", "USHER_MAIL_TOKEN", {"USHER_MAIL_URL": "https://x@api.example/v1"}),
    ("durability", "warn", "power cut", {"USHER_SQLITE_SYNC": "normal"}),
    ("disk", "error", "No such file", {"USHER_DATABASE_URL": "sqlite:nowhere/usher.db"}),
    ("database", "error", "garbage.db: ", {"USHER_DATABASE_URL": "sqlite:garbage.db"}),
], ids=lambda v: v if isinstance(v, str) else "")
def test_settings(fest, check, level, says, env):
    (fest.folder / "garbage.db").write_bytes(b"this is no database" * 1000)
    got = examine(fest, **env)[check]
    assert got[0] == level and says in got[1], got


def test_a_secret_that_others_may_read(fest):
    fest.usher("event", "list")
    (fest.folder / "usher.key").chmod(0o644)
    level, text = examine(fest)["secret"]
    assert level == "error" and "chmod 600 usher.key" in text


def test_a_database_without_its_tables(fest):
    (fest.folder / "usher.db").unlink()
    (fest.folder / "usher.db").touch()
    found = examine(fest)
    assert found["migrations"][0] == "warn" and "storing" not in found


def test_few_files(fest):
    done = subprocess.run(
        [str(USHER), "doctor", "--json", "--workers", "1", "--max-connections", "2000"],
        cwd=fest.folder, env={**ENVIRON, **fest.env}, capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024)))
    found = {r["check"]: r for r in json.loads(done.stdout)}
    assert found["files"]["level"] == "warn" and "LimitNOFILE" in found["files"]["text"]


@pytest.fixture
def mail_server(tmp_path):
    """Starts tests/e2e/smtp_sink.py; its address. Nothing may have been accepted at the end."""
    started, journal = [], tmp_path / "accepted"
    journal.touch()

    def start(*options):
        started.append(subprocess.Popen(
            ["/usr/bin/python3", str(ROOT / "tests/e2e/smtp_sink.py"), "--journal", journal,
             *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
        return started[-1].stdout.readline().decode().strip()

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
    assert journal.read_text() == "", "the probe was delivered"


def test_a_mail_server_that_takes_mail(fest, mail_server):
    found = examine(fest, USHER_MAIL_URL=f"smtp://{mail_server()}")
    assert found["mail"][0] == "ok" and "mail_tls" not in found, found


@pytest.mark.parametrize("password, level", [("right", "ok"), ("wrong", "error")])
def test_the_login(fest, mail_server, password, level):
    address = mail_server("--login", "me:right")
    got = examine(fest, USHER_MAIL_URL=f"smtp://me@{address}", USHER_SMTP_PASSWORD=password)["mail"]
    assert got[0] == level, got
    assert level == "ok" or "USHER_SMTP_PASSWORD" in got[1]


def test_a_mail_server_that_refuses_the_sender(fest, mail_server):
    got = examine(fest, USHER_MAIL_URL=f"smtp://{mail_server()}",
                  USHER_MAIL_FROM="refuse@school.example")["mail"]
    assert got[0] == "error" and "no such user" in got[1] and "USHER_MAIL_FROM" in got[1], got


def test_no_mail_server(fest):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        level, text = examine(fest, USHER_MAIL_URL=f"smtp://127.0.0.1:{port}")["mail"]
    assert level == "error" and "takes no mail" in text
    assert os.path.exists(fest.folder / "usher.db")
