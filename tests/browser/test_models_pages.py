"""The pages of the models as an admin uses them: the list that moves by itself, one model, the
search, an upload that breaks off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Enter
from tests.browser.window import ECHO, wait_for
from tests.live import Site

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
PAGES = [
    "/settings/models",
    "/settings/models/add",
    "/settings/models/hub?q=a/b:c",
    "/settings/models/repository?repo=Qwen/Qwen2.5-1.5B-Instruct-GGUF",
    "/settings/models/file",
    "/settings/machines",
    "/settings/hub",
]
MAKE = """
from chatsite.catalogue.models import Model
model, _ = Model.objects.get_or_create(name="paged", defaults={"engine": "echo", "source": {}})
print(model.pk)
"""
UNMAKE = """
from chatsite.catalogue.models import Model
Model.objects.filter(name="paged").delete()
"""
# The hub of these tests is nobody, so that nothing is asked of the real one.
NO_HUB = """
from chatsite.catalogue import hub
hub.change("http://127.0.0.1:9", [])
"""


@pytest.fixture(scope="module")
def model(site: Site) -> Iterator[int]:
    site.shell(NO_HUB)
    yield int(site.shell(MAKE).split()[-1])
    site.shell(
        "from chatsite.catalogue.models import Model; Model.objects.filter(name='paged').delete()"
    )


def test_it_works(enter: Enter, model: int) -> None:
    admin = enter("alice", "/settings/models")
    page = admin.page
    bob = enter().ready()
    offered = bob.page.locator('#models input[value="paged"]')
    expect(offered).to_have_count(1)
    line = page.locator('[data-model="paged"]')
    line.get_by_role("switch").click()
    expect(line.get_by_role("switch")).to_have_attribute("aria-checked", "false")
    expect(offered).to_have_count(0)
    line.get_by_role("switch").click()
    expect(offered).to_have_count(1)
    # Focus stays where it was, although the part is new.
    expect(line.get_by_role("switch")).to_be_focused()

    line.get_by_role("link", name="paged", exact=True).click()
    page.get_by_label("Display name").fill("The pager")
    page.get_by_label("Other names").fill("gpt-page")
    page.get_by_text("Parameters").click()
    page.get_by_label("Temperature").fill("9")
    page.get_by_role("button", name="Save").click()
    # The browser itself says what is wrong, and nothing is sent.
    assert page.get_by_label("Temperature").evaluate("field => !field.validity.valid")
    page.get_by_label("Temperature").fill("0.4")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(bob.page.locator('#models [data-title="The pager"]')).to_have_count(1)


def test_loaded_tried_and_unloaded(enter: Enter, model: int) -> None:
    page = enter("alice", f"/settings/models/{model}").page
    page.get_by_role("button", name="Load now").click()
    expect(page.get_by_role("button", name="Unload now")).to_be_enabled(timeout=30_000)
    page.get_by_label("Test prompt").fill("one two three")
    page.get_by_role("button", name="Try", exact=True).click()
    expect(page.locator(".library-answer")).to_have_text("one two three")
    page.get_by_role("button", name="Unload now").click()
    expect(page.get_by_role("button", name="Load now")).to_be_enabled(timeout=30_000)


def test_one_click_to_a_chat(enter: Enter, model: int) -> None:
    admin = enter("alice", "/settings/models")
    admin.page.locator('[data-model="paged"]').get_by_role("link", name="Chat").click()
    admin.ready()
    expect(admin.page.locator('#models input[value="paged"]')).to_be_checked()
    admin.say("hello", model="paged")
    admin.wait_done()
    assert admin.answer() == "hello"


def test_what_is_chosen_stays_chosen_when_models_come(enter: Enter, site: Site, model: int) -> None:
    bob = enter().ready()
    bob.choose("paged")
    site.shell("from chatsite.catalogue import actions; actions.tell()")
    bob.page.wait_for_timeout(1500)
    expect(bob.page.locator('#models input[value="paged"]')).to_be_checked()
    bob.choose(ECHO)


def test_the_list_is_searched_while_one_types(enter: Enter) -> None:
    page = enter("alice", "/settings/models/add").page
    entries = page.locator(".library-entry")
    expect(entries.first).to_be_visible()
    every = entries.count()
    page.get_by_label("Search models").press_sequentially("coder", delay=30)
    wait_for(lambda: 0 < entries.count() < every, "fewer entries")
    expect(entries.first).to_contain_text("Coder")
    page.get_by_label("Search models").fill("")
    wait_for(lambda: entries.count() == every, "all entries")
    page.get_by_label("Purpose").select_option("embedding")
    wait_for(lambda: 0 < entries.count() < every, "vectors only")
    page.get_by_label("Search models").fill("owner/name:Q4_K_M")
    expect(page.locator(".library-wanted")).to_be_visible()


def test_an_upload_that_breaks_off_goes_on(enter: Enter, site: Site, tmp_path: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + bytes(20 << 20))
    window = enter("alice", "/settings/models/file")
    window.watch.allow("ERR_", "Failed to load")
    page = window.page
    offsets: list[str] = []

    def pass_on(route: Route) -> None:
        request = route.request
        if request.method == "PUT":
            offsets.append(request.url.partition("offset=")[2])
            if len(offsets) == 2:
                route.abort("connectionreset")
                return
        route.continue_()

    page.route("**/uploads/**", pass_on)
    page.locator("#upload-file").set_input_files(file)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page).to_have_url(re.compile("/settings/models$"), timeout=30_000)
    piece = 8 << 20
    assert offsets == ["0", str(piece), str(piece), str(2 * piece)]
    # It is no model, which the border finds out.
    coming = page.locator(".library-delivery", has_text="broken.gguf")
    expect(coming.get_by_role("alert")).to_be_visible(timeout=60_000)
    coming.get_by_role("button", name="Take from the list").click()
    expect(coming).to_have_count(0)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_every_page_fits_a_phone(enter: Enter, model: int, path: str, locale: str) -> None:
    window = enter("alice", path, locale=locale, color_scheme="dark", **PHONE)
    window.page.wait_for_load_state("networkidle")
    assert window.overflow() <= 0
    assert window.page.locator("main h1").inner_text().strip()


def test_everything_by_the_keyboard(enter: Enter, model: int) -> None:
    page = enter("alice", "/settings/models").page
    switch = page.locator('[data-model="paged"]').get_by_role("switch")
    switch.focus()
    page.keyboard.press("Space")
    expect(switch).to_have_attribute("aria-checked", "false")
    page.keyboard.press("Enter")
    expect(switch).to_have_attribute("aria-checked", "true")


def test_nobody_but_admins(enter: Enter, model: int) -> None:
    window = enter("bob", "/settings/")
    window.watch.allow("Failed to load resource.*403")
    expect(window.page.get_by_role("link", name="Models")).to_have_count(0)
    window.open("/settings/models")
    expect(window.page.locator("main, .simple")).not_to_contain_text("Add a model")
