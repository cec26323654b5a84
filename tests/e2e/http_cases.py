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


# ---- the request line --------------------------------------------------------------------------

def request_lines():
    c = "RFC 9112 §3"
    line("line-good", c, OK, "GET / HTTP/1.1")
    for name, text in {
        "two-spaces-before-target": "GET  / HTTP/1.1", "two-spaces-before-version": "GET /  HTTP/1.1",
        "tab-before-target": "GET\t/ HTTP/1.1", "tab-before-version": "GET /\tHTTP/1.1",
        "space-at-start": " GET / HTTP/1.1", "space-at-end": "GET / HTTP/1.1 ",
        "tab-at-end": "GET / HTTP/1.1\t", "no-target": "GET HTTP/1.1", "no-target-two-spaces":
        "GET  HTTP/1.1", "method-alone": "GET", "target-alone": "/", "no-spaces": "GET/HTTP/1.1",
        "space-in-target": "GET /pa th HTTP/1.1", "vertical-tab": "GET\x0b/ HTTP/1.1",
        "form-feed": "GET\x0c/ HTTP/1.1", "bare-cr-as-space": "GET /\rHTTP/1.1",
        "bare-lf-as-space": "GET /\nHTTP/1.1", "word-behind-version": "GET / HTTP/1.1 x",
        "two-versions": "GET / HTTP/1.1 HTTP/1.1", "no-version": "GET /", "no-version-space": "GET / ",
        "swapped": "HTTP/1.1 / GET", "answer": "HTTP/1.1 200 OK", "colon": "GET: / HTTP/1.1",
        "quotes": '"GET / HTTP/1.1"', "spaces-only": "   ", "nel-as-space": "GET\x85/\x85HTTP/1.1",
        "no-break-space": "GET\xa0/\xa0HTTP/1.1",
    }.items():
        line(f"line-{name}", c, 400, text)
    add("line-ends-with-lf", "RFC 9112 §2.2", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400)
    add("line-ends-with-cr", "RFC 9112 §2.2", "GET / HTTP/1.1\rHost: a\r\n\r\n", 400)
    add("line-ends-with-cr-cr-lf", "RFC 9112 §2.2", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400)
    add("line-after-empty-line", "RFC 9112 §2.2", "\r\n" + GET, OK, methods=["GET"])
    add("line-after-two-empty-lines", "RFC 9112 §2.2", "\r\n\r\n" + GET, 400)
    add("line-after-bare-lf", "RFC 9112 §2.2", "\n" + GET, 400)
    add("line-after-bare-cr", "RFC 9112 §2.2", "\r" + GET, 400)
    add("line-after-space-line", "RFC 9112 §2.2", " \r\n" + GET, 400)
    add("line-after-byte-order-mark", "RFC 9112 §3", "\xef\xbb\xbf" + GET, 400)
    add("line-of-tls", c, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)), 400)
    add("line-of-socks", c, b"\x05\x01\x00\r\n\r\n", 400)
    add("line-of-zeros", c, bytes(64), 400)
    add("line-of-proxy-protocol", c, "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + GET, 400)
    unfinished("unfinished-nothing", "RFC 9112 §8", "")
    unfinished("unfinished-method", "RFC 9112 §8", "G")
    unfinished("unfinished-target", "RFC 9112 §8", "GET /hel")
    unfinished("unfinished-version", "RFC 9112 §8", "GET / HTTP")
    unfinished("unfinished-line", "RFC 9112 §8", "GET / HTTP/1.1\r")
    unfinished("unfinished-name", "RFC 9112 §8", "GET / HTTP/1.1\r\nHos")
    unfinished("unfinished-value", "RFC 9112 §8", "GET / HTTP/1.1\r\nHost: a")
    unfinished("unfinished-fields", "RFC 9112 §8", "GET / HTTP/1.1\r\nHost: a\r\n")
    unfinished("unfinished-last-line", "RFC 9112 §8", "GET / HTTP/1.1\r\nHost: a\r\n\r")
    unfinished("unfinished-0.9", "RFC 9112 §2.3", "GET /\r\n", nginx="it speaks HTTP/0.9")


def versions():
    c = "RFC 9112 §2.3"
    get("version-1.0", "RFC 9112 §9.3", OK, version="HTTP/1.0", then=CLOSED,
        check={"Connection": "close"})
    for v in ("HTTP/2.0", "HTTP/1.2", "HTTP/1.9", "HTTP/0.9", "HTTP/3.0", "HTTP/9.9", "HTTP/0.0"):
        line(f"version-{v[5:]}", c, 505, f"GET / {v}")
    for v in ("HTTP/1", "HTTP/1.", "HTTP/.1", "HTTP/11", "HTTP/1.10", "HTTP/01.1", "HTTP/1.01",
              "HTTP/1.1.1", "HTTP/1,1", "HTTP/1.1x", "HTTP/x.1", "HTTP/-1.1", "HTTP/+1.1", "HTTP/",
              "HTTP 1.1", "http/1.1", "Http/1.1", "HTP/1.1", "HTTPS/1.1", "HTTP/ 1.1", "HTTP/1 .1",
              "HTTP/4294967295.255", "HTTP/............0596.7407.", "HTTP/\r\r1.1",
              "XHTTP/1.1", "HTTP\\1.1", "HTTP/1.1\x00", "HTTP/\xb9.1", "1.1", "ICY/1.1"):
        line(f"version-bad-{v!r}", c, 400, f"GET / {v}")
    add("version-2-preface", c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)


def methods():
    c = "RFC 9110 §9.1"
    for m in ("get", "Get", "FOO", "BREW", "G", "TRACE", "PROPFIND", "GETT", "GE", "PURGE", "M-SEARCH"):
        get(f"method-{m}", c, 501, method=m, then=OPEN, nginx="it knows fewer methods")
    get("method-all-token-bytes", "RFC 9110 §5.6.2", 501, method="!#$%&'*+-.^_`|~09azAZ", then=OPEN)
    get("method-100-bytes", c, 501, method="A" * 100, then=OPEN)
    get("method-9000-bytes", c, 400, method="A" * 9000)
    get("method-100000-bytes", c, 400, method="A" * 100000)
    for ch in '(),/:;<=>?@[\\]{}"':
        get(f"method-with-{ch}", "RFC 9110 §5.6.2", 400, method=f"G{ch}ET")
    get("method-with-nul", "RFC 9110 §5.6.2", 400, method="GE\x00T")
    get("method-non-ascii", "RFC 9110 §5.6.2", 400, method="G\xc8T")
    get("method-empty", c, 400, method="")
    get("method-of-delimiters", "RFC 9110 §5.6.2", 400, method='G=":<>(e),[T];?"')
    get("method-connect", "RFC 9110 §9.3.6", 501, method="CONNECT", target="a:443",
        host="Host: a:443")
    get("method-connect-path", "RFC 9110 §9.3.6", 501, method="CONNECT", target="/")
    get("method-trace-with-body", "RFC 9110 §9.3.8", 501, "Content-Length: 5", method="TRACE",
        body="hello")
    get("method-trace-with-secret", "RFC 9110 §9.3.8", 501, "Authorization: Bearer secret",
        method="TRACE", then=OPEN)
    get("method-head", "RFC 9110 §9.3.2", (200, b""), method="HEAD",
        check={"Content-Length": "2", "Content-Type": "text/plain"})
    get("method-head-not-found", "RFC 9110 §9.3.2", (404, b""), method="HEAD", target="/none",
        then=OPEN)
    get("method-head-post-only", "RFC 9110 §15.5.6", (405, b""), method="HEAD", target="/hash",
        then=OPEN, check={"Allow": "POST, OPTIONS"})
    get("method-delete", "RFC 9110 §15.5.6", 405, method="DELETE", then=OPEN,
        check={"Allow": "GET, HEAD, POST, OPTIONS"})
    get("method-put-with-body", "RFC 9112 §9.3", 405, "Content-Length: 5", method="PUT",
        body="hello")
    get("method-patch", "RFC 9110 §15.5.6", 405, method="PATCH", target="/plain", then=OPEN,
        check={"Allow": "GET, HEAD, OPTIONS"})
    get("method-get-post-only", "RFC 9110 §15.5.6", 405, target="/hash", then=OPEN,
        check={"Allow": "POST, OPTIONS"})
    post("method-post-get-only", "RFC 9112 §9.3", 405, "Content-Length: 5", target="/plain",
         body="hello", check={"Allow": "GET, HEAD, OPTIONS"})
    get("method-options", "RFC 9110 §9.3.7", (204, b""), method="OPTIONS",
        check={"Allow": "GET, HEAD, POST, OPTIONS", "Content-Length": None})
    get("method-options-asterisk", "RFC 9112 §3.2.4", (204, b""), method="OPTIONS", target="*",
        check={"Content-Length": None}, nginx="it refuses the asterisk")
    get("method-options-with-body", "RFC 9110 §9.3.7", (204, b""), "Content-Length: 5",
        method="OPTIONS", body="hello", then=CLOSED, nginx="it need not close")
    get("method-options-unknown-path", "RFC 9110 §9.3.7", 404, method="OPTIONS", target="/none",
        then=OPEN)
    for m in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        get(f"method-{m}-asterisk", "RFC 9112 §3.2.4", 400, method=m, target="*")
    get("method-override-ignored", "RFC 9110 §9.1", OK, "X-HTTP-Method-Override: DELETE")


def targets():
    c = "RFC 9112 §3.2"
    for name, target, status in (
            ("fragment", "/plain#x", 400), ("fragment-alone", "#", 400), ("nul", "/\x00", 400),
            ("control", "/\x01", 400), ("tab", "/a\tb", 400), ("delete", "/\x7f", 400), ("non-ascii", "/caf\xc3\xa9", 400),
            ("latin-1", "/\xe9", 400), ("backslash", "/a\\b", 400), ("less-than", "/<a>", 400),
            ("quote", '/"a"', 400), ("relative", "plain", 400), ("dot", ".", 400), ("query-alone", "?a=b", 400),
            ("bang", "!", 400), ("authority", "a:80", 400), ("ftp", "ftp://a/", 400),
            ("mailto", "mailto:x@a", 400), ("no-host", "http:///", 400),
            ("scheme-alone", "http://", 400), ("one-slash", "http:/a", 400), ("user", "http://u@a/", 400),
            ("user-and-password", "http://u:p@a/", 400), ("port-too-large", "http://a:99999/", 400),
            ("port-of-letters", "http://a:x/", 400), ("space-in-host", "http://a b/", 400),
            ("other-host", "http://b/", 400), ("other-port", "http://a:81/", 400),
            ("https-of-other", "https://b/", 400), ("backslash-host", "http://a\\b/", 400)):
        get(f"target-{name}", c, status, target=target)
    a = "RFC 9112 §3.2.2"
    get("target-absolute", a, PLAIN, target="http://a/plain")
    get("target-absolute-upper-case", a, PLAIN, target="HTTP://A/plain")
    get("target-absolute-https", a, PLAIN, target="https://a/plain")
    get("target-absolute-without-path", a, OK, target="http://a")
    get("target-absolute-query-only", a, OK, target="http://a?x=1")
    get("target-absolute-port", a, PLAIN, target="http://a:80/plain", host="Host: a:80")
    get("target-absolute-1.0", a, PLAIN, target="http://a/plain", host=None, version="HTTP/1.0",
        then=CLOSED)
    get("target-absolute-without-host-field", a, 400, target="http://a/", host=None)
    get("target-absolute-options", "RFC 9112 §3.2.4", (204, b""), target="http://a",
        method="OPTIONS")
    get("target-query", c, PLAIN, target="/plain?a=1&b=%20&c=/../x??")
    get("target-query-empty", c, PLAIN, target="/plain?")
    get("target-query-bad-escape", "RFC 3986 §2.1", PLAIN, target="/plain?%zz")
    get("target-of-web-bytes", "WHATWG URL", 404, target="/[]{}|^`'", then=OPEN)
    get("target-7900-bytes", "RFC 9112 §3", 404, target="/" + "a" * 7900, then=OPEN)
    get("target-9000-bytes", "RFC 9110 §15.5.15", 414, target="/" + "a" * 9000)
    get("target-100000-bytes", "RFC 9110 §15.5.15", 414, target="/" + "A" * 100000)
    get("target-query-9000-bytes", "RFC 9110 §15.5.15", 414, target="/?" + "a" * 9000)


def paths():
    c = "RFC 3986 §6.2.2"
    for name, target in (("escaped-letter", "/%70lain"), ("escaped-letters", "/%70%6C%61%69%6e"),
                         ("dot", "/./plain"), ("parent", "/x/../plain"), ("parent-twice", "/x/y/../../plain"),
                         ("escaped-parent", "/x/%2e%2e/plain"), ("half-escaped-parent", "/x/.%2E/plain"),
                         ("dot-escaped", "/%2e/plain")):
        get(f"path-{name}", c, PLAIN, target=target)
    for name, target in (
            ("other-case", "/PLAIN"), ("slash-at-end", "/plain/"), ("two-slashes", "//plain"),
            ("two-slashes-host", "//evil.example/plain"), ("matrix", "/plain;x=1"), ("dot-at-end", "/plain."),
            ("three-dots", "/.../plain"), ("twice-escaped", "/%2570lain"), ("escaped-question", "/plain%3f"),
            ("escaped-hash", "/plain%23"), ("escaped-space", "/plain%20"), ("plus", "/pl+ain"), ("ext", "/plain.json"),
            ("twice-escaped-parent", "/x/%252e%252e/plain"), ("utf-8", "/caf%C3%A9"),
            ("slash-behind-parent", "/plain/x/..")):
        get(f"path-{name}", c, 404, target=target, then=OPEN,
            nginx="it merges slashes" if "slashes" in name else None)
    for name, target in (
            ("bad-escape", "/%zz"), ("escape-cut", "/%4"), ("escape-empty", "/%"), ("escape-sign", "/%+1"),
            ("escaped-nul", "/plain%00"), ("nul-json", "/plain%00.json"), ("escaped-cr-lf", "/plain%0d%0aX: y"[:12]),
            ("escaped-delete", "/%7f"), ("escaped-slash", "/x%2fplain"), ("escaped-slash-upper", "/x%2Fplain"),
            ("escaped-backslash", "/x%5c..%5cplain"), ("above-root", "/../plain"),
            ("above-root-escaped", "/%2e%2e/plain"), ("above-root-deep", "/x/../../plain"),
            ("overlong-slash", "/%c0%af"), ("overlong-dot", "/%c0%ae%c0%ae/plain"), ("not-utf-8", "/%ff"),
            ("surrogate", "/%ed%a0%80"), ("unicode-escape", "/%u002e")):
        get(f"path-{name}", c, 400, target=target)
    get("path-not-found", "RFC 9110 §15.5.5", 404, target="/none", then=OPEN)
    post("path-not-found-with-body", "RFC 9112 §9.3", 404, "Content-Length: 5", target="/none",
         body="hello")


# ---- fields ------------------------------------------------------------------------------------

def hosts():
    c = "RFC 9112 §3.2"
    get("host-missing", c, 400, host=None)
    get("host-missing-1.0", c, OK, host=None, version="HTTP/1.0", then=CLOSED)
    for name, text in {
        "empty": "Host:", "blank": "Host:  ", "twice": "Host: a\r\nHost: b",
        "twice-the-same": "Host: a\r\nHost: a", "twice-other-case": "Host: a\r\nhOST: a",
        "list": "Host: a, b", "user": "Host: u@a", "path": "Host: a/x", "query": "Host: a?x",
        "fragment": "Host: a#x", "scheme": "Host: http://a", "port-of-letters": "Host: a:x",
        "port-empty": "Host: a:", "port-too-large": "Host: a:65536", "port-negative": "Host: a:-1",
        "two-ports": "Host: a:80:81", "space-inside": "Host: a b", "tab-inside": "Host: a\tb",
        "non-ascii": "Host: \xe9", "escape": "Host: a%62", "backslash": "Host: a\\b",
        "semicolon": "Host: a;b", "quotes": 'Host: "a"', "star": "Host: *", "bracket": "Host: [::1",
        "bracket-letters": "Host: [zz]", "bracket-behind": "Host: [::1]x", "nul": "Host: a\x00b",
        "space-before-colon": "Host : a", "tab-before-colon": "Host\t: a", "space-first": " Host: a",
        "port-alone": "Host: :80", "underscore-name": "Ho_st: a", "folded": "Host:\r\n a",
        "slash": "Host: /", "at-only": "Host: @",
    }.items():
        get(f"host-{name}", c, 400, host=text)
    for name, text in {
        "no-space": "Host:a", "spaces": "Host:   a   ", "tab": "Host:\ta", "upper-case": "HOST: A",
        "port": "Host: a:8080", "ip": "Host: 127.0.0.1:80", "ipv6": "Host: [::1]",
        "ipv6-port": "Host: [::1]:8080", "underscore": "Host: a_b", "dot-at-end": "Host: a.example.",
    }.items():
        get(f"host-{name}", c, OK, host=text)
    get("host-behind-others", c, OK, "X: y", "Host: a", host=None)
    get("host-empty-1.0", c, 400, host="Host:", version="HTTP/1.0")
    get("host-forwarded-ignored", c, OK, "X-Forwarded-Host: evil.example", "Forwarded: host=evil")


def fields():
    c = "RFC 9112 §5"
    for name, text in {
        "no-colon": "Nothing", "no-colon-space": "No colon", "empty-name": ": x", "colon-alone": ":",
        "space-before-colon": "X : y", "tab-before-colon": "X\t: y", "space-first": " X: y",
        "nel-before-colon": "X\x85: y", "no-break-space-before-colon": "X\xa0: y",
        "name-over-two-lines": "X-\r\nY: z", "colon-and-nothing": ":\r\nX: y",
        "tab-first": "\tX: y", "space-in-name": "X Y: z", "tab-in-name": "X\tY: z",
        "underscore": "X_Y: z", "underscore-alone": "_: z", "non-ascii-name": "X\xc3\xab: y",
        "equals": "X=y",
    }.items():
        get(f"field-{name}", c, 400, text)
    for ch in '(),/;<=>?@[\\]{}"':
        get(f"field-name-with-{ch}", "RFC 9110 §5.6.2", 400, f"X{ch}Y: z")
    for b in (0, 1, 7, 8, 11, 12, 14, 27, 31, 127):
        get(f"field-value-with-{b:02x}", "RFC 9110 §5.5", 400, f"X: a{chr(b)}b")
        get(f"field-name-with-{b:02x}", "RFC 9110 §5.6.2", 400, f"X{chr(b)}Y: b")
    fold = "RFC 9112 §5.2"
    get("field-fold", fold, 400, "X: a\r\n b")
    get("field-fold-tab", fold, 400, "X: a\r\n\tb")
    get("field-fold-empty", fold, 400, "X:\r\n b")
    get("field-fold-of-spaces", fold, 400, "X: a\r\n ")
    add("field-fold-first", "RFC 9112 §2.2", "GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n", 400)
    add("field-space-line-first", "RFC 9112 §2.2", "GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", 400)
    end = "RFC 9112 §2.2"
    get("field-bare-lf", end, 400, "X: a\nY: b")
    get("field-bare-cr", end, 400, "X: a\rY: b")
    get("field-bare-cr-in-name", end, 400, "X\rY: b")
    get("field-cr-cr-lf", end, 400, "X: a\r")
    get("field-lf-cr", end, 400, "X: a\n\rY: b")
    add("field-end-bare-lf", end, "GET / HTTP/1.1\r\nHost: a\r\n\n", 400)
    add("field-end-lf-lf", end, "GET / HTTP/1.1\nHost: a\n\n", 400)
    add("field-end-cr-cr", end, "GET / HTTP/1.1\r\nHost: a\r\r", 400)
    add("field-end-cr-x", end, "GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n", 400)
    v = "RFC 9110 §5.5"

    def echoes(name, text, want, nginx=None):
        get(f"field-{name}", v, (200, f"Host: a\n{want}\n".encode("latin-1")), text,
            target="/echo", nginx=nginx)

    echoes("spaces-trimmed", "X: \t y \t ", "X: y")
    echoes("no-space", "X:y", "X: y")
    echoes("empty-value", "X:", "X: ")
    echoes("blank-value", "X:   ", "X: ")
    echoes("inner-white-space", "X: a \t b", "X: a \t b")
    echoes("colons", "X: a: b:", "X: a: b:")
    echoes("utf-8", "X: caf\xc3\xa9", "X: caf\xc3\xa9")
    echoes("latin-1", "X: \xa0\xff", "X: \xa0\xff")
    echoes("name-of-all-token-bytes", "!#$%&'*+-.^`|~09azAZ: y", "!#$%&'*+-.^`|~09azAZ: y")
    echoes("twice", "X: 1\r\nX: 2", "X: 1\nX: 2")
    echoes("case-kept", "x-MiXeD: Y", "x-MiXeD: Y")
    echoes("quoted", 'X: "a, \\"b"', 'X: "a, \\"b"')
    limit = "RFC 6585 §5"
    get("field-8000-bytes", limit, OK, "X: " + "a" * 8000)
    get("field-9000-bytes", limit, 431, "X: " + "a" * 9000)
    get("field-100000-bytes", limit, 431, "X: " + "a" * 100000)
    get("field-name-100000-bytes", limit, 431, "A" * 100000 + ": x")
    get("field-three-of-7000-bytes", limit, 431, *[f"X{i}: {'a' * 7000}" for i in range(3)])
    get("field-64", limit, OK, *[f"X{i}: y" for i in range(63)])
    get("field-65", limit, 431, *[f"X{i}: y" for i in range(64)])
    get("field-10000", limit, 431, *[f"X{i}: y" for i in range(10000)])


def semantics():
    get("upgrade-websocket", "RFC 9110 §7.8", OK, "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    get("upgrade-without-connection", "RFC 9110 §7.8", OK, "Upgrade: websocket")
    get("upgrade-h2c", "RFC 9113 §3.1", OK, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABk")
    get("upgrade-1.0", "RFC 9110 §7.8", OK, "Connection: Upgrade", "Upgrade: websocket",
        version="HTTP/1.0", then=CLOSED)
    get("range-ignored", "RFC 9110 §14.2", OK, "Range: bytes=0-0", check={"Content-Range": None},
        nginx="it serves ranges itself")
    get("range-invalid", "RFC 9110 §14.2", OK, "Range: bytes=abc-xyz")
    post("range-of-post", "RFC 9110 §14.2", HELLO, "Content-Length: 5", "Range: bytes=0-1",
         body="hello", nginx="it serves ranges itself")
    get("accept-nonsense", "RFC 9110 §12.5.1", OK, "Accept: application/x-nonsense")
    get("if-none-match", "RFC 9110 §13.1.2", OK, 'If-None-Match: "x"')
    get("if-modified-since-future", "RFC 9110 §13.1.3", OK,
        "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT")
    post("type-twice", "RFC 9110 §5.3", 400, "Content-Length: 5", "Content-Type: text/plain",
         "Content-Type: text/html", body="hello")
    post("type-twice-the-same", "RFC 9110 §5.3", 400, "Content-Length: 5",
         "Content-Type: text/plain", "content-type: text/plain", body="hello")
    post("content-coding-gzip", "RFC 9110 §15.5.16", 415, "Content-Length: 5", "Content-Encoding: gzip",
         body="hello")
    get("reply-has-type", "RFC 9110 §8.3", OK, check={"Content-Type": "text/plain"})
    get("reply-of-record", "RFC 8259", (200, b'{"message":"Hello, World!"}'), target="/json",
        check={"Content-Type": "application/json"})


def cookies():
    c = "RFC 6265 §4.2"

    def cookie(name, want, *fields, nginx=None):
        get(f"cookie-{name}", c, want if isinstance(want, int) else (200, want.encode("latin-1")),
            *fields, target="/cookie", nginx=nginx)

    cookie("none", "")
    cookie("one", "a=b\n", "Cookie: a=b")
    cookie("three", "a=1\nb=2\nc=3\n", "Cookie: a=1; b=2; c=3")
    cookie("two-fields", "a=1\nb=2\n", "Cookie: a=1", "Cookie: b=2")
    cookie("empty-field", "", "Cookie: ")
    cookie("empty-value", "a=\n", "Cookie: a=")
    cookie("empty-name", "", "Cookie: =b")
    cookie("no-equals", "", "Cookie: a")
    cookie("only-separators", "", "Cookie: ===;;;")
    cookie("value-with-space-and-equals", "a=hello world\nb=x=y\n", "Cookie: a=hello world; b=x=y")
    cookie("no-space", "a=1\nb=2\n", "Cookie: a=1;b=2")
    cookie("separator-at-end", "a=1\n", "Cookie: a=1;")
    cookie("comma", "a=1, b=2\n", "Cookie: a=1, b=2")
    cookie("quoted", 'a="x y"\n', 'Cookie: a="x y"')
    cookie("utf-8", "a=\xc3\xa9\n", "Cookie: a=\xc3\xa9")
    cookie("twice", "a=1\na=2\n", "Cookie: a=1; a=2")
    cookie("many", "".join(f"k{i}=v{i}\n" for i in range(500)),
           "Cookie: " + "; ".join(f"k{i}=v{i}" for i in range(500)))
    cookie("nul", 400, "Cookie: a=\x00b")
    cookie("control-bytes", 400, "Cookie: a=\x01\x02\x03")
    cookie("64-kib", 431, "Cookie: a=" + "A" * 65536)


# ---- the body ----------------------------------------------------------------------------------

def lengths():
    c = "RFC 9110 §8.6"
    post("length-5", c, HELLO, "Content-Length: 5", body="hello")
    post("length-0", c, (200, b""), "Content-Length: 0")
    post("length-none", "RFC 9112 §6.3", (200, b""))
    post("length-none-1.0", "RFC 9112 §6.3", (200, b""), version="HTTP/1.0", then=CLOSED)
    post("length-1.0", "RFC 9112 §6.3", HELLO, "Content-Length: 5", body="hello",
         version="HTTP/1.0", then=CLOSED)
    post("length-lower-case", c, HELLO, "content-length: 5", body="hello")
    post("length-no-space", c, HELLO, "Content-Length:5", body="hello")
    post("length-two-spaces", "RFC 9110 §5.5", HELLO, "Content-Length:  5", body="hello")
    post("length-space-behind", "RFC 9110 §5.5", HELLO, "Content-Length: 5 ", body="hello")
    for name, text in {
        "empty": "Content-Length:", "blank": "Content-Length:  ", "letters": "Content-Length: abc",
        "plus": "Content-Length: +5", "minus": "Content-Length: -5", "minus-zero": "Content-Length: -0",
        "minus-one": "Content-Length: -1", "hex": "Content-Length: 0x5", "octal": "Content-Length: 0o5",
        "leading-zero": "Content-Length: 05", "leading-zeros": "Content-Length: 005",
        "two-zeros": "Content-Length: 00", "octal-200": "Content-Length: 0200",
        "list-same": "Content-Length: 5, 5", "list-different": "Content-Length: 5, 10",
        "list-empty-element": "Content-Length: 5,", "list-leading-comma": "Content-Length: ,5",
        "inner-space": "Content-Length: 1 0", "decimal": "Content-Length: 5.0",
        "exponent": "Content-Length: 5e0", "underscore-digit": "Content-Length: 1_0",
        "quotes": 'Content-Length: "5"', "letter-behind": "Content-Length: 5x",
        "semicolon": "Content-Length: 5;x", "non-ascii-digit": "Content-Length: \xd9\xa5",
        "no-break-space": "Content-Length: \xa05", "tab": "Content-Length:\t5",
        "tab-behind": "Content-Length: 5\t", "nul": "Content-Length: 5\x00",
        "vertical-tab": "Content-Length: \x0b5", "2-to-63": "Content-Length: 9223372036854775808",
        "2-to-64-and-5": "Content-Length: 18446744073709551621",
        "20-digits": "Content-Length: 99999999999999999999", "30-digits": "Content-Length: " + "9" * 30,
        "zeros-and-5": "Content-Length: 0000000000000000000005",
        "minus-30-digits": "Content-Length: -" + "9" * 30,
        "twice-same": "Content-Length: 5\r\nContent-Length: 5",
        "twice-different": "Content-Length: 5\r\nContent-Length: 10",
        "twice-first-empty": "Content-Length:\r\nContent-Length: 5",
        "twice-zero": "Content-Length: 0\r\nContent-Length: 5",
        "space-before-colon": "Content-Length : 5", "tab-before-colon": "Content-Length\t: 5",
        "nel-before-colon": "Content-Length\x85: 5", "space-for-colon": "Content-Length 5",
        "folded": "Content-Length:\r\n 5", "name-with-underscore": "Content_Length: 5",
        "name-with-tab": "Content\tLength: 5", "other-name-behind": "Content-Length: 5\r\nContent_Length: 9",
        "spaced-name-behind": "Content-Length: 5\r\nContent-Length : 9", "bare-lf-before": "X: y\nContent-Length: 5",
        "bare-cr-before": "X: y\rContent-Length: 5", "space-first": " Content-Length: 5",
    }.items():
        post(f"length-{name}", c, 400, text, body="hello")
    post("length-65536", "RFC 9110 §15.5.14", (200, b"x" * 65536), "Content-Length: 65536",
         body="x" * 65536)
    post("length-65537", "RFC 9110 §15.5.14", 413, "Content-Length: 65537", body="x" * 65537)
    post("length-announced-1-gib", "RFC 9110 §15.5.14", 413, "Content-Length: 1073741824")
    post("length-15-digits", "RFC 9110 §15.5.14", 413, "Content-Length: " + "9" * 15)
    get("length-of-get", "RFC 9110 §9.3.1", OK, "Content-Length: 5", body="hello")
    get("length-of-head", "RFC 9110 §9.3.2", (200, b""), "Content-Length: 5", body="hello",
        method="HEAD")
    get("length-of-echo", "RFC 9110 §9.3.1", (200, b"Host: a\nContent-Length: 5\n"),
        "Content-Length: 5", body="hello", target="/echo")
    unfinished("unfinished-body", "RFC 9112 §8", head("Content-Length: 10", method="POST") + "hello")
    unfinished("unfinished-body-of-get", "RFC 9112 §8", head("Content-Length: 10") + "hello")
    post("length-names-all-bytes", "RFC 9112 §6.2", (200, bytes(range(256))), "Content-Length: 256",
         body="".join(map(chr, range(256))))


def codings():
    c = "RFC 9112 §6.1"
    body = "5\r\nhello\r\n0\r\n\r\n"
    for name, text in {
        "": "Transfer-Encoding: chunked", "-capital": "Transfer-Encoding: Chunked",
        "-mixed-case": "transfer-encoding: cHuNkEd", "-upper-case": "TRANSFER-ENCODING: CHUNKED",
        "-no-space": "Transfer-Encoding:chunked", "-space-behind": "Transfer-Encoding: chunked ",
    }.items():
        post(f"coding-chunked{name}", c, HELLO, text, body=body)
    get("coding-chunked-of-get", c, OK, "Transfer-Encoding: chunked", body=body)
    get("coding-chunked-of-head", c, (200, b""), "Transfer-Encoding: chunked", body=body,
        method="HEAD")
    get("coding-te-field", "RFC 9110 §10.1.4", OK, "TE: trailers", "Connection: TE")
    for name, text in {
        "unknown": "xchunked", "longer": "chunkedx", "shorter": "chunke", "empty": "", "blank": "  ",
        "identity": "identity", "gzip": "gzip", "not-last": "chunked, gzip",
        "twice": "chunked, chunked", "comma-before": ", chunked", "comma-behind": "chunked,",
        "comma-only": ",", "parameter": "chunked;a=b", "parameter-empty": "chunked;", "quoted": '"chunked"',
        "single-quotes": "'chunked'", "space-inside": "chun ked", "space-joined": "gzip chunked",
        "vertical-tab": "\x0bchunked", "form-feed": "\x0cchunked", "nul-behind": "chunked\x00",
        "no-break-space": "\xa0chunked", "nel": "\x85chunked", "tab-before": "\tchunked",
        "tab-behind": "chunked\t", "kelvin-sign": "chun\xe2\x84\xaaed", "semicolon-list": "gzip; chunked",
        "bare-cr": "chunked\rX: y", "bare-lf": "chunked\nX: y", "folded": "\r\n chunked",
        "folded-list": "gzip,\r\n chunked", "star": "*", "control": "chunk\x01ed", "colon": ": chunked",
        "cr-behind": "chunked\r",
    }.items():
        post(f"coding-{name}", c, 400, f"Transfer-Encoding: {text}", body=body)
        if text not in ("", "  "):
            post(f"coding-{name}-and-length", c, 400, f"Transfer-Encoding: {text}",
                 "Content-Length: 5", body="hello")
    for name, text in {"gzip-chunked": "gzip, chunked", "identity-chunked": "identity, chunked",
                       "unknown-chunked": "foo, chunked"}.items():
        post(f"coding-{name}", c, 501, f"Transfer-Encoding: {text}", body=body)
    for name, text in {
        "name-space-before-colon": "Transfer-Encoding : chunked", "name-tab-before-colon":
        "Transfer-Encoding\t: chunked", "name-underscore": "Transfer_Encoding: chunked",
        "name-space-first": " Transfer-Encoding: chunked", "name-nul": "Transfer\x00-Encoding: chunked",
        "name-behind-bare-lf": "X: y\nTransfer-Encoding: chunked",
        "name-behind-bare-cr": "X: y\rTransfer-Encoding: chunked",
        "name-non-ascii": "Transfer-Encodin\xc7: chunked", "name-two-colons": "Transfer-Encoding:: chunked",
        "name-space-inside": "Transfer -Encoding: chunked",
        "name-over-two-lines": "Transfer-\r\nEncoding: chunked",
    }.items():
        post(f"coding-{name}", "RFC 9112 §5", 400, text, "Content-Length: 5", body="hello")
    add("coding-field-in-first-line-fold", "RFC 9112 §2.2",
        "POST / HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: a\r\n\r\n" + body, 400)
    chunk = "Transfer-Encoding: chunked"
    post("coding-two-fields", c, 400, chunk, chunk, body=body)
    post("coding-two-fields-identity", c, 400, chunk, "Transfer-Encoding: identity", body=body)
    post("coding-two-fields-gzip-first", c, 400, "Transfer-Encoding: gzip", chunk, body=body)
    post("coding-two-fields-empty-first", c, 400, "Transfer-Encoding:", chunk, body=body)
    post("coding-then-length", c, 400, chunk, "Content-Length: 5", body=body)
    post("length-then-coding", c, 400, "Content-Length: 15", chunk, body=body)
    post("length-0-then-coding", c, 400, "Content-Length: 0", chunk, body=body)
    post("coding-then-bad-length", c, 400, chunk, "Content-Length: x", body=body)
    post("coding-then-two-lengths", c, 400, chunk, "Content-Length: 5", "Content-Length: 6",
         body=body)
    get("coding-and-length-of-get", c, 400, chunk, "Content-Length: 5", body=body)
    post("coding-of-1.0", c, 400, chunk, body=body, version="HTTP/1.0")
    post("coding-of-1.0-and-length", c, 400, chunk, "Content-Length: 5", body="hello",
         version="HTTP/1.0")
    post("coding-of-1.0-keep-alive", c, 400, chunk, "Connection: keep-alive", body=body,
         version="HTTP/1.0")
    smuggled = head(target="/plain")
    for name, text in {"": chunk, "-capital": "Transfer-Encoding: Chunked",
                       "-space-behind": "Transfer-Encoding: chunked ",
                       "-comma-before": "Transfer-Encoding: , chunked",
                       "-folded": "Transfer-Encoding:\r\n chunked"}.items():
        post(f"smuggle-cl-te{name}", c, 400, f"Content-Length: {5 + len(smuggled)}", text,
             body="0\r\n\r\n" + smuggled)
    prefix = f"{len(smuggled):x}\r\n"
    post("smuggle-te-cl", c, 400, chunk, f"Content-Length: {len(prefix)}",
         body=f"{prefix}{smuggled}\r\n0\r\n\r\n")
    post("smuggle-cl-cl", "RFC 9110 §8.6", 400, "Content-Length: 4",
         f"Content-Length: {4 + len(smuggled)}", body="PING" + smuggled)
    post("smuggle-plus", "RFC 9110 §8.6", 400, f"Content-Length: +{len(smuggled)}", body=smuggled)


def chunk_sizes():
    c = "RFC 9112 §7.1"
    hello = "5\r\nhello\r\n"
    end = "0\r\n\r\n"
    chunked("chunk-one", c, HELLO, hello + end)
    chunked("chunk-two", c, (200, b"hello world"), hello + "6\r\n world\r\n" + end)
    chunked("chunk-none", c, (200, b""), end)
    chunked("chunk-upper-case", c, (200, b"x" * 10), "A\r\n" + "x" * 10 + "\r\n" + end)
    chunked("chunk-lower-case", c, (200, b"x" * 10), "a\r\n" + "x" * 10 + "\r\n" + end)
    chunked("chunk-leading-zeros", c, HELLO, "00005\r\nhello\r\n000\r\n\r\n")
    chunked("chunk-15-digits", c, HELLO, "000000000000005\r\nhello\r\n" + end)
    chunked("chunk-many-small", c, (200, b"x" * 500), "1\r\nx\r\n" * 500 + end)
    chunked("chunk-data-like-chunks", c, (200, b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
            "17\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\n" + end)
    for name, text in {
        "16-digits": "0000000000000005\r\nhello\r\n" + end, "plus": "+5\r\nhello\r\n" + end,
        "minus": "-5\r\nhello\r\n" + end, "minus-1": "-1\r\nhello\r\n" + end,
        "prefix": "0x5\r\nhello\r\n" + end, "prefix-upper": "0X5\r\nhello\r\n" + end,
        "prefix-end": hello + "0x0\r\n\r\n", "underscore": "0_5\r\nhello\r\n" + end,
        "letter": "g\r\nhello\r\n" + end, "letter-behind": "5g\r\nhello\r\n" + end,
        "h-behind": "5h\r\nhello\r\n" + end, "empty": "\r\nhello\r\n" + end,
        "space-before": " 5\r\nhello\r\n" + end, "space-behind": "5 \r\nhello\r\n" + end,
        "tab-before": "\t5\r\nhello\r\n" + end, "tab-behind": "5\t\r\nhello\r\n" + end,
        "space-inside": "0 5\r\nhello\r\n" + end, "comma": "5,5\r\nhello\r\n" + end,
        "dot": "5.0\r\nhello\r\n" + end, "quotes": '"5"\r\nhello\r\n' + end,
        "2-to-64": "10000000000000000\r\nhello\r\n" + end,
        "2-to-64-and-5": "10000000000000005\r\nhello\r\n" + end,
        "all-f": "FFFFFFFFFFFFFFFF\r\nhello\r\n" + end, "2-to-63": "8000000000000000\r\nhello\r\n" + end,
        "17-f": "F" * 17 + "\r\nhello\r\n" + end, "non-ascii": "\xb2\r\nhello\r\n" + end,
        "nul": "5\x00\r\nhello\r\n" + end, "end-with-sign": "+0\r\n\r\n", "end-minus": "-0\r\n\r\n",
        "end-empty": "\r\n\r\n", "lf": "5\nhello\r\n" + end, "cr": "5\rhello\r\n" + end,
        "cr-cr-lf": "5\r\r\nhello\r\n" + end, "cr-cr-extension": "5\r\r;a\r\nhello\r\n" + end,
        "words": "INVALID!!!\r\n" + end, "words-behind": "5these-bytes\r\nhello\r\n" + end, "lf-lf": "5\n\nhello\r\n" + end,
        "data-too-long": "5\r\nhello!!\r\n" + end, "data-too-short": "5\r\nhell\r\n" + end,
        "data-without-crlf": "5\r\nhello" + end, "data-lf": "5\r\nhello\n" + end,
        "data-cr": "5\r\nhello\r" + end, "data-lf-cr": "5\r\nhello\n\r" + end,
        "data-two-bytes": "5\r\nhelloXX" + end, "data-crlf-twice": "5\r\nhello\r\n\r\n" + end,
        "end-lf": hello + "0\n\r\n", "end-last-lf": hello + "0\r\n\n", "end-lf-lf": hello + "0\n\n",
        "end-cr-cr": hello + "0\r\n\r\r", "end-x": hello + "0\r\nX\r\n", "end-cr": hello + "0\r\r\n\r\n",
    }.items():
        chunked(f"chunk-{name}", c, 400, text)
    unfinished("unfinished-chunks", "RFC 9112 §8",
               head("Transfer-Encoding: chunked", method="POST") + hello)
    unfinished("unfinished-last-chunk", "RFC 9112 §8",
               head("Transfer-Encoding: chunked", method="POST") + hello + "0\r\n")
    unfinished("unfinished-chunk-data", "RFC 9112 §8",
               head("Transfer-Encoding: chunked", method="POST") + "5\r\nhel")
    unfinished("unfinished-chunk-size", "RFC 9112 §8",
               head("Transfer-Encoding: chunked", method="POST") + "5")
    big = "10001\r\n" + "x" * 65537 + "\r\n" + end
    chunked("chunk-65537", "RFC 9110 §15.5.14", 413, big)
    chunked("chunk-65536", "RFC 9110 §15.5.14", (200, b"x" * 65536),
            "8000\r\n" + "x" * 32768 + "\r\n8000\r\n" + "x" * 32768 + "\r\n" + end)
    chunked("chunk-announced-huge", "RFC 9110 §15.5.14", 413, "FFFFFFFFFFFFFFF\r\nhello")


def chunk_extensions():
    c = "RFC 9112 §7.1.1"
    end = "0\r\n\r\n"

    def extension(name, want, text):
        chunked(f"extension-{name}", c, want, f"5{text}\r\nhello\r\n" + end)

    extension("value", HELLO, ";a=b")
    extension("name-only", HELLO, ";a")
    extension("two", HELLO, ";a=b;c")
    extension("quoted", HELLO, ';a="b; c=d"')
    chunked("extension-of-end", c, HELLO, "5\r\nhello\r\n0;a=b\r\n\r\n")
    for name, text in {
        "bare-semicolon": ";", "two-semicolons": ";;", "empty-name": ";=b", "empty-value": ";a=",
        "bad-token": ";a[=b", "space-before": " ;a=b", "space-behind-semicolon": "; a=b",
        "space-behind": ";a=b ", "space-around-equals": ";a = b", "control": ";a\x01=b", "nul": ";a\x00",
        "lf": ";a\nb", "lf-behind-semicolon": ";\n", "cr": ";a\rX", "open-quote": ';a="b',
        "lf-in-quotes": ';a="b\nc"', "cr-in-quotes": ';a="b\rc"', "escape-in-quotes": ';a="b\\"c"',
        "behind-quotes": ';a="b"c', "257-bytes": ";a=" + "b" * 257, "10000-bytes": ";a=" + "b" * 10000,
        "non-ascii": ";\xe9=b", "comma": ";a=b,c",
    }.items():
        extension(name, 400, text)
    chunked("extension-many", c, 400, "1;abcdefgh=ijklmnop\r\nx\r\n" * 50 + end)
    chunked("extension-lf-smuggle", c, 400,
            "2;\nxx\r\n4c\r\n0\r\n\r\n" + head(target="/plain") + "\r\n" + end)


def trailers():
    c = "RFC 9112 §7.1.2"

    def trailer(name, want, text, clause=c):
        chunked(f"trailer-{name}", clause, want, f"5\r\nhello\r\n0\r\n{text}\r\n\r\n")

    trailer("one", HELLO, "X-Sum: 1")
    trailer("two", HELLO, "X-Sum: 1\r\nX-Other: 2")
    trailer("empty-value", HELLO, "X-Sum:")
    trailer("like-a-request", HELLO, "X:POST / HTTP/1.1")
    for name in ("Content-Length", "Transfer-Encoding", "Host", "Authorization", "Content-Type",
                 "Cookie", "Connection", "Expect", "Trailer", "TE", "Upgrade", "X-Forwarded-For",
                 "content-length", "Content-Encoding", "Cache-Control", "Forwarded"):
        trailer(f"forbidden-{name}", 400, f"{name}: 5", "RFC 9110 §6.5.1")
    for name, text in {
        "no-colon": "nothing", "empty-name": ": x", "space-before-colon": "X : y", "folded": "X: a\r\n b",
        "space-first": " X: y", "lf": "X: a\nY: b", "cr": "X: a\rY: b", "nul": "X: \x00",
        "underscore": "X_Y: z", "control": "X: \x01", "request": "GET / HTTP/1.1\r\nHost: a",
        "5000-bytes": "X: " + "a" * 5000, "many": "\r\n".join(f"X{i}: y" for i in range(1000)),
    }.items():
        trailer(name, 400, text)


def expectations():
    c = "RFC 9110 §10.1.1"
    post("expect", c, HELLO, "Expect: 100-continue", "Content-Length: 5", body="hello")
    post("expect-case", c, HELLO, "expect: 100-Continue", "Content-Length: 5", body="hello")
    post("expect-chunked", c, HELLO, "Expect: 100-continue", "Transfer-Encoding: chunked",
         body="5\r\nhello\r\n0\r\n\r\n")
    post("expect-without-body", c, (200, b""), "Expect: 100-continue", "Content-Length: 0")
    get("expect-of-get", c, OK, "Expect: 100-continue")
    post("expect-1.0", c, HELLO, "Expect: 100-continue", "Content-Length: 5", body="hello",
         version="HTTP/1.0", then=CLOSED)
    for name, text in {"unknown": "200-ok", "empty": "", "list": "100-continue, x",
                       "parameter": "100-continue;q=1", "number": "100"}.items():
        post(f"expect-{name}", "RFC 9110 §15.5.18", 417, f"Expect: {text}", "Content-Length: 5",
             body="hello")
    get("expect-unknown-of-get", "RFC 9110 §15.5.18", 417, "Expect: 200-ok")


def connections():
    c = "RFC 9112 §9.3"
    for name, text in {"": "Connection: close", "-upper-case": "CONNECTION: CLOSE",
                       "-in-list": "Connection: x, close", "-spaced": "Connection: , close ,",
                       "-beats-keep-alive": "Connection: keep-alive, close",
                       "-in-second": "Connection: x\r\nConnection: close"}.items():
        get(f"close{name}", c, OK, text, then=CLOSED, check={"Connection": "close"})
    for name, text in {"keep-alive": "Connection: keep-alive", "upgrade": "Connection: upgrade",
                       "longer-word": "Connection: closed", "quoted": 'Connection: "close"',
                       "proxy-connection": "Proxy-Connection: close",
                       "empty": "Connection:"}.items():
        get(f"open-{name}", c, OK, text,
            nginx="it finds the word anywhere" if text.startswith("Connection: ") else None)
    get("open-1.0-keep-alive", c, OK, "Connection: keep-alive", version="HTTP/1.0", then=OPEN,
        check={"Connection": "keep-alive"}, nginx="answers HTTP/1.0 as it likes")
    get("close-1.0-keep-alive-field-only", c, OK, "Keep-Alive: timeout=5", version="HTTP/1.0",
        then=CLOSED)
    get("close-1.0-both", c, OK, "Connection: keep-alive, close", version="HTTP/1.0", then=CLOSED)
    post("close-with-body", c, HELLO, "Connection: close", "Content-Length: 5", body="hello",
         then=CLOSED)
    get("close-not-found", c, 404, "Connection: close", target="/none", then=CLOSED)
    get("connection-names-host", "RFC 9110 §7.6.1", OK, "Connection: Host")


# ---- several on one connection -------------------------------------------------------------------

def pipelines():
    c = "RFC 9112 §9.3.2"
    hello = head("Content-Length: 5", method="POST") + "hello"
    chunks = head("Transfer-Encoding: chunked", method="POST") + "5\r\nhello\r\n0\r\n\r\n"
    plain = head(target="/plain")

    def pipeline(name, raw, *want, then=None, methods=None, nginx=None, clause=c):
        add(f"pipeline-{name}", clause, raw, *want, then=then, nginx=nginx,
            methods=methods or ["GET"] * len(want))

    pipeline("two", GET + plain, OK, PLAIN)
    pipeline("hundred", plain * 100, *[PLAIN] * 100)
    pipeline("bodies", hello + plain + chunks + GET, HELLO, PLAIN, HELLO, OK)
    pipeline("head-between", GET + head(method="HEAD", target="/plain") + plain, OK, (200, b""),
             PLAIN, methods=["GET", "HEAD", "GET"])
    pipeline("options-between", GET + head(method="OPTIONS") + plain, OK, (204, b""), PLAIN)
    pipeline("not-found-between", GET + head(target="/none") + plain, OK, 404, PLAIN)
    pipeline("unknown-method-between", GET + head(method="FOO") + plain, OK, 501, PLAIN)
    pipeline("tasks", head(target="/task") + head(target="/wait?ms=20") + plain, PLAIN,
             (200, b"waited\n"), PLAIN)
    pipeline("thread-between", GET + head(target="/thread") + GET, OK, PLAIN, OK)
    pipeline("wait-and-body", head(target="/wait?ms=20") + hello + chunks, (200, b"waited\n"),
             HELLO, HELLO)
    pipeline("bodies-of-get", (head("Content-Length: 5") + "hello") * 3, OK, OK, OK)
    pipeline("empty-line-between", GET + "\r\n" + plain, OK, PLAIN, clause="RFC 9112 §2.2")
    pipeline("empty-line-behind-body", hello + "\r\n" + plain, HELLO, PLAIN,
             clause="RFC 9112 §2.2")
    pipeline("two-empty-lines-between", GET + "\r\n\r\n" + plain, OK, 400, clause="RFC 9112 §2.2",
             nginx="skips any number of empty lines")
    pipeline("garbage-behind", GET + "\x00\x01", OK, 400)
    pipeline("bad-behind-body", hello + "GET /\x7f HTTP/1.1\r\n\r\n" + plain, HELLO, 400)
    pipeline("behind-close", head("Connection: close") + plain * 3, OK, then=CLOSED)
    pipeline("behind-1.0", head(version="HTTP/1.0") + plain, OK, then=CLOSED)
    pipeline("behind-refused-body", head("Content-Length: 5", method="POST", target="/none")
             + "hello" + plain, 404)
    pipeline("behind-too-large", head("Content-Length: 70000", method="POST") + plain, 413)
    pipeline("behind-bad-chunk", head("Transfer-Encoding: chunked", method="POST")
             + "+0\r\n\r\n" + plain, 400)
    pipeline("behind-expectation", head("Expect: x", "Content-Length: 5", method="POST")
             + "hello" + plain, 417)
    pipeline("behind-options-body", head("Content-Length: 5", method="OPTIONS") + "hello" + plain,
             (204, b""), then=CLOSED, nginx="it need not close")
    inner = plain.encode()
    pipeline("request-in-body", head(f"Content-Length: {len(plain)}", method="POST") + plain + GET,
             (200, inner), OK)
    pipeline("request-in-chunk", head("Transfer-Encoding: chunked", method="POST")
             + f"{len(plain):x}\r\n{plain}\r\n0\r\n\r\n" + GET, (200, inner), OK)
    pipeline("request-in-body-of-get", head(f"Content-Length: {len(plain)}") + plain + GET, OK, OK)
    pipeline("request-in-body-of-head", head(f"Content-Length: {len(plain)}", method="HEAD")
             + plain + GET, (200, b""), OK, methods=["HEAD", "GET"])
    cut = plain[:-2]
    pipeline("cut-request-in-body-of-get", head(f"Content-Length: {len(cut)}") + cut + "\r\n" + GET,
             OK, OK)
    pipeline("poison-behind-length-0", head("Content-Length: 0", method="POST") + "X" + GET,
             (200, b""), 501, then=OPEN, nginx="it knows fewer methods")
    pipeline("poison-behind-chunks", chunks + "X" + GET, HELLO, 501, then=OPEN,
             nginx="it knows fewer methods")
    pipeline("expect-and-next", head("Expect: 100-continue", "Content-Length: 5", method="POST")
             + "hello" + plain, HELLO, PLAIN)
    pipeline("large-bodies", (head("Content-Length: 60000", method="POST") + "y" * 60000) * 5,
             *[(200, b"y" * 60000)] * 5)


for family in (request_lines, versions, methods, targets, paths, hosts, fields, semantics, cookies,
               lengths, codings, chunk_sizes, chunk_extensions, trailers, expectations,
               connections, pipelines):
    family()
