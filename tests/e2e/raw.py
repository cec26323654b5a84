"""HTTP/1.1 from outside, byte for byte: what is sent is given as bytes, and what comes back is read
by a parser that forgives nothing.

A connection is driven to its end: the server closes it, or the deadline passes and that is a
failure. So "was kept open" is seen by a further request that was answered, and "was closed" by the
end of the bytes, and no test waits for something not to happen.
"""

import errno
import re
import select
import selectors
import socket
import time

from private import at_most

DEADLINE_S = at_most(10)
TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
VALUE = re.compile(rb"[\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?\Z|\Z")
DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\Z")


class Answer:
    """One answer: status, fields as (name, value) pairs of text, body."""

    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def __repr__(self):
        return f"<{self.status} {self.body[:60]!r}>"

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def get(self, name):
        found = self.all(name)
        return found[0] if found else None


def _chunks(data, at):
    """The decoded body at data[at:] and where it ends; None when it is not whole."""
    body = b""
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        assert re.fullmatch(rb"[0-9a-fA-F]+", data[at:end]), f"chunk size {data[at:end]!r}"
        size, at = int(data[at:end], 16), end + 2
        if len(data) < at + size + 2:
            return None
        assert data[at + size:at + size + 2] == b"\r\n", "chunk without CRLF"
        body, at = body + data[at:at + size], at + size + 2
        if size == 0:
            return body, at


def parse_answer(data, method="GET", at_end=False):
    """The first answer in `data` and its length, or None while it is not whole. Asserts that it is
    what a server may send: RFC 9112 §2 to §6, RFC 9110 §6.6.1 (Date), §8.6 and §15."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        assert not at_end, f"the connection ended in a head: {data!r}"
        return None
    lines = data[:end].split(b"\r\n")
    line = re.fullmatch(rb"HTTP/1\.1 ([1-5]\d\d) ([\t\x20-\x7e]*)", lines[0])
    assert line, f"status line {lines[0]!r}"
    status, at, fields = int(line[1]), end + 4, []
    for raw in lines[1:]:
        name, colon, value = raw.partition(b":")
        assert colon and TOKEN.match(name) and VALUE.match(value.strip(b" \t")), f"field {raw!r}"
        fields.append((name.decode(), value.strip(b" \t").decode("latin-1")))
    answer = Answer(status, fields, b"")
    length, coding = answer.all("Content-Length"), answer.all("Transfer-Encoding")
    if status < 200:
        assert not length and not coding
        return answer, at
    assert len(answer.all("Date")) == 1 and DATE.match(answer.get("Date")), fields
    assert len(length) + len(coding) <= 1, fields
    if status in (204, 304) or method == "HEAD":
        assert status != 204 or not (length or coding), fields
        return answer, at
    if coding:
        assert coding == ["chunked"], coding
        got = _chunks(data, at)
        assert got or not at_end, "the connection ended in a chunked body"
        if got:
            answer.body, at = got
        return (answer, at) if got else None
    assert length and re.fullmatch(r"0|[1-9]\d*", length[0]), fields
    size = int(length[0])
    if len(data) < at + size:
        assert not at_end, f"the connection ended in a body: {data!r}"
        return None
    answer.body = data[at:at + size]
    return answer, at + size


def parse_answers(data, methods=()):
    """All answers of a connection that has ended; `methods` of the requests, in order."""
    answers, left = [], list(methods)
    while data:
        answer, used = parse_answer(data, left[0] if left else "GET", at_end=True)
        answers.append(answer)
        data = data[used:]
        if answer.status >= 200 and left:
            left.pop(0)
    return answers


def dial(address):
    """`address`: a port of 127.0.0.1, or the path of a Unix socket."""
    if isinstance(address, int):
        s = socket.create_connection(("127.0.0.1", address), timeout=DEADLINE_S)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(DEADLINE_S)
        s.connect(str(address))
    return s


def _send(s, data):
    """Sends what can be: a server that has refused a request need not read on. False: it does not.
    """
    try:
        s.sendall(data)
        return True
    except OSError as e:
        if e.errno not in (errno.EPIPE, errno.ECONNRESET):
            raise
        return False


class Talk:
    """A connection that is read answer by answer."""

    def __init__(self, address, deadline_s=DEADLINE_S):
        self.socket = dial(address)
        self.data = b""
        self.ended = False
        self.until = time.monotonic() + deadline_s

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.socket.close()

    def send(self, data):
        _send(self.socket, data)
        return self

    def finish(self):
        """No more bytes come from here."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as e:
            assert e.errno == errno.ENOTCONN
        return self

    def _receive(self):
        left = self.until - time.monotonic()
        assert left > 0, f"neither answered nor closed; so far {self.data!r}"
        self.socket.settimeout(left)
        try:
            part = self.socket.recv(1 << 16)
        except ConnectionResetError:
            part = b""
        except TimeoutError:
            return
        self.data += part
        self.ended = not part

    def read(self, method="GET"):
        """The next answer; None when the server has closed instead."""
        while True:
            got = parse_answer(self.data, method, self.ended) if self.data else None
            if got:
                self.data = self.data[got[1]:]
                return got[0]
            if self.ended:
                return None
            self._receive()

    def read_final(self, method="GET"):
        """The next answer that is not an interim one."""
        while True:
            answer = self.read(method)
            if not answer or answer.status >= 200:
                return answer

    def ask(self, data, method="GET"):
        return self.send(data).read_final(method)

    def has_ended(self):
        """Whether the server has closed by now; does not wait."""
        while not self.ended and select.select([self.socket], [], [], 0)[0]:
            self._receive()
        return self.ended

    def rest(self):
        """Everything until the server closes."""
        while not self.ended:
            self._receive()
        data, self.data = self.data, b""
        return data


def converse(address, data, half_close=False, deadline_s=DEADLINE_S):
    """What comes back when `data` is sent at once, until the server closes."""
    with Talk(address, deadline_s) as talk:
        talk.send(data)
        if half_close:
            talk.finish()
        return talk.rest()


def converse_all(address, items, deadline_s=at_most(60)):
    """What comes back to each of `items`, each sent at once on a connection of its own."""
    sockets = [dial(address) for _ in items]
    for s, data in zip(sockets, items):
        _send(s, data)
    return _collect(sockets, items, deadline_s)


def converse_in_pieces(address, items, deadline_s=at_most(60)):
    """What comes back to each of `items` (lists of pieces; None = no more comes from here), each on
    a connection of its own: the next piece of one goes only after a piece of all others, so that
    the server has most likely seen the one before."""
    sockets = [dial(address) for _ in items]
    sending = list(zip(sockets, map(iter, items)))
    while sending:
        still = []
        for s, pieces in sending:
            piece = next(pieces, b"")
            if piece is None:
                s.shutdown(socket.SHUT_WR)
            elif piece and _send(s, piece):
                still.append((s, pieces))
        sending = still
    return _collect(sockets, items, deadline_s)


def _collect(sockets, items, deadline_s):
    """What came on each until the server closed it."""
    until, selector = time.monotonic() + deadline_s, selectors.DefaultSelector()
    came = [b"" for _ in sockets]
    for i, s in enumerate(sockets):
        s.setblocking(False)
        selector.register(s, selectors.EVENT_READ, i)
    while selector.get_map():
        left = until - time.monotonic()
        open_still = [items[k.data] for k in selector.get_map().values()]
        assert left > 0, f"neither answered nor closed: {open_still!r}"
        for key, _ in selector.select(left):
            try:
                part = key.fileobj.recv(1 << 16)
            except ConnectionResetError:
                part = b""
            came[key.data] += part
            if not part:
                selector.unregister(key.fileobj)
                key.fileobj.close()
    selector.close()
    return came
