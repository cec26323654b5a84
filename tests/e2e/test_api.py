"""The API as a program meets it: shapes, every refusal, the same request many times."""

import concurrent.futures
import json
import re

import pytest

from conftest import ROOT, wait_for
from outbox import mails
from schema import Document

RACE = "robo-race"
HERE = f"/api/v1/events/{RACE}/registrations"


@pytest.fixture(params=[1])
def server(fest, request):
    """One worker unless a test asks for two: each has its own view of the events, a second old."""
    fest.add_event(RACE, 5, 3)
    return fest.serve("--workers", str(request.param))


two_workers = pytest.mark.parametrize("server", [2], indirect=True)


def ask(server, number=1, key=None, **fields):
    return server.register(RACE, number, key, **fields)


def rows(fest):
    with fest.database() as db:
        return db.execute("SELECT count(*) FROM registrations").fetchone()[0]


def bearer(reply):
    return {"Authorization": "Bearer " + reply.json["manage_url"].rsplit("/", 1)[1]}


def fail(reply, status, code):
    """Checks a problem document; its body."""
    assert (reply.status, reply.json.get("code")) == (status, code), reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json
    assert body["status"] == status and body["title"]
    assert body["type"] == f"/docs#problem-{code}"
    assert body["request_id"] == reply.headers["x-request-id"]
    return body


def settled(server, slug, state):
    """Waits until the worker's view of an event, which may be a second old, is that."""
    wait_for(f"{slug} is {state}",
             lambda: server.get(f"/api/v1/events/{slug}").json.get("state") == state)


# ---- a place -----------------------------------------------------------------------------------


def test_created(server):
    document = Document(server.get("/openapi.json").json)
    a = ask(server)
    b = server.request("POST", HERE, {"name": "Ravi", "email": "ravi@school.example"})
    for number, reply in enumerate((a, b), 1):
        body = reply.json
        document.check_named(body, "registration_reply")
        assert reply.status == 201 and body["event"] == RACE and body["seq"] == number
        assert body["status"] == "confirmed" and "no-store" in reply.headers["cache-control"]
        assert reply.headers["location"] == f"/api/v1/registrations/{body['id']}"
        read = server.request("GET", reply.headers["location"], headers=bearer(reply))
        assert read.status == 200 and read.json == body
        assert server.get(body["manage_url"]).status == 200
        for kind, name in (("image/svg+xml", "svg_url"), ("image/png", "png_url"),
                           ("text/calendar; charset=utf-8", "ics_url")):
            got = server.get(body["ticket"][name])
            assert got.status == 200 and got.headers["content-type"] == kind


def test_waitlisted(server):
    document = Document(server.get("/openapi.json").json)
    replies = [ask(server, i) for i in range(8)]
    assert [r.json["status"] for r in replies] == ["confirmed"] * 5 + ["waitlisted"] * 3
    last = replies[-1].json
    document.check_named(last, "registration_reply")
    assert last["ticket"] is None and last["waitlist_position"] == 3 and last["seq"] == 8
    assert server.get(last["manage_url"] + "/ticket.png").status == 409


# ---- what is wrong with a request ----------------------------------------------------------------


FAULTS = [
    ({"name": "", "email": "x", "school": 5, "grade": "9", "guardian": "yes", "extra": 1},
     {"event": "missing", "name": "missing", "email": "value_error", "school": "string_type",
      "grade": "int_type", "guardian": "bool_type", "extra": "extra_forbidden"}),
    ({"event": RACE, "name": None, "email": ["a@school.example"]},
     {"name": "missing", "email": "string_type"}),
    ({"event": RACE, "name": "n" * 121, "email": "a" * 250 + "@school.example", "phone": "call me"},
     {"name": "string_too_long", "email": "string_too_long", "phone": "value_error"}),
    ({"event": RACE, "name": "\u200b \u0301", "email": "a@b.example, c@d.example", "grade": 21},
     {"name": "missing", "email": "value_error", "grade": "less_than_equal"}),
    ({"event": RACE, "name": "Asha\u0000", "email": "'asha rao'@school.example"},
     {"name": "value_error", "email": "value_error"}),
    ({"event": RACE, "name": "Asha\nBcc: x@y.example", "email": "asha@school.example"},
     {"name": "value_error"}),
    ({"event": RACE, "name": "Asha", "email": "\u00e4sha@school.example", "team": "A",
      "members": [{"name": "Ravi"}]},
     {"email": "value_error", "team": "extra_forbidden", "members": "extra_forbidden"}),
    ({"event": "quiz", "name": "Asha", "email": "asha@school.example", "grade": 9, "team": "A",
      "members": [{"name": "", "email": "x"}, 5, {"name": "Mia", "age": 9}]},
     {"members/0/name": "missing", "members/0/email": "value_error", "members/1": "dict_type",
      "members/2/age": "extra_forbidden"}),
    ({"event": "quiz", "name": "", "email": "x", "grade": "nine"},  # of the form and of the event
     {"name": "missing", "email": "value_error", "grade": "int_type", "team": "missing",
      "members": "too_short"}),
    ({"event": "quiz", "name": "Asha", "email": "asha@school.example"},
     {"team": "missing", "members": "too_short", "grade": "missing"}),
    ({"event": "quiz", "name": "Asha", "email": "asha@school.example", "grade": 4, "team": "A",
      "members": [{"name": "R", "email": "ASHA+x@school.example"}]},
     {"grade": "value_error", "members/0/email": "value_error"}),
]


def test_every_fault_at_once(fest, server):
    fest.add_event("quiz", 5, kind="team", team_min=2, team_max=3, grade_min=8)
    settled(server, "quiz", "open")
    document = Document(server.get("/openapi.json").json)
    for body, want in FAULTS:
        problem = fail(server.request("POST", "/register", body), 422, "validation_error")
        document.check_named(problem, "Problem")
        got = {f["pointer"].removeprefix("#/"): f["type"] for f in problem["errors"]}
        assert got == want, body
        for f in problem["errors"]:
            path = [int(s) if s.isdigit() else s for s in f["pointer"].split("/")[1:]]
            assert f["loc"] == ["body", *path] and f["msg"]
    assert rows(fest) == 0


@pytest.mark.parametrize("body", [
    b"", b"{", b'{"event":', b"[1,2", b'{"a":1}x', b'{"a":NaN}', b'{"name":"' + b"[" * 20, b"\xff",
])
def test_no_json(server, body):
    reply = server.request("POST", "/register", body, {"Content-Type": "application/json"})
    problem = fail(reply, 400, "malformed_request")
    assert re.search(r"[Ll]ine \d+, column \d+", problem["detail"]), problem["detail"]


@pytest.mark.parametrize("body, pointer, kind", [
    (b'{"name":"a","name":"b"}', "#", "duplicate"),
    (b'{"name":"\xff"}', "#/name", "value_error"),
    (b'{"school":"\xc0\xaf"}', "#/school", "value_error"),
    (b'{"name":"\\ud800"}', "#/name", "value_error"),
    (b'{"grade":1e999}', "#", "number_too_large"),
    (b'{"grade":99999999999999999999}', "#", "number_too_large"),
    (b"[" * 100 + b"]" * 100, "#", "json_depth"),
    (b"[]", "#", "dict_type"),
], ids=str)
def test_json_that_cannot_be_meant(server, body, pointer, kind):
    for path in ("/register", HERE):
        reply = server.request("POST", path, body, {"Content-Type": "application/json"})
        problem = fail(reply, 422, "validation_error")
        assert (pointer, kind) in [(f["pointer"], f["type"]) for f in problem["errors"]]
        if pointer == "#":  # nothing is known of the fields then
            assert len(problem["errors"]) == 1


def test_other_refusals_of_form(server):
    ok = '{"event":"robo-race","name":"A","email":"a@school.example"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml", None):
        reply = server.request("POST", "/register", ok, {"Content-Type": kind} if kind else {})
        fail(reply, 415, "unsupported_media_type")
    compressed = server.request("POST", "/register", ok, {"Content-Type": "application/json",
                                                          "Content-Encoding": "gzip"})
    fail(compressed, 415, "unsupported_media_type")
    big = server.request("POST", "/register", {"event": RACE, "name": "x" * 40000})
    fail(big, 413, "payload_too_large")
    for kind in ("application/json; charset=utf-8", "Application/JSON"):
        assert server.request("POST", "/register", ok, {"Content-Type": kind}).status in (201, 409)


def test_methods_and_paths(server):
    put = server.request("PUT", "/register", "{}", {"Content-Type": "application/json"})
    fail(put, 405, "method_not_allowed")
    assert set(put.headers["allow"].replace(" ", "").split(",")) == {"POST", "OPTIONS"}
    options = server.request("OPTIONS", f"/api/v1/events/{RACE}")
    assert options.status == 204 and {"GET", "HEAD"} <= set(options.headers["allow"].split(", "))
    head = server.request("HEAD", f"/api/v1/events/{RACE}")
    assert head.status == 200 and not head.body and int(head.headers["content-length"]) > 100
    fail(server.get("/api/v1/nothing"), 404, "not_found")
    fail(server.request("POST", "/api/v1/events/nothing/registrations",
                        {"name": "A", "email": "a@school.example"}), 404, "not_found")
    fail(server.register("nothing", 1), 404, "not_found")
    fail(server.get("/api/v1/events/nothing"), 404, "not_found")
    fail(server.get("/api/v1/events/nothing/availability"), 404, "not_found")
    fail(server.get("/assets/nothing"), 404, "not_found")
    page = server.get("/api/v1/nothing", Accept="text/html")
    assert page.status == 404 and page.headers["content-type"].startswith("text/html")


# ---- no place ------------------------------------------------------------------------------------


def test_sold_out_and_already_registered(fest):
    fest.add_event(RACE, 5, 3)
    server = fest.serve("--workers", "1", "--limit-email", "off")
    for i in range(8):
        assert ask(server, i).status == 201
    full = fail(ask(server, 9), 409, "sold_out")
    assert full["event"] == RACE and full["waitlist"] is False
    again = fail(ask(server, 3), 409, "already_registered")
    assert again["resent"] is True and "3" not in again["detail"]
    assert fail(ask(server, 3), 409, "already_registered")["resent"] is False
    settled(server, RACE, "full")
    for _ in range(10):  # by now from memory, and still truthful about who has a place
        fail(ask(server, 10), 409, "sold_out")
        fail(ask(server, 4), 409, "already_registered")
    assert rows(fest) == 8


def test_not_open_closed_cancelled(fest, server):
    fest.add_event("later", 5, opens="2031-01-01T00:00:00Z")
    fest.add_event("past", 5, closes="2020-02-02T00:00:00Z")
    settled(server, "past", "closed")
    later = server.register("later", 1)
    problem = fail(later, 409, "not_open")
    assert problem["opens_at"] == "2031-01-01T00:00:00Z" and problem["server_time"] < "2031"
    assert int(later.headers["retry-after"]) > 3600
    assert fail(server.register("past", 1), 409, "closed")["closed_at"] == "2020-02-02T00:00:00Z"
    first = ask(server, 1, key="key-of-one")
    fest.usher("event", "close", RACE)
    fail(ask(server, 2), 409, "closed")
    fest.usher("event", "cancel", RACE, "--yes")
    settled(server, RACE, "cancelled")
    fail(ask(server, 3), 410, "event_cancelled")
    again = ask(server, 1, key="key-of-one")
    assert again.json == first.json and again.headers["idempotent-replayed"] == "true"


def test_school_limit(fest, server):
    fest.add_event("chess", 9, school_limit=2)
    shown = wait_for("the event is known", lambda: (p := server.get("/e/chess/register")).status ==
                     200 and p.text)
    assert re.search(r'<input[^>]*name="school"[^>]*required', shown), "the form says so before"
    settled(server, "chess", "open")
    schools = ["St Mary's", "ST. MARYS", "st marys", "Other School"]
    replies = [server.register("chess", i, school=s) for i, s in enumerate(schools)]
    assert [r.status for r in replies] == [201, 201, 409, 201]
    assert fail(replies[2], 409, "school_limit")["limit"] == 2
    missing = fail(server.register("chess", 9, school=None), 422, "validation_error")
    assert missing["errors"][0]["pointer"] == "#/school"
    assert server.request("POST", replies[0].headers["location"] + "/cancel",
                          headers=bearer(replies[0])).status == 200
    assert server.register("chess", 9, school="St. Mary's").status == 201


def test_team_taken(fest, server):
    fest.add_event("quiz", 5, kind="team", team_min=2, team_max=3)
    settled(server, "quiz", "open")
    team = lambda n, name: server.register("quiz", n, team=name, members=[{"name": f"M{n}"}])
    assert team(1, "Sparks").status == 201 and team(2, "Bolts").status == 201
    fail(team(3, " sparks "), 409, "team_taken")


def test_rate_limit_of_an_address(server):
    assert ask(server, 1).status == 201
    codes = [ask(server, 1).json["code"] for _ in range(8)]
    assert codes[0] == "already_registered" and codes[-1] == "rate_limited"
    limited = ask(server, 1)
    fail(limited, 429, "rate_limited")
    assert 1 <= int(limited.headers["retry-after"]) <= 60
    assert ask(server, 2).status == 201, "others are not affected"


@pytest.mark.on("sqlite")
def test_rate_limit_of_a_network(fest):
    fest.add_event(RACE, 50)
    server = fest.serve("--workers", "1", env={
        "USHER_LIMIT_ADDR": "2/60", "USHER_TRUSTED_PROXIES": "127.0.0.1/32"})
    clients = ("2001:db8::a:b:c:1", "2001:db8::d:b:c:2", "2001:db8::e:b:c:3", "2001:db8:0:5::1")
    got = [server.request("POST", "/register", {
        "event": RACE, "name": "Student", "email": f"s{n}@school.example", "school": "Test School"},
        {"X-Forwarded-For": client}).status for n, client in enumerate(clients)]
    assert got == [201, 201, 429, 201], "three of one /64, one of another"


# ---- the same request ----------------------------------------------------------------------------


def same_many_times(server, n=100):
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        futures = [pool.submit(ask, server, 1, "the-same-key") for _ in range(n)]
        return [f.result() for f in futures]


@two_workers
def test_the_same_key_a_hundred_times(fest, server):
    replies = same_many_times(server)
    assert {(r.status, r.text) for r in replies} == {(201, replies[0].text)}
    assert sum("idempotent-replayed" in r.headers for r in replies) == 99 and rows(fest) == 1
    for i in range(2, 9):
        assert ask(server, i).status == 201
    fail(ask(server, 9), 409, "sold_out")
    replies += same_many_times(server, 20)
    fest.usher("event", "close", RACE)
    replies += same_many_times(server, 20)
    assert {(r.status, r.text) for r in replies} == {(201, replies[0].text)}
    assert sum("idempotent-replayed" in r.headers for r in replies) == 139 and rows(fest) == 8


def test_keys(fest, server):
    first = ask(server, 1, key="twelve-chars")
    for again in (ask(server, 1, key='"twelve-chars"'),
                  server.request("POST", HERE, {"name": "Student 1 ", "school": "Test School",
                                                "email": "student1@school.example"},
                                 {"Idempotency-Key": "twelve-chars"})):
        assert again.json == first.json and again.headers["idempotent-replayed"] == "true"
    fail(ask(server, 2, key="twelve-chars"), 422, "idempotency_key_reused")
    fail(ask(server, 1, key="twelve-chars", school="Another"), 422, "idempotency_key_reused")
    for bad in ("short", "x" * 256, "with a blank", '""', "café-key"):
        fail(ask(server, 3, key=bad.encode("latin-1")), 400, "idempotency_key_invalid")
    fest.add_event("chess", 5)
    settled(server, "chess", "open")
    assert server.register("chess", 1, "twelve-chars").status == 201, "a key is of one event"
    assert rows(fest) == 2


def test_a_key_of_the_api_opens_nothing_in_the_form(fest, server):
    """A program may count its keys up, and whoever has the key of a form is shown its place."""
    mine = ask(server, 1, key="order-00000001").json["manage_url"]
    for update in ({}, {"update": "1"}):
        got = server.form(f"/e/{RACE}/register", {
            "name": "Mallory", "email": "mallory@school.example", "school": "Other School",
            "rid": "order-00000001", **update})
        assert mine not in got.text + got.headers.get("location", "")
    assert "Student 1" in server.get(mine[mine.index("/r/"):]).text


def test_a_refusal_is_not_remembered(fest, server):
    for i in range(8):
        ask(server, i)
    fail(ask(server, 9, key="wanted-later"), 409, "sold_out")
    fest.usher("event", "capacity", RACE, "9")
    settled(server, RACE, "open")
    assert ask(server, 9, key="wanted-later").json["status"] == "confirmed"


def test_a_cancelled_registration_is_replayed_as_cancelled(server):
    first = ask(server, 1, key="twelve-chars")
    server.request("POST", first.headers["location"] + "/cancel", headers=bearer(first))
    again = ask(server, 1, key="twelve-chars")
    assert again.status == 201 and again.json["status"] == "cancelled"
    assert again.json["ticket"] is None
    assert ask(server, 1, key="another-key").json["seq"] == 2


# ---- one registration ----------------------------------------------------------------------------


def test_cancel_promotes(fest, server):
    replies = [ask(server, i) for i in range(8)]
    url = lambda r: r.headers["location"]
    for _ in range(2):  # twice is the same as once
        gone = server.request("POST", url(replies[0]) + "/cancel", headers=bearer(replies[0]))
        assert gone.status == 200 and gone.json["status"] == "cancelled"
        assert gone.json["ticket"] is None
    up = server.request("GET", url(replies[5]), headers=bearer(replies[5])).json
    assert up["status"] == "confirmed" and up["ticket"]["short_code"] and up["seq"] == 6
    behind = server.request("GET", url(replies[6]), headers=bearer(replies[6])).json
    assert behind["waitlist_position"] == 1
    # A place on the waitlist given back moves the others up, and nobody is confirmed for it.
    server.request("POST", url(replies[6]) + "/cancel", headers=bearer(replies[6]))
    last = server.request("GET", url(replies[7]), headers=bearer(replies[7])).json
    assert last["status"] == "waitlisted" and last["waitlist_position"] == 1
    wait_for("mails", lambda: {m.kind for m in mails(fest)} >= {"promoted", "cancelled"})
    assert fest.usher("verify").returncode == 0


def test_tokens(server):
    one, two = ask(server, 1), ask(server, 2)
    url = one.headers["location"]
    for path, method in ((url, "GET"), (url + "/cancel", "POST"), (url + "/resend", "POST")):
        missing = server.request(method, path)
        fail(missing, 401, "unauthenticated")
        assert missing.headers["www-authenticate"] == "Bearer"
        fail(server.request(method, path, headers=bearer(two)), 404, "not_found")
        fail(server.request(method, path, headers={"Authorization": "Bearer x"}), 404, "not_found")
    fail(server.request("GET", "/api/v1/registrations/" + "0" * 26, headers=bearer(one)), 404,
         "not_found")


def test_resend_hourly(fest, server):
    one = ask(server, 1)
    url = one.headers["location"] + "/resend"
    first = server.request("POST", url, headers=bearer(one))
    assert first.status == 202 and first.json == one.json
    again = server.request("POST", url, headers=bearer(one))
    fail(again, 429, "too_soon")
    assert 3500 < int(again.headers["retry-after"]) <= 3600
    wait_for("two mails", lambda: len(mails(fest)) == 2)
    server.request("POST", one.headers["location"] + "/cancel", headers=bearer(one))
    fail(server.request("POST", url, headers=bearer(one)), 409, "not_confirmed")


# ---- events --------------------------------------------------------------------------------------


def test_events(fest, server):
    document = Document(server.get("/openapi.json").json)
    fest.add_event("chess", 100, category="Games", starts="2031-03-13T10:00:00Z", venue="v" * 160,
                   ends="2031-03-13T11:00:00Z", closes="2031-03-13T10:00:00Z", summary="s" * 300)
    settled(server, "chess", "open")
    everything = server.get("/api/v1/events")
    document.check_named(everything.json, "events_reply")
    assert [e["slug"] for e in everything.json["items"]] == ["chess", RACE]
    assert "next" not in everything.json and "max-age=5" in everything.headers["cache-control"]
    slugs = lambda query: [e["slug"] for e in server.get("/api/v1/events?" + query).json["items"]]
    assert slugs("q=CHESS") == slugs("category=games") == ["chess"] and slugs("status=full") == []
    first = server.get("/api/v1/events?limit=1").json
    assert [e["slug"] for e in first["items"]] == ["chess"]
    assert slugs(f"limit=1&cursor={first['next']}") == [RACE]
    for query, where in (("x=1", "x"), ("limit=0", "limit"), ("limit=201", "limit"),
                         ("status=no", "status"), ("cursor=abc", "cursor"), ("q=a&q=b", "q")):
        problem = fail(server.get("/api/v1/events?" + query), 422, "validation_error")
        assert [f["loc"] for f in problem["errors"]] == [["query", where]], query
    one = server.get("/api/v1/events/chess").json
    document.check_named(one, "event_reply")
    assert one == everything.json["items"][0]


def test_an_event_that_opens_at_once_says_when(fest):
    path = fest.folder / "art.csv"
    path.write_text("slug,title,starts\nart,Art,2031-03-14 10:00\n")
    fest.usher("event", "import", str(path), "--yes")
    server = fest.serve()
    opened = server.get("/api/v1/events/art").json["opens_at"]
    assert opened > "2020"
    assert "1 unchanged" in fest.usher("event", "import", str(path), "--yes").stdout
    path.write_text("slug,title,starts\nart,Arts,2031-03-14 10:00\n")
    assert "title" in fest.usher("event", "import", str(path), "--yes").stdout
    wait_for("seen", lambda: server.get("/api/v1/events/art").json["title"] == "Arts")
    assert server.get("/api/v1/events/art").json["opens_at"] == opened


def test_availability(fest, server):
    document = Document(server.get("/openapi.json").json)
    fest.add_event("big", 100)
    settled(server, "big", "open")

    def now(slug):
        reply = server.get(f"/api/v1/events/{slug}/availability")
        document.check_named(reply.json, "availability")
        assert "max-age=1" in reply.headers["cache-control"]
        return reply.json

    big = now("big")
    assert (big["state"], big["left"], big["waiting"]) == ("open", "many", 0)
    assert "5" not in str({k: v for k, v in now(RACE).items() if not k.endswith(("_at", "time"))})
    for i in range(8):
        ask(server, i)
    settled(server, RACE, "full")
    full = now(RACE)
    assert (full["state"], full["left"], full["waiting"]) == ("full", "full", 3)


# ---- the documentation ---------------------------------------------------------------------------


def routes_of_the_source():
    text = (ROOT / "app/web/routes.c").read_text()
    for row in re.finditer(r'^    \{"(\w+)", "([^"]+)",(.*?)(?=^    \{"|^\};)', text, re.M | re.S):
        yield row.group(1).lower(), row.group(2), ".is_page = true" in row.group(3)


def test_openapi_is_the_table_of_routes(fest, server):
    tree = server.get("/openapi.json").json
    api = {(m, p) for m, p, is_page in routes_of_the_source() if not is_page}
    assert tree["openapi"] == "3.1.0" and tree["info"]["title"] and tree["info"]["version"]
    assert {(m, p) for p, ops in tree["paths"].items() for m in ops} == api
    assert tree == json.loads(fest.usher("openapi").stdout)
    ids = [op["operationId"] for ops in tree["paths"].values() for op in ops.values()]
    assert len(set(ids)) == len(ids)
    for path, ops in tree["paths"].items():
        for op in ops.values():
            named = [p["name"] for p in op.get("parameters", []) if p["in"] == "path"]
            assert named == re.findall(r"\{(\w+)\}", path) and op["summary"]
            for status, response in op["responses"].items():
                codes = re.findall("`(.*?)`", response["description"])
                assert len(set(codes)) == len(codes), f"{path} {status}: {codes}"
            is_private = "`unauthenticated`" in op["responses"].get("401", {}).get("description",
                                                                                   "")
            assert ("security" in op) == is_private, path
            keys = [p for p in op.get("parameters", []) if p["name"] == "Idempotency-Key"]
            assert bool(keys) == (op["operationId"].startswith("post_") and
                                  path.endswith(("/register", "/registrations"))), path
    assert tree["components"]["securitySchemes"]["private_link"]["scheme"] == "bearer"


def test_references_and_examples_of_openapi(server):
    document = Document(server.get("/openapi.json").json)
    for ref in document.references():
        document.resolve(ref)

    def walk(at):
        if isinstance(at, dict):
            for example in at.get("examples", []) if isinstance(at.get("examples"), list) else []:
                document.check(example, at)
            for inner in at.values():
                walk(inner)
        elif isinstance(at, list):
            list(map(walk, at))

    walk(document.tree)
    body = document.resolve("#/components/schemas/register_body")
    example = {name: f["examples"][0] for name, f in body["properties"].items() if "examples" in f}
    document.check(example, body)
    assert server.request("POST", "/register", {**example, "event": RACE}).status == 201


def test_docs(server):
    page = server.get("/docs")
    assert page.status == 200 and "<script" not in page.text and "http://" not in page.text
    for path in server.get("/openapi.json").json["paths"]:
        assert path in page.text
    for code in ("sold_out", "already_registered", "validation_error", "overloaded"):
        assert f'id="problem-{code}"' in page.text, "the type of a problem leads here"


def test_operations(server):
    assert server.get("/healthz").status == 200
    assert server.get("/readyz").status == 200
    metrics = server.get("/metrics")
    assert metrics.status == 200 and metrics.headers["content-type"].startswith("text/plain")
    ask(server, 1)
    for path in ("/metrics", "/outbox"):  # through a proxy of which the settings know nothing
        assert server.get(path).status == 200
        assert server.get(path, X_Forwarded_For="192.0.2.7").status == 404
        assert server.get(path, Forwarded="for=127.0.0.1").status == 404
    names = re.findall(r"^(\w+)(?:\{.*?\})? [\d.e+-]+$", server.get("/metrics").text, re.M)
    assert any("usher" in n for n in names)
