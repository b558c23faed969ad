"""The page in a browser: it charges, shows a replay, follows a payment through its life, and is readable in each size and scheme.

With ``DYNAMORM_TEST_PICTURES=1`` the pictures of the guide are made anew.
"""

import base64
import os

import pytest

from examples.payments.load.servers import free_port
from tests.plugins.dashboard_kit import browser
from tests.plugins.test_dashboard_browser import PICTURES, SCHEMES, SCREENS, assert_readable, screen, until
from tests.support.pictures import size_of, smaller
from tests.support.served_pages import served_pages

pytestmark = pytest.mark.once
SHOWN = "desktop"
"""The size of the pictures in the guide."""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    driver = browser(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


@pytest.fixture
def url(tmp_path):
    """A service in a process of its own, begun as the guide says."""
    with served_pages("examples.payments", "--data", str(tmp_path), "--quiet", port=free_port()) as url:
        yield url


def test_a_payment_from_the_form_to_its_refund(chromium, url):
    def text(selector="body"):
        """What an element shows; the page may replace it at any moment, so that it is asked for in one step."""
        return chromium.execute_script(f"return document.querySelector('{selector}')?.innerText ?? ''")

    def press(label):
        """Press the button with this text, once it is there."""
        found = "[...document.querySelectorAll('button')].find((one) => one.innerText.startsWith(arguments[0]))"
        until(lambda: chromium.execute_script(f"const one = {found}; one?.click(); return Boolean(one)", label))

    screen(chromium, SHOWN)
    chromium.get(url)
    press("Sign in as acme")
    until(lambda: "New charge" in text())
    assert chromium.execute_script("return document.cookie") == ""  # no script sees it
    press("Charge")
    until(lambda: "201 authorized" in text("#said"))
    press("Send it again")
    until(lambda: "nothing was charged again" in text("#said"))
    assert chromium.execute_script("return document.querySelectorAll('#live tbody tr').length") == 1
    chromium.execute_script("document.querySelector('#said a').click()")
    until(lambda: "Audit trail" in text())
    for label, state in (("Capture", "captured"), ("Settle", "settled"), ("Refund", "refunded")):
        press(label)
        until(lambda state=state: state in text("h1"))
    until(lambda: text().count("payment.") == 4)  # the page goes on by itself
    assert "125.00 EUR" in text(".postings")
    assert chromium.get_log("browser") == []  # nothing that the policy has refused, and no error

    for scheme in SCHEMES:
        for name, (width, _) in SCREENS.items():
            screen(chromium, name, scheme)
            height = assert_readable(chromium, name)
            if name == SHOWN and os.environ.get("DYNAMORM_TEST_PICTURES") == "1":
                clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
                shot = chromium.execute_cdp_cmd(
                    "Page.captureScreenshot",
                    {"format": "png", "captureBeyondViewport": True, "optimizeForSpeed": True, "clip": clip},
                )
                (PICTURES / f"payments-{scheme}.png").write_bytes(smaller(base64.b64decode(shot["data"])))
    screen(chromium, SHOWN)
    chromium.get(url)
    until(lambda: "New charge" in text())
    order = "a-reference-of-many-words-" * 2
    chromium.execute_script("document.querySelector('[name=order]').value = arguments[0]", order)
    press("Charge")
    until(lambda: order in text("#live"))
    wide = "const one = document.querySelector('.scroll'); return one.scrollWidth > one.clientWidth"
    assert not chromium.execute_script(wide), "a long reference is broken, so that every column is seen"
    chromium.execute_script("document.querySelector('[name=order]').value = 'order-2'")
    for name in SCREENS:
        screen(chromium, name)
        assert_readable(chromium, name)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_guide_has_its_pictures(scheme):
    picture = (PICTURES / f"payments-{scheme}.png").read_bytes()
    assert size_of(picture)[0] == SCREENS[SHOWN][0]
    assert 20_000 < len(picture) < 160_000
