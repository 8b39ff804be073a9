"""API keys in the settings page: made, copied, used by real programs, revoked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from playwright.sync_api import Page, expect

from tests.browser.conftest import OFFICE, Enter
from tests.browser.test_phone import PHONE
from tests.browser.window import ECHO, Window, wait_for
from tests.live import Site, clean_environment

OVERVIEW = "/settings/keys"


def make(page: Page, name: str, model: str = "") -> str:
    """Make a key as a person does, and read it off the page."""
    page.get_by_role("link", name="Make a key").click()
    page.get_by_label("Name").fill(name)
    if model:
        page.get_by_label("Only some").check()
        page.get_by_label(model, exact=True).check()
    page.get_by_role("button", name="Make the key").click()
    return page.get_by_label("API key", exact=True).text_content() or ""


def call(site: Site, key: str) -> tuple[int, list[str]]:
    """What a program gets with this key: the status and the models."""
    headers = {"Authorization": f"Bearer {key}"}
    try:
        with urlopen(Request(f"{site.url}/v1/models", headers=headers), timeout=30) as answer:
            return answer.status, [model["id"] for model in json.load(answer)["data"]]
    except HTTPError as error:
        with error:
            return error.code, []


def revoke(page: Page, name: str) -> None:
    page.get_by_role("link", name=f"Revoke {name}").click()
    page.get_by_role("button", name="Revoke the key").click()
    expect(page.get_by_text(f"The key {name} is revoked.")).to_be_visible()


def pasted(window: Window) -> str:
    window.open("/chat/").text.fill("")
    window.text.press("Control+v")
    return window.text.input_value()


def keeps(folder: Path, secret: str) -> list[str]:
    """The files of the product in which a text stands."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if secret.encode() in path.read_bytes()]


def test_it_works(enter: Enter, site: Site) -> None:
    window = enter("charlie", "/settings/")
    page = window.page
    page.get_by_role("link", name="API keys").click()
    expect(page.get_by_role("heading", name="No keys yet")).to_be_visible()
    key = make(page, "laptop")
    status, models = call(site, key)
    assert status == 200
    assert ECHO in models
    # A reload shows the list, and no second key comes of it.
    page.reload()
    expect(page).to_have_url(re.compile(f"{OVERVIEW}$"))
    expect(page.locator(".accounts-key")).to_have_count(1)
    expect(page.locator(".accounts-key")).to_contain_text("Last used")
    assert key not in page.content()
    revoke(page, "laptop")
    assert call(site, key) == (401, [])
    expect(page.get_by_role("heading", name="No key that works")).to_be_visible()
    assert keeps(site.data, key[12:]) == []


def test_what_is_ready_to_paste_runs(enter: Enter, site: Site) -> None:
    window = enter("bob", OVERVIEW)
    page = window.page
    key = make(page, "limited", ECHO)
    assert call(site, key) == (200, [ECHO])
    python = page.locator("#sample-python")
    expect(python).to_be_visible()
    expect(page.locator("#sample-curl")).to_be_hidden()
    assert run([sys.executable, "-c", python.text_content() or ""]) == "Hello!"
    page.get_by_label("curl").check()
    expect(python).to_be_hidden()
    answer = json.loads(run(["sh", "-c", page.locator("#sample-curl").text_content() or ""]))
    assert answer["choices"][0]["message"]["content"] == "Hello!"
    window.open(OVERVIEW)
    revoke(page, "limited")


def run(command: list[str]) -> str:
    done = subprocess.run(
        command, env=clean_environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_copying_works_on_plain_http(enter: Enter) -> None:
    window = enter("bob", OVERVIEW, host=OFFICE)
    page = window.page
    key = make(page, "copied")
    page.locator('[data-copy="#secret"]').click()
    expect(page.locator(".toast", has_text="Copied")).to_be_visible()
    assert pasted(window) == key
    window.open(OVERVIEW)
    page.locator('[data-copy="#base"]').click()
    expect(page.locator(".toast", has_text="Copied")).to_be_visible()
    assert pasted(window) == f"{window.url}/v1"
    window.open(OVERVIEW)
    revoke(page, "copied")


def test_only_what_a_choice_needs_is_seen(enter: Enter) -> None:
    page = enter("bob", f"{OVERVIEW}/new").page
    day, model = page.get_by_label("Last day"), page.get_by_label(ECHO, exact=True)
    expect(day).to_be_hidden()
    expect(model).to_be_hidden()
    page.get_by_label("Works").select_option("date")
    expect(day).to_be_visible()
    page.get_by_label("Only some").check()
    expect(model).to_be_visible()
    page.get_by_label("Name").fill("nothing chosen")
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_text("Choose at least one model.")).to_be_visible()
    expect(page.get_by_text("Choose a day.")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("nothing chosen")
    expect(model).to_be_visible()


def test_an_admin_revokes_on_the_page_of_a_person(enter: Enter, site: Site) -> None:
    key = make(enter("bob", OVERVIEW).page, "lent")
    window = enter("alice", "/settings/users")
    page = window.page
    page.get_by_role("link", name="bob").click()
    expect(page.get_by_text(key[:11])).to_be_visible()
    assert key not in page.content()
    revoke(page, "lent")
    expect(page.get_by_role("heading", name="bob")).to_be_visible()
    wait_for(lambda: call(site, key)[0] == 401, "the key is refused")


def test_no_page_is_wider_than_a_phone(enter: Enter) -> None:
    window = enter("bob", OVERVIEW, **PHONE)
    assert window.overflow() <= 0
    make(window.page, "a long name " * 6)
    assert window.overflow() <= 0
    window.open(OVERVIEW)
    assert window.overflow() <= 0
    window.page.get_by_role("link", name="Revoke a long name").click()
    assert window.overflow() <= 0
    window.page.get_by_role("button", name="Revoke the key").click()
    window.open(f"{OVERVIEW}/new")
    assert window.overflow() <= 0
