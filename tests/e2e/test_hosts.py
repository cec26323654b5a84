"""Several hosts, each a network namespace, on one switch; and what is left when one of them goes.

        front                    one, two                 primary, standby
    students -> nginx --http--> usher serve, mails --sql--> PostgreSQL ==sync==> PostgreSQL
                Redis, mail sink <----------+

A host is "gone" when its cable is pulled at the switch and what ran on it is killed: nobody is
told, connections fall silent. The crowd of bench/rush.c goes on all the time, and its journal is
compared with the database at the end: nothing that was acknowledged may be missing, nothing there
twice.

Namespaces take rights that not every machine gives; there the tests are skipped and say so.
"""

import os
import shutil
import signal
import subprocess
import time

import pytest

import private
from conftest import BUILD, ENVIRON, USHER, Fest, at_most, wait_for
from test_rush import RACE, Rush
from journal import check_journal, read_journal  # noqa: E402 (test_rush finds it)

HOSTS = {"front": "10.77.0.2", "one": "10.77.0.11", "two": "10.77.0.12", "primary": "10.77.0.21",
         "standby": "10.77.0.22"}
LET_GO_S = 8
AWAY_S = 25  # what a rush may have to wait for: a silent server is given up after ten seconds


def ip(*words):
    return subprocess.run(["ip", *words], text=True, capture_output=True)


class Net:
    """Namespaces with one cable each to a switch, which is a bridge in a namespace of its own."""

    def __init__(self):
        self.prefix, self.made = f"usher{os.getpid()}-", []

    def of(self, host):
        return self.prefix + host

    def do(self, *words):
        done = ip(*words)
        if done.returncode != 0:
            raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")

    def add(self, name):
        self.do("netns", "add", self.of(name))
        self.made.append(name)
        self.do("-n", self.of(name), "link", "set", "lo", "up")

    def make(self):
        switch = self.of("switch")
        self.add("switch")
        self.do("-n", switch, "link", "add", "br0", "type", "bridge")
        self.do("-n", switch, "link", "set", "br0", "up")
        for host, address in HOSTS.items():
            self.add(host)
            self.do("link", "add", "eth0", "netns", self.of(host), "type", "veth", "peer", "name",
                    host, "netns", switch)
            self.do("-n", self.of(host), "addr", "add", f"{address}/24", "dev", "eth0")
            self.do("-n", self.of(host), "link", "set", "eth0", "up")
            self.do("-n", switch, "link", "set", host, "master", "br0", "up")

    def cut(self, host):
        self.do("-n", self.of("switch"), "link", "set", host, "down")

    def mend(self, host):
        self.do("-n", self.of("switch"), "link", "set", host, "up")

    def remove(self):
        # Each takes a second, so all at once.
        for going in [subprocess.Popen(["ip", "netns", "del", self.of(n)]) for n in self.made]:
            going.wait()


class Hosts(Fest):
    """The whole set-up; as a fest it is asked on the host `front`."""

    def __init__(self, folder, net):
        super().__init__(folder)
        self.net, self.parts, self.rush = net, [], None
        settings = {"shared_buffers": "64MB", "wal_sender_timeout": "10s"}
        self.primary, self.standby = (
            private.Postgres(folder, name, address=HOSTS[name], namespace=net.of(name),
                             settings=settings) for name in ("primary", "standby"))
        self.redis = private.Redis(folder, address=HOSTS["front"], port=6379,
                                   namespace=net.of("front"))
        hosts = ",".join(f"{HOSTS[name]}:5432" for name in ("primary", "standby"))
        self.env = {"USHER_DATABASE_URL": f"postgresql://usher@{hosts}/postgres"
                                          "?target_session_attrs=read-write",
                    "USHER_REDIS_URL": self.redis.url,
                    "USHER_MAIL_URL": f"smtp://{HOSTS['front']}:2525",
                    "USHER_SECRET_FILE": f"{folder}/usher.key",
                    "USHER_BASE_URL": "https://localhost",
                    "USHER_TRUSTED_PROXIES": f"{HOSTS['front']}/32",
                    "USHER_LIMIT_ADDR": "off", "USHER_LIMIT_EMAIL": "off"}

    def start(self):
        front = self.net.of("front")
        self.primary.settings["synchronous_standby_names"] = "standby"
        self.primary.make().allow("10.77.0.0/24").start()
        self.parts.append(self.primary)
        self.standby.copy_of(self.primary, "standby").start()
        self.parts.append(self.standby)
        wait_for("the standby to be synchronous", lambda: self.primary.ask(
            "SELECT sync_state FROM pg_stat_replication") == "sync")
        self.parts.append(self.redis.start())
        self.parts.append(private.sink(self.folder, namespace=front, address=HOSTS["front"],
                                       port=2525))
        self.usher("migrate")
        self.add_event(RACE, 500, "unlimited")
        self.ushers = {host: self.start_usher(host) for host in ("one", "two")}
        private.make_certificate(self.folder, "DNS:localhost")
        self.parts.append(private.nginx(self.folder, private.nginx_configuration(
            self.folder, http=["127.0.0.1:80"], https=["127.0.0.1:443", ("plain", "127.0.0.1:81")],
            servers=[f"{HOSTS[host]}:8080" for host in self.ushers]), namespace=front))
        return self

    def start_usher(self, host):
        """As its manager does: once more when the database has not answered within the three
        seconds that a start asks each host, which under a rush it may not."""
        deadline = time.monotonic() + at_most(20)
        while True:
            try:
                part = private.Part(host, [USHER, "serve", "--workers", "2", "--listen",
                                           f"{HOSTS[host]}:8080"], self.folder, "^Ctrl-C",
                                    namespace=self.net.of(host), env={**ENVIRON, **self.env},
                                    stop_with=signal.SIGINT)
                self.parts.append(part)
                return part
            except RuntimeError as why:
                if "the service needed for this is away" not in str(why) or (
                        time.monotonic() > deadline):
                    raise

    def usher(self, *args, check=True, env=None, stdin=None):
        done = subprocess.run(["ip", "netns", "exec", self.net.of("front"), str(USHER), *args],
                              cwd=self.folder, text=True, capture_output=True, timeout=at_most(60),
                              env={**ENVIRON, **self.env, **(env or {})})
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def stop(self):
        if self.rush:
            self.rush.stop()
        for part in reversed(self.parts):
            part.stop()


class RushFromFront(Rush):
    """It lasts until it is ended, so that a quick machine meets every fault too."""

    def __init__(self, hosts):
        hosts.rush = self
        self.path, self.at, self.answers = hosts.folder / "journal", 0, 0
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", hosts.net.of("front"), BUILD / "bench/rush", "--port", "81",
             "--event", RACE, "--total", "1000000", "--connections", "96", "--repeat", "15",
             "--retry-ms", "50", "--journal", self.path],
            stdout=subprocess.DEVNULL)

    def goes_on(self, answers=200):
        """Waits for so many more answers; the seconds until the first."""
        before, start = self.heard(), time.monotonic()
        wait_for("an answer", lambda: self.heard() > before or self.over(), AWAY_S)
        took = time.monotonic() - start
        assert self.until(before + answers), "the rush was over too early"
        return took

    def over(self):
        return self.process.poll() is not None

    def stop(self):
        self.process.terminate()
        self.process.wait(at_most(20))


def commits_wait(postgres):
    wait_for("commits to wait for the standby", lambda: postgres.ask(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))


@pytest.fixture
def hosts():
    net = Net()
    folder = private.new_folder("usher-hosts-")
    hosts = None
    try:
        try:
            net.make()
        except OSError as error:
            pytest.skip(f"network namespaces are not permitted here: {error}")
        hosts = Hosts(folder, net)
        yield hosts.start()
    finally:
        if hosts:
            hosts.stop()
        net.remove()
        shutil.rmtree(folder, ignore_errors=True)


def test_hosts_are_lost_and_nothing_with_them(hosts):
    net, away = hosts.net, {}
    rush = RushFromFront(hosts)
    assert rush.until(600)

    # A host with Usher on it dies, and later comes back.
    net.cut("one")
    os.killpg(hosts.ushers["one"].process.pid, signal.SIGKILL)
    away["host"] = rush.goes_on()
    # Everybody waits for the places of this one event: the server may not keep them for the dead.
    wait_for("its transactions to be ended", lambda: hosts.primary.ask(
        "SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL"
        f" AND client_addr = '{HOSTS['one']}'") == "0", LET_GO_S)
    net.mend("one")
    hosts.ushers["one"] = hosts.start_usher("one")

    # The standby is cut off: nothing can be acknowledged, so nothing is.
    net.cut("standby")
    commits_wait(hosts.primary)
    net.mend("standby")
    away["standby"] = rush.goes_on()

    # It is cut off once more, and then the primary goes with what it has not passed on.
    net.cut("standby")
    commits_wait(hosts.primary)
    net.cut("primary")
    hosts.primary.stop(signal.SIGKILL)
    net.mend("standby")
    hosts.standby.ask("SELECT pg_promote()")
    away["primary"] = rush.goes_on()

    # Once nginx asks the first host again, the other one is cut off: it lives, and what it is doing
    # is unknown to all others. It comes back too.
    wait_for("both hosts to store", lambda: hosts.standby.ask(
        "SELECT count(DISTINCT client_addr) FROM pg_stat_activity"
        " WHERE query LIKE '%event_seats%'") == "2")
    net.cut("two")
    away["partition"] = rush.goes_on()
    net.mend("two")
    rush.goes_on()

    rush.stop()
    for usher in hosts.ushers.values():
        assert usher.stop(signal.SIGTERM, at_most(30)) == 0
    found = check_journal(rush.path, hosts.standby.url())
    assert found["faults"] == [] and found["confirmed"] == 500, found
    heard = {status for answers in read_journal(rush.path)[1].values() for status, *_ in answers}
    assert heard == {201, 409}
    assert hosts.usher("verify").returncode == 0
    assert max(away.values()) < at_most(AWAY_S), away
