"""The protocol, from outside: the rows of http_cases.py against examples/waits, each delivered
whole and byte by byte, and behind each a good request on the same connection."""

import pytest

from http_cases import CASES, NOTHING, OPEN, head
from raw import Talk, converse, converse_bytewise, parse_answers

PROBE = head("Connection: close", target="/plain").encode()


@pytest.fixture(scope="module")
def port(waits_for_module):
    return waits_for_module("--workers", "1").port


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
    items = [(c.raw, True) if c.then == NOTHING else (c.raw + PROBE, False) for c in small]
    failures = []
    for case, came in zip(small, converse_bytewise(port, items)):
        try:
            if case.then == NOTHING:
                assert came == b"", case.clause
            else:
                judge(case, came, probed=True)
        except AssertionError as e:
            failures.append(f"{case}: {e}")
    assert not failures, "\n".join(failures)
