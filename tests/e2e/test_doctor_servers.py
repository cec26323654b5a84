"""`usher doctor` on PostgreSQL and Redis: real servers, well set and then mis-set one way at a
time."""

import contextlib
import json
import shutil
import subprocess

import pytest

import private
from conftest import ENVIRON, USHER, at_most, wait_for


class Setting:
    """A host's settings for a server, and what doctor finds with them."""

    def __init__(self, folder, postgres):
        self.folder, self.postgres = folder, postgres
        self.env = {"USHER_DATABASE_URL": postgres.url(), "USHER_WORKERS": "1"}

    def usher(self, *args, **env):
        return subprocess.run([USHER, *args], cwd=self.folder, text=True, capture_output=True,
                              timeout=at_most(60), env={**ENVIRON, **self.env, **env})

    def examine(self, **env):
        done = self.usher("doctor", "--json", **env)
        found = {d["check"]: (d["level"], d["text"]) for d in json.loads(done.stdout)}
        errors = [c for c, (level, _) in found.items() if level == "error"]
        assert done.returncode == (1 if errors else 0), done.stderr
        return found

    def register(self):
        """An event and a registration in it, by a server of this folder's secret."""
        row = {"slug": "quiz", "title": "Quiz", "venue": "Hall", "starts": "2031-03-14T10:00:00Z",
               "ends": "2031-03-14T12:00:00Z", "opens": "2020-01-01T00:00:00Z",
               "closes": "2031-03-14T09:00:00Z", "capacity": 5, "waitlist": 0}
        (self.folder / "quiz.json").write_text(json.dumps([row]))
        assert self.usher("event", "import", "quiz.json", "--yes").returncode == 0
        server = private.Part("serve", [USHER, "serve", "--listen", "127.0.0.1:0"], self.folder,
                              r"serves on (\S+)", env={**ENVIRON, **self.env})
        try:
            body = {"event": "quiz", "name": "A", "email": "a@school.example",
                    "school": "Test School"}
            subprocess.run(
                ["curl", "-sf", "--json", json.dumps(body), server.said[1] + "/register"],
                           check=True, capture_output=True, timeout=at_most(30))
        finally:
            server.stop()


@contextlib.contextmanager
def folder_of_parts():
    folder = private.new_folder("usher-doctor-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def setting():
    with folder_of_parts() as folder:
        postgres = private.Postgres(folder).make().start()
        try:
            setting = Setting(folder, postgres)
            assert setting.usher("migrate").returncode == 0
            setting.register()
            yield setting
        finally:
            postgres.stop()


@contextlib.contextmanager
def mis_set(postgres, name, value):
    """With a setting of the server's file; it is read again, and then it is as before."""
    def to(command, want):
        postgres.ask(f"ALTER SYSTEM {command}")
        postgres.ask("SELECT pg_reload_conf()")
        wait_for(name, lambda: postgres.ask(f"SHOW {name}") == want)
    before = postgres.ask(f"SHOW {name}")
    to(f"SET {name} = '{value}'", value)
    try:
        yield
    finally:
        to(f"RESET {name}", before)


def test_a_sound_server(setting):
    found = setting.examine()
    may_warn = {"clock", "files", "flush"}  # are the machine's
    assert {c for c, (level, _) in found.items() if level != "ok"} <= may_warn, found
    assert {"durability", "standby", "connections", "database_clock", "flush",
            "secret_fits"} <= set(found)
    assert "disk" not in found


@pytest.mark.parametrize("name, value, check, says", [
    ("fsync", "off", "durability", "fsync = on"),
    ("full_page_writes", "off", "durability", "full_page_writes = on"),
    ("synchronous_commit", "off", "durability", "synchronous_commit is off"),
    ("synchronous_standby_names", "other", "standby", "no standby is connected"),
])
def test_a_setting_of_the_server(setting, name, value, check, says):
    with mis_set(setting.postgres, name, value):
        found = setting.examine()
    assert found[check][0] == "error" and says in found[check][1], found
    assert ("storing" in found) == (check == "durability"), "it would hang"


def test_a_setting_of_the_role(setting):
    """Which the server's file does not show."""
    setting.postgres.ask("ALTER ROLE usher SET synchronous_commit = off")
    try:
        assert setting.examine()["durability"][0] == "error"
    finally:
        setting.postgres.ask("ALTER ROLE usher RESET synchronous_commit")


@pytest.mark.parametrize("mode, level, says", [("on", "ok", '"two"'), ("local", "error", "local"),
                                               ("remote_write", "warn", "both machines")])
def test_with_a_standby(setting, mode, level, says):
    """A receiver of the log stands in for it; it says what it has flushed, as a standby does."""
    log = setting.folder / "log-of-two"
    log.mkdir(exist_ok=True)
    name = f"host={setting.postgres.folder} user=usher application_name=two"
    receiver = private.Part("two", [private.pg_bin("pg_receivewal"), "--synchronous", "-v", "-d",
                                    name, "-D", log], setting.folder, "starting log streaming")
    try:
        with mis_set(setting.postgres, "synchronous_standby_names", "two"):
            wait_for("it to count", lambda: setting.postgres.ask(
                "SELECT sync_state FROM pg_stat_replication") == "sync")
            url = f"{setting.postgres.url()}&options=-c%20synchronous_commit%3D{mode}"
            found = setting.examine(USHER_DATABASE_URL=url)
    finally:
        receiver.stop()
    assert found["standby"][0] == level and says in found["standby"][1], found
    assert found["storing"][0] == "ok"


def test_several_hosts_without_a_standby_that_commits_wait_for(setting):
    """Somebody means to take over, and would not have everything."""
    with folder_of_parts() as folder:
        port = private.free_port()
        server = private.Postgres(folder, address="127.0.0.1", port=port).make().start()
        try:
            url = f"postgresql://usher@127.0.0.1:{port},127.0.0.1:1/postgres"
            got = setting.examine(USHER_DATABASE_URL=url)["standby"]
        finally:
            server.stop()
    assert got[0] == "error" and "synchronous_standby_names is empty" in got[1], got


@pytest.mark.parametrize("apart, level", [("30 seconds", "error"), ("-30 seconds", "error"),
                                          ("3 seconds", "warn")])
def test_its_clock(setting, apart, level):
    """A function of the same name comes first on the path of this role."""
    ask = setting.postgres.ask
    ask("CREATE SCHEMA skewed; CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz"
        f" LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() + interval '{apart}' $$;"
        " ALTER ROLE usher SET search_path = skewed, pg_catalog, public")
    try:
        got = setting.examine()["database_clock"]
    finally:
        ask("ALTER ROLE usher RESET search_path; DROP SCHEMA skewed CASCADE")
    assert got[0] == level and ("behind" if apart[0] == "-" else "before") in got[1], got


def test_few_connections(setting):
    got = setting.examine(USHER_WORKERS="40")["connections"]
    assert got[0] == "warn" and "max_connections" in got[1]


def test_a_slow_disk(setting):
    """Each commit is held up as a slow disk holds it up."""
    with mis_set(setting.postgres, "commit_delay", "40000"), \
            mis_set(setting.postgres, "commit_siblings", "0"):
        got = setting.examine()["flush"]
    assert got[0] == "warn" and "faster disk" in got[1], got


def test_another_secret(setting):
    """What a second host has when nobody copied the first one's."""
    assert setting.usher("event", "list", USHER_SECRET_FILE="other.key").returncode == 0
    found = setting.examine(USHER_SECRET_FILE="other.key")
    assert found["secret"][0] == "ok" and found["secret_fits"][0] == "error"
    assert "copy the file" in found["secret_fits"][1]


def test_no_server(setting):
    found = setting.examine(USHER_DATABASE_URL="postgresql://usher@127.0.0.1:1/postgres")
    assert found["database"][0] == "error" and "standby" not in found


@pytest.fixture
def redis():
    with folder_of_parts() as folder:
        started = []

        def start(*options):
            started.append(private.Redis(folder, options=options).start())
            return started[-1]
        yield start
        for server in started:
            server.stop()


@pytest.mark.parametrize("options, level, says", [
    ((), "ok", "noeviction"),
    (("--maxmemory", "50mb"), "ok", "noeviction"),
    (("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"), "warn", "maxmemory-policy noev"),
    (("--maxmemory", "1000000"), "warn", "raise maxmemory"),
    (("--replicaof", "127.0.0.1 1"), "warn", "replica"),
    (("--requirepass", "secret"), "warn", "NOAUTH"),
])
def test_redis(setting, redis, options, level, says):
    got = setting.examine(USHER_REDIS_URL=redis(*options).url)["redis"]
    assert got[0] == level and says in got[1], got


def test_redis_that_cannot_save(setting, redis):
    server = redis("--enable-protected-configs", "yes")
    gone = server.folder / "gone"
    gone.mkdir()
    server.ask("CONFIG", "SET", "dir", str(gone))
    gone.rmdir()
    server.ask("BGSAVE")
    wait_for("it to fail", lambda: "rdb_last_bgsave_status:err" in server.ask("INFO"))
    got = setting.examine(USHER_REDIS_URL=server.url)["redis"]
    assert got[0] == "warn" and "snapshot" in got[1], got


def test_redis_on_sqlite(setting):
    got = setting.examine(USHER_REDIS_URL="unix:/nowhere", USHER_DATABASE_URL="sqlite:x.db")
    assert got["redis"][0] == "warn" and "SQLite" in got["redis"][1]


def test_no_redis(setting):
    assert "redis" not in setting.examine()
    got = setting.examine(USHER_REDIS_URL="redis://127.0.0.1:1")["redis"]
    assert got[0] == "warn" and "does not answer" in got[1]
    got = setting.examine(USHER_REDIS_URL="nonsense")["redis"]
    assert got[0] == "error" and "no address" in got[1]
