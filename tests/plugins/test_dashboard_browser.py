"""The dashboard in a browser: it signs in, goes on by itself, and is readable in each size and in both schemes.

With ``DYNAMORM_TEST_PICTURES=1`` the pictures of the guide are made anew.
"""

import base64
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dynamorm.plugins import Dashboard
from dynamorm.testing import FakeClock
from tests.plugins.dashboard_kit import Shop, browser
from tests.plugins.scripts import Payment, Scripted
from tests.support.pictures import size_of, smaller

pytestmark = pytest.mark.once

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "guide" / "pictures"
SCREENS = {"desktop": (1280, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")

# What is wider than the place it has, what overlaps, and the least contrast of a text with its ground.
LOOK = """
const wide = [], over = [];
for (const one of document.querySelectorAll('main *, header *')) {
  if (one.closest('svg') || !one.getClientRects().length) continue;
  const inside = getComputedStyle(one).display === 'inline' ? false : one.scrollWidth > one.clientWidth + 1;
  const box = one.getBoundingClientRect();
  if (inside || box.right > document.documentElement.clientWidth + 1 || box.left < -1) wide.push(one.outerHTML.slice(0, 120));
}
const shown = (one) => one.getClientRects().length;
for (const row of [...document.querySelectorAll('main'), ...document.querySelectorAll('.tiles, tr, .panel, .plot, header')]) {
  const boxes = [...row.children].filter(shown).map((one) => [one, one.getBoundingClientRect()]);
  boxes.forEach(([one, a], at) => boxes.slice(at + 1).forEach(([other, b]) => {
    if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
      over.push(one.outerHTML.slice(0, 80) + ' | ' + other.outerHTML.slice(0, 80));
  }));
}
const light = (text) => {
  const parts = text.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
  const [r, g, b] = parts.map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (one) => {
  for (; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (!colour.startsWith('rgba(0, 0, 0, 0')) return colour;
  }
};
let least = 99, where = '';
for (const one of document.querySelectorAll('main *, header *')) {
  if (one.closest('svg') || !shown(one) || ![...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
  const [a, b] = [light(getComputedStyle(one).color), light(ground(one))].sort((x, y) => y - x);
  const contrast = (a + 0.05) / (b + 0.05);
  if (contrast < least) [least, where] = [contrast, one.outerHTML.slice(0, 120)];
}
return {wide, over, least, where, width: document.documentElement.scrollWidth, height: document.documentElement.scrollHeight};
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    driver = browser(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


def until(condition):
    """Wait for what comes within seconds, on a machine that is not busy."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it has not come"
        time.sleep(0.05)


def screen(driver, name, scheme="light"):
    width, height = SCREENS[name]
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": name == "phone"},
    )
    until(lambda: driver.execute_script("return innerWidth") == width)


def assert_readable(driver, name):
    found = driver.execute_script(LOOK)
    assert found["wide"] == []
    assert found["over"] == []
    assert found["least"] >= 4.5, found["where"]
    assert found["width"] == SCREENS[name][0]
    return found["height"]


def test_it_signs_in_and_goes_on_by_itself(chromium):
    here = Scripted("blocking", dashboard := Dashboard(), clock=FakeClock())
    screen(chromium, "desktop")
    chromium.get(dashboard.url)
    address = dashboard.url.partition("?")[0]
    until(lambda: chromium.current_url == address)  # the page behind the token goes on by itself
    assert chromium.execute_script("return document.cookie") == ""  # no script sees it
    (cookie,) = chromium.get_cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert f"http://127.0.0.1:{dashboard._port}{cookie['path']}" == address
    until(lambda: chromium.find_elements("id", "last-operations"))
    rows = "return [...document.querySelectorAll('#last-operations tbody tr')].map((row) => row.innerText)"
    assert chromium.execute_script(rows) == []
    here.db.get(Payment, "p1")
    until(lambda: len(chromium.execute_script(rows)) == 1)
    assert "get Payment" in chromium.execute_script(rows)[0]

    state = "return document.getElementById('state').textContent"
    button = chromium.find_element("id", "pause")
    button.click()
    assert (chromium.execute_script(state), button.text) == ("paused", "Go on")
    here.db.get(Payment, "p1")
    time.sleep(2.2)
    assert len(chromium.execute_script(rows)) == 1
    button.click()
    until(lambda: len(chromium.execute_script(rows)) == 2)
    assert chromium.execute_script(state) == "live"
    assert chromium.get_log("browser") == []  # nothing that the policy has refused, and no error

    chromium.delete_all_cookies()
    until(lambda: chromium.execute_script(state) == "open the URL with its token again")
    here.db.close()
    until(lambda: chromium.execute_script(state) == "no answer: the database may be closed")
    chromium.get_log("browser")


@pytest.mark.parametrize("way", ["link", "window"])
def test_a_link_on_another_site_leads_in(chromium, way):
    """As in a notebook, whose site is localhost; and none of the other programs of this host is sent the cookie."""
    here, cookies = Scripted("blocking", dashboard := Dashboard(), clock=FakeClock()), []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            cookies.append(self.headers["Cookie"])
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            target = ' target="_blank"' if way == "window" else ""
            self.wfile.write(f'<link rel="icon" href="data:,"><a href="{dashboard.url}"{target}>open</a>'.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        first = chromium.current_window_handle
        chromium.get(f"http://localhost:{server.server_port}/")
        chromium.find_element("tag name", "a").click()
        if way == "window":
            until(lambda: len(chromium.window_handles) == 2)
            chromium.switch_to.window(chromium.window_handles[-1])
        until(lambda: chromium.current_url == dashboard.url.partition("?")[0])
        until(lambda: chromium.find_elements("id", "figures"))
        chromium.get(f"http://127.0.0.1:{server.server_port}/")
        assert cookies == [None, None]
        if way == "window":
            chromium.close()
            chromium.switch_to.window(first)
        server.shutdown()
    here.db.close()
    chromium.get_log("browser")


def entered(driver, url):
    """Open the page by its URL, and wait until it is there."""
    driver.get(url)
    until(lambda: driver.find_elements("id", "figures"))


def test_no_page_of_another_origin_reads_it(chromium):
    """Another program on this machine is of the same site to a browser, so that the cookie is sent."""
    here = Scripted("blocking", dashboard := Dashboard(), clock=FakeClock())
    other = Scripted("blocking", stranger := Dashboard(), clock=FakeClock())
    entered(chromium, dashboard.url)
    chromium.get(stranger.url.partition("?")[0])  # 401: a page without a policy for scripts of a test
    asked = "const [url, done] = arguments; fetch(url, {credentials: 'include'}).then(() => done('read'), () => done('refused'))"
    assert chromium.execute_async_script(asked, f"{dashboard.url.partition('?')[0]}figures.json") == "refused"
    here.db.close()
    other.db.close()
    chromium.get_log("browser")


def test_the_pictures_of_the_guide(chromium, monkeypatch):
    shop = Shop(monkeypatch)
    entered(chromium, shop.dashboard.url)
    for scheme in SCHEMES:
        for name, (width, _) in SCREENS.items():
            screen(chromium, name, scheme)
            height = assert_readable(chromium, name)
            if os.environ.get("DYNAMORM_TEST_PICTURES") == "1":
                clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
                shot = chromium.execute_cdp_cmd(
                    "Page.captureScreenshot",
                    {"format": "png", "captureBeyondViewport": True, "optimizeForSpeed": True, "clip": clip},
                )
                PICTURES.mkdir(exist_ok=True)
                picture = smaller(base64.b64decode(shot["data"]))
                (PICTURES / f"dashboard-{scheme}-{name}.png").write_bytes(picture)
    assert chromium.get_log("browser") == []
    shop.db.close()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", SCREENS)
def test_the_guide_has_its_pictures(scheme, name):
    picture = (PICTURES / f"dashboard-{scheme}-{name}.png").read_bytes()
    assert size_of(picture)[0] == SCREENS[name][0]
    assert 20_000 < len(picture) < 160_000


@pytest.mark.parametrize("name", SCREENS)
def test_long_names_and_large_numbers_fit(chromium, monkeypatch, name):
    from tests.plugins.test_dashboard_page import figures

    here = Scripted("blocking", dashboard := Dashboard(), clock=FakeClock())
    told = figures("AnUnbreakableNameOfATable_" * 10, 123_456.789, 0.9876)
    monkeypatch.setattr("dynamorm.plugins.dashboard.plugin.figures_of", lambda *_: told)
    entered(chromium, dashboard.url)
    screen(chromium, name)
    assert_readable(chromium, name)
    here.db.close()


@pytest.mark.parametrize("name", SCREENS)
def test_a_database_that_has_done_nothing(chromium, name):
    here = Scripted("blocking", dashboard := Dashboard(), clock=FakeClock())
    entered(chromium, dashboard.url)
    screen(chromium, name, "dark")
    assert_readable(chromium, name)
    assert "db.use(CostPlugin())" in chromium.find_element("id", "cost").text
    here.db.close()
