"""Rows about heads: request line, version, method, target, path, Host, fields, cookies."""

from http_case import CLOSED, GET, HELLO, OK, OPEN, PLAIN, add, get, line, post, unfinished

# ---- the request line ---------------------------------------------------------------------------

def request_lines():
    c = "RFC 9112 §3"
    line("line-good", c, OK, "GET / HTTP/1.1")
    for name, text in {
        "two-spaces-before-target": "GET  / HTTP/1.1",
        "two-spaces-before-version": "GET /  HTTP/1.1",
        "tab-before-target": "GET\t/ HTTP/1.1", "tab-before-version": "GET /\tHTTP/1.1",
        "space-at-start": " GET / HTTP/1.1", "space-at-end": "GET / HTTP/1.1 ",
        "tab-at-end": "GET / HTTP/1.1\t", "no-target": "GET HTTP/1.1",
        "no-target-two-spaces": "GET  HTTP/1.1", "method-alone": "GET", "target-alone": "/",
        "no-spaces": "GET/HTTP/1.1",
        "space-in-target": "GET /pa th HTTP/1.1", "vertical-tab": "GET\x0b/ HTTP/1.1",
        "form-feed": "GET\x0c/ HTTP/1.1", "bare-cr-as-space": "GET /\rHTTP/1.1",
        "bare-lf-as-space": "GET /\nHTTP/1.1", "word-behind-version": "GET / HTTP/1.1 x",
        "two-versions": "GET / HTTP/1.1 HTTP/1.1", "no-version": "GET /",
        "no-version-space": "GET / ",
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
    for m in ("get", "Get", "FOO", "BREW", "G", "TRACE", "PROPFIND", "GETT", "GE", "PURGE",
              "M-SEARCH"):
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
            ("control", "/\x01", 400), ("tab", "/a\tb", 400), ("delete", "/\x7f", 400),
            ("non-ascii", "/caf\xc3\xa9", 400),
            ("latin-1", "/\xe9", 400), ("backslash", "/a\\b", 400), ("less-than", "/<a>", 400),
            ("quote", '/"a"', 400), ("relative", "plain", 400), ("dot", ".", 400), ("query-alone",
            "?a=b", 400),
            ("bang", "!", 400), ("authority", "a:80", 400), ("ftp", "ftp://a/", 400),
            ("mailto", "mailto:x@a", 400), ("no-host", "http:///", 400),
            ("scheme-alone", "http://", 400), ("one-slash", "http:/a", 400), ("user", "http://u@a/",
            400),
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
                         ("dot", "/./plain"), ("parent", "/x/../plain"), ("parent-twice",
                         "/x/y/../../plain"),
                         ("escaped-parent", "/x/%2e%2e/plain"), ("half-escaped-parent",
                         "/x/.%2E/plain"),
                         ("dot-escaped", "/%2e/plain")):
        get(f"path-{name}", c, PLAIN, target=target)
    for name, target in (
            ("other-case", "/PLAIN"), ("slash-at-end", "/plain/"), ("two-slashes", "//plain"),
            ("two-slashes-host", "//evil.example/plain"), ("matrix", "/plain;x=1"), ("dot-at-end",
            "/plain."),
            ("three-dots", "/.../plain"), ("twice-escaped", "/%2570lain"), ("escaped-question",
            "/plain%3f"),
            ("escaped-hash", "/plain%23"), ("escaped-space", "/plain%20"), ("plus", "/pl+ain"),
            ("ext", "/plain.json"),
            ("twice-escaped-parent", "/x/%252e%252e/plain"), ("utf-8", "/caf%C3%A9"),
            ("slash-behind-parent", "/plain/x/..")):
        get(f"path-{name}", c, 404, target=target, then=OPEN,
            nginx="it merges slashes" if "slashes" in name else None)
    for name, target in (
            ("bad-escape", "/%zz"), ("escape-cut", "/%4"), ("escape-empty", "/%"), ("escape-sign",
            "/%+1"),
            ("escaped-nul", "/plain%00"), ("nul-json", "/plain%00.json"), ("escaped-cr-lf",
            "/plain%0d%0aX: y"[:12]),
            ("escaped-delete", "/%7f"), ("escaped-slash", "/x%2fplain"), ("escaped-slash-upper",
            "/x%2Fplain"),
            ("escaped-backslash", "/x%5c..%5cplain"), ("above-root", "/../plain"),
            ("above-root-escaped", "/%2e%2e/plain"), ("above-root-deep", "/x/../../plain"),
            ("overlong-slash", "/%c0%af"), ("overlong-dot", "/%c0%ae%c0%ae/plain"), ("not-utf-8",
            "/%ff"),
            ("surrogate", "/%ed%a0%80"), ("unicode-escape", "/%u002e")):
        get(f"path-{name}", c, 400, target=target)
    get("path-not-found", "RFC 9110 §15.5.5", 404, target="/none", then=OPEN)
    post("path-not-found-with-body", "RFC 9112 §9.3", 404, "Content-Length: 5", target="/none",
         body="hello")


# ---- fields -------------------------------------------------------------------------------------

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
        "space-before-colon": "Host : a", "tab-before-colon": "Host\t: a",
        "space-first": " Host: a",
        "port-alone": "Host: :80", "underscore-name": "Ho_st: a", "folded": "Host:\r\n a",
        "slash": "Host: /", "at-only": "Host: @",
    }.items():
        get(f"host-{name}", c, 400, host=text)
    for name, text in {
        "no-space": "Host:a", "spaces": "Host:   a   ", "tab": "Host:\ta", "upper-case": "HOST: A",
        "port": "Host: a:8080", "ip": "Host: 127.0.0.1:80", "ipv6": "Host: [::1]",
        "ipv6-port": "Host: [::1]:8080", "underscore": "Host: a_b",
        "dot-at-end": "Host: a.example.",
    }.items():
        get(f"host-{name}", c, OK, host=text)
    get("host-behind-others", c, OK, "X: y", "Host: a", host=None)
    get("host-empty-1.0", c, 400, host="Host:", version="HTTP/1.0")
    get("host-forwarded-ignored", c, OK, "X-Forwarded-Host: evil.example", "Forwarded: host=evil")


def fields():
    c = "RFC 9112 §5"
    for name, text in {
        "no-colon": "Nothing", "no-colon-space": "No colon", "empty-name": ": x",
        "colon-alone": ":",
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
    c = "RFC 9110 §13.1.2"
    known = (304, b"")
    tag = {"ETag": '"ok"', "Content-Length": None}
    get("if-none-match-other", c, OK, 'If-None-Match: "x"', check={"ETag": '"ok"'})
    for name, text in {"": '"ok"', "-weak": 'W/"ok"', "-star": "*",
                       "-list": '"a" , "ok","b"'}.items():
        get(f"if-none-match{name}", c, known, f"If-None-Match: {text}", check=tag)
    for name, text in {"-case": '"OK"', "-unquoted": "ok", "-cut": '"ok', "-empty": "",
                       "-part": '"okay"'}.items():
        get(f"if-none-match{name}", c, OK, f"If-None-Match: {text}")
    get("if-none-match-of-head", c, known, 'If-None-Match: "ok"', method="HEAD", check=tag)
    get("if-none-match-before-date", "RFC 9110 §13.2.2", known, 'If-None-Match: "ok"',
        "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT")
    get("if-none-match-with-body", c, known, 'If-None-Match: "ok"', "Content-Length: 5",
        body="hello")
    get("if-none-match-of-plain", c, PLAIN, "If-None-Match: *", target="/plain")
    get("if-modified-since-future", "RFC 9110 §13.1.3", OK,
        "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT")
    post("type-twice", "RFC 9110 §5.3", 400, "Content-Length: 5", "Content-Type: text/plain",
         "Content-Type: text/html", body="hello")
    post("type-twice-the-same", "RFC 9110 §5.3", 400, "Content-Length: 5",
         "Content-Type: text/plain", "content-type: text/plain", body="hello")
    post("content-coding-gzip", "RFC 9110 §15.5.16", 415, "Content-Length: 5",
         "Content-Encoding: gzip",
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


for family in (request_lines, versions, methods, targets, paths, hosts, fields, semantics,
               cookies):
    family()
