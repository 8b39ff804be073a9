"""Full-text search over a person's titles and messages, alike on SQLite and PostgreSQL.

The index is one table, `chat_search`, with the words of each message; a trigger of the database
removes what is deleted. Titles need no index: a person has a few thousand at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.urls import reverse

from chatsite.accounts.models import User
from chatsite.chat.models import Conversation, Message
from chatsite.chat.sidebar import title_of
from chatsite.chat.words import Query, Term, compose, fold, words

LONGEST_QUERY = 200
SHOWN = 50
# Of all hits only the newest are looked at: who finds more has to say more.
NEWEST = 1000
AROUND = 60
SNIPPET = 180
# Begins a word that stands for the owner; no text yields it, so a search never walks through the
# hits of other people.
OWNER = "\ue000"


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    hit: bool


@dataclass(frozen=True, slots=True)
class Result:
    """One conversation that was found; the snippet is empty if only its title has the words."""

    conversation: UUID
    title: str
    snippet: list[Piece]

    @property
    def url(self) -> str:
        return reverse("conversation", args=[self.conversation])


def index(message: Message, owner_id: int) -> None:
    """Make a message findable, or findable by its new text."""
    store([(message.pk, owner_id, message.content)])


def store(rows: Iterable[tuple[int, int, str]], using: str = DEFAULT_DB_ALIAS) -> None:
    """Index (message, owner, text): the one place that writes the table."""
    entries = [(pk, [f"{OWNER}{owner}", *words(text)]) for pk, owner, text in rows]
    connection = connections[using]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.executemany(
                "INSERT INTO chat_search (message_id, words)"
                " VALUES (%s, array_to_tsvector(%s::text[]))"
                " ON CONFLICT (message_id) DO UPDATE SET words = EXCLUDED.words",
                entries,
            )
        else:
            cursor.executemany(
                "DELETE FROM chat_search WHERE rowid = %s", [(pk,) for pk, _ in entries]
            )
            cursor.executemany(
                "INSERT INTO chat_search (rowid, words) VALUES (%s, %s)",
                [(pk, " ".join(entry)) for pk, entry in entries],
            )


def find(owner: User, text: str) -> list[Result]:
    """The conversations that have all the words: in the title first, then the newest messages."""
    query = Query.parse(text)
    if not query.terms:
        return []
    titles = dict(
        Conversation.objects.filter(owner=owner, deleted=None)
        .order_by("-updated")
        .values_list("id", "title")
    )
    snippets = _snippets(query, _hits(owner, query))
    matches = query.matcher()
    named = [pk for pk, title in titles.items() if title and matches(title)]
    order = [*named, *(pk for pk in snippets if pk not in set(named))]
    return [
        Result(pk, title_of(titles[pk]), snippets.get(pk, []))
        for pk in order[:SHOWN]
        if pk in titles
    ]


def _hits(owner: User, query: Query) -> list[tuple[int, UUID]]:
    terms = [Term(f"{OWNER}{owner.pk}"), *query.terms]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT m.id, m.conversation_id FROM chat_search s"
                " JOIN chat_message m ON m.id = s.message_id"
                " JOIN chat_conversation c ON c.id = m.conversation_id"
                " WHERE s.words @@ %s::tsquery AND c.owner_id = %s AND c.deleted IS NULL"
                " ORDER BY s.message_id DESC LIMIT %s",
                [" & ".join(f"'{t.word}'{':*' * t.prefix}" for t in terms), owner.pk, NEWEST],
            )
        else:
            # CROSS JOIN keeps the order of the tables: the index yields the newest first.
            cursor.execute(
                "SELECT m.id, m.conversation_id FROM chat_search"
                " CROSS JOIN chat_message m ON m.id = chat_search.rowid"
                " CROSS JOIN chat_conversation c ON c.id = m.conversation_id"
                " WHERE chat_search MATCH %s AND c.owner_id = %s AND c.deleted IS NULL"
                " ORDER BY chat_search.rowid DESC LIMIT %s",
                [" AND ".join(f'"{t.word}"{"*" * t.prefix}' for t in terms), owner.pk, NEWEST],
            )
        return [(pk, _uuid(conversation)) for pk, conversation in cursor.fetchall()]


def _uuid(value: UUID | str) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


def _snippets(query: Query, hits: list[tuple[int, UUID]]) -> dict[UUID, list[Piece]]:
    """The newest hit of each conversation, cut out and marked."""
    found: dict[UUID, list[Piece]] = {}
    find_hits, matches = query.finder(), query.matcher()
    if not query.is_vague:
        newest: dict[UUID, int] = {}
        for pk, conversation in hits:
            newest.setdefault(conversation, pk)
        hits = [(pk, conversation) for conversation, pk in newest.items()]
    for at in range(0, len(hits), SHOWN):
        batch = [hit for hit in hits[at : at + SHOWN] if hit[1] not in found]
        contents = dict(
            Message.objects.filter(pk__in=[pk for pk, _ in batch]).values_list("id", "content")
        )
        for pk, conversation in batch:
            content = contents.get(pk, "")
            if conversation not in found and (not query.is_vague or matches(content)):
                found[conversation] = cut(content, find_hits)
        if len(found) >= SHOWN:
            break
    return found


def cut(content: str, find_hits: Callable[[str], list[tuple[int, int]]]) -> list[Piece]:
    """The neighbourhood of the first hit as pieces, each hit or not."""
    text = compose(content)
    spans = find_hits(fold(text))
    start = max(0, spans[0][0] - AROUND) if spans else 0
    end = min(len(text), start + SNIPPET)
    pieces = [Piece("…", hit=False)] if start else []
    at = start
    for first, last in spans:
        if last > end:
            break
        pieces += [Piece(text[at:first], hit=False), Piece(text[first:last], hit=True)]
        at = last
    pieces += [Piece(text[at:end], hit=False), Piece("…" if end < len(text) else "", hit=False)]
    return [Piece(" ".join(p.text.split("\n")), p.hit) for p in pieces if p.text]
