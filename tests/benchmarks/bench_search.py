"""How long a search over 100,000 messages takes, beside a plain scan of the same rows.

    uv run python -m tests.benchmarks.bench_search [MESSAGES]

It fills a database of its own, on SQLite or on the server that DATABASE_URL names, and drops it.
"""

from __future__ import annotations

import itertools
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django

# Models can only be imported after this.
django.setup()

from django.db import connection, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from chatsite.accounts.models import User  # noqa: E402
from chatsite.chat import search  # noqa: E402
from chatsite.chat.models import Conversation, Message  # noqa: E402

TURNS = 20
ROUNDS = 21
EXTRA = ((100, "whale"), (150, "机器学习"), (2_000, "鲸鱼"))
SEARCHES = {
    "a rare English word": "zorblax",
    "an English word in 1 of 100": "whale",
    "the most common English word": "the",
    "the beginning of a word": "wha",
    "one letter": "w",
    "two English words": "whale the",
    "two Chinese characters, rare": "鲸鱼",
    "two Chinese characters, common": "一丁",
    "four Chinese characters": "机器学习",
    "one Chinese character": "鲸",
    "English and Chinese": "whale 机器",
    "nothing": "qqqqqq",
}


def vocabulary(draw: random.Random, count: int) -> list[str]:
    """Words of one to four syllables; the most frequent ones are short, as in a language."""
    syllables = [a + b + c for a in "bcdfghklmnprstvw" for b in "aeiou" for c in ("", "n", "r")]
    made = {"the": None}
    while len(made) < count:
        length = 1 + min(3, len(made) // 200)
        made["".join(draw.choices(syllables, k=draw.randint(1, length)))] = None
    return list(made)


def texts(count: int) -> Iterator[str]:
    """Half English, half Chinese; words as frequent as in a language (Zipf)."""
    draw = random.Random(7)
    words = vocabulary(draw, 20_000)
    signs = [chr(0x4E00 + n) for n in range(3_000)]
    steps = list(itertools.accumulate(1 / (n + 1) for n in range(20_000)))
    for n in range(count):
        if n % 2:
            text = " ".join(draw.choices(words, cum_weights=steps, k=120))
        else:
            text = "".join(draw.choices(signs, cum_weights=steps[:3_000], k=200))
        extra = [word for every, word in EXTRA if draw.randrange(every) == 0]
        extra += ["zorblax"] if n in (count // 3, count // 2) else []
        yield " ".join([text, *extra])


def fill(owner: User, count: int) -> None:
    now = timezone.now()
    conversations = Conversation.objects.bulk_create(
        Conversation(owner=owner, title=f"Conversation w{n} 会话", updated=now)
        for n in range(count // TURNS)
    )
    source = texts(count)
    for at in range(0, len(conversations), 250):
        with transaction.atomic():
            messages = Message.objects.bulk_create(
                Message(conversation=conversation, role="user", content=next(source))
                for conversation in conversations[at : at + 250]
                for _ in range(TURNS)
            )
            search.store((m.pk, owner.pk, m.content) for m in messages)


def scan(owner: User, query: str) -> list[int]:
    """What a search without an index would do."""
    rows = Message.objects.filter(conversation__owner=owner, conversation__deleted=None)
    for word in query.split():
        rows = rows.filter(content__icontains=word)
    return list(rows.order_by("-id").values_list("id", flat=True)[: search.SHOWN])


def measure(work: Callable[[], object], rounds: int) -> list[float]:
    durations = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        durations.append((time.perf_counter() - start) * 1000)
    return sorted(durations)


def compare(owner: User) -> None:
    print(f"{'search':32} {'found':>5} {'median':>9} {'p95':>9} {'scan':>9} {'ratio':>7}")
    every: list[float] = []
    for name, query in SEARCHES.items():
        found = len(search.find(owner, query))
        durations = measure(partial(search.find, owner, query), ROUNDS)
        plain = statistics.median(measure(partial(scan, owner, query), 3))
        median, p95 = statistics.median(durations), at(durations, 0.95)
        times = f"{median:6.1f} ms {p95:6.1f} ms {plain:6.0f} ms {plain / median:6.1f}x"
        print(f"{name:32} {found:5} {times}")
        every += durations
    print(f"all: median {statistics.median(every):.1f} ms, p95 {at(sorted(every), 0.95):.1f} ms")


def at(ordered: list[float], share: float) -> float:
    return ordered[int(len(ordered) * share)]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    old = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        owner = User.objects.create_user("alice")
        start = time.perf_counter()
        fill(owner, count)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        print(f"{connection.vendor}: {count} messages in {time.perf_counter() - start:.0f} s")
        compare(owner)
    finally:
        connection.creation.destroy_test_db(old, verbosity=0)


if __name__ == "__main__":
    main()
