"""`usher worker` processes on PostgreSQL beside a server without mail workers of its own, with and
without a Redis: it is wiped, given an old snapshot, frozen, slowed down, stopped and killed. Every
registration has its mail once, and none waits for more than two seconds beyond the outage."""

import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

from conftest import ENVIRON, ROOT, USHER, at_most, children_of, wait_for
from outbox import mails
from private import Redis

EVENT = "quiz"
LATE_S, QUICK_S = at_most(2), at_most(0.5)
EPOCH = "usher:jobs:epoch:mail,bulk"


class Worker:
    def __init__(self, fest, env, name="worker"):
        self.log_path = fest.folder / f"{name}.log"
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [str(USHER), "worker"], cwd=fest.folder, env={**ENVIRON, **fest.env, **env}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log)
        said = self.process.stdout.readline()
        if not re.fullmatch(r"Usher sends mails for postgresql://\S+; pid \d+\n", said):
            self.kill()
            raise AssertionError(said)

    def kill(self):
        """All of it, as when its host goes."""
        for pid in [self.process.pid, *children_of(self.process.pid)]:
            subprocess.run(["kill", "-KILL", str(pid)], check=False)
        self.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.close()

    def close(self):
        try:
            self.process.wait(at_most(20))
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.log.close()
        return self.process.returncode

    def read_log(self):
        return self.log_path.read_text()


@pytest.fixture
def redis(tmp_path):
    redis = Redis(tmp_path).start()
    yield redis
    redis.stop(signal.SIGKILL)


class Rush:
    """A server, its workers, and how long each mail took from its answer on."""

    def __init__(self, fest, env, workers):
        fest.add_event(EVENT, 1000)
        self.fest, self.env, self.number, self.workers = fest, env, 0, []
        self.server = fest.serve("--workers", "1", env={"USHER_MAIL_WORKERS": "0",
                                                        "USHER_LIMIT_ADDR": "off", **env})
        for i in range(workers):
            self.start_worker(f"worker{i}")

    def start_worker(self, name):
        self.workers.append(Worker(self.fest, self.env, name))

    def sent(self):
        return len(list((self.fest.folder / "outbox").glob("*.eml")))

    def wait_for_all(self):
        wait_for("all mails", lambda: self.sent() == self.number)

    def one(self):
        self.number += 1
        began = time.monotonic()
        assert self.server.register(EVENT, self.number).status == 201
        answered = time.monotonic()
        assert answered - began < at_most(1), "Redis delayed an answer"
        self.wait_for_all()
        return time.monotonic() - answered

    def quickest(self, n):
        """Who only asks each second finds a job that follows a mail no sooner than 0.7 s later."""
        took = [self.one() for _ in range(n)]
        assert max(took) < LATE_S, took
        return min(took)

    def until_quick(self):
        wait_for("announcements", lambda: self.one() < QUICK_S)

    def stop(self):
        for worker in self.workers:
            assert worker.stop() == 0
        self.workers = []
        assert self.server.stop() == 0

    def crowd(self, count, meanwhile):
        """So many students at once, from four connections at a time; then all their mails."""
        first, self.number = self.number + 1, self.number + count

        def register(numbers):
            for number in numbers:
                assert self.server.register(EVENT, number).status == 201
        threads = [threading.Thread(target=register, args=(range(first + k, self.number + 1, 4),))
                   for k in range(4)]
        for thread in threads:
            thread.start()
        meanwhile()
        for thread in threads:
            thread.join()
        self.wait_for_all()

    def jobs(self):
        with self.fest.database() as db:
            return db.execute("SELECT state, failures, unknowns, crashes FROM jobs").fetchall()

    def check(self, crashes=0):
        """Each registration has its mail once, and the rows say so."""
        sent = mails(self.fest)
        assert len({m.to for m in sent}) == len(sent) == self.number
        rows = self.jobs()
        assert len(rows) == self.number and {tuple(r)[:3] for r in rows} == {(2, 0, 0)}, rows
        assert max(r[3] for r in rows) <= crashes, rows
        status = self.fest.usher("mail", "status").stdout
        assert re.search(rf"mail +sent +{self.number}\b", status), status


@pytest.fixture
def rush(fest):
    rushes = []

    def start(env, workers=2):
        rushes.append(Rush(fest, env, workers))
        return rushes[-1]
    yield start
    for one in rushes:
        for worker in one.workers:
            worker.kill()


@pytest.mark.on("postgresql")
def test_sends_what_the_server_does_not(rush):
    r = rush({}, workers=0)
    assert r.server.register(EVENT, 1).status == 201 and not mails(r.fest)
    r.number = 1
    for i in range(2):
        r.start_worker(f"worker{i}")
    wait_for("a mail", lambda: mails(r.fest))
    for child in children_of(r.workers[0].process.pid):
        subprocess.run(["kill", "-KILL", str(child)], check=True)
    assert r.quickest(3) < LATE_S
    r.stop()
    r.check(crashes=1)  # it may have been at a mail when it was killed


@pytest.mark.on("postgresql")
def test_redis_may_be_lost_in_every_way(rush, redis):
    r = rush({"USHER_REDIS_URL": redis.url})
    r.until_quick()
    assert r.quickest(5) < QUICK_S
    redis.ask("SAVE")
    snapshot = redis.folder / "old.rdb"
    shutil.copy(redis.folder / "dump.rdb", snapshot)

    redis.ask("FLUSHALL")
    assert r.quickest(4) < QUICK_S
    redis.part.process.send_signal(signal.SIGSTOP)
    r.quickest(3)
    redis.part.process.send_signal(signal.SIGCONT)
    r.until_quick()
    for pause_ms in 150, 600:
        redis.ask("CLIENT", "PAUSE", str(pause_ms))
        r.quickest(2)
    r.until_quick()

    epoch = int(redis.ask("INCRBY", EPOCH, "1000"))  # far beyond that of the snapshot
    redis.stop()
    r.quickest(3)
    shutil.copy(snapshot, redis.folder / "dump.rdb")
    redis.start()
    assert int(redis.ask("GET", EPOCH)) < epoch
    r.quickest(2)
    r.until_quick()

    # One host goes, perhaps the one that announces. A mail that is out and whose end is not stored
    # would keep its row until the lease is over.
    wait_for("all have ended", lambda: {tuple(row) for row in r.jobs()} == {(2, 0, 0, 0)})
    r.workers.pop().kill()
    r.quickest(2)
    r.until_quick()
    log = "".join(path.read_text() for path in r.fest.folder.glob("*log"))
    assert "jobs.redis_lost" in log and "jobs.unfed" in log and "jobs.fed" in log
    r.stop()
    r.check()


@pytest.mark.on("postgresql")
def test_a_rush_is_shared(rush, redis):
    """Two hosts send what a hundred students caused, while Redis is wiped. They log in as a user
    with the rights that docs/operate.md names."""
    acl = re.search(r"ACL SETUSER .*", (ROOT / "docs/operate.md").read_text())[0]
    assert redis.ask(*acl.split()) == "OK"
    r = rush({"USHER_REDIS_URL": f"unix://usher:secret@{redis.socket}"})
    r.until_quick()
    r.crowd(100, lambda: redis.ask("FLUSHALL"))
    wait_for("nothing is left of it", lambda: redis.ask("XLEN", "usher:jobs:lane:mail") == "0")
    r.stop()
    r.check()
    assert not [path for path in r.fest.folder.glob("*log") if "NOPERM" in path.read_text()]


@pytest.mark.on("postgresql")
def test_a_rush_survives_kills(rush, redis):
    """Redis and processes that send are killed while a crowd registers."""
    r = rush({"USHER_REDIS_URL": redis.url})

    def kill():
        for worker in r.workers:
            for child in wait_for("a child", lambda: children_of(worker.process.pid)):
                subprocess.run(["kill", "-KILL", str(child)], check=True)
            redis.stop(signal.SIGKILL)
            before = r.sent()
            r.number += 1  # so that there is one, should the crowd be through
            assert r.server.register(EVENT, r.number).status == 201
            wait_for("mails without Redis", lambda: r.sent() > before)
            redis.start()
    r.until_quick()
    r.crowd(200, kill)
    r.until_quick()
    r.stop()
    r.check(crashes=2)


@pytest.mark.on("sqlite")
def test_sqlite_is_one_host(fest, redis):
    done = fest.usher("worker", check=False)
    assert done.returncode == 1 and "PostgreSQL" in done.stderr
    server = fest.serve("--workers", "1", env={"USHER_REDIS_URL": redis.url})
    fest.add_event(EVENT, 10)
    assert server.register(EVENT, 1).status == 201
    wait_for("a mail", lambda: mails(fest))
    assert server.stop() == 0
    assert "redis.unused" in server.read_log() and redis.ask("DBSIZE") == "0"


@pytest.mark.on("postgresql")
@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_wrong_address_is_refused_and_not_shown(fest, command):
    done = fest.usher(command, check=False, env={"USHER_REDIS_URL": "redis//:hunter2@h"})
    assert done.returncode == 2 and "USHER_REDIS_URL" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


@pytest.mark.on("sqlite")  # no server is asked
@pytest.mark.parametrize("command", ["serve", "worker"])
@pytest.mark.parametrize("url, words", [
    ("postgresql://usher:hunter2@nowhere.invalid/fest?sslmode=odd", "sslmode"),
    ("postgresql://usher:hunter2/fest", "port"),
    ("postgresql://usher:hunter2%zz@h/fest", "percent"),
])
def test_a_url_that_can_never_be_one_is_refused_at_once(fest, command, url, words):
    done = fest.usher(command, "--database-url", url, check=False,
                      env={"USHER_LISTEN": "127.0.0.1:0"})
    assert done.returncode == 1 and words in done.stderr and "database.url" in done.stderr
    assert "hunter2" not in done.stderr.replace(url, "") + done.stdout
