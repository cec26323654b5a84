"""People who work for the fest, in browsers without scripts."""

from browser import Browser

PASSWORD = "a sentence to remember"
HOST = "school.example"


def add_user(fest, role, name=None):
    """Makes a user on the command line; the address."""
    email = f"{name or role}@{HOST}"
    fest.usher("admin", "create", email, "--role", role, "--name", (name or role).title(),
               stdin=PASSWORD + "\n")
    return email


def log_in(server, email, password=PASSWORD):
    """A browser after its login."""
    browser = Browser(server)
    reply = browser.send(browser.open("/admin/login").form("Log in"), email=email,
                         password=password)
    assert reply.status == 303, reply.text
    return browser


def press(page_or_browser, page, button, **typed):
    """Presses a button of a page and follows where it leads."""
    return page_or_browser.submit(page.form(button), **typed)
