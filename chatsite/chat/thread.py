"""The shown branch of a conversation, read in a number of queries that does not grow with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import F

from chatsite.catalogue.models import Model
from chatsite.chat.models import Conversation, Message
from chatsite.gateway import nouns
from chatsite.gateway.errors import explain
from chatsite.gateway.models import Generation
from chatsite.gateway.packing import known, unpack

SHOWN = 40


@dataclass(frozen=True, slots=True)
class Turn:
    """One message as the page shows it, with its place among the branches."""

    message: Message
    siblings: list[int]
    is_last: bool

    @property
    def index(self) -> int:
        return self.siblings.index(self.message.pk) + 1

    @property
    def count(self) -> int:
        return len(self.siblings)

    @property
    def generation(self) -> Generation | None:
        return self.message.generation

    @property
    def live(self) -> bool:
        return self.generation is not None and self.generation.is_live

    @property
    def error_text(self) -> str:
        if self.generation is None or self.generation.status != Generation.Status.FAILED:
            return ""
        return explain(self.generation.error or {})


@dataclass(frozen=True, slots=True)
class Thread:
    """A stretch of the branch; `earlier` is its oldest message if there are older ones."""

    turns: list[Turn]
    earlier: int | None


class Tree:
    """Who answers whom: ids only, so that a long conversation costs little."""

    def __init__(self, parents: Mapping[int, int | None], leaf: int | None) -> None:
        """`parents` is in the order of the ids: a parent comes before its children."""
        self.parents = parents
        self.leaf = leaf if leaf in parents else max(parents, default=None)
        self.children: dict[int | None, list[int]] = {}
        for message, parent in parents.items():
            self.children.setdefault(parent, []).append(message)

    @classmethod
    def load(cls, conversation: Conversation) -> Tree:
        rows = Message.objects.filter(conversation=conversation).order_by("id")
        return cls(dict(rows.values_list("id", "parent_id")), conversation.leaf_id)

    def path(self, message: int | None) -> list[int]:
        """From the first message to this one."""
        path = []
        while message is not None:
            path.append(message)
            message = self.parents[message]
        return path[::-1]

    def siblings(self, message: int) -> list[int]:
        return self.children[self.parents[message]]

    def newest_leaf(self, message: int) -> int:
        """Where the conversation went on last below this message."""
        below = {message}
        for child, parent in self.parents.items():
            if parent in below:
                below.add(child)
        return max(below)


def tail(conversation: Conversation) -> Thread:
    """The end of the shown branch."""
    tree = Tree.load(conversation)
    return _stretch(tree, tree.path(tree.leaf))


def earlier(conversation: Conversation, before: int) -> Thread:
    """What stands before a message of the shown branch."""
    tree = Tree.load(conversation)
    path = tree.path(tree.leaf)
    if before not in path:
        raise Message.DoesNotExist
    return _stretch(tree, path[: path.index(before)])


def turns(conversation: Conversation, messages: Iterable[int]) -> list[Turn]:
    return _turns(Tree.load(conversation), list(messages))


def _stretch(tree: Tree, path: list[int]) -> Thread:
    shown = path[-SHOWN:]
    return Thread(_turns(tree, shown), shown[0] if len(path) > len(shown) else None)


def _turns(tree: Tree, messages: list[int]) -> list[Turn]:
    # What the engine was asked and the token ids are large and not shown.
    rows = (
        Message.objects.select_related("generation")
        .defer("generation__request", "generation__tokens")
        .defer("generation__text", "generation__reasoning")
        .in_bulk(messages)
    )
    return [Turn(rows[pk], tree.siblings(pk), is_last=pk == tree.leaf) for pk in messages]


def history(conversation: Conversation, message: Message, model: Model) -> list[nouns.Message]:
    """What the model reads: the system prompt and the branch up to this message.

    Answers go in without their reasoning, empty ones not at all. Two messages of one role in a row
    become one, because many chat templates refuse anything but turn and turn about.
    """
    path = Tree.load(conversation).path(message.pk)
    rows = Message.objects.filter(pk__in=path).exclude(content="").order_by("id")
    written = _token_ids(path, model.name)
    told = _system(conversation, model)
    for pk, role, content in rows.values_list("pk", "role", "content"):
        if told and told[-1].role == role:
            told[-1] = nouns.Message(role, f"{told[-1].content}\n\n{content}")
        else:
            told.append(nouns.Message(role, content, tokens=written.get(pk, ())))
    return told


def _system(conversation: Conversation, model: Model) -> list[nouns.Message]:
    """The conversation's own prompt, else the one that an admin published with the model."""
    if own := conversation.settings.get("system"):
        return [nouns.Message("system", own)]
    if model.system_prompt:
        return [nouns.Message("system", model.system_prompt, published=True)]
    return []


def _token_ids(path: Iterable[int], model: str) -> dict[int, tuple[int, ...]]:
    """The ids of the answers that this model wrote as they stand: text that is tokenised again may
    come out otherwise, and what is computed of the conversation would not be found."""
    rows = Message.objects.filter(
        pk__in=path, generation__model=model, generation__text=F("content"), reasoning=""
    )
    tokens = rows.values_list("pk", "generation__tokens", "generation__calls")
    return {pk: known(unpack(bytes(ids))) for pk, ids, calls in tokens if not calls}


def live_answer(conversation: Conversation) -> Message | None:
    """The answer that is being written in this conversation, on whichever branch."""
    return Message.objects.filter(conversation=conversation, generation__in=live_ids()).first()


def live_ids() -> list[object]:
    """All generations that run now. Asked apart: they are few and have an index of their own."""
    live = Generation.objects.filter(status=Generation.Status.LIVE)
    return list(live.values_list("id", flat=True))
