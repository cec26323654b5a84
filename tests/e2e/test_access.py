"""Who may do what: logging in, sessions, roles, own and foreign events, and forms of other sites.

The walk takes every route from the program's own table (`usher routes`), so a new page is tested
the moment it is added.
"""

import json
import re
import time

import pytest

from browser import Browser
from conftest import Fest
from organiser import HOST, PASSWORD, add_user, log_in

OWN, FOREIGN = "robo-race", "quiz"
sqlite = pytest.mark.on("sqlite")  # where the database makes no difference
ROLES = ["owner", "organiser", "desk", "viewer"]


@pytest.fixture
def door(fest):
    """A fest with two events and a user of each role; its server."""
    fest.add_event(OWN, 20)
    fest.add_event(FOREIGN, 20)
    for role in ROLES:
        add_user(fest, role)
    fest.server = fest.serve("--workers", "1")
    return fest


# ---- login ---------------------------------------------------------------------------------------


def test_login_session_and_logout(door):
    stranger = Browser(door.server)
    reply = door.server.request("GET", "/admin/events", headers={"Accept": "text/html"})
    assert reply.status == 303
    assert reply.headers["location"] == "/admin/login?next=%2Fadmin%2Fevents"
    form = stranger.open(reply.headers["location"]).form("Log in")
    wrong = stranger.submit(form, email=f"desk@{HOST}", password="wrong password")
    unknown = stranger.submit(form, email=f"nobody@{HOST}", password="wrong password")
    assert wrong.status == unknown.status == 403
    assert "Address or password is wrong" in wrong.text and "Address or password" in unknown.text
    assert "usher_session" not in stranger.cookies
    right = stranger.send(form, email=f"DESK@{HOST}", password=PASSWORD)
    assert right.status == 303 and right.headers["location"] == "/admin/events"
    cookie = next(c for c in right.cookies if c.startswith("usher_session="))
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/" in cookie
    page = stranger.open("/admin/events")
    assert page.status == 200 and "no-store" in page.headers["cache-control"]
    stolen = dict(stranger.cookies)
    again = stranger.send(form, email=f"desk@{HOST}", password=PASSWORD)
    assert again.status == 303 and stranger.cookies != stolen, "a login makes a new session"
    old = Browser(door.server)
    old.cookies = stolen
    assert old.send(page.form("Log out")).status == 401, "and ends the one it replaces"
    out = stranger.submit(stranger.open("/admin").form("Log out"))
    assert "logged out" in out.text
    assert door.server.request("GET", "/admin", headers=stranger._headers()).status == 303
    assert PASSWORD not in door.server.read_log() and HOST not in door.server.read_log()


@sqlite
def test_a_login_leads_nowhere_else(door):
    for there in ("https://evil.example/", "//evil.example/", "/admin\\@evil.example",
                  "javascript:1"):
        b = Browser(door.server)
        reply = b.send(b.open("/admin/login").form("Log in"), email=f"owner@{HOST}",
                       password=PASSWORD, next=there)
        assert reply.status in (303, 429)
        if reply.status == 303:
            assert reply.headers["location"] == "/admin"


@sqlite
def test_attempts_are_limited_by_account(door):
    b = Browser(door.server)
    form = b.open("/admin/login").form("Log in")
    began, guesses = time.monotonic(), 0
    while (r := b.send(form, email=f"viewer@{HOST}", password="guess number")).status == 403:
        guesses += 1
    took = time.monotonic() - began
    assert r.status == 429 and 5 <= guesses <= 5 + took / 12, "one more each twelve seconds"
    assert int(r.headers["retry-after"]) > 0
    assert b.send(form, email=f"viewer@{HOST}", password=PASSWORD).status == 429
    log_in(door.server, f"desk@{HOST}")  # others are not held up


def test_another_role_counts_at_once(door):
    desk = log_in(door.server, f"desk@{HOST}")
    assert desk.open("/admin/people").status == 200
    door.usher("admin", "disable", f"desk@{HOST}")
    assert door.server.request("GET", "/admin/people", headers=desk._headers()).status == 303
    last = door.usher("admin", "disable", f"owner@{HOST}", check=False)
    assert last.returncode == 1 and "another owner" in last.stderr


@sqlite
def test_the_first_owner_by_a_link(fest):
    server = fest.serve("--workers", "1")
    b = Browser(server)
    assert "There is no user yet" in b.open("/admin/login").text
    told = re.search(r"set up +(http://\S+)\n", server.said)[1]
    link = fest.usher("admin", "link", "--base-url",
                      f"http://127.0.0.1:{server.port}").stdout.strip()
    assert b.open(told).status == 200
    page = b.open(link)
    short = b.submit(page.form("Make the owner"), name="Asha", email="asha@x.example",
                     password="short")
    assert short.status == 422 and "10" in short.text
    done = b.submit(page.form("Make the owner"), name="Asha", email="asha@x.example",
                    password=PASSWORD)
    assert "Log in" in done.title
    assert b.open(link).status == 404, "it works once"
    assert log_in(server, "asha@x.example").open("/admin/users").status == 200
    assert fest.usher("admin", "link", check=False).returncode == 1
    forged = link[:-1] + ("0" if link[-1] != "0" else "1")
    assert b.open(forged).status == 404


# ---- the walk ------------------------------------------------------------------------------------


@pytest.fixture
def walk(door):
    """Everything that routes need: browsers by role, ids of own and foreign objects."""
    for event in (OWN, FOREIGN):
        door.server.register(event, 1)
    owner = log_in(door.server, f"owner@{HOST}")
    users = owner.open("/admin/users")
    owner.submit(users.form("Add"), name="Own", email=f"own@{HOST}", role="organiser", events=OWN,
                 password=PASSWORD)
    pairing = owner.submit(owner.open("/admin/devices").form("Show the code"), name="Gate A",
                           events=OWN, hours="5")
    code = re.search(r"/admin/pair/(\w+)", pairing.text)[1]
    phone = Browser(door.server)
    assert phone.submit(phone.open(f"/admin/pair/{code}").form("Yes")).url == "/admin/scan"
    again = Browser(door.server)
    assert again.submit(again.open(f"/admin/pair/{code}").form("Yes")).status == 404
    door.browsers = {"owner": owner, "device": phone,
                     **{r: log_in(door.server, f"{r}@{HOST}") for r in ROLES[1:] + ["own"]},
                     "nobody": Browser(door.server)}
    door.ids = {}
    for event in (OWN, FOREIGN):
        page = owner.open(f"/admin/events/{event}/people")
        door.ids[event] = page.link("Student").rsplit("/", 1)[1]
    return door


def fill(path, event, ids):
    return (path.replace("{slug}", event).replace("{registration}", ids[event])
            .replace("{id}", "1").replace("{ticket}", "K7QF-2M9D"))


def test_every_route_for_every_role(walk):
    routes = [r for r in json.loads(walk.usher("routes").stdout) if not r["all"]]
    assert len(routes) > 40
    for route in routes:
        for who, browser in walk.browsers.items():
            for event in (OWN, FOREIGN):
                check_route(walk.server, route, who, browser, fill(route["path"], event, walk.ids),
                            event)
    with walk.database() as db:
        assert db.execute("SELECT count(*) FROM registrations WHERE status = 1").fetchone()[0] == 2
        published = db.execute("SELECT count(*) FROM events WHERE status = 'published'")
        assert published.fetchone()[0] == 2


def check_route(server, route, who, browser, path, event):
    role = "organiser" if who == "own" else who
    limited = who in ("own", "device")
    about = "{slug}" in route["path"] or "{registration}" in route["path"]
    may = role in route["roles"] and not (limited and route["fest"]) and not (
        limited and about and event == FOREIGN)
    get = route["method"] == "GET"
    if path == "/admin/stream" and may:
        return  # it does not end; test_admin.py reads one
    reply = server.request(route["method"], path, None if get else "x=1", {
        **browser._headers(),
        **({} if get else {"Content-Type": "application/x-www-form-urlencoded",
                                                 "Origin": f"http://127.0.0.1:{server.port}"})})
    where = (route["method"], path, who, reply.status, reply.text[:300])
    if who == "nobody":
        assert reply.status == (303 if get else 401), where
    elif not may:
        assert reply.status == 403, where
        assert "earlier login" not in reply.text, where
    elif get:
        assert reply.status in (200, 303), where
    else:
        assert reply.status == 403 and "earlier login" in reply.text, where


def test_rows_of_the_table_say_who(tmp_path):
    """Deny by default: a row without a role would be listed with nobody."""
    for r in json.loads(Fest(tmp_path).usher("routes").stdout):
        assert r["all"] or r["roles"], r
        assert r["all"] == (not r["path"].startswith("/admin") or r["path"].split("/")[2:3] in (
            ["login"], ["setup"], ["pair"])), r


@sqlite
def test_forms_of_other_sites_and_sessions(walk):
    owner, organiser = walk.browsers["owner"], walk.browsers["organiser"]
    form = owner.open(f"/admin/events/{OWN}").form("Close registration")
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"},
                    {"Origin": None, "Sec-Fetch-Site": "cross-site"},
                    {"Origin": None, "Sec-Fetch-Site": "same-site"}):
        reply = walk.server.form(form.action, form.fields, {**owner._headers(), **headers})
        assert reply.status == 403, headers
    foreign_key = organiser.open(f"/admin/events/{OWN}").form("Close registration").fields
    assert foreign_key["_key"] != form.fields["_key"]
    assert walk.server.form(form.action, foreign_key, owner._headers()).status == 403
    assert "Open" in owner.open(f"/admin/events/{OWN}").text
    assert owner.send(form).status == 303


@sqlite
def test_a_device_may_be_revoked(walk):
    phone, owner = walk.browsers["device"], walk.browsers["owner"]
    page = phone.open("/admin/scan")
    assert "Robo Race" in page.text and "Quiz" not in page.text
    assert "People" not in [words for _, words in page.links]
    revoke = owner.open("/admin/devices").form("Revoke")
    assert owner.send(revoke, id="").status == owner.send(revoke, id="0").status == 404
    done = owner.submit(revoke)
    assert "revoked" in done.text
    assert phone.send(page.form("Check in"), code="x").status == 401
