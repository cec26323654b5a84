"""The command line: every command and its help, alone and beside a running server."""

import csv
import io
import json
import os
import pty
import re
import select
import shutil
import signal
import sqlite3
import subprocess

import pytest

from browser import Browser
from conftest import ENVIRON, USHER, Fest, at_most, wait_for
from outbox import mails

COMMANDS = [
    "serve", "worker", "dump", "openapi", "routes", "lab", "lab run", "lab explore", "lab serve",
    "init", "migrate", "verify", "version", "doctor", "event import", "event list", "event show",
    "event open", "event close", "event capacity", "event cancel", "event announce", "event undo",
    "reg list", "reg show", "reg cancel", "reg export", "mail status", "mail retry", "mail test",
    "mail pause", "mail resume", "admin create", "admin passwd", "admin disable", "admin list",
    "admin link",
]
HEADER = ["slug", "title", "starts", "capacity", "waitlist", "summary"]


def table(*rows, header=HEADER, **form):
    out = io.StringIO()
    csv.writer(out, **form).writerows([header, *rows])
    return out.getvalue()


def write(fest, name, text):
    (fest.folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return name


def fails(fest, *args, code=1, **more):
    """The one line that says what is wrong."""
    done = fest.usher(*args, check=False, **more)
    assert done.returncode == code, (args, done.stdout, done.stderr)
    assert not done.stdout and done.stderr.startswith("usher: "), done.stdout + done.stderr
    return done.stderr


# ---- finding one's way ---------------------------------------------------------------------------


def test_help_names_every_command(fest):
    text = fest.usher("--help").stdout
    assert re.findall(r"^  ((?:event |reg |mail |admin |lab )?[a-z]+) {2,}\S", text,
                      re.M) == COMMANDS
    assert fest.usher("help").stdout == text
    bare = fest.usher(check=False)
    assert bare.returncode == 2 and bare.stdout == text


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.on("sqlite")
def test_help_of_a_command(fest, command):
    text = fest.usher(*command.split(), "--help").stdout
    assert text.startswith(f"usage: usher {command}") and "--json" in text and len(text) > 200
    assert fest.usher("help", *command.split()).stdout == text
    assert all(len(line) <= 90 for line in text.splitlines()), text


def test_help_of_a_group(fest):
    for group in ("event", "reg", "mail", "admin"):
        text = fest.usher(group, "--help").stdout
        assert fest.usher("help", group).stdout == text
        for command in COMMANDS:
            if command.startswith(group + " "):
                assert f"  {command.split()[1]} " in text
        assert fest.usher(group, check=False).returncode == 2


@pytest.mark.parametrize("typed, hint", [
    ("sreve", "serve"), ("serv --workers 2", "serve"), ("evnt list", "event list"),
    ("event lst", "event list"), ("event list --jsn", "--json"), ("verfy", "verify"),
    ("event import x.csv --dryrun", "--dry-run"), ("reg list --limits 3", "--limit"),
    ("serve --worker 3", "--workers"), ("event list --databse-url x", "--database-url"),
])
@pytest.mark.on("sqlite")
def test_a_wrong_word_gets_the_right_one(fest, typed, hint):
    assert hint in fails(fest, *typed.split(), code=2)


@pytest.mark.parametrize("typed, words", [
    ("frobnicate", "no command"), ("event show", "needs SLUG"), ("event show a b", "too much"),
    ("event list extra", "takes no argument"), ("event capacity a many", "unlimited"),
    ("event capacity a", "needs a number"), ("reg list --limit few", "whole number"),
    ("reg list --status odd", "confirmed, waitlisted or cancelled"),
    ("reg export --format xml", "csv or json"), ("reg list --event nothing", "no event"),
    ("mail retry", "--all"), ("mail pause post", "no lane"), ("mail pause --for soon", "30m"),
    ("mail resume x", "no lane"), ("mail retry x", "no id"), ("serve --workers 65", "64"),
    ("serve --workers", "needs a value"), ("event import e.csv --format xml", "csv or json"),
    ("serve --limit-email often", "5/60"), ("serve --mail-url ftp://x", "file:FOLDER"),
    ("serve --base-url fest.example", "https://"), ("serve --log-level loud", "error"),
    ("version -x", "not an option"),
])
@pytest.mark.on("sqlite")  # it is over before a database is opened
def test_typed_wrongly(fest, typed, words):
    write(fest, "e.csv", table())
    assert words in fails(fest, *typed.split(), code=2)


@pytest.mark.parametrize("typed, words", [
    ("event show nothing", "no event"), ("event close nothing", "no event"),
    ("reg show ABCD-EFGH", "no registration"), ("reg show nothing", "no short code"),
    ("event import nothing.csv", "No such file"),
    ("mail retry 99", "not failed"),
    ("reg export --output nowhere/x.csv", "No such file"),
])
def test_what_is_not_there(fest, typed, words):
    assert words in fails(fest, *typed.split())


@pytest.mark.on("sqlite")  # another machine's server is not found by its database
def test_no_server_to_dump(fest):
    assert "no server" in fails(fest, "dump")


def test_asking_makes_no_database(tmp_path):
    empty = Fest(tmp_path)
    for command in ("verify", "event list", "reg list", "mail status", "event show x"):
        assert "usher init" in fails(empty, *command.split()), command
    assert list(tmp_path.iterdir()) == []
    empty.usher("migrate", "--database-url", "sqlite:other.db")
    with sqlite3.connect(tmp_path / "other.db") as db:
        db.execute("DELETE FROM usher_migrations"
                   " WHERE number = (SELECT max(number) FROM usher_migrations)")
    assert "usher migrate" in fails(empty, "verify", "--database-url", "sqlite:other.db")


# ---- settings ------------------------------------------------------------------------------------


def test_settings(fest):
    assert "did you mean USHER_LISTEN" in fails(fest, "version", code=2, env={"USHER_LISTN": "x"})
    assert "USHER_WORKERS" in fails(fest, "version", code=2, env={"USHER_WORKERS": "many"})
    assert "command comes first" in fails(fest, "--workers", "1", "version", code=2)
    config = write(fest, "usher.conf", "# a comment\n\nUSHER_NAME = From the file\nUSHER_TZ=UTC\n")
    server = fest.serve("--config", config, "--workers=1")
    assert "From the file" in server.get("/").text
    server.stop()
    server = fest.serve("--config", config, env={"USHER_NAME": "From outside"})
    assert "From outside" in server.get("/").text
    server.stop()
    server = fest.serve(f"--config={config}", "--name", "Typed", env={"USHER_NAME": "From outside"})
    assert "Typed" in server.get("/").text
    for text, words in (("USHER_NAM=x\n", "USHER_NAME"), ("no line\n", "line 1"),
                        ("USHER_NAME=a\nUSHER_WORKERS=x\n", "line 2")):
        assert words in fails(fest, "version", "--config", write(fest, "bad.conf", text), code=2)
    assert "nothing.conf" in fails(fest, "version", "--config", "nothing.conf", code=2)


def test_a_secret_in_a_file(fest):
    write(fest, "password", "hunter2\n")
    done = fest.usher("version", env={"USHER_SMTP_PASSWORD_FILE": str(fest.folder / "password")})
    assert done.returncode == 0
    missing = fails(fest, "version", code=2, env={"USHER_SMTP_PASSWORD_FILE": "/nothing"})
    assert "USHER_SMTP_PASSWORD_FILE" in missing


# ---- importing -----------------------------------------------------------------------------------


GOOD = table(["art", "Art", "2031-03-14 10:00", 30, 5, "Paint, draw"],
             ["music", "Music \u266b", "2031-03-14T12:00:00+05:30", "", "unlimited", ""])


def report(fest, name, *options, code=0):
    done = fest.usher("event", "import", name, "--json", *options, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return {r["slug"]: (r["action"], r.get("text")) for r in json.loads(done.stdout)}


def slugs(fest):
    return [e["slug"] for e in json.loads(fest.usher("event", "list", "--json").stdout)]


def test_import(fest):
    name = write(fest, "fest.csv", GOOD)
    assert report(fest, name, "--dry-run") == {"art": ("new", None), "music": ("new", None)}
    assert slugs(fest) == []
    assert "2 new" in fest.usher("event", "import", name, "--yes").stdout
    assert slugs(fest) == ["art", "music"]
    assert {a for a, _ in report(fest, name, "--yes").values()} == {"unchanged"}
    write(fest, name, GOOD.replace("Art,", "Arts,").replace(",30,", ",40,"))
    assert report(fest, name, "--yes") == {"art": ("changed", "title, capacity"),
                                           "music": ("unchanged", None)}
    shown = json.loads(fest.usher("event", "show", "art", "--json").stdout)
    assert shown["event"]["title"] == "Arts" and shown["seats"]["capacity"] == 40
    assert shown["event"]["starts_at"] == "2031-03-14T04:30:00Z", "local to Asia/Kolkata"
    shown = json.loads(fest.usher("event", "show", "music", "--json").stdout)
    assert shown["seats"].get("capacity") is None


@pytest.mark.parametrize("text", [
    GOOD.encode("utf-8-sig"),
    table(*[r for r in csv.reader(io.StringIO(GOOD))][1:], delimiter=";"),
    table(*[r for r in csv.reader(io.StringIO(GOOD))][1:], header=[h.upper() for h in HEADER]),
    json.dumps([{"slug": "art", "title": "Art", "starts": "2031-03-14 10:00", "capacity": 30,
                 "waitlist": 5, "summary": "Paint, draw"},
                {"slug": "music", "title": "Music \u266b", "starts": "2031-03-14T12:00:00+05:30",
                 "capacity": None, "waitlist": "unlimited"}]),
], ids=["excel", "semicolons", "capitals", "json"])
def test_the_same_file_in_other_forms(fest, text):
    fest.usher("event", "import", write(fest, "first.csv", GOOD), "--yes")
    name = write(fest, "second", text)
    assert {a for a, _ in report(fest, name).values()} == {"unchanged"}


def test_import_from_standard_input(fest):
    fest.usher("event", "import", "-", "--yes", stdin=GOOD)
    assert slugs(fest) == ["art", "music"]


@pytest.mark.parametrize("row, words", [
    (["Art Class", "Art", "2031-03-14 10:00"], "slug"),
    (["art", "", "2031-03-14 10:00"], "title"),
    (["art", "Art", "next Friday"], "starts"),
    (["art", "Art", "2031-02-30 10:00"], "starts"),
    (["art", "Art", "2031-03-14 10:00", "-1"], "capacity"),
    (["art", "Art", "2031-03-14 10:00", "ten"], "capacity"),
    (["art", "Art", "2031-03-14 10:00", "10", "some"], "waitlist"),
    (["art", "Art", "2031-03-14 10:00", "10", "5", "s" * 301], "summary"),
    (["art", "Art", "2031-03-14 10:00", "10", "5", "s", "one too many"], "7 cells"),
])
def test_one_bad_row_refuses_all(fest, row, words):
    good = ["music", "Music", "2031-03-14 10:00"]
    name = write(fest, "fest.csv", table(good, row))
    done = fest.usher("event", "import", name, "--yes", check=False)
    assert done.returncode == 1 and "nothing was stored" in done.stdout and words in done.stdout
    assert slugs(fest) == []


def test_a_file_does_not_drive_the_terminal(fest):
    name = write(fest, "fest.csv", table(["\x1b]0;title\x07\x9b31m", "A", "2031-03-14 10:00"]))
    done = fest.usher("event", "import", name, "--yes", check=False)
    assert done.returncode == 1 and "\ufffd]0;title\ufffd\ufffd31m" in done.stdout


def test_import_that_cannot_be(fest):
    for text, words in ((table(["a", "A", "2031-03-14 10:00"], ["a", "B", "2031-03-14 10:00"]),
                         "line 2 has the same slug"),
                        (table(["a", "A", "2031-03-14 10:00"], header=["slug", "title", "begins"]),
                         "begins"),
                        ("", "no header"), (b"slug,title\n\xff,x\n", "UTF-8"), ('{"a":', "JSON"),
                        ('slug,title\n"a,b\n', "quote"), ('{"fests": []}', "array")):
        done = fest.usher("event", "import", write(fest, "x", text), "--yes", check=False)
        assert done.returncode == 1 and words in done.stdout + done.stderr, (text, done)
    assert slugs(fest) == []


def test_local_times_that_do_not_exist_or_exist_twice(fest):
    header = ["slug", "title", "starts", "tz"]
    for starts, words in (("2031-03-30 02:30", "02:30"), ("2031-10-26 02:30", "+02:00")):
        name = write(fest, "x.csv", table(["a", "A", starts, "Europe/Berlin"], header=header))
        done = fest.usher("event", "import", name, "--yes", check=False)
        assert done.returncode == 1 and words in done.stdout, done.stdout
    name = write(fest, "x.csv", table(["a", "A", "2031-03-14 02:30", "Mars/Base"], header=header))
    assert "Mars/Base" in fest.usher("event", "import", name, "--yes", check=False).stdout


# ---- at a terminal -------------------------------------------------------------------------------


class Terminal:
    """A command with a person in front of it."""

    def __init__(self, fest, *args):
        self.master, slave = pty.openpty()
        self.seen = ""
        self.process = subprocess.Popen([USHER, *args], cwd=fest.folder, stdin=slave, stdout=slave,
                                        stderr=slave, env={**ENVIRON, **fest.env})
        os.close(slave)

    def shows(self, words):
        def there():
            if select.select([self.master], [], [], 0)[0]:
                try:
                    self.seen += os.read(self.master, 4096).decode()
                except OSError:  # the other side is closed
                    assert words in self.seen, self.seen
            return words in self.seen
        wait_for(words, there)

    def types(self, text):
        os.write(self.master, text.encode())

    def end(self):
        code = self.process.wait(at_most(20))
        os.close(self.master)
        return code


def test_asking_first(fest):
    name = write(fest, "fest.csv", GOOD)
    assert "--yes" in fails_without_terminal(fest, "event", "import", name) and slugs(fest) == []
    for answer, stored in (("n\n", []), ("\n", []), ("y\n", ["art", "music"])):
        t = Terminal(fest, "event", "import", name)
        t.shows("[y/N]")
        t.types(answer)
        assert t.end() == (0 if stored else 1) and slugs(fest) == stored


def fails_without_terminal(fest, *args):
    done = fest.usher(*args, check=False, stdin="")
    assert done.returncode == 1
    return done.stderr


def test_what_takes_long_shows_that_it_works(fest):
    fest.add_event("art", 5)
    server = fest.serve("--workers", "1")
    with fest.held_changes(server):
        t = Terminal(fest, "event", "close", "art")
        t.shows("usher event close: 1")
    t.shows("art: registration is closed")
    assert t.end() == 0


# ---- registrations -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lived(tmp_path_factory, request, database):
    """A fest after some registrations: confirmed, waitlisted, cancelled, a team, a full school."""
    fest = Fest(tmp_path_factory.mktemp("lived"))
    if database == "postgresql":
        fest = Fest(fest.folder, request.getfixturevalue("postgres").copy("fest"))
    fest.usher("migrate")
    fest.add_event("race", 3, 5)
    fest.add_event("quiz", 5, kind="team", team_min=2, team_max=3)
    fest.add_event("chess", 5, school_limit=2)
    server = fest.serve("--workers", "1")
    browser = Browser(server)
    pages = [browser.register("race", name=f"S {i}", email=f"s{i}@x.example") for i in range(6)]
    browser.submit(browser.open(pages[0].link("Cancel the place")).form("Yes, cancel"))
    assert server.register("quiz", 1, team="Sparks", members=[{"name": "Ravi"}],
                           guardian=True).status == 201
    assert [server.register("chess", i).status for i in range(3)] == [201, 201, 409]
    wait_for("all mails are sent", lambda: {
        t["state"] for t in as_json(fest, "mail", "status")["totals"]} == {"sent"})
    server.stop()
    yield fest
    fest.stop()


@pytest.fixture
def copy(lived, tmp_path, request, database):
    shutil.copytree(lived.folder, tmp_path / "copy")
    fest = Fest(tmp_path / "copy")
    if database == "postgresql":
        fest = Fest(fest.folder, request.getfixturevalue("postgres").copy(lived.database_name))
    yield fest
    fest.stop()


def as_json(fest, *args):
    return json.loads(fest.usher(*args, "--json").stdout)


def test_listing_and_showing(copy):
    rows = as_json(copy, "reg", "list")
    assert len(rows) == 9 and [r["seq"] for r in rows if r["event"] == "race"] == [1, 2, 3, 4, 5, 6]
    assert len(as_json(copy, "reg", "list", "--event", "race", "--status", "waitlisted")) == 2
    assert [r["name"] for r in as_json(copy, "reg", "list", "--search", "S 3")] == ["S 3"]
    assert as_json(copy, "reg", "list", "--search", "%") == [], "a percent sign means itself"
    assert len(as_json(copy, "reg", "list", "--limit", "2")) == 2
    team = next(r for r in rows if r["event"] == "quiz")
    shown = as_json(copy, "reg", "show", team["code"])
    assert shown["registration"] == team
    assert [p["name"] for p in shown["people"]] == ["Student 1", "Ravi"]
    assert as_json(copy, "reg", "show", shown["id"]) == shown
    assert as_json(copy, "reg", "show", team["code"].lower().replace("-", " ")) == shown
    assert "Sparks" in copy.usher("reg", "show", team["code"]).stdout
    plain = copy.usher("reg", "list").stdout.splitlines()
    assert len(plain) == 10 and plain[0].split() == list(rows[0])


def test_cancelling(copy):
    waiting = as_json(copy, "reg", "list", "--status", "waitlisted")[0]
    taken = as_json(copy, "reg", "list", "--event", "race", "--status", "confirmed")[0]
    assert "--yes" in fails_without_terminal(copy, "reg", "cancel", taken["code"])
    done = copy.usher("reg", "cancel", taken["code"], "--yes").stdout
    assert "next in line" in done
    assert as_json(copy, "reg", "show", waiting["code"])["registration"]["status"] == "confirmed"
    assert "already" in copy.usher("reg", "cancel", taken["code"], "--yes").stdout
    assert copy.usher("verify").returncode == 0


def test_export(copy):
    done = subprocess.run([USHER, "reg", "export"], cwd=copy.folder, capture_output=True,
                          check=True,
                          env={**ENVIRON, **copy.env})
    assert done.stdout.startswith(b"\xef\xbb\xbf") and b"\r\n" in done.stdout
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode("utf-8-sig"), newline="")))
    exact = as_json(copy, "reg", "export")
    assert len(rows) == len(exact) == 9 and [r["code"] for r in rows] == [r["code"] for r in exact]
    assert {r["consent"] for r in rows} == {r.get("consent", "") for r in exact} == {"", "given"}
    said = copy.usher("reg", "export", "--event", "race", "--output", "race.csv").stderr
    assert "6 registrations" in said and (copy.folder / "race.csv").stat().st_mode & 0o777 == 0o600


def test_every_command_speaks_json(copy):
    code = as_json(copy, "reg", "list")[0]["code"]
    write(copy, "e.csv", GOOD)
    calls = ["version", "openapi", "init", "migrate", "migrate --check", "verify", "event list",
             "event show race", "event close race", "event open race", "event capacity race 4",
             "event import e.csv --dry-run", "event import e.csv --yes", "event cancel art --yes",
             "reg list", f"reg show {code}", f"reg cancel {code} --yes", "reg export",
             "reg export --event quiz", "mail status", "mail retry --all", "doctor", "routes",
             "admin list", "admin link", "lab"]
    assert {c.split(" ")[0] for c in calls} >= {c.split(" ")[0]
                                                for c in COMMANDS} - {"serve", "worker", "dump"}
    for call in calls:
        as_json(copy, *call.split())
    server = copy.serve("--json", "--workers", "1")
    assert json.loads(server.said) == {"address": f"http://127.0.0.1:{server.port}",
                                       "pid": server.process.pid}
    for call in calls:
        if call != "migrate":
            as_json(copy, *call.split())
    if copy.is_sqlite:
        assert as_json(copy, "dump") == {"pid": server.process.pid}
    else:
        server.process.send_signal(signal.SIGUSR1)
    wait_for("the dump", lambda: "web 0" in server.read_log().split("dump", 1)[-1])
    assert server.stop() == 0


def test_a_change_beside_a_server_is_seen_at_once(copy):
    server = copy.serve("--workers", "2")
    assert server.register("race", 77).json["status"] == "waitlisted"
    assert "moved up" in copy.usher("event", "capacity", "race", "6").stdout
    assert {r["status"] for r in as_json(copy, "reg", "list", "--event", "race")} == {"confirmed",
                                                                                      "cancelled"}
    assert copy.usher("verify").returncode == 0
    if not copy.is_sqlite:
        return  # where any number of servers may run
    assert "a server is running" in fails(copy, "migrate")
    second = copy.usher("serve", check=False, env={"USHER_LISTEN": "127.0.0.1:0"})
    assert second.returncode == 1 and "another server runs" in second.stderr


# ---- verify --------------------------------------------------------------------------------------


DAMAGE = {
    "taken": "UPDATE event_seats SET taken = taken - 1 WHERE event_id = 1",
    "waiting": "UPDATE event_seats SET waiting = waiting + 1 WHERE event_id = 1",
    "sequence": "UPDATE event_seats SET next_seq = next_seq + 1 WHERE event_id = 1",
    "overtaken": "UPDATE registrations SET status = CASE status WHEN 1 THEN 2 ELSE 1 END "
                 "WHERE id >> 32 = 1 AND (id & 4294967295) IN (3, 6)",
    "idle_place": "UPDATE event_seats SET capacity = capacity + 1 WHERE event_id = 1",
    "school": "UPDATE event_school_seats SET taken = 1",
    "lead": "DELETE FROM participants WHERE registration_id >> 32 = 1 AND position = 0",
    "orphan": "INSERT INTO participants VALUES (4294967999, 0, 'X', NULL, NULL)",
    "event": "UPDATE registrations SET id = (9 << 32) + 1 WHERE id >> 32 = 2",
    "dead_key": "UPDATE participants SET dedupe_key = (SELECT request_key FROM registrations "
                "ORDER BY id LIMIT 1) "
                "WHERE registration_id = (SELECT id FROM registrations WHERE status = 3)",
    "mail": "DELETE FROM jobs WHERE subject >> 32 = 2",
    "mail_orphan": "UPDATE jobs SET subject = 4294967999 WHERE id = 3",
}


def damaged(fest, statement):
    if not fest.is_sqlite:
        with fest.database() as db:
            db.execute(statement)
        return
    db = sqlite3.connect(fest.folder / "usher.db")
    db.execute("PRAGMA ignore_check_constraints = ON")
    db.execute(statement)
    db.commit()
    db.close()


def test_verify_of_a_sound_fest(copy):
    done = as_json(copy, "verify")
    assert done["clean"] is True and done["findings"] == []
    assert (done["events"], done["registrations"], done["participants"]) == (3, 9, 10)
    assert "clean" in copy.usher("verify").stdout


@pytest.mark.parametrize("check", DAMAGE)
def test_verify_finds_damage(copy, check):
    damaged(copy, DAMAGE[check])
    done = copy.usher("verify", "--json", check=False)
    assert done.returncode == 1 and json.loads(done.stdout)["clean"] is False
    assert check in {f["check"] for f in json.loads(done.stdout)["findings"]}, done.stdout
    assert "NOT CLEAN" in copy.usher("verify", check=False).stdout
    server = copy.serve("--workers", "1")
    assert copy.usher("verify", check=False).returncode == 1, "beside a server too"
    server.stop()


# ---- mail and the sample fest --------------------------------------------------------------------


def test_mail_status_and_retry(copy):
    totals = as_json(copy, "mail", "status")["totals"]
    assert [(t["lane"], t["state"]) for t in totals] == [("mail", "sent")]
    assert totals[0]["mails"] >= 9
    damaged(copy, "UPDATE jobs SET state = 3, note = '550 no such user' WHERE id = 2")
    (failed,) = as_json(copy, "mail", "status")["failed"]
    assert failed["note"] == "550 no such user" and failed["state"] == "failed"
    lost = [p for p in (copy.folder / "outbox").iterdir()]
    for p in lost:
        p.unlink()
    assert as_json(copy, "mail", "retry", str(failed["id"])) == {"retried": 1}
    copy.serve("--workers", "1")
    (again,) = wait_for("the mail", lambda: mails(copy))
    assert again.id.split("@")[0][1:] in {p.stem for p in lost}, "it keeps its Message-ID"
    copy.stop()


def test_init(fest):
    said = fest.usher("init").stdout
    events = {e["slug"]: e for e in as_json(fest, "event", "list")}
    assert all(slug in said for slug in events) and len(events) == 4
    assert {e["state"] for e in events.values()} == {"open", "not_open"}
    assert all("2020" < e["opens_at"] for e in events.values())
    show = lambda slug: as_json(fest, "event", "show", slug)
    assert show("tech-quiz")["event"]["kind"] == "team"
    few = show("robotics-challenge")["seats"]
    assert few["capacity"] < 20 and few["waitlist_capacity"] > 0
    assert as_json(fest, "init") == {"created": 0, "events": 4}
    again = fest.usher("init").stdout
    assert "left as it is" in again


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
@pytest.mark.parametrize("command", ["migrate", "init", "verify", "event list", "doctor", "serve"])
def test_the_password_of_a_database_is_not_shown(fest, command, scheme):
    url = f"{scheme}://usher:hush@127.0.0.1:1/fest?odd=1"  # which libpq refuses at once
    done = fest.usher(*command.split(), check=False, env={"USHER_DATABASE_URL": url})
    said = done.stdout + done.stderr
    assert done.returncode == 1 and f"{scheme}://usher@127.0.0.1:1/fest" in said, said
    assert "hush" not in said, said
