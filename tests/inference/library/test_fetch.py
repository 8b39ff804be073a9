"""Downloads: whatever the network and the hub do, what arrives is what the hub has, and what has
come once is not asked for again."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inference.library import fetch
from inference.library.nouns import Errand, FileRef, LibraryError
from tests.hub.fixtures import address, download, hub
from tests.hub.repos import Repo
from tests.hub.server import Hub

__all__ = ["hub"]
WEIGHTS = random.Random(1).randbytes(1_500_000)
CONFIG = b'{"architectures": ["Some"]}'
NAME, FILE = "owner/small-GGUF", "small-Q4_K_M.gguf"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "RESERVE", 0)
    monkeypatch.setattr(fetch, "LONGEST_PAUSE", 0.1)


@pytest.fixture
def repo(hub: Hub) -> Repo:
    return hub.add(NAME, {FILE: WEIGHTS, "config.json": CONFIG})


class Bar:
    """What the people who look are told."""

    def __init__(self) -> None:
        self.news: list[dict[str, Any]] = []

    def __call__(self, news: dict[str, Any]) -> None:
        self.news.append(news)

    @property
    def done(self) -> list[int]:
        return [each["done"] for each in self.news]


def run(errand: Errand, folder: Path) -> Bar:
    bar = Bar()
    fetch.run(errand, folder, bar)
    return bar


def refused(errand: Errand, folder: Path) -> dict[str, Any]:
    with pytest.raises(LibraryError) as caught:
        run(errand, folder)
    return caught.value.to_dict()


def whole(folder: Path) -> bool:
    left = [path.name for path in folder.rglob("*") if ".part" in path.name]
    return not left and (folder / FILE).read_bytes() == WEIGHTS


def bodies(hub: Hub) -> list[tuple[str, int]]:
    """Of what the second host sent: which range was asked for, and how much went out."""
    return [(s.range, s.sent) for s in hub.seen if s.where == "files" and s.method == "GET"]


def test_it_works(hub: Hub, repo: Repo, tmp_path: Path) -> None:
    bar = run(download(hub, repo), tmp_path)
    assert whole(tmp_path)
    assert (tmp_path / "config.json").read_bytes() == CONFIG
    total = len(WEIGHTS) + len(CONFIG)
    assert bar.news[-1]["total"] == total
    assert bar.done == sorted(bar.done)
    assert len(bodies(hub)) == 1
    # Nothing else was asked: no Xet, no telemetry.
    assert all("resolve" in seen.path for seen in hub.seen if seen.where == "hub")


def test_a_file_that_is_here_is_not_asked_for(hub: Hub, repo: Repo, tmp_path: Path) -> None:
    errand = download(hub, repo)
    run(errand, tmp_path)
    hub.seen.clear()
    bar = run(errand, tmp_path)
    assert hub.seen == []
    assert bar.done[-1] == bar.news[-1]["total"]


@pytest.mark.parametrize("come", [1, 100_000, len(WEIGHTS) - 1, len(WEIGHTS)])
def test_what_has_come_stays(hub: Hub, repo: Repo, tmp_path: Path, come: int) -> None:
    (tmp_path / f"{FILE}.part").write_bytes(WEIGHTS[:come])
    bar = run(download(hub, repo, [FILE]), tmp_path)
    assert whole(tmp_path)
    assert sum(sent for _, sent in bodies(hub)) == len(WEIGHTS) - come
    assert min(bar.done[1:]) >= come


def test_a_connection_that_is_cut_goes_on(hub: Hub, repo: Repo, tmp_path: Path) -> None:
    hub.fail(where="files", cut=400_000, times=3)
    bar = run(download(hub, repo, [FILE]), tmp_path)
    assert whole(tmp_path)
    assert bar.done == sorted(bar.done)
    # Each try goes on where the last one was, but for what was under way.
    starts = [int(wanted[6:-1]) for wanted, _ in bodies(hub)[1:]]
    assert starts == sorted(starts)
    assert len(starts) == 3
    assert starts[0] > 200_000


def test_a_hub_that_is_away_for_a_while(
    hub: Hub, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "LONGEST_PAUSE", 0.5)
    hub.fail(where="files", pace=1_000_000)
    bar = Bar()

    def tell(news: dict[str, Any]) -> None:
        bar(news)
        if news["done"] > 300_000 and len(outages) == 0:
            outages.append(time.monotonic())
            outage.__enter__()
        if news["error"] and len(outages) == 1:
            outages.append(time.monotonic())
            outage.__exit__(None, None, None)

    outages: list[float] = []
    outage = hub.down()
    fetch.run(download(hub, repo, [FILE]), tmp_path, tell)
    assert len(outages) == 2
    assert whole(tmp_path)
    assert bar.done == sorted(bar.done)
    assert sum(sent for _, sent in bodies(hub)) < len(WEIGHTS) + 500_000


def test_a_server_that_falls_silent(
    hub: Hub, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 1)
    hub.fail(where="files", cut=400_000)
    hub.fail(where="files", silent=4)
    begun = time.monotonic()
    run(download(hub, repo, [FILE]), tmp_path)
    assert whole(tmp_path)
    assert time.monotonic() - begun < 8


def test_the_speed_is_told(hub: Hub, repo: Repo, tmp_path: Path) -> None:
    hub.fail(where="files", pace=1_000_000)
    bar = run(download(hub, repo, [FILE]), tmp_path)
    speeds = [each["speed"] for each in bar.news if each["done"] > 500_000]
    assert all(400_000 < speed < 2_500_000 for speed in speeds), speeds


def test_nobody_answers_from_the_beginning(hub: Hub, repo: Repo, tmp_path: Path) -> None:
    with hub.down():
        begun = time.monotonic()
        assert refused(download(hub, repo), tmp_path)["kind"] == "hub_down"
        assert time.monotonic() - begun < 10


def test_errors_of_the_hub_pass(hub: Hub, repo: Repo, tmp_path: Path) -> None:
    hub.fail(where="hub", status=503, times=2)
    hub.fail(where="files", status=500, times=1)
    bar = run(download(hub, repo, [FILE]), tmp_path)
    assert whole(tmp_path)
    assert {e["error"]["kind"] for e in bar.news if e["error"]} == {"hub_down"}


def test_errors_that_do_not_pass_end_it(hub: Hub, repo: Repo, tmp_path: Path) -> None:
    hub.fail(where="hub", status=502, times=100)
    assert refused(download(hub, repo), tmp_path) == {
        "kind": "hub_down", "host": f"127.0.0.1:{hub.port('hub')}", "status": 502,
    }  # fmt: skip


def test_a_hub_that_wants_patience_gets_it(hub: Hub, repo: Repo, tmp_path: Path) -> None:
    hub.fail(where="hub", status=429, headers={"Retry-After": "2"})
    begun = time.monotonic()
    bar = run(download(hub, repo, [FILE]), tmp_path)
    assert 2 <= time.monotonic() - begun < 4
    assert {"kind": "rate_limited", "seconds": 2} in [each["error"] for each in bar.news]
    assert whole(tmp_path)


def test_an_address_that_is_not_good_any_more_is_asked_for_anew(
    hub: Hub, repo: Repo, tmp_path: Path
) -> None:
    hub.fail(where="files", cut=400_000)
    hub.fail(where="files", status=403)
    run(download(hub, repo, [FILE]), tmp_path)
    assert whole(tmp_path)


def test_wrong_bytes_are_noticed_and_fetched_anew(hub: Hub, repo: Repo, tmp_path: Path) -> None:
    hub.fail(where="files", wrong=777_777)
    run(download(hub, repo, [FILE]), tmp_path)
    assert whole(tmp_path)
    assert len(bodies(hub)) == 2


def test_wrong_bytes_again_and_again_end_it(hub: Hub, repo: Repo, tmp_path: Path) -> None:
    hub.fail(where="files", wrong=777_777, times=9)
    assert refused(download(hub, repo), tmp_path) == {"kind": "wrong_hash", "file": FILE}
    assert not (tmp_path / FILE).exists()


def test_a_small_file_is_checked_by_its_name_in_git(hub: Hub, repo: Repo, tmp_path: Path) -> None:
    hub.fail(where="hub", path="resolve-cache", method="GET", wrong=3, times=9)
    errand = download(hub, repo, ["config.json"])
    assert refused(errand, tmp_path) == {"kind": "wrong_hash", "file": "config.json"}


def test_bytes_that_were_damaged_here_are_fetched_anew(
    hub: Hub, repo: Repo, tmp_path: Path
) -> None:
    (tmp_path / f"{FILE}.part").write_bytes(b"x" * 500_000)
    run(download(hub, repo, [FILE]), tmp_path)
    assert whole(tmp_path)


def test_a_server_that_knows_no_ranges(hub: Hub, tmp_path: Path) -> None:
    """It sends all of it again, and nothing is there twice."""
    repo = hub.add(NAME, {FILE: WEIGHTS})
    (tmp_path / f"{FILE}.part").write_bytes(WEIGHTS[:100_000])
    hub.fail(where="files", cut=None, deaf=True)
    run(download(hub, repo), tmp_path)
    assert whole(tmp_path)


@pytest.mark.parametrize(
    ("about", "token", "kind"),
    [
        ({"gated": "manual"}, "", "gated"),
        ({"gated": "manual"}, "somebody", "gated"),
        ({"private": True}, "", "no_access"),
        ({"private": True}, "somebody", "missing"),
        ({}, "nobody's", "no_access"),
    ],
)
def test_who_is_not_let_in_hears_why(
    hub: Hub, tmp_path: Path, about: dict[str, Any], token: str, kind: str
) -> None:
    hub.tokens.add("somebody")
    repo = hub.add(NAME, {FILE: WEIGHTS}, **about)
    assert refused(download(hub, repo, (), token), tmp_path)["kind"] == kind
    assert bodies(hub) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"repo": "owner/none"}, "repository"),
        ({"revision": "0" * 40}, "revision"),
        ({"files": (FileRef("none.gguf", 5),)}, "file"),
    ],
)
def test_what_the_hub_does_not_have(
    hub: Hub, repo: Repo, tmp_path: Path, change: dict[str, Any], what: str
) -> None:
    hub.tokens.add("somebody")
    trouble = refused(download(hub, repo, (), "somebody", **change), tmp_path)
    assert (trouble["kind"], trouble["what"]) == ("missing", what)


def test_r07_the_token_goes_to_the_hub_alone(hub: Hub, tmp_path: Path) -> None:
    repo = hub.add(NAME, {FILE: WEIGHTS, "config.json": CONFIG}, private=True, members={"mine"})
    hub.fail(where="files", cut=400_000, times=2)
    run(download(hub, repo, (), "mine"), tmp_path)
    assert whole(tmp_path)
    assert {seen.token for seen in hub.seen if seen.where == "hub"} == {"Bearer mine"}
    assert {seen.token for seen in hub.seen if seen.where == "files"} == {""}


def test_r07_a_token_is_for_the_hub_that_it_was_entered_for(
    hub: Hub, tmp_path: Path, other: Hub
) -> None:
    repo = other.add(NAME, {FILE: WEIGHTS})
    sealed = address(hub, "mine").permit
    errand = download(other, repo, hub=address(other, permit=sealed))
    run(errand, tmp_path)
    assert other.seen
    assert {seen.token for seen in other.seen} == {""}


def test_r07_a_redirect_to_another_hub_loses_the_token(
    hub: Hub, other: Hub, tmp_path: Path
) -> None:
    """Also where the other one has the hub's own name, and where it is allowed."""
    repo = hub.add(NAME, {FILE: WEIGHTS}, members={"mine"})
    target = f"{other.url}/{NAME}/resolve/main/{FILE}"
    hub.fail(where="hub", status=302, headers={"Location": target}, times=9)
    allowed = address(hub, "mine", hosts=(f"127.0.0.1:{other.port('hub')}",))
    refused(download(hub, repo, hub=allowed), tmp_path)
    assert {seen.token for seen in other.seen} == {""}


def test_r08_only_from_hosts_that_are_allowed(hub: Hub, repo: Repo, tmp_path: Path) -> None:
    errand = download(hub, repo, hub=address(hub, hosts=()))
    assert refused(errand, tmp_path) == {"kind": "refused_host", "host": hub.files}
    assert not any(seen.where == "files" for seen in hub.seen)


@pytest.mark.parametrize(
    "path",
    ["../a.gguf", "/a.gguf", "a/../b.gguf", "a\\b.gguf", "a\0.gguf", ".hidden.gguf", "a//b.gguf"],
)
def test_r06_names_are_no_paths(hub: Hub, repo: Repo, tmp_path: Path, path: str) -> None:
    errand = download(hub, repo, files=(FileRef(path, 5),))
    assert refused(errand, tmp_path)["kind"] == "refused_file"
    assert hub.seen == []


def test_a_disk_that_is_too_small_is_noticed_before(
    hub: Hub, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "RESERVE", 1 << 60)
    trouble = refused(download(hub, repo), tmp_path)
    assert trouble == {"kind": "no_space", "needed": len(WEIGHTS) + len(CONFIG), "free": 0}
    assert bodies(hub) == []


def test_a_disk_that_becomes_full_is_noticed_while_it_comes(
    hub: Hub, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.library.part.LOOK", 100_000)

    def tell(news: dict[str, Any]) -> None:
        if news["done"] > 300_000:
            monkeypatch.setattr(fetch, "RESERVE", 1 << 60)

    hub.fail(where="files", pace=2_000_000)
    with pytest.raises(LibraryError) as caught:
        fetch.run(download(hub, repo, [FILE]), tmp_path, tell)
    assert caught.value.kind == "no_space"
    # What has come stays.
    assert (tmp_path / f"{FILE}.part").stat().st_size > 300_000


def test_a_plain_address(hub: Hub, tmp_path: Path) -> None:
    hub.plain["/some/where/" + FILE] = hub.add(NAME, {FILE: WEIGHTS}).files[FILE]
    hub.fail(where="files", method="GET", cut=400_000, times=2)
    url = f"http://{hub.files}/some/where/{FILE}?x=1"
    errand = Errand("a1", "download", hub=address(hub, "mine"), url=url)
    run(errand, tmp_path)
    assert whole(tmp_path)
    assert {seen.token for seen in hub.seen} == {""}
    assert bodies(hub)[1][0].startswith("bytes=")


def test_a_plain_address_with_another_file_by_now(hub: Hub, tmp_path: Path) -> None:
    blob = hub.add(NAME, {FILE: WEIGHTS}).files[FILE]
    hub.plain["/" + FILE] = blob
    (tmp_path / f"{FILE}.part").write_bytes(b"x" * 200_000)
    (tmp_path / f"{FILE}.part.version").write_text('"another"')
    errand = Errand("a1", "download", hub=address(hub), url=f"http://{hub.files}/{FILE}")
    run(errand, tmp_path)
    assert whole(tmp_path)


def test_all_parts_of_a_plain_address(hub: Hub, tmp_path: Path) -> None:
    names = [f"big-0000{n}-of-00002.gguf" for n in (1, 2)]
    repo = hub.add(NAME, {name: WEIGHTS[n:] for n, name in enumerate(names)})
    hub.plain |= {"/" + name: repo.files[name] for name in names}
    errand = Errand("a1", "download", hub=address(hub), url=f"http://{hub.files}/{names[0]}")
    run(errand, tmp_path)
    assert [(tmp_path / name).read_bytes() for name in names] == [WEIGHTS, WEIGHTS[1:]]


def test_r08_a_plain_address_elsewhere(hub: Hub, tmp_path: Path) -> None:
    errand = Errand("a1", "download", hub=address(hub), url=f"http://127.0.0.1:1/{FILE}")
    assert refused(errand, tmp_path)["kind"] == "refused_host"


@pytest.fixture
def other() -> Iterator[Hub]:
    made = Hub()
    yield made
    made.close()
