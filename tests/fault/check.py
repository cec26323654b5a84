#!/usr/bin/python3
"""Compares what clients heard, what PostgreSQL holds and what the mail server took in.

    tests/fault/check.py FOLDER DATABASE-URL      prints what it found; ends with 1 on a fault

It shares no code with Usher: it reads the tables by plain SQL and decodes public ids by hand.
FOLDER holds the evidence that tests/fault/run has gathered:

  journal*   what clients did and heard, written before each next step
                 ? KEY EMAIL EVENT          asks for a place, for the first time
                 = KEY STATUS WORD ID       an answer, word and id from its body
                 - KEY                      asks to cancel it, for the first time
                 x KEY                      heard that it is cancelled
  accepted   a JSON line for each message, written before the mail server said 250

What must hold, whatever was killed:

  acknowledged   a 201 names a registration of that person and event, in that state or in one that
                 followed from it: moved up from the waitlist, or cancelled by the one who asked
  one answer     a key always heard the same registration
  asked for      no registration that nobody asked for, none cancelled that nobody cancelled;
                 who heard "already registered" is
  one place      nobody has two live registrations in an event, numbers run without a gap
  capacity       taken = confirmed <= capacity, waiting = waitlisted <= waitlist
  order          nobody has a place, and none is free, while somebody who came earlier waits
  one mail       each outcome has one job; each job that ended well has at least one mail, unless
                 the outcome was another one by then; a mail came a second time only if its row
                 says that an attempt ended without anybody knowing; all copies are the same bytes,
                 for the right person
"""

import collections
import json
import pathlib
import sys

import psycopg2
import psycopg2.extras

ALPHABET = {c: i for i, c in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
CONFIRMED, WAITLISTED, CANCELLED = 1, 2, 3
DONE, HELD = 2, 4


def id_of(code):
    """Public ids, and those in a Message-ID: 16 bytes in base 32, the id first."""
    number = 0
    for c in code:
        number = number << 5 | ALPHABET[c]
    return number >> (len(code) * 5 - 128) >> 64


class Evidence:
    def __init__(self, folder, url):
        self.asked, self.heard = {}, collections.defaultdict(list)
        self.leaving, self.left = set(), set()
        for path in sorted(pathlib.Path(folder).glob("journal*")):
            for line in path.read_text().splitlines():
                self._take(*line.split())
        with open(pathlib.Path(folder) / "accepted", encoding="utf-8") as lines:
            self.mails = [json.loads(line) for line in lines]
        connection = psycopg2.connect(url, cursor_factory=psycopg2.extras.NamedTupleCursor)
        with connection, connection.cursor() as self.cursor:
            self.events = {e.id: e for e in self.all(
                "SELECT e.id, e.slug, s.* FROM events e JOIN event_seats s ON s.event_id = e.id")}
            self.rows = {r.id: r for r in self.all(
                "SELECT r.id, r.id >> 32 AS event, r.id & 4294967295 AS seq, r.status,"
                "       r.promoted_at, p.email"
                "  FROM registrations r LEFT JOIN participants p"
                "    ON p.registration_id = r.id AND p.position = 0 ORDER BY r.id")}
            self.jobs = {j.id: j for j in self.all(
                "SELECT id, kind, subject, state, unknowns, crashes, note FROM jobs")}
        connection.close()

    def all(self, sql):
        self.cursor.execute(sql)
        return self.cursor.fetchall()

    def _take(self, what, key, *rest):
        if what == "?":
            self.asked[key] = rest
        elif what == "=":
            self.heard[key].append((int(rest[0]), *rest[1:]))
        elif what == "-":
            self.leaving.add(key)
        else:
            self.left.add(key)


def check_answers(e, fault):
    slugs = {event.slug: event.id for event in e.events.values()}
    people = {(r.event, r.email) for r in e.rows.values()}
    may_leave = set()
    for key, answers in e.heard.items():
        email, slug = e.asked[key]
        good = {id_of(public) for status, _, public in answers if status == 201}
        if len(good) > 1:
            fault(f"{key}: the same key heard of {sorted(good)}")
        for status, word, public in answers:
            if word == "already_registered" and (slugs[slug], email) not in people:
                fault(f"{key}: {email} is said to be registered for {slug}, and is not")
            if status != 201:
                continue
            row = e.rows.get(id_of(public))
            if row is None:
                fault(f"{key}: acknowledged as {public} and not there")
                continue
            if (row.event, row.email) != (slugs[slug], email):
                fault(f"{key}: acknowledged to {email} for {slug}, stored as {row}")
            possible = {"confirmed": {CONFIRMED}, "waitlisted": {WAITLISTED}}.get(word, {CANCELLED})
            if word == "waitlisted" and row.promoted_at:
                possible |= {CONFIRMED}
            if key in e.leaving:
                possible |= {CANCELLED}
                may_leave.add(row.id)
            if row.status not in possible or (key in e.left and row.status != CANCELLED):
                fault(f"{key}: heard {word}, stored as {row}")
    wanted = {(slugs[slug], email) for email, slug in e.asked.values()}
    for row in e.rows.values():
        if (row.event, row.email) not in wanted:
            fault(f"nobody asked for {row}")
        if row.status == CANCELLED and row.id not in may_leave:
            fault(f"nobody cancelled {row}")


def check_places(e, fault):
    by_event = collections.defaultdict(list)
    for row in e.rows.values():
        by_event[row.event].append(row)
    for event in e.events.values():
        rows = by_event[event.id]
        count = collections.Counter(r.status for r in rows)
        if event.taken != count[CONFIRMED] or count[CONFIRMED] > (event.capacity or 1 << 60):
            fault(f"{event}: {count[CONFIRMED]} are confirmed")
        limit = 1 << 60 if event.waitlist_capacity is None else event.waitlist_capacity
        if event.waiting != count[WAITLISTED] or count[WAITLISTED] > limit:
            fault(f"{event}: {count[WAITLISTED]} wait")
        if event.waiting and event.taken != event.capacity:
            fault(f"{event}: somebody waits beside a free place")
        if [r.seq for r in rows] != list(range(1, event.next_seq)):
            fault(f"{event}: the numbers have a gap, or somebody is missing")
        first = min((r.id for r in rows if r.status == WAITLISTED), default=1 << 63)
        for row in rows:
            if row.id > first and (row.status == CONFIRMED or row.promoted_at):
                fault(f"{row} overtook {first}")
        live = collections.Counter(r.email for r in rows if r.status != CANCELLED)
        for email, n in live.items():
            if n > 1:
                fault(f"{event.slug}: {email} has {n} places")


def is_true(job, row):
    """Whether the mail still says how things are: if not, it need not have been sent."""
    says = {"ticket": {CONFIRMED}, "promoted": {CONFIRMED}, "waitlisted": {WAITLISTED},
            "cancelled": {CANCELLED}, "resend": {CONFIRMED, WAITLISTED}}
    return row is not None and row.status in says[job.kind]


def check_mails(e, fault):
    by_subject = collections.defaultdict(collections.Counter)
    for job in e.jobs.values():
        by_subject[job.subject][job.kind] += 1
        if job.state not in (DONE, HELD) or (job.state == HELD and not job.unknowns):
            fault(f"not ended well: {job}")
        if job.subject not in e.rows:
            fault(f"a mail about nobody: {job}")
    for row in e.rows.values():
        kinds = by_subject[row.id]
        want = {"promoted": 1 if row.promoted_at else 0, "cancelled": row.status == CANCELLED}
        first = kinds["ticket"] + kinds["waitlisted"]
        if first != 1 or any(kinds[k] != n for k, n in want.items()):
            fault(f"{row}: its mails are {dict(kinds)}")

    copies = collections.defaultdict(list)
    for mail in e.mails:
        copies[mail["message_id"]].append(mail)
    seen = set()
    for message_id, same in copies.items():
        kind, _, code = message_id.strip("<>").partition("@")[0].partition(".")
        job = e.jobs.get(id_of(code))
        if job is None or job.kind != kind or job.subject not in e.rows:
            fault(f"{message_id}: a mail without its job: {job}")
            continue
        seen.add(job.id)
        if len(same) > 1 + job.unknowns:
            fault(f"{message_id} came {len(same)} times, unannounced: {job}")
        if len({m["bytes"] for m in same}) > 1:
            fault(f"{message_id}: its copies differ")
        row = e.rows[job.subject]
        if any(m["to"] != [row.email] for m in same):
            fault(f"{message_id} went to {[m['to'] for m in same]}, and is for {row}")
    for job in e.jobs.values():
        if job.state == DONE and job.id not in seen and is_true(job, e.rows.get(job.subject)):
            fault(f"never arrived: {job}")
    return sum(len(same) - 1 for same in copies.values())


def check(folder, url):
    """Figures, and a list of faults that is empty when all is well."""
    e, faults = Evidence(folder, url), []
    check_answers(e, faults.append)
    check_places(e, faults.append)
    doubled = check_mails(e, faults.append)
    status = collections.Counter(r.status for r in e.rows.values())
    return {
        "asked": len(e.asked),
        "answered": len(e.heard),
        "acknowledged": sum(any(a[0] == 201 for a in answers) for answers in e.heard.values()),
        "confirmed": status[CONFIRMED],
        "waitlisted": status[WAITLISTED],
        "cancelled": status[CANCELLED],
        "moved up": sum(r.promoted_at is not None for r in e.rows.values()),
        "mails": len(e.jobs),
        "messages taken": len(e.mails),
        "came twice, announced": doubled if not faults else "?",
        "ambiguous mails": sum(j.unknowns > 0 for j in e.jobs.values()),
        "left to a person": sum(j.state == HELD for j in e.jobs.values()),
        "faults": faults,
    }


def show(found):
    for name, value in found.items():
        if name != "faults":
            print(f"{name:24} {value}")
    print(f"{'faults':24} {len(found['faults'])}")
    for text in found["faults"][:50]:
        print("  " + text)


if __name__ == "__main__":
    result = check(sys.argv[1], sys.argv[2])
    show(result)
    sys.exit(1 if result["faults"] else 0)
