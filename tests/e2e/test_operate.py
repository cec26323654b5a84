"""What docs/operate.md tells operators to do, done: the copy of the database beside a running
server."""

import concurrent.futures
import contextlib
import re
import shlex
import shutil
import sqlite3
import subprocess

import pytest

import private
from conftest import ENVIRON, ROOT, USHER, Fest, at_most, wait_for
from postgres import Postgres
from test_rush import RACE, Rush


def documented(pattern):
    found = re.search(pattern, (ROOT / "docs/operate.md").read_text())
    assert found, f"docs/operate.md has no {pattern}"
    return found[1]


def count_rows(path):
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute("SELECT count(*) FROM registrations").fetchone()[0]


@pytest.mark.on("sqlite")
@pytest.mark.skipif(not shutil.which("sqlite3"), reason="sqlite3 is not installed")
def test_a_copy_made_in_a_rush_is_whole(fest):
    """It holds what was there when it began, counts right, and the rush goes on meanwhile."""
    fest.add_event(RACE, 500, "unlimited")
    rush = Rush(fest, fest.serve("--workers", "2"))
    rush.more(1500)
    before = count_rows(fest.folder / "usher.db")
    sql = documented(r'sqlite3 -readonly \S+ "([^"]*)"').replace("/var/lib/usher/", "")
    subprocess.run(["sqlite3", "-readonly", "usher.db", sql], cwd=fest.folder, check=True,
                   timeout=at_most(60))
    count = rush.end()
    assert count["broken"] == count["overloaded"] == 0
    shutil.copy(fest.folder / "usher.key", fest.folder / "copy.key")
    options = documented(r"usher verify (--database-url \S+ --secret-file \S+)").split()
    assert 0 < before <= count_rows(fest.folder / "copy.db") <= count_rows(fest.folder / "usher.db")
    verified = fest.usher("verify", *options, check=False)
    assert verified.returncode == 0, verified.stdout


def settings_of_help():
    """(name, default, when it is read) of each setting, in order."""
    text = subprocess.run([USHER, "serve", "--help"], text=True, capture_output=True,
                          check=True).stdout
    rows = re.findall(r"^      (USHER_[A-Z_]+)(?:\[_FILE\])?(?:, default ([^,\n]*))?"
                      r"(, read at start only)?$", text, flags=re.M)
    assert len(rows) == len(re.findall("^      USHER_", text, flags=re.M)) > 30
    return [(name, default, "start" if start else "reload") for name, default, start in rows]


def test_every_setting_is_explained():
    text = (ROOT / "docs/operate.md").read_text().split("## 10. Every setting")[1]
    rows = re.findall(
        r"^\| `(USHER_[A-Z_]+)` \| ([^|]*) \| (start|reload) \| (same|own) \| (.+) \|$",
                      text, flags=re.M)
    assert [row[:3] for row in rows] == settings_of_help()


def blocks(section):
    """The shell and SQL lines of a section of docs/operate.md."""
    text = re.split(r"^##+ ", (ROOT / "docs/operate.md").read_text(), flags=re.M)
    found = [part for part in text if part.startswith(section)]
    assert len(found) == 1, section
    return [b.strip().split("\n") for b in re.findall(r"^```\n(.*?)^```$", found[0], re.M | re.S)]


@pytest.fixture
def cluster():
    """A PostgreSQL of one test's own, whose settings it may change."""
    server = Postgres(private.free_port()).make().start()
    yield server
    server.remove()


class Host(Fest):
    """A folder whose commands find that PostgreSQL as those of the user postgres do."""

    def __init__(self, folder, cluster, **env):
        super().__init__(folder, cluster.url("usher").replace("user=postgres", "user=usher"))
        self.env.update({"PGHOST": str(cluster.folder), "PGPORT": str(cluster.port), **env})

    def run(self, line, **env):
        words = shlex.split(line)
        words = words[3:] if words[:2] == ["sudo", "-u"] else words
        if words[0] == "usher":
            return self.usher(*words[1:], env=env)
        return subprocess.run(words, cwd=self.folder, check=True, text=True, capture_output=True,
                              timeout=at_most(60),
                              env={**ENVIRON, **self.env, "PGUSER": "postgres", **env})


def test_postgresql_is_set_up_copied_and_restored(tmp_path, cluster):
    """The commands as they stand there; the copy is made in the middle of a rush."""
    host = Host(tmp_path, cluster)
    create_user, create_database = blocks("PostgreSQL instead of SQLite")[0]
    host.run(create_user)
    host.run(create_database)
    host.usher("migrate")
    host.add_event(RACE, 500, "unlimited")
    dump, restore = [b for b in blocks("6. Backups") if "pg_dump" in b[0] or "createdb" in b[0]]
    server = host.serve("--workers", "2")
    try:
        rush = Rush(host, server)
        rush.more(1000)
        before = cluster.ask("SELECT count(*) FROM registrations", database="usher")[0][0]
        host.run(dump[0])
        count = rush.end()
        assert count["broken"] == 0
    finally:
        host.stop()
    shutil.copy(tmp_path / "usher.key", tmp_path / "copy.key")
    for line in restore:
        host.run(line, PGUSER="postgres")
    copied = cluster.ask("SELECT count(*) FROM registrations", database="copy")[0][0]
    after = cluster.ask("SELECT count(*) FROM registrations", database="usher")[0][0]
    assert 0 < before <= copied <= after


def test_a_standby_is_made_lost_and_done_without(tmp_path, cluster):
    """Each step with the commands that stand there."""
    make, wait = blocks("A standby")[:2]
    go_on = [b for b in blocks("A standby") if "''" in b[0]][0]
    standby = Postgres(private.free_port())
    host = Host(tmp_path, cluster)
    try:
        words = shlex.split(make[0].replace("/var/lib/postgresql/15/main", str(standby.data))
                            .replace("10.0.0.21", f"127.0.0.1 port={cluster.port}"))
        standby.tool(*words)
        standby.start()
        for line in wait:
            cluster.ask(line)
        wait_for("the standby to be waited for", lambda: cluster.ask(
            "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"))
        for line in blocks("PostgreSQL instead of SQLite")[0]:
            host.run(line)
        host.usher("migrate")
        host.add_event(RACE, 500)
        server = host.serve("--workers", "1")
        assert server.register(RACE, 1).status == 201
        standby.stop()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(server.register, RACE, 2, key="the-key-of-2")
            wait_for("it to wait", lambda: cluster.ask(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))
            assert server.get("/").status == 200 and not waiting.done()
            for line in go_on:
                cluster.ask(line)
            answer = waiting.result(at_most(20))
        assert answer.status == 201
        assert server.register(RACE, 2, key="the-key-of-2").json["id"] == answer.json["id"]
        assert server.register(RACE, 3).status == 201 and host.usher("verify").returncode == 0
    finally:
        host.stop()
        standby.remove()


def test_migrate_check_says_whether_hosts_may_be_restarted_in_turn(tmp_path):
    fest = Fest(tmp_path)
    line = [b for b in blocks("8. Upgrades")][0][0].split(" --config")[0]
    assert line == "usher migrate --check"
    assert fest.usher("migrate", "--check", check=False).returncode == 1
    fest.usher("migrate")
    assert fest.usher("migrate", "--check").returncode == 0
