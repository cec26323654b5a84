#!/usr/bin/python3
"""Compares what clients heard (the journal of rush.c) with what the database holds.

It shares no code with the server: it reads the tables itself and decodes public ids by hand. What
is checked:

  acknowledged   every answer 201 names a registration that exists, with that person and state
  one answer     the same key always heard the same registration
  one place      nobody has two live registrations in an event
  capacity       places taken = confirmed rows <= capacity; waiting = waitlisted rows <= waitlist
  one mail       each live registration has exactly one mail about its outcome

    bench/journal.py JOURNAL DATABASE    a file of SQLite's, sqlite:FILE or postgresql://...
"""

import json
import pathlib
import sqlite3
import sys

ALPHABET = {c: i for i, c in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
STATUS = {"confirmed": 1, "waitlisted": 2}


def id_of(public_id):
    """The registration's id: the first 8 of the 16 bytes that a public id encodes."""
    number = 0
    for c in public_id.upper():
        number = number << 5 | ALPHABET[c]
    return (number >> (len(public_id) * 5 - 128)) >> 64


def read_journal(path):
    asked, heard = {}, {}
    with open(path) as lines:
        for line in lines:
            word = line.split()
            if word[0] == "?":
                asked[word[1]] = (word[2], word[3])
            else:
                heard.setdefault(word[1], []).append((int(word[2]), word[3], word[4]))
    return asked, heard


def check_answers(db, asked, heard, fault):
    slugs = dict(db.execute("SELECT slug, id FROM events"))
    rows = {r[0]: (r[1], r[2]) for r in db.execute(
        "SELECT r.id, r.status, p.email FROM registrations r"
        " JOIN participants p ON p.registration_id = r.id AND p.position = 0")}
    for key, answers in heard.items():
        if key not in asked:
            fault(f"{key}: an answer without a question")
            continue
        email, event = asked[key]
        good = {(word, public_id) for status, word, public_id in answers if status == 201}
        if len(good) > 1:
            fault(f"{key}: the same key heard {sorted(good)}")
        for word, public_id in good:
            row = rows.get(id_of(public_id))
            if row is None:
                fault(f"{key}: acknowledged as {public_id} and not there")
            elif row != (STATUS.get(word), email):
                fault(f"{key}: acknowledged as {word} for {email}, stored as {row}")
            elif id_of(public_id) >> 32 != slugs.get(event):
                fault(f"{key}: acknowledged for {event}, stored for another event")


def check_rows(db, fault):
    for slug, capacity, taken, waitlist, waiting, confirmed, waitlisted in db.execute("""
            SELECT e.slug, s.capacity, s.taken, s.waitlist_capacity, s.waiting,
                   (SELECT count(*) FROM registrations r WHERE r.id >> 32 = e.id AND r.status = 1),
                   (SELECT count(*) FROM registrations r WHERE r.id >> 32 = e.id AND r.status = 2)
              FROM events e JOIN event_seats s ON s.event_id = e.id"""):
        if taken != confirmed or (capacity is not None and confirmed > capacity):
            fault(f"{slug}: capacity {capacity}, taken {taken}, confirmed rows {confirmed}")
        if waiting != waitlisted or (waitlist is not None and waitlisted > waitlist):
            fault(f"{slug}: waitlist {waitlist}, waiting {waiting}, waitlisted rows {waitlisted}")
    for event, email, n in db.execute("""
            SELECT r.id >> 32, lower(p.email), count(*)
              FROM registrations r JOIN participants p ON p.registration_id = r.id
             WHERE r.status IN (1, 2) AND p.email IS NOT NULL
             GROUP BY 1, 2 HAVING count(*) > 1"""):
        fault(f"event {event}: {email} has {n} live registrations")
    for registration, n in db.execute("""
            SELECT r.id, (SELECT count(*) FROM jobs j
                           WHERE j.subject = r.id AND j.kind IN ('ticket', 'waitlisted'))
              FROM registrations r WHERE r.status IN (1, 2)"""):
        if n != 1:
            fault(f"registration {registration}: {n} mails about its outcome")


class Postgres:
    """A connection that is asked as sqlite3's are."""

    def __init__(self, url):
        import psycopg2

        self.connection = psycopg2.connect(url)
        self.close = self.connection.close

    def execute(self, sql):
        cursor = self.connection.cursor()
        cursor.execute(sql)
        return cursor


def connect(database, folder):
    if database.startswith("postgresql:"):
        return Postgres(database)
    path = pathlib.Path(folder) / database.removeprefix("sqlite:")
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def check_journal(journal, database, folder="."):
    """A relative name of a file is looked for in `folder`."""
    faults = []
    asked, heard = read_journal(journal)
    db = connect(str(database), folder)
    check_answers(db, asked, heard, faults.append)
    check_rows(db, faults.append)
    count = dict(db.execute("SELECT status, count(*) FROM registrations GROUP BY status"))
    db.close()
    return {"asked": len(asked), "answered": len(heard), "confirmed": count.get(1, 0),
            "waitlisted": count.get(2, 0), "faults": faults}


if __name__ == "__main__":
    result = check_journal(sys.argv[1], sys.argv[2])
    print(json.dumps(result, indent=2))
    sys.exit(1 if result["faults"] else 0)
