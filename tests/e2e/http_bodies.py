"""Rows about bodies and what follows them: Content-Length, Transfer-Encoding, chunks, trailers,
Expect, keep-alive, pipelines."""

from http_case import CLOSED, GET, HELLO, OK, OPEN, PLAIN, add, chunked, get, head, post, unfinished

# ---- the body -----------------------------------------------------------------------------------

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
        "plus": "Content-Length: +5", "minus": "Content-Length: -5",
        "minus-zero": "Content-Length: -0",
        "minus-one": "Content-Length: -1", "hex": "Content-Length: 0x5",
        "octal": "Content-Length: 0o5",
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
        "20-digits": "Content-Length: 99999999999999999999",
        "30-digits": "Content-Length: " + "9" * 30,
        "zeros-and-5": "Content-Length: 0000000000000000000005",
        "minus-30-digits": "Content-Length: -" + "9" * 30,
        "twice-same": "Content-Length: 5\r\nContent-Length: 5",
        "twice-different": "Content-Length: 5\r\nContent-Length: 10",
        "twice-first-empty": "Content-Length:\r\nContent-Length: 5",
        "twice-zero": "Content-Length: 0\r\nContent-Length: 5",
        "space-before-colon": "Content-Length : 5", "tab-before-colon": "Content-Length\t: 5",
        "nel-before-colon": "Content-Length\x85: 5", "space-for-colon": "Content-Length 5",
        "folded": "Content-Length:\r\n 5", "name-with-underscore": "Content_Length: 5",
        "name-with-tab": "Content\tLength: 5",
        "other-name-behind": "Content-Length: 5\r\nContent_Length: 9",
        "spaced-name-behind": "Content-Length: 5\r\nContent-Length : 9",
        "bare-lf-before": "X: y\nContent-Length: 5",
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
    unfinished("unfinished-body", "RFC 9112 §8", head("Content-Length: 10",
    method="POST") + "hello")
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
        "unknown": "xchunked", "longer": "chunkedx", "shorter": "chunke", "empty": "",
        "blank": "  ",
        "identity": "identity", "gzip": "gzip", "not-last": "chunked, gzip",
        "twice": "chunked, chunked", "comma-before": ", chunked", "comma-behind": "chunked,",
        "comma-only": ",", "parameter": "chunked;a=b", "parameter-empty": "chunked;",
        "quoted": '"chunked"',
        "single-quotes": "'chunked'", "space-inside": "chun ked", "space-joined": "gzip chunked",
        "vertical-tab": "\x0bchunked", "form-feed": "\x0cchunked", "nul-behind": "chunked\x00",
        "no-break-space": "\xa0chunked", "nel": "\x85chunked", "tab-before": "\tchunked",
        "tab-behind": "chunked\t", "kelvin-sign": "chun\xe2\x84\xaaed",
        "semicolon-list": "gzip; chunked",
        "bare-cr": "chunked\rX: y", "bare-lf": "chunked\nX: y", "folded": "\r\n chunked",
        "folded-list": "gzip,\r\n chunked", "star": "*", "control": "chunk\x01ed",
        "colon": ": chunked",
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
        "name-space-before-colon": "Transfer-Encoding : chunked",
        "name-tab-before-colon": "Transfer-Encoding\t: chunked",
        "name-underscore": "Transfer_Encoding: chunked",
        "name-space-first": " Transfer-Encoding: chunked",
        "name-nul": "Transfer\x00-Encoding: chunked",
        "name-behind-bare-lf": "X: y\nTransfer-Encoding: chunked",
        "name-behind-bare-cr": "X: y\rTransfer-Encoding: chunked",
        "name-non-ascii": "Transfer-Encodin\xc7: chunked",
        "name-two-colons": "Transfer-Encoding:: chunked",
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
        "all-f": "FFFFFFFFFFFFFFFF\r\nhello\r\n" + end,
        "2-to-63": "8000000000000000\r\nhello\r\n" + end,
        "17-f": "F" * 17 + "\r\nhello\r\n" + end, "non-ascii": "\xb2\r\nhello\r\n" + end,
        "nul": "5\x00\r\nhello\r\n" + end, "end-with-sign": "+0\r\n\r\n", "end-minus": "-0\r\n\r\n",
        "end-empty": "\r\n\r\n", "lf": "5\nhello\r\n" + end, "cr": "5\rhello\r\n" + end,
        "cr-cr-lf": "5\r\r\nhello\r\n" + end, "cr-cr-extension": "5\r\r;a\r\nhello\r\n" + end,
        "words": "INVALID!!!\r\n" + end, "words-behind": "5these-bytes\r\nhello\r\n" + end,
        "lf-lf": "5\n\nhello\r\n" + end,
        "data-too-long": "5\r\nhello!!\r\n" + end, "data-too-short": "5\r\nhell\r\n" + end,
        "data-without-crlf": "5\r\nhello" + end, "data-lf": "5\r\nhello\n" + end,
        "data-cr": "5\r\nhello\r" + end, "data-lf-cr": "5\r\nhello\n\r" + end,
        "data-two-bytes": "5\r\nhelloXX" + end, "data-crlf-twice": "5\r\nhello\r\n\r\n" + end,
        "end-lf": hello + "0\n\r\n", "end-last-lf": hello + "0\r\n\n", "end-lf-lf": hello + "0\n\n",
        "end-cr-cr": hello + "0\r\n\r\r", "end-x": hello + "0\r\nX\r\n",
        "end-cr": hello + "0\r\r\n\r\n",
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
        "space-behind": ";a=b ", "space-around-equals": ";a = b", "control": ";a\x01=b",
        "nul": ";a\x00",
        "lf": ";a\nb", "lf-behind-semicolon": ";\n", "cr": ";a\rX", "open-quote": ';a="b',
        "lf-in-quotes": ';a="b\nc"', "cr-in-quotes": ';a="b\rc"', "escape-in-quotes": ';a="b\\"c"',
        "behind-quotes": ';a="b"c', "257-bytes": ";a=" + "b" * 257,
        "10000-bytes": ";a=" + "b" * 10000,
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
        "no-colon": "nothing", "empty-name": ": x", "space-before-colon": "X : y",
        "folded": "X: a\r\n b",
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


# ---- several on one connection ------------------------------------------------------------------

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


for family in (lengths, codings, chunk_sizes, chunk_extensions, trailers, expectations,
               connections, pipelines):
    family()
