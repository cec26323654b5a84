"""A real Chromium, without a window: `with Chromium(folder) as b`.

`audit()` looks at the page that is open the way a checker of WCAG 2.2 AA does where a program can:
names of controls (4.1.2), language and titles (2.4.2, 3.1.1), headings (1.3.1), contrast of text
and of borders of controls (1.4.3, 1.4.11), width (1.4.10), target size (2.5.8), order of focus
(2.4.3), that a state is said in words (1.4.1), and that words stay whole. It returns sentences;
none is what is wanted.
"""

import base64
import contextlib

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from conftest import wait_for

PHONE, DESKTOP = (320, 640), (1280, 800)

AUDIT = r"""
const faults = [], say = (what, e) =>
    faults.push(what + ": " + e.outerHTML.replace(/\s+/g, " ").slice(0, 120));
const shown = (e) => e.checkVisibility({visibilityProperty: true, opacityProperty: true}) &&
    e.getBoundingClientRect().right > 0;
const name = (e) => (e.getAttribute("aria-label") || (e.labels && e.labels[0] || e).textContent ||
    e.title || "").trim();

if (!document.documentElement.lang) faults.push("the page has no language");
if (!document.title.trim()) faults.push("the page has no title");
if (document.querySelectorAll("h1").length !== 1) faults.push("the page has not one h1");
let level = 1;
for (const h of document.querySelectorAll("h1,h2,h3,h4")) {
    const own = Number(h.tagName[1]);
    if (own > level + 1) say("a heading leaves out a level", h);
    level = own;
}
for (const e of document.querySelectorAll("input,select,textarea,button,a[href]")) {
    if (e.type === "hidden" || e.closest("[aria-hidden=true]") || !shown(e)) continue;
    if (!name(e)) say("it has no name", e);
    if (e.tabIndex < 0) say("the keyboard does not reach it", e);
    if (e.tabIndex > 0) say("it changes the order of focus", e);
    const inline = e.tagName === "A" && getComputedStyle(e).display === "inline";
    const box = (e.labels && e.type === "checkbox" ? e.labels[0] || e : e).getBoundingClientRect();
    if (!inline && (box.width < 24 || box.height < 24) && !e.classList.contains("skip"))
        say(`its target is ${Math.round(box.width)} x ${Math.round(box.height)}`, e);
    for (const id of (e.getAttribute("aria-describedby") || "").split(/\s+/).filter(Boolean))
        if (!document.getElementById(id)) say(`it is described by ${id}, which is not there`, e);
}
for (const e of document.querySelectorAll("img,svg[role=img]"))
    if (!e.getAttribute("alt") && !name(e) && !e.querySelector("title"))
        say("a picture says nothing", e);
const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
for (const id of ids.filter((id, i) => ids.indexOf(id) !== i))
    faults.push("two elements have the id " + id);
const width = arguments[0];
if (document.documentElement.scrollWidth > width)
    faults.push(`the page is ${document.documentElement.scrollWidth} wide on ${width}`);

const parts = (c) => c.match(/[\d.]+/g).map(Number);
const over = (top, below) => {
    const a = top[3] === undefined ? 1 : top[3];
    return [0, 1, 2].map((i) => top[i] * a + below[i] * (1 - a));
};
const behind = (e) => {
    const stack = [];
    for (let at = e; at; at = at.parentElement)
        stack.push(parts(getComputedStyle(at).backgroundColor));
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    return stack.reverse().reduce((below, top) => over(top, below),
        dark ? [18, 18, 18] : [255, 255, 255]);
};
const light = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) =>
        (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
    const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !shown(e) ||
        e.closest("svg,[aria-hidden=true],.skip,script,noscript"))
        continue;
    const style = getComputedStyle(e), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = contrast(over(parts(style.color), behind(e)), behind(e));
    if (ratio < (large ? 3 : 4.5)) say(`contrast ${ratio.toFixed(2)}`, e);
}
for (const e of document.querySelectorAll("input,select,textarea")) {
    if (e.type === "hidden" || e.closest("[aria-hidden=true]") || !shown(e)) continue;
    const ratio = contrast(parts(getComputedStyle(e).borderTopColor), behind(e.parentElement));
    if (e.type !== "checkbox" && e.type !== "radio" && e.type !== "file" && ratio < 3)
        say(`its border has contrast ${ratio.toFixed(2)}`, e);
}
const pen = document.createElement("canvas").getContext("2d");
for (const e of document.querySelectorAll("th,td,dt,h1,h2,label,button")) {
    const style = getComputedStyle(e);
    const room = e.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    pen.font = style.font;
    for (const word of shown(e) && style.display !== "inline" ? e.innerText.split(/\W+/) : [])
        if (word.length < 16 && pen.measureText(word).width > room + 2)
            say(`the word ${word} is broken`, e);
}
for (const e of document.querySelectorAll(".state")) if (!e.textContent.trim())
    say("a state without words", e);
return faults;
"""


class Chromium(contextlib.AbstractContextManager):
    def __init__(self, folder, scripts=True, arguments=()):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for a in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
                  "--no-first-run", "--disable-background-networking", "--disable-component-update",
                  "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
                  f"--user-data-dir={folder}", *arguments):
            options.add_argument(a)
        if not scripts:
            options.add_experimental_option(
                "prefs", {"profile.managed_default_content_settings.javascript": 2})
        self.driver = webdriver.Chrome(
            service=webdriver.chrome.service.Service("/usr/bin/chromedriver"), options=options)
        self.driver.set_page_load_timeout(60)
        self.screen(DESKTOP)

    def __exit__(self, *_):
        self.driver.quit()

    def screen(self, size, dark=False):
        self.width = size[0]
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})

    def open(self, url):
        self.driver.get(url)
        return self

    @property
    def text(self):
        try:
            return self.driver.find_element(By.TAG_NAME, "body").text
        except WebDriverException:
            return ""  # one page goes, the next comes

    def shows(self, words, seconds=30):
        """Waits until the page has come that says so."""
        wait_for(words, lambda: words in self.text, seconds)
        return self

    def type(self, **fields):
        for name, value in fields.items():
            box = self.driver.find_element(By.NAME, name)
            box.clear()
            box.send_keys(value)
        return self

    def press(self, words):
        self.driver.find_element(By.XPATH, f"//button[contains(., '{words}')]").click()
        return self

    def follow(self, words):
        self.driver.find_element(By.PARTIAL_LINK_TEXT, words).click()
        return self

    def value(self, name):
        return self.driver.find_element(By.NAME, name).get_attribute("value")

    # ---- keyboard ----

    @property
    def focused(self):
        return self.driver.switch_to.active_element

    def tab_to(self, what, limit=60):
        """Presses Tab until `what(element)`; every stop on the way shows where it is."""
        for _ in range(limit):
            self.focused.send_keys(Keys.TAB)
            outline = self.driver.execute_script(
                "const s = getComputedStyle(document.activeElement);"
                "return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2")
            assert outline, "focus is not seen: " + self.focused.get_attribute("outerHTML")[:120]
            if what(self.focused):
                return self.focused
        raise AssertionError("Tab does not reach it")

    def audit(self):
        return self.driver.execute_script(AUDIT, self.width)

    def picture(self, path):
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        path.write_bytes(base64.b64decode(shot["data"]))
