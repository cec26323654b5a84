"""What examples/waits answers to requests of every odd kind: one row each, with its RFC clause.

A row is the bytes of one connection, the answers they must get, and what must become of the
connection:

    open     it is kept: a good request behind the bytes is answered, and answered as itself
    closed   it is closed after the last answer: a good request behind the bytes is not answered
    nothing  the bytes are no whole request: no answer, whatever comes before the end

Where the RFC leaves a choice, we refuse what two recipients could read differently; the rows say
which choice was made. The inputs cover the classes of the public suites (Http11Probe, llhttp,
gunicorn, HTTP Garden, h1spec); the bytes are ours.
"""

OPEN, CLOSED, NOTHING = "open", "closed", "nothing"
CASES = []
_names = set()


class Case:
    def __init__(self, name, clause, raw, want, then, methods, fields, nginx):
        self.name, self.clause, self.raw, self.then = name, clause, raw, then
        self.want = [(w, None) if isinstance(w, int) else w for w in want]
        self.methods = methods or [raw.split(b" ")[0].decode("latin-1")]
        self.fields = fields or {}  # of the first answer: name -> value, or None for absent
        self.nginx = nginx          # why nginx may read the bytes otherwise

    def __repr__(self):
        return self.name


def add(name, clause, raw, *want, then=None, methods=None, fields=None, nginx=None):
    assert name not in _names, name
    _names.add(name)
    raw = raw if isinstance(raw, bytes) else raw.encode("latin-1")
    if then is None:
        statuses = [w if isinstance(w, int) else w[0] for w in want]
        then = NOTHING if not want else CLOSED if statuses[-1] >= 400 else OPEN
    CASES.append(Case(name, clause, raw, want, then, methods, fields, nginx))


def head(*fields, target="/", method="GET", version="HTTP/1.1", host="Host: a"):
    lines = [f"{method} {target} {version}"] + ([host] if host is not None else []) + list(fields)
    return "\r\n".join(lines) + "\r\n\r\n"


def get(name, clause, want, *fields, body="", then=None, check=None, nginx=None, **more):
    add(name, clause, head(*fields, **more) + body, want, then=then, fields=check, nginx=nginx)


def post(name, clause, want, *fields, body="", then=None, check=None, nginx=None, **more):
    get(name, clause, want, *fields, body=body, then=then, check=check, nginx=nginx,
        method="POST", **more)


def line(name, clause, want, request_line, then=None, nginx=None):
    """A request of which only the first line matters."""
    add(name, clause, f"{request_line}\r\nHost: a\r\n\r\n", *([want] if want else []), then=then,
        nginx=nginx)


def chunked(name, clause, want, body, *fields, then=None, nginx=None):
    post(name, clause, want, "Transfer-Encoding: chunked", *fields, body=body, then=then,
         nginx=nginx)


def unfinished(name, clause, raw, nginx=None):
    add(name, clause, raw, then=NOTHING, nginx=nginx)


OK = (200, b"OK")
HELLO = (200, b"hello")
PLAIN = (200, b"Hello, World!")
GET = head()
