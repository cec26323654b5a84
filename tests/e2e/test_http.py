"""The protocol, from outside: the rows of http_case.py against examples/waits, each delivered
whole and byte by byte, and behind each a good request on the same connection. Then what a row
cannot say: interim answers, the clock, and clients that are slow, silent, or many."""

import concurrent.futures
import contextlib
import email.utils
import pathlib
import select
import socket
import struct
import time
from random import Random

import pytest

from conftest import at_most, children_of, wait_for
from http_cases import CASES, NOTHING, OPEN, head
from raw import Talk, converse, converse_in_pieces, parse_answers

PROBE = head("Connection: close", target="/plain").encode()
PLAIN = head(target="/plain").encode()


@pytest.fixture(scope="module")
def server(waits_for_module):
    """One worker, which no request may bring down."""
    server = waits_for_module("--workers", "1")
    workers = children_of(server.process.pid)
    yield server
    assert children_of(server.process.pid) == workers, server.read_log()


@pytest.fixture
def port(server):
    return server.port


def judge(case, came, probed):
    """Whether `came` is what the row says, `probed` being that the good request was behind it."""
    methods = case.methods + ["GET"] * (probed and case.then == OPEN)
    answers = [a for a in parse_answers(came, methods) if a.status >= 200]
    wanted = case.want + ([(200, b"Hello, World!")] if probed and case.then == OPEN else [])
    assert [a.status for a in answers] == [w[0] for w in wanted], (case.clause, answers)
    for answer, (_, body) in zip(answers, wanted):
        assert body is None or answer.body == body, case.clause
    for name, value in case.fields.items():
        assert answers[0].get(name) == value, (case.clause, name, answers[0].fields)
    # Who closes says so, and nobody else does (RFC 9112 §9.6).
    for i, answer in enumerate(answers):
        last = i + 1 == len(answers)
        assert (answer.get("Connection") == "close") == last, (case.clause, answer.fields)


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_case(port, case):
    if case.then == NOTHING:
        assert converse(port, case.raw, half_close=True) == b"", case.clause
        return
    judge(case, converse(port, case.raw + PROBE), probed=True)


@pytest.mark.parametrize("case", [c for c in CASES if c.then != NOTHING], ids=repr)
def test_case_then_probe(port, case):
    """The good request is sent only when the last answer is there."""
    with Talk(port) as talk:
        talk.send(case.raw)
        for i, (status, body) in enumerate(case.want):
            answer = talk.read_final(case.methods[i] if i < len(case.methods) else "GET")
            assert answer and answer.status == status, (case.clause, answer)
            assert body is None or answer.body == body, case.clause
        if case.then == OPEN:
            answer = talk.ask(PROBE)
            assert answer and (answer.status, answer.body) == (200, b"Hello, World!"), case.clause
        else:
            talk.send(PROBE)
        assert talk.rest() == b"", case.clause


def test_cases_byte_by_byte(port):
    small = [c for c in CASES if len(c.raw) <= 600]
    assert len(small) > 400
    items = [[c.raw[i:i + 1] for i in range(len(c.raw))]
             + ([None] if c.then == NOTHING else [PROBE[i:i + 1] for i in range(len(PROBE))])
             for c in small]
    failures = []
    for case, came in zip(small, converse_in_pieces(port, items)):
        try:
            if case.then == NOTHING:
                assert came == b"", case.clause
            else:
                judge(case, came, probed=True)
        except AssertionError as e:
            failures.append(f"{case}: {e}")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("seed", range(5))
def test_random_pipelines(port, seed):
    """Rows that leave the connection open, in any order and cut anywhere, on a hundred connections
    at once: each hears its own answers, in order."""
    random = Random(seed)
    rows = [c for c in CASES if c.then == OPEN and len(c.raw) < 2000]
    plans = [random.choices(rows, k=10) for _ in range(100)]
    items = [[*cut(random, b"".join(c.raw for c in plan)), PROBE] for plan in plans]
    for plan, came in zip(plans, converse_in_pieces(port, items)):
        answers = [a for a in parse_answers(came, sum((c.methods for c in plan), []))
                   if a.status >= 200]
        wanted = sum((c.want for c in plan), []) + [(200, b"Hello, World!")]
        assert [a.status for a in answers] == [w[0] for w in wanted], (seed, plan)
        for answer, (_, body) in zip(answers, wanted):
            assert body is None or answer.body == body, (seed, plan)


def cut(random, data):
    ends = sorted(random.sample(range(1, len(data)), 8)) + [len(data)]
    return [data[a:b] for a, b in zip([0, *ends], ends)]


# ---- interim answers: RFC 9110 §10.1.1 ---------------------------------------------------------

def expecting(*fields, **more):
    return head("Expect: 100-continue", *fields, method="POST", **more).encode()


@pytest.mark.parametrize("fields,body", [
    ("Content-Length: 5", b"hello"), ("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
])
def test_continue_before_the_body(port, fields, body):
    with Talk(port) as talk:
        for _ in range(2):
            answer = talk.send(expecting(fields)).read()
            assert answer.status == 100 and not answer.fields
            answer = talk.send(body).read()
            assert (answer.status, answer.body) == (200, b"hello")


def test_no_continue_when_the_body_is_there(port):
    with Talk(port) as talk:
        assert talk.send(expecting("Content-Length: 5") + b"hello").read().status == 200


@pytest.mark.parametrize("first,then", [
    (expecting("Content-Length: 5", version="HTTP/1.0"), b"hello"),
    (expecting("Content-Length: 5") + b"he", b"llo"),
])
def test_no_continue_for_http_1_0_or_a_body_under_way(port, first, then):
    with Talk(port) as talk:
        talk.send(first)
        with Talk(port) as other:  # the first has been read when this is answered
            other.ask(PLAIN)
        answer = talk.send(then).read()
        assert (answer.status, answer.body) == (200, b"hello")


@pytest.mark.parametrize("status,raw", [
    (404, expecting("Content-Length: 5", target="/none")),
    (405, expecting("Content-Length: 5", target="/plain")),
    (413, expecting("Content-Length: 65537")),
    (415, expecting("Content-Length: 5", "Content-Encoding: gzip")),
    (417, head("Expect: x", "Content-Length: 5", method="POST").encode()),
])
def test_no_continue_for_a_refused_body(port, status, raw):
    with Talk(port) as talk:
        answer = talk.send(raw).read()
        assert answer.status == status and answer.get("Connection") == "close"
        assert talk.send(PLAIN).rest() == b""


# ---- the clock, the end, the crowd -------------------------------------------------------------

def test_date_is_now_and_moves(port):
    with Talk(port) as talk:
        first = talk.ask(PLAIN).get("Date")
        then = wait_for("another date",
                        lambda: (now := talk.ask(PLAIN).get("Date")) != first and now, 3)
    assert abs(email.utils.parsedate_to_datetime(then).timestamp() - time.time()) < at_most(2)


def test_half_closed_client_is_answered(port):
    assert parse_answers(converse(port, PLAIN * 3, half_close=True))[2].body == b"Hello, World!"


def test_refused_upload_hears_why(port):
    """A reset would have destroyed the answer (RFC 9112 §9.6)."""
    body = b"x" * (8 << 20)
    with Talk(port) as talk:
        talk.send(head(f"Content-Length: {len(body)}", method="POST").encode() + body)
        assert talk.read().status == 413


def test_refused_client_may_finish_sending(port):
    """The server has ended its side and reads on; a reset would fail the second send."""
    with Talk(port) as talk:
        talk.send(head("Content-Length: 70000", method="POST").encode())
        assert talk.read().status == 413 and talk.rest() == b""
        for _ in range(7):
            talk.socket.sendall(b"x" * 10000)


def resident(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_thousand_half_open_connections_stop_nobody(server):
    """Nor do they cost a stack, of which the first page alone would be 4 KiB."""
    worker, = children_of(server.process.pid)
    halves = [b"GET /plain HTTP/1.1\r\nHost: a\r\nX: ",
              head("Content-Length: 9", method="POST").encode() + b"half"]
    with contextlib.ExitStack() as stack:
        with Talk(server.port) as talk:
            talk.ask(PLAIN)
        before = resident(worker)
        opened = time.monotonic()
        talks = [stack.enter_context(Talk(server.port, at_most(30))) for _ in range(1000)]
        for i, talk in enumerate(talks):
            talk.send(halves[i % 2])
        began = time.monotonic()
        for _ in range(30):
            assert converse(server.port, PROBE).endswith(b"Hello, World!")
        assert time.monotonic() - began < at_most(5)
        assert (resident(worker) - before) / len(talks) < 4096
        for i, talk in enumerate(talks):
            talk.send(b"y\r\n\r\n" if i % 2 == 0 else b"-half")
        for i, talk in enumerate(talks):
            answer = talk.read()
            if answer.status == 408:  # head_ms
                assert time.monotonic() - opened > 9
            else:
                assert answer.status == 200 and (i % 2 == 0 or answer.body == b"half-half")


def misbehave(port, random):
    """One client that says anything, cut anywhere, and leaves as it likes."""
    slow = [head(target=t).encode()
            for t in ("/wait?ms=3", "/wait?ms=50", "/task", "/thread", "/docs")]
    rows = [c.raw for c in CASES if len(c.raw) < 20000]
    data = b"".join(random.choice(random.choice((rows, slow))) for _ in range(random.randint(1, 9)))
    data = data[:random.choice((len(data), random.randint(0, len(data))))]
    with Talk(port) as talk, contextlib.suppress(ConnectionError, BlockingIOError, TimeoutError):
        talk.socket.setblocking(random.random() < 0.7)
        while data:
            data = data[talk.socket.send(data[:random.choice((1, 7, 100, 5000, 1 << 20))]):]
        talk.socket.settimeout(0.05)
        leave = random.choice(("reset", "half", "read", "close"))
        if leave == "reset":
            talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif leave == "half":
            talk.socket.shutdown(socket.SHUT_WR)
        while leave in ("half", "read") and talk.socket.recv(random.choice((10, 1 << 16))):
            pass


def test_crowd_that_misbehaves_leaves_nothing_behind(server):
    """No crash (the fixture looks at that), no descriptor, and everybody else is served."""
    def descriptors():
        worker, = children_of(server.process.pid)
        return len(list(pathlib.Path(f"/proc/{worker}/fd").iterdir()))

    before = wait_for("a quiet server", lambda: descriptors() < 30 and descriptors())
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(misbehave, server.port, Random(i)) for i in range(1500)]:
            done.result()
    assert converse(server.port, PROBE).endswith(b"Hello, World!")
    wait_for("all connections to end", lambda: descriptors() <= before)


class Deaf:
    """Asks as long as the server listens, and never hears an answer."""

    def __init__(self, talk):
        self.socket, self.at = talk.socket, 0
        self.socket.setblocking(False)
        self.raw = head("Content-Length: 65536", method="POST").encode() + b"x" * 65536

    def has_ended(self):
        """Asks on. What the server had not read when it closed makes the close a reset."""
        try:
            while True:
                self.at += self.socket.send(self.raw[self.at % len(self.raw):])
        except BlockingIOError:
            return False
        except ConnectionError:
            return True


def test_slow_clients_are_shown_out(port):
    """All at once, since each takes its time-out: what they hear, and between which seconds."""
    with contextlib.ExitStack() as stack:
        began = time.monotonic()

        def slow(first, each, status, least, most):
            talk = stack.enter_context(Talk(port, at_most(60)))
            talk.socket.setblocking(True)
            return {"talk": talk.send(first), "each": each, "status": status, "least": least,
                    "most": most}

        post = head("Content-Length: 60000", method="POST").encode()
        cases = [
            slow(b"", b"", None, 9, 13),                          # head_ms, nothing begun
            slow(b"GET / HTTP/1.1\r\n", b"", 408, 9, 13),         # head_ms
            slow(b"GET / HTTP/1.1\r\nX: ", b"y", 408, 9, 13),     # head_ms, however busy
            slow(post, b"", 408, 9, 13),                          # body_gap_ms
            slow(post + b"x", b"x", 408, 5, 10),                  # body_bytes_per_s behind 5 s
            slow(head("Transfer-Encoding: chunked", method="POST").encode(), b"1\r\nx\r\n", 408, 5,
                 10),
        ]
        idle = slow(PLAIN, b"", None, 14, 19)                     # idle_ms
        assert idle["talk"].read().status == 200
        cases.append(idle)
        deaf = Deaf(stack.enter_context(Talk(port, at_most(60))))  # write_gap_ms
        while not deaf.has_ended() or cases:
            select.select([case["talk"].socket for case in cases], [], [], 0.4)
            asking = time.monotonic()
            assert converse(port, PROBE).endswith(b"Hello, World!")
            assert time.monotonic() - asking < at_most(2), "a slow client made another wait"
            for case in list(cases):
                took = time.monotonic() - began
                assert took < at_most(case["most"]), case
                if case["talk"].send(case["each"]).has_ended():
                    answer = case["talk"].read()
                    assert (answer and answer.status) == case["status"], case
                    assert took >= case["least"], case
                    cases.remove(case)
            assert time.monotonic() - began < at_most(22), "nobody hears, and the server goes on"
        assert deaf.at > 2 * len(deaf.raw) and time.monotonic() - began >= 14
