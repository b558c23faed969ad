"""The blog in a browser: it is written in, read on, and is readable in each size and scheme.

With ``DYNAMORM_TEST_PICTURES=1`` the picture of its README is made anew.
"""

import base64
import os
import subprocess

import pytest

from examples.payments.load.servers import free_port
from tests.plugins.dashboard_kit import browser
from tests.plugins.test_dashboard_browser import SCHEMES, SCREENS, assert_readable, screen, until
from tests.support.pictures import size_of, smaller
from tests.support.served_pages import served_pages
from tests.support.wheel import ROOT

pytestmark = pytest.mark.once
PICTURE = ROOT / "examples" / "blog" / "blog.png"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    driver = browser(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def url():
    environment = {name: value for name, value in os.environ.items() if name != "DYNAMODB_ENDPOINT"}
    with served_pages("examples.blog", port=free_port(), env=environment, stdout=subprocess.DEVNULL) as url:
        yield url


def text(chromium, selector="body"):
    return chromium.execute_script(f"return document.querySelector('{selector}')?.innerText ?? ''")


def fill(chromium, **fields):
    for name, value in fields.items():
        chromium.execute_script("document.querySelector(`[name=${arguments[0]}]`).value = arguments[1]", name, value)
    chromium.execute_script("document.querySelector('form button').click()")


def test_a_post_is_written_and_commented_on(chromium, url):
    screen(chromium, "desktop")
    chromium.get(f"{url}/write")
    fill(chromium, title="Seen in a browser", body="It works.", tags="browsers")
    until(lambda: "Seen in a browser" in text(chromium, "h1"))
    assert chromium.current_url == f"{url}/post/seen-in-a-browser"
    fill(chromium, name="Ada", text="<b>Well</b> done")
    until(lambda: "1 comment" in text(chromium, "#comments h2"))
    assert "<b>Well</b> done" in text(chromium, ".comment")  # as it was written
    chromium.get(url)
    assert "Seen in a browser" in text(chromium)
    chromium.execute_script("document.querySelector('#older').click()")
    until(lambda: "cursor=" in chromium.current_url)
    assert "Keys first" in text(chromium)
    assert chromium.get_log("browser") == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_is_readable_in_each_size(chromium, url, scheme):
    for name, (width, _) in SCREENS.items():
        screen(chromium, name, scheme)
        for page in ("/", "/write", "/tag/http", "/post/keys-first", "/post/keys-first/edit", "/post/gone"):
            chromium.get(f"{url}{page}")
            height = assert_readable(chromium, name)
            if (name, scheme, page) == ("desktop", "light", "/") and os.environ.get("DYNAMORM_TEST_PICTURES") == "1":
                clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
                settings = {"format": "png", "captureBeyondViewport": True, "optimizeForSpeed": True, "clip": clip}
                shot = chromium.execute_cdp_cmd("Page.captureScreenshot", settings)
                PICTURE.write_bytes(smaller(base64.b64decode(shot["data"])))


def test_the_readme_has_its_picture():
    picture = PICTURE.read_bytes()
    assert size_of(picture)[0] == SCREENS["desktop"][0]
    assert 10_000 < len(picture) < 160_000
