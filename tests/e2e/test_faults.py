"""PostgreSQL and the processes that use it, taken away in a rush.

Every student must hear the truth: what was acknowledged exists, and once; else a broken connection
or 503 with Retry-After, upon which the crowd of bench/rush.c asks again with the same key. Nobody
helps the server: it has to come back by itself. tests/fault/run does the same for longer, with
Redis and a mail server.
"""

import concurrent.futures
import contextlib
import os
import random
import re
import signal
import time

import pytest

from conftest import Fest, at_most, children_of, wait_for
from postgres import Postgres
from private import free_port
from test_rush import RACE, SEATS, Rush

pytestmark = pytest.mark.on("postgresql")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A PostgreSQL of our own: it is ended again and again."""
    server = Postgres().make()
    try:
        server.start().ask("CREATE DATABASE fest")
        Fest(tmp_path_factory.mktemp("migrated"), server.url("fest")).usher("migrate")
        yield server
    finally:
        server.remove()


@pytest.fixture
def fest(cluster, tmp_path):
    f = Fest(tmp_path, cluster.copy("fest"))
    f.add_event(RACE, SEATS, "unlimited")
    yield f
    f.stop()


def serve(fest, *args, **env):
    return fest.serve("--workers", "4", *args, env=env)


def kill_while_rushing(rush, times, kill):
    """Calls `kill` with a number, so many times; how long each time nobody was answered."""
    pauses = []
    for number in range(1, times + 1):
        rush.more(500)
        kill(number)
        ended = time.monotonic()
        rush.more(200)
        pauses.append(time.monotonic() - ended)
    return pauses


def check(rush):
    count = rush.end()
    assert count["stored"]["confirmed"] == SEATS and count["full"] == 0
    return count


def test_killed_workers(fest):
    server = serve(fest, "--mail-workers", "2")
    dice, rush = random.Random(1), Rush(fest, server)

    def kill(number):
        role = "job" if number % 3 == 0 else "web"
        victims = wait_for(role, lambda: server.children().get(role))
        os.kill(dice.choice(victims), signal.SIGKILL)

    assert max(kill_while_rushing(rush, 9, kill)) < at_most(1)
    assert check(rush)["broken"] > 0


def test_killed_master(fest):
    """As systemd would, somebody starts the next one at once, on the same address."""
    server = serve(fest)
    rush = Rush(fest, server)
    where = f"127.0.0.1:{server.port}"

    def kill(number):
        nonlocal server
        server.stop(signal.SIGKILL)
        server = serve(fest, USHER_LISTEN=where)

    assert max(kill_while_rushing(rush, 3, kill)) < at_most(3)
    assert check(rush)["broken"] > 0


def test_killed_backend(cluster, fest):
    """A backend that is killed takes all others along: PostgreSQL starts anew from its log."""
    server = serve(fest)
    dice, rush = random.Random(2), Rush(fest, server)

    def kill(number):
        # One that works: an idle one would be as good, but this one has something to lose.
        cluster.kill_backend(fest.database_name, dice.choice)

    assert max(kill_while_rushing(rush, 4, kill)) < at_most(5)
    check(rush)
    log = server.read_log()
    assert "database.lost" in log or "database.broken" in log


def test_restarted_postgresql(cluster, fest):
    server = serve(fest)
    rush = Rush(fest, server)

    def restart(number):
        cluster.stop(signal.SIGINT if number % 2 else signal.SIGKILL)
        cluster.start()

    assert max(kill_while_rushing(rush, 3, restart)) < at_most(5)
    check(rush)


def test_nobody_is_left_waiting_while_it_is_away(cluster, fest):
    """503 with Retry-After after the time that a change waits, at once from then on, and back."""
    server = fest.serve("--workers", "1")
    assert server.register(RACE, 1, "key-of-0001").status == 201
    assert server.get("/readyz").status == 200
    cluster.stop()
    try:
        refused = server.register(RACE, 2, "key-of-0002")
        assert (refused.status, refused.json["code"]) == (503, "unavailable"), refused.text
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        began = time.monotonic()
        again = server.register(RACE, 1, "key-of-0001")
        assert again.status == 503, "what cannot be looked up is not claimed"
        assert time.monotonic() - began < at_most(1) and server.get("/healthz").status == 200
        assert server.get("/readyz").status == 503
        page = server.get(f"/e/{RACE}")
        assert page.status == 200 or (page.status == 503 and page.headers["retry-after"])
    finally:
        cluster.start()
    wait_for("it is back", lambda: server.register(RACE, 2, "key-of-0002").status == 201, 10)
    assert server.register(RACE, 1, "key-of-0001").headers["idempotent-replayed"] == "true"
    wait_for("it says so", lambda: server.get("/readyz").status == 200, 10)
    assert fest.usher("verify").returncode == 0


def test_frozen_postgresql(cluster, fest):
    """It takes what it is sent and says nothing. Everybody is told before nginx gives up (15 s)."""
    server = fest.serve("--workers", "1")
    assert server.register(RACE, 0, "key-of-0000").status == 201
    postmaster = cluster.part.process.pid
    frozen = [postmaster, *children_of(postmaster)]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            def timed(number):
                began = time.monotonic()
                reply = server.register(RACE, number, f"key-of-{number:04}")
                return reply, time.monotonic() - began
            answers = list(pool.map(timed, range(1, 5))) + [timed(5)]
        for reply, seconds in answers:
            assert reply.status == 503 and int(reply.headers["retry-after"]) >= 1
            assert seconds < at_most(14), seconds
        assert answers[-1][1] < at_most(4), "it is known by now"
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    for number in range(1, 6):
        wait_for("it is back",
                 lambda: server.register(RACE, number, f"key-of-{number:04}").status == 201, 15)
    with fest.database() as db:
        assert db.execute("SELECT count(*) FROM registrations").fetchone()[0] == 6


def in_flight(server):
    return int(re.search(r"^usher_http_in_flight (\d+)$", server.get("/metrics").text, re.M)[1])


def test_a_drain_does_not_wait_for_it(cluster, fest):
    """Who waits is told 503, and mails that were not sent are left to the next server: a stop while
    it is away takes no longer than a change does, not the whole time that a drain may take."""
    server = fest.serve("--workers", "1")
    for number in range(20):
        assert server.register(RACE, number).status == 201
    cluster.stop()
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(server.register, RACE, number) for number in range(20, 24)]
            wait_for("requests under way", lambda: in_flight(server) - 1 + sum(  # itself
                a.done() for a in asked) >= 4)
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < at_most(25)
            assert [a.result().status for a in asked] == [503] * 4
    finally:
        cluster.start()
    server = fest.serve("--workers", "1")
    assert server.register(RACE, 20).status == 201
    assert server.stop() == 0 and fest.usher("verify").returncode == 0


# ---- the standby takes over ----------------------------------------------------------------------


@pytest.fixture
def pair(tmp_path):
    """A primary that acknowledges what its standby has, and that standby."""
    with contextlib.ExitStack() as stack:
        primary, standby = Postgres(free_port()), Postgres(free_port())
        stack.callback(primary.remove)
        stack.callback(standby.remove)
        primary.make().start().ask("CREATE DATABASE fest")
        standby.copy_of(primary, "second").start()
        primary.ask("ALTER SYSTEM SET synchronous_standby_names = 'second'")
        primary.ask("SELECT pg_reload_conf()")
        wait_for("the standby", lambda: primary.ask(
            "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"))
        yield primary, standby


def test_promoted_standby(pair, tmp_path):
    primary, standby = pair
    hosts = ",".join(f"{s.address}:{s.port}" for s in pair)
    fest = Fest(tmp_path, f"postgresql://postgres@{hosts}/fest?target_session_attrs=read-write")
    try:
        fest.usher("migrate")
        fest.add_event(RACE, SEATS, "unlimited")
        server = serve(fest)
        rush = Rush(fest, server)
        rush.more(1000)
        primary.kill()
        standby.promote()
        ended = time.monotonic()
        rush.more(200)
        assert time.monotonic() - ended < at_most(5)
        check(rush)
        assert standby.ask("SELECT pg_is_in_recovery()")[0][0] is False
    finally:
        fest.stop()


def test_what_the_standby_lacks_is_not_confirmed(pair, tmp_path):
    """A primary that is restarted while its standby is away shows what it had not passed on. Who
    asks what became of their registration may not hear of it before the standby has it too, or a
    take-over would prove the answer wrong."""
    primary, standby = pair
    host = f"127.0.0.1:{primary.port}"
    fest = Fest(tmp_path, f"postgresql://fest@{host}/fest")
    waits = lambda: primary.ask(  # noqa: E731
        "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    primary.ask("CREATE ROLE fest LOGIN; ALTER DATABASE fest OWNER TO fest")
    primary.ask("ALTER SCHEMA public OWNER TO fest", database="fest")
    try:
        fest.usher("migrate")
        fest.add_event(RACE, SEATS)
        server = serve(fest, USHER_MAIL_WORKERS="0")  # whose commits would wait as well
        assert server.register(RACE, 1).status == 201
        standby.stop()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(server.register, RACE, 2, "a-key-of-mine")
            wait_for("it to wait", waits)
            primary.stop()
            primary.start()
            wait_for("what became of it", lambda: waits() or asked.done())
            count = "SELECT count(*) FROM registrations"
            assert primary.ask(count, database="fest")[0][0] == 2
            assert not asked.done(), asked.result().text
            standby.start()
            assert asked.result(at_most(20)).status == 201
        assert standby.ask(count, database="fest")[0][0] == 2
    finally:
        for server in fest.servers:
            server.stop(signal.SIGINT)
