"""The short form of `make fault`, and proof that its checker finds what it looks for."""

import subprocess
import sys
import types

import pytest

from conftest import ROOT, at_most

FAULT = ROOT / "tests/fault"
sys.path.insert(0, str(FAULT))
import check  # noqa: E402

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def test_twenty_kills():
    """All that people heard is true, and each mail came once or was announced."""
    done = subprocess.run([FAULT / "run", "--kills", "20"], capture_output=True, text=True,
                          timeout=at_most(280))
    assert done.returncode == 0, done.stdout + done.stderr


# ---- the checker ---------------------------------------------------------------------------------


def code(number):
    """A public id, or that of a Message-ID: 16 bytes in base 32."""
    bits = (number << 64 | 12345) << 2
    return "".join(ALPHABET[bits >> 5 * i & 31] for i in reversed(range(26)))


def record(**fields):
    return types.SimpleNamespace(**fields)


def person(seq, status, promoted=None):
    return record(id=1 << 32 | seq, event=1, seq=seq, status=status, promoted_at=promoted,
                  email=f"s{seq}@x")


def sound():
    """Two places: 1 was cancelled, so 3 moved up; 4 waits; the mail to 2 came twice."""
    e = types.SimpleNamespace()
    e.events = {1: record(id=1, slug="quiz", capacity=2, taken=2, waitlist_capacity=5, waiting=1,
                          next_seq=5)}
    e.rows = {r.id: r for r in (person(1, 3), person(2, 1), person(3, 1, 77), person(4, 2))}
    e.asked = {f"k{i}": (f"s{i}@x", "quiz") for i in (1, 2, 3, 4, 5)}
    words = {1: "confirmed", 2: "confirmed", 3: "waitlisted", 4: "waitlisted"}
    e.heard = {f"k{i}": [(201, w, code(1 << 32 | i))] for i, w in words.items()}
    e.heard["k5"] = [(409, "sold_out", "-")]
    e.leaving, e.left = {"k1"}, {"k1"}
    jobs = [(1, "ticket", 1), (2, "ticket", 2), (3, "waitlisted", 3), (4, "waitlisted", 4),
            (5, "cancelled", 1), (6, "promoted", 3)]
    e.jobs = {i: record(id=i, kind=kind, subject=1 << 32 | seq, state=2, unknowns=int(i == 2),
                        crashes=0, note=None) for i, kind, seq in jobs}
    e.mails = [{"message_id": f"<{kind}.{code(i)}@x>", "to": [f"s{seq}@x"], "bytes": str(i)}
               for i, kind, seq in jobs]
    e.mails.append(dict(e.mails[1]))
    return e


def faults_of(e):
    found = []
    check.check_answers(e, found.append)
    check.check_places(e, found.append)
    check.check_mails(e, found.append)
    return found


def row(e, seq):
    return e.rows[1 << 32 | seq]


def lost(e):
    del e.rows[1 << 32 | 4]
    del e.jobs[4]
    del e.mails[3]
    e.events[1].waiting, e.events[1].next_seq = 0, 4


def doubled(e):
    e.rows[1 << 32 | 5] = person(5, 2)
    row(e, 5).email = "s4@x"
    e.events[1].waiting, e.events[1].next_seq = 2, 6


LIES = {
    "not there": lost,
    "has 2 places": doubled,
    "stored as": lambda e: setattr(row(e, 2), "email", "other@x"),
    "heard confirmed": lambda e: setattr(row(e, 2), "status", 2),
    "the same key heard": lambda e: e.heard["k2"].append((201, "confirmed", code(1 << 32 | 3))),
    "nobody asked": lambda e: e.asked.update(k4=("else@x", "quiz")),
    "nobody cancelled": lambda e: e.leaving.clear(),
    "is said to be registered": lambda e: e.heard.update(k5=[(409, "already_registered", "-")]),
    "are confirmed": lambda e: setattr(e.events[1], "capacity", 1),
    "wait": lambda e: setattr(e.events[1], "waiting", 2),
    "beside a free place": lambda e: setattr(e.events[1], "capacity", 3),
    "a gap": lambda e: setattr(e.events[1], "next_seq", 6),
    "overtook": lambda e: (setattr(row(e, 3), "status", 2), setattr(row(e, 4), "status", 1)),
    "never arrived": lambda e: e.mails.pop(3),
    "unannounced": lambda e: setattr(e.jobs[2], "unknowns", 0),
    "copies differ": lambda e: e.mails[-1].update(bytes="other"),
    "went to": lambda e: e.mails[0].update(to=["s2@x"]),
    "without its job": lambda e: e.mails[0].update(message_id=f"<ticket.{code(99)}@x>"),
    "not ended well": lambda e: setattr(e.jobs[4], "state", 3),
    "about nobody": lambda e: setattr(e.jobs[4], "subject", 99),
    "its mails are": lambda e: e.jobs.update({7: record(**{**vars(e.jobs[2]), "id": 7})}),
}


def test_sound_evidence_has_no_fault():
    assert faults_of(sound()) == []


@pytest.mark.parametrize("words", LIES)
def test_a_lie_is_found(words):
    e = sound()
    LIES[words](e)
    assert any(words in text for text in faults_of(e)), faults_of(e)
