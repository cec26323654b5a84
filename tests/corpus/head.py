#!/usr/bin/python3
"""Writes tests/corpus/head/: one raw request per file, named after its verdict and what it shows.

    tests/corpus/head.py        (from anywhere; rewrites the folder)

The name begins with the verdict of ush_head_parse under the direct limits: "ok" (accepted),
"partial" (not complete yet) or the status it is refused with. head_test.c checks every verdict,
oracle_test.c that llhttp in strict mode accepts what is accepted, with the same fields and body,
and head_fuzz starts from these files. The requests are ours; the facts behind them are RFC 9112,
RFC 9110 and the published classes of request smuggling.
"""
import os
import shutil

CASES = {}


def add(name, raw):
    assert name not in CASES, name
    CASES[name] = raw if isinstance(raw, bytes) else raw.encode("latin-1")


def get(name, *fields, target="/", method="GET", version="HTTP/1.1", host="Host: a", body=b""):
    """A request with these further field lines."""
    lines = [f"{method} {target} {version}"] + ([host] if host else []) + list(fields)
    add(name, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)


def post(name, *fields, **more):
    get(name, *fields, method="POST", **more)


# ---- what people send
get("ok-minimal")
get("ok-curl", "User-Agent: curl/7.88.1", "Accept: */*", host="Host: 127.0.0.1:8080")
get("ok-browser", "Connection: keep-alive", "Upgrade-Insecure-Requests: 1",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
    "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "Accept-Language: en-IN,hi;q=0.5",
    "Accept-Encoding: gzip, deflate, br", "Cookie: a=1; b=\"two\"", "Sec-Fetch-Mode: navigate",
    target="/e/robotics?utm_source=chat&fbclid=IwAR0", host="Host: fest.example.org")
post("ok-form", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 9",
     body=b"name=Mira")
post("ok-chunked", "Transfer-Encoding: chunked", body=b"4\r\nMira\r\n3\r\n Ray\r\n0\r\n\r\n")
post("ok-chunked-upper-case", "TRANSFER-ENCODING: CHUNKED", body=b"0\r\n\r\n")
post("ok-chunked-trailer", "Transfer-Encoding: chunked", body=b"1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n")
post("ok-chunked-extension", "Transfer-Encoding: chunked", body=b"1;a=b\r\nx\r\n0\r\n\r\n")
post("ok-chunked-quoted-extension", "Transfer-Encoding: chunked",
     body=b"1;a=\"b; c\"\r\nx\r\n0\r\n\r\n")
post("ok-chunked-leading-zeros", "Transfer-Encoding: chunked", body=b"0004\r\nMira\r\n00\r\n\r\n")
post("ok-length-zero", "Content-Length: 0")
post("ok-post-without-length")
get("ok-get-with-body", "Content-Length: 3", body=b"abc")
get("ok-head", method="HEAD")
get("ok-put", "Content-Length: 1", method="PUT", body=b"1")
get("ok-patch", "Content-Length: 1", method="PATCH", body=b"1")
get("ok-delete", method="DELETE")
get("ok-options", method="OPTIONS", target="/e")
get("ok-options-asterisk", method="OPTIONS", target="*")
get("ok-method-unknown", method="BREW")
get("ok-method-trace", method="TRACE")
get("ok-method-lower-case", method="get")
get("ok-method-one-letter", method="G")
get("ok-method-all-tchars", method="!#$%&'*+-.^_`|~09azAZ")
get("ok-method-pri", method="PRI")
get("ok-pipelined", body=b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
get("ok-followed-by-garbage", body=b"\x00\x01\xff")
get("ok-upgrade-ignored", "Upgrade: websocket", "Connection: Upgrade")
get("ok-h2c-upgrade-ignored", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings",
    "HTTP2-Settings: AAMAAABk")
add("ok-one-empty-line-before", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")

# ---- versions and connections
get("ok-1.0", version="HTTP/1.0")
get("ok-1.0-without-host", version="HTTP/1.0", host=None)
get("ok-1.0-keep-alive", "Connection: keep-alive", version="HTTP/1.0")
get("ok-1.0-keep-alive-and-close", "Connection: keep-alive, close", version="HTTP/1.0")
get("ok-1.0-expect-ignored", "Expect: 100-continue", "Content-Length: 0", version="HTTP/1.0")
get("ok-close", "Connection: close")
get("ok-close-upper-case", "CONNECTION: CLOSE")
get("ok-close-in-list", "Connection: x, close")
get("ok-close-in-second-field", "Connection: x", "Connection: close")
get("ok-connection-empty-elements", "Connection: , ,close,,")
get("ok-connection-close-prefix", "Connection: closed")
get("ok-connection-with-space-inside", "Connection: keep alive")
get("ok-connection-empty", "Connection:")
post("ok-expect", "Expect: 100-continue", "Content-Length: 2", body=b"hi")
post("ok-expect-upper-case", "Expect: 100-CONTINUE", "Content-Length: 2", body=b"hi")
get("ok-expect-without-body", "Expect: 100-continue")
get("505-1.2", version="HTTP/1.2")
get("505-1.9", version="HTTP/1.9")
get("505-2.0", version="HTTP/2.0")
get("505-0.9", version="HTTP/0.9")
get("505-3.0", version="HTTP/3.0")
add("505-http2-preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
get("400-version-lower-case", version="http/1.1")
get("400-version-without-minor", version="HTTP/1")
get("400-version-two-digits", version="HTTP/1.10")
get("400-version-leading-zero", version="HTTP/01.1")
get("400-version-letter", version="HTTP/1.x")
get("400-version-comma", version="HTTP/1,1")
get("400-version-other-protocol", version="HTTPS/1.1")
get("400-version-rtsp", version="RTSP/1.0")
get("400-version-space-inside", version="HTTP/ 1.1")
get("400-version-trailing-space", version="HTTP/1.1 ")
get("400-version-missing", version="")
add("400-simple-request", "GET /\r\n\r\n")
add("400-simple-request-with-host", "GET /\r\nHost: a\r\n\r\n")

# ---- the request line
add("400-two-spaces-before-target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n")
add("400-two-spaces-before-version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n")
add("400-tab-before-target", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n")
add("400-tab-before-version", "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n")
add("400-leading-space", " GET / HTTP/1.1\r\nHost: a\r\n\r\n")
add("400-two-empty-lines-before", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
add("400-bare-lf-before", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
add("400-bare-cr-before", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n")
add("400-no-method", " / HTTP/1.1\r\nHost: a\r\n\r\n")
add("400-no-target", "GET HTTP/1.1\r\nHost: a\r\n\r\n")
add("400-empty-target", "GET  HTTP/1.1\r\nHost: a\r\n\r\n")
add("400-words-behind-version", "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n")
add("400-bare-lf-in-request-line", "GET / HTTP/1.1\nHost: a\r\n\r\n")
add("400-bare-cr-in-request-line", "GET / HTTP/1.1\rHost: a\r\n\r\n")
add("400-cr-inside-target", "GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n")
add("400-cr-cr-lf", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n")
add("400-tls-hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
add("400-socks", b"\x05\x01\x00")
get("400-method-with-parenthesis", method="GE(T")
get("400-method-with-colon", method="GET:")
get("400-method-with-slash", method="GE/T")
get("400-method-not-ascii", method="G\xc9T")
add("400-method-with-nul", "G\0ET / HTTP/1.1\r\nHost: a\r\n\r\n")

# ---- targets
get("ok-target-query", target="/a?b=c&d")
get("ok-target-empty-query", target="/a?")
get("ok-target-question-marks", target="/a?b?c??")
get("ok-target-percent", target="/%e2%9c%93?q=%20")
get("ok-target-bad-percent-is-for-the-path", target="/%zz")
get("ok-target-double-slash", target="//a//b")
get("ok-target-dots", target="/../a/./b")
get("ok-target-sub-delims", target="/!$&'()*+,;=:@-._~")
get("ok-target-left-raw-by-browsers", target="/a[0]|^`{}?x[]={y}")
get("ok-target-colon-slashes-in-path", target="/http://b/")
get("ok-target-long", target="/" + "a" * 2000)
get("ok-absolute", target="http://a/x?y")
get("ok-absolute-https", target="https://a/x")
get("ok-absolute-scheme-upper-case", target="HTTP://a/")
get("ok-absolute-host-case", target="http://EXAMPLE.org/", host="Host: example.ORG")
get("ok-absolute-without-path", target="http://a")
get("ok-absolute-query-without-path", target="http://a?x=1")
get("ok-absolute-port", target="http://a:81/", host="Host: a:81")
get("ok-absolute-ipv6", target="http://[::1]:81/", host="Host: [::1]:81")
get("ok-absolute-1.0-without-host", target="http://a/", version="HTTP/1.0", host=None)
get("400-absolute-other-host", target="http://b/")
get("400-absolute-other-port", target="http://a:80/")
get("400-absolute-without-host-field", target="http://a/", host=None)
get("400-absolute-empty-host", target="http:///x")
get("400-absolute-userinfo", target="http://u@a/")
get("400-absolute-userinfo-password", target="http://u:p@a/")
get("400-absolute-other-scheme", target="ftp://a/")
get("400-absolute-one-slash", target="http:/a")
get("400-absolute-scheme-only", target="http://")
get("400-absolute-bad-port", target="http://a:99999/", host="Host: a:99999")
get("400-absolute-backslash", target="http://a\\@b/")
get("400-target-word", target="index.html")
get("400-target-dot", target="./a")
get("400-target-query-only", target="?a")
get("400-target-asterisk-get", target="*")
get("400-target-asterisk-more", target="*/a", method="OPTIONS")
get("400-target-fragment", target="/a#b")
get("400-target-quote", target="/a\"b")
get("400-target-angle", target="/<script>")
get("400-target-backslash", target="/a\\b")
get("400-target-space", target="/a b")
get("400-target-tab", target="/a\tb")
get("400-target-nul", target="/a\0b")
get("400-target-del", target="/a\x7fb")
get("400-target-utf8-raw", target="/\xe2\x9c\x93")
get("400-target-high-byte", target="/\xff")
get("400-authority-form-get", target="a:80")
get("501-connect", target="a:443", method="CONNECT")
get("501-connect-origin-form", target="/", method="CONNECT")

# ---- Host
get("ok-host-port", host="Host: example.org:8080")
get("ok-host-ipv4", host="Host: 192.0.2.7")
get("ok-host-ipv6", host="Host: [2001:db8::7]")
get("ok-host-ipv6-port", host="Host: [2001:db8::7]:80")
get("ok-host-ipv6-mapped", host="Host: [::ffff:192.0.2.7]")
get("ok-host-underscore-and-dots", host="Host: a_b.c-d.")
get("ok-host-name-case", host="hOSt: a")
get("ok-host-padded", host="Host: \t a \t ")
get("ok-host-last", "X: y", "Host: a", host=None)
get("400-host-missing", host=None)
get("400-host-empty", host="Host:")
get("400-host-twice", "Host: b")
get("400-host-twice-equal", "Host: a")
get("400-host-twice-1.0", "Host: b", version="HTTP/1.0")
get("400-host-list", host="Host: a, b")
get("400-host-space", host="Host: a b")
get("400-host-slash", host="Host: a/b")
get("400-host-userinfo", host="Host: u@a")
get("400-host-scheme", host="Host: http://a")
get("400-host-query", host="Host: a?b")
get("400-host-quote", host="Host: a\"b")
get("400-host-angle", host="Host: <a>")
get("400-host-high-byte", host="Host: a\xe9")
get("400-host-port-empty", host="Host: a:")
get("400-host-port-letters", host="Host: a:http")
get("400-host-port-too-large", host="Host: a:65536")
get("400-host-port-six-digits", host="Host: a:000080")
get("400-host-port-negative", host="Host: a:-1")
get("400-host-two-ports", host="Host: a:1:2")
get("400-host-port-only", host="Host: :80")
get("400-host-ipv6-open", host="Host: [::1")
get("400-host-ipv6-empty", host="Host: []")
get("400-host-ipv6-zone", host="Host: [fe80::1%eth0]")
get("400-host-ipv6-behind", host="Host: [::1]a")
get("400-host-space-before-colon", host="Host : a")

# ---- field lines
get("ok-value-empty", "X:")
get("ok-value-spaces-only", "X:  \t ")
get("ok-value-padded", "X: \t y \t")
get("ok-value-without-space", "X:y")
get("ok-value-with-colons", "X: a:b::c")
get("ok-value-inner-tab", "X: a\tb")
get("ok-value-utf8", "Cookie: name=\xc3\xa9")
get("ok-value-high-bytes", "X: \x80\xff")
get("ok-value-every-visible", "X: " + "".join(map(chr, range(0x20, 0x7f))) + ".")
get("ok-name-all-tchars", "!#$%&'*+-.^`|~09azAZ: y")
get("ok-name-one-letter", "x: y")
get("ok-same-name-twice", "X: 1", "X: 2")
get("ok-64-fields", *[f"X-{i}: {i}" for i in range(63)])
get("431-65-fields", *[f"X-{i}: {i}" for i in range(64)])
get("431-200-fields", *[f"X-{i}: {i}" for i in range(199)])
get("400-name-underscore", "X_Forwarded_For: 192.0.2.1")
get("400-name-underscore-length", "Content_Length: 4")
get("400-name-empty", ": y")
get("400-name-space", "X Y: z")
get("400-name-space-before-colon", "X : y")
get("400-name-tab-before-colon", "X\t: y")
get("400-name-without-colon", "X")
get("400-name-parenthesis", "X(Y): z")
get("400-name-quote", "\"X\": z")
get("400-name-at", "X@Y: z")
get("400-name-slash", "X/Y: z")
get("400-name-equals", "X=Y: z")
get("400-name-bracket", "X[0]: z")
get("400-name-high-byte", "X\xe9: z")
get("400-name-bom", "\xef\xbb\xbfX: z")
get("400-name-nul", "X\0: z")
get("400-name-del", "X\x7f: z")
add("400-first-field-after-space", "GET / HTTP/1.1\r\n Host: a\r\n\r\n")
add("400-first-line-only-space", "GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n")
get("400-fold-space", "X: a", " b")
get("400-fold-tab", "X: a", "\tb")
get("400-fold-of-empty-value", "X:", " b")
get("400-fold-of-host", " b")
get("400-fold-transfer-encoding", "Transfer-Encoding:", " chunked", body=b"0\r\n\r\n")
get("400-value-nul", "X: a\0b")
get("400-value-bell", "X: a\x07b")
get("400-value-escape", "X: \x1b[2J")
get("400-value-del", "X: a\x7fb")
get("400-value-vertical-tab", "X: \x0by")
get("400-value-form-feed", "X: \x0cy")
get("400-value-bare-cr", "X: a\rb")
get("400-value-bare-cr-then-field", "X: a\rTransfer-Encoding: chunked")
get("400-value-bare-lf", "X: a\nTransfer-Encoding: chunked")
get("400-value-cr-cr", "X: a\r")
add("400-end-bare-lf", "GET / HTTP/1.1\r\nHost: a\r\n\n")
add("400-end-all-bare-lf", "GET / HTTP/1.1\nHost: a\n\n")
add("400-end-lf-cr-lf", "GET / HTTP/1.1\r\nHost: a\n\r\n")
add("400-end-cr-cr-lf", "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n")
add("400-no-fields-1.1", "GET / HTTP/1.1\r\n\r\n")
add("ok-no-fields-1.0", "GET / HTTP/1.0\r\n\r\n")
get("417-expect-other", "Expect: tea")
get("417-expect-list", "Expect: 100-continue, tea")
get("417-expect-empty", "Expect:")

# ---- the length of the body: Content-Length
for shown, value in {
        "empty": "", "plus": "+4", "minus": "-4", "minus-zero": "-0", "hex": "0x4", "dot": "4.0",
        "exponent": "4e0", "underscore": "1_0", "leading-zero": "04", "two-zeros": "00",
        "list": "4, 4", "list-tight": "4,4", "list-different": "4, 5", "semicolon": "4;",
        "space-inside": "1 0", "word": "four", "quoted": "\"4\"", "tab-behind": "4\t",
        "tab-before": "\t4", "sixteen-digits": "1000000000000000", "2-to-the-63":
        "9223372036854775808", "2-to-the-64-and-4": "18446744073709551620", "arabic-digit":
        "\xd9\xa4", "comma-behind": "4,", "trailing-letter": "4a", "octal": "0o4",
        "nbsp-behind": "4\xa0"}.items():
    post(f"400-length-{shown}", f"Content-Length: {value}", body=b"Mira")
post("ok-length-padded", "Content-Length:    4  ", body=b"Mira")
post("ok-length-without-space", "Content-Length:4", body=b"Mira")
post("ok-length-fifteen-digits", "Content-Length: 999999999999999")
post("ok-length-1.0", "Content-Length: 4", version="HTTP/1.0", body=b"Mira")
post("400-length-twice", "Content-Length: 4", "Content-Length: 5", body=b"Mira")
post("400-length-twice-equal", "Content-Length: 4", "Content-Length: 4", body=b"Mira")
post("400-length-twice-first-empty", "Content-Length:", "Content-Length: 4", body=b"Mira")
post("400-length-space-before-colon", "Content-Length : 4", body=b"Mira")
post("400-length-nul", "Content-Length: 4\0", body=b"Mira")
post("ok-length-as-other-name", "Content-Length-X: 4", "XContent-Length: 4")

# ---- the length of the body: Transfer-Encoding
for shown, value in {
        "empty": "", "identity": "identity", "xchunked": "xchunked", "chunkedx": "chunkedx",
        "chunked-twice": "chunked, chunked", "chunked-then-gzip": "chunked, gzip",
        "chunked-then-identity": "chunked, identity", "gzip-only": "gzip", "quoted": "\"chunked\"",
        "single-quoted": "'chunked'", "vertical-tab": "\x0bchunked", "semicolon": "chunked;",
        "parameter": "chunked;q=1", "tab-before": "\tchunked", "tab-behind": "chunked\t",
        "comma-behind": "gzip,", "nul-behind": "chunked\0", "high-byte": "chunked\xa0",
        "high-byte-before": "\xa0chunked", "colon": ": chunked", "space-inside": "chu nked",
        "space-word": "chunked x", "brackets": "[chunked]", "bad-token-first": "@, chunked",
        "cow": "cow"}.items():
    post(f"400-coding-{shown}", f"Transfer-Encoding: {value}", body=b"0\r\n\r\n")
post("501-coding-gzip-chunked", "Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n")
post("501-coding-identity-chunked", "Transfer-Encoding: identity, chunked", body=b"0\r\n\r\n")
post("400-coding-chunked-comma", "Transfer-Encoding: chunked,", body=b"0\r\n\r\n")
post("400-coding-comma-chunked", "Transfer-Encoding: ,chunked", body=b"0\r\n\r\n")
post("ok-coding-padded", "Transfer-Encoding:   chunked  ", body=b"0\r\n\r\n")
post("400-coding-twice", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked",
     body=b"0\r\n\r\n")
post("400-coding-then-identity", "Transfer-Encoding: chunked", "Transfer-Encoding: identity",
     body=b"0\r\n\r\n")
post("400-coding-after-identity", "Transfer-Encoding: identity", "Transfer-Encoding: chunked",
     body=b"0\r\n\r\n")
post("400-coding-1.0", "Transfer-Encoding: chunked", version="HTTP/1.0", body=b"0\r\n\r\n")
post("400-coding-1.0-keep-alive", "Connection: keep-alive", "Transfer-Encoding: chunked",
     version="HTTP/1.0", body=b"0\r\n\r\n")
post("400-coding-underscore", "Transfer_Encoding: chunked", body=b"0\r\n\r\n")
post("400-coding-space-before-colon", "Transfer-Encoding : chunked", body=b"0\r\n\r\n")
post("400-coding-folded", "Transfer-Encoding: chunked", " , identity", body=b"0\r\n\r\n")
post("400-coding-behind-bare-lf", "X: y\nTransfer-Encoding: chunked", body=b"0\r\n\r\n")
post("400-length-and-coding", "Content-Length: 5", "Transfer-Encoding: chunked",
     body=b"0\r\n\r\n")
post("400-coding-and-length", "Transfer-Encoding: chunked", "Content-Length: 5",
     body=b"0\r\n\r\n")
post("400-coding-and-length-zero", "Transfer-Encoding: chunked", "Content-Length: 0",
     body=b"0\r\n\r\n")
post("ok-coding-as-other-name", "X-Transfer-Encoding: chunked", "Transfer-Encodings: chunked")
post("ok-te-is-not-transfer-encoding", "TE: trailers")

# ---- not complete yet
for shown, raw in {
        "nothing": "", "method": "GE", "request-line": "GET / HTTP/1.1", "cr": "GET / HTTP/1.1\r",
        "one-line": "GET / HTTP/1.1\r\n", "fields": "GET / HTTP/1.1\r\nHost: a\r\n",
        "end-cr": "GET / HTTP/1.1\r\nHost: a\r\n\r", "empty-line": "\r\n", "first-cr": "\r",
        "name": "GET / HTTP/1.1\r\nHos",
        "wrong-but-unseen": "GET / HTTP/9.9\r\nX X: y\r\n"}.items():
    add(f"partial-{shown}", raw)
add("400-method-too-long", "A" * 8200 + " / HTTP/1.1\r\nHost: a\r\n\r\n")
post("400-two-types", "Content-Type: text/plain", "Content-Type: application/json",
     "Content-Length: 2", body=b"{}")
add("414-before-the-end", "GET /" + "a" * 8200)
add("431-field-before-the-end", "GET / HTTP/1.1\r\nX: " + "a" * 8200)
add("431-head-before-the-end", "GET / HTTP/1.1\r\n" + ("X: " + "a" * 4000 + "\r\n") * 5)

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "head")
shutil.rmtree(folder, ignore_errors=True)
os.makedirs(folder)
for case_name, case_raw in CASES.items():
    with open(os.path.join(folder, case_name), "wb") as f:
        f.write(case_raw)
print(len(CASES), "requests in", os.path.relpath(folder))
