"""A browser without scripts, as far as forms and links go: what a page asks for is what is sent.

A test that fills in a form only names what a person types; hidden fields, the method and the
address come from the page, as they do in a real browser.
"""

import html.parser
import urllib.parse
import uuid

HTML = "text/html,application/xhtml+xml"


class Form:
    def __init__(self, attributes):
        self.method = attributes.get("method", "get").upper()
        self.action = attributes.get("action", "")
        self.is_multipart = attributes.get("enctype") == "multipart/form-data"
        self.files = set()
        self.fields = {}
        self.ticks = {}  # name -> value that is sent when ticked
        self.buttons = []
        self.presses = {}  # name of a button -> the values it may send
        self.required = set()


class _Reader(html.parser.HTMLParser):
    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.page, self.stack, self.link = page, [], None
        self.select = self.area = None

    def handle_starttag(self, tag, attributes):
        a = {k: v if v is not None else "" for k, v in attributes}
        page = self.page
        if "id" in a:
            assert a["id"] not in page.ids, f"two elements have the id {a['id']}"
            page.ids[a["id"]] = a
        if tag == "form":
            page.forms.append(Form(a))
        elif tag == "input" and page.forms:
            self._input(page.forms[-1], a)
        elif tag == "button" and page.forms:
            page.forms[-1].buttons.append("")
            if "name" in a:
                page.forms[-1].presses.setdefault(a["name"], []).append(a.get("value", ""))
        elif tag == "select" and page.forms and "name" in a:
            self.select = a["name"]
            if "required" in a:
                page.forms[-1].required.add(self.select)
        elif tag == "option" and page.forms and self.select:
            if "selected" in a or self.select not in page.forms[-1].fields:
                page.forms[-1].fields[self.select] = a.get("value")
        elif tag == "textarea" and page.forms and "name" in a:
            self.area = a["name"]
            page.forms[-1].fields[self.area] = ""
        elif tag == "a":
            self.link = [a.get("href", ""), ""]
        elif tag == "meta":
            page.metas[a.get("name") or a.get("http-equiv") or a.get("property")] = a.get("content")
        if tag in ("title", "h1", "button", "script", "style"):
            self.stack.append(tag)

    @staticmethod
    def _input(form, a):
        name = a.get("name")
        if not name:
            return
        if a.get("type") in ("checkbox", "radio"):
            form.ticks[name] = a.get("value", "on")
            if "checked" in a:
                form.fields[name] = form.ticks[name]
        else:
            form.fields[name] = a.get("value", "")
        if a.get("type") == "file":
            form.fields[name] = ("", b"")  # nothing is chosen
            form.files.add(name)
        if "required" in a:
            form.required.add(name)

    def handle_endtag(self, tag):
        if tag == "select":
            self.select = None
        if tag == "textarea":
            self.area = None
        if tag == "a" and self.link:
            self.page.links.append((self.link[0], " ".join(self.link[1].split())))
            self.link = None
        if self.stack and self.stack[-1] == tag:
            self.stack.pop()

    def handle_data(self, data):
        top = self.stack[-1] if self.stack else None
        if self.area:
            form = self.page.forms[-1]
            form.fields[self.area] += data if form.fields[self.area] else data.removeprefix("\n")
        elif self.select and self.page.forms[-1].fields.get(self.select, "") is None:
            self.page.forms[-1].fields[self.select] = data.strip()
        if top == "title":
            self.page.title += data
            return
        assert top != "script", "a page carries a script"
        if top == "button" and self.page.forms:
            self.page.forms[-1].buttons[-1] += data
        if self.link:
            self.link[1] += data
        self.page.pieces.append(data)


class Page:
    def __init__(self, reply, url):
        self.status, self.headers, self.url = reply.status, reply.headers, url
        self.html = reply.text
        self.title, self.pieces, self.forms, self.links = "", [], [], []
        self.ids, self.metas = {}, {}
        _Reader(self).feed(self.html)
        self.text = " ".join(" ".join(self.pieces).split())

    def link(self, words):
        found = [href for href, text in self.links if words in text]
        assert found, f"no link {words!r} among {self.links}"
        return found[0]

    def form(self, button):
        found = [f for f in self.forms if any(button in b for b in f.buttons)]
        assert found, f"no form with a button {button!r} on {self.url}"
        return found[0]

    def value(self, field):
        """What a field of the page's form holds."""
        return next(f.fields[field] for f in self.forms if field in f.fields)


def multipart(pairs):
    """The type and the body as browsers send them (RFC 7578); a file is (name, bytes)."""
    boundary = "----WebKitFormBoundary" + uuid.uuid4().hex[:16]
    body = b""
    for name, value in pairs:
        file = value if isinstance(value, tuple) else None
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        if file:
            body += f'; filename="{file[0]}"\r\nContent-Type: application/octet-stream'.encode()
        body += b"\r\n\r\n" + (file[1] if file else value.encode()) + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


class Browser:
    def __init__(self, server):
        self.server, self.cookies = server, {}

    def _headers(self):
        cookies = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        return {"Accept": HTML, **({"Cookie": cookies} if cookies else {})}

    def _keep(self, reply):
        for cookie in reply.cookies:
            name, value = cookie.split(";")[0].split("=", 1)
            self.cookies[name] = value
        return reply

    def open(self, url):
        path = self._path(url)
        return Page(self._keep(self.server.request("GET", path, headers=self._headers())), path)

    def _path(self, url):
        """Links are relative, or absolute and lead to this server."""
        parts = urllib.parse.urlsplit(url)
        assert not parts.netloc or parts.port == self.server.port, f"{url} leaves the site"
        return urllib.parse.urlunsplit(("", "", parts.path, parts.query, ""))

    def fill(self, form, **typed):
        """The pairs that pressing the button sends. Dots in names are written "__"."""
        fields = dict(form.fields)
        for name, value in typed.items():
            name = name.replace("__", ".")
            assert name in fields or name in form.ticks or value in form.presses.get(name, ()), \
                f"the form has no field {name}"
            fields[name] = value
        return list(fields.items())

    def send(self, form, **typed):
        """Presses the button; the bare answer."""
        pairs, headers = self.fill(form, **typed), self._headers()
        if form.is_multipart:
            headers["Content-Type"], pairs = multipart(pairs)
        return self._keep(self.server.form(self._path(form.action), pairs, headers))

    def submit(self, form, **typed):
        """Presses the button and follows where it leads."""
        if form.method == "GET":
            return self.open(f"{form.action}?{urllib.parse.urlencode(self.fill(form, **typed))}")
        reply = self.send(form, **typed)
        if reply.status == 303:
            return self.open(reply.headers["location"])
        return Page(reply, self._path(form.action))

    def register(self, slug, **typed):
        """Opens the form in a new tab and sends it."""
        form = self.open(f"/e/{slug}/register").form("Register")
        return self.submit(form, **{"name": "Asha Rao", "email": "asha@school.example",
                                    "school": "Green Valley School", **typed})
