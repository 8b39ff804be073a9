"""Everything that changes a conversation. Only this file writes its rows, each change in one go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial, wraps
from typing import Any, ParamSpec
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from chatsite.accounts.models import User
from chatsite.catalogue import actions as catalogue
from chatsite.catalogue.models import Model
from chatsite.chat import refusals, search, thread, titles
from chatsite.chat.models import Conversation, Message
from chatsite.gateway import actions as gateway
from chatsite.gateway import notices, nouns
from chatsite.gateway.models import Generation
from chatsite.metering import actions as metering
from chatsite.metering import quotas

P = ParamSpec("P")
# How long a deleted conversation can be brought back.
KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a person sends. `panel` holds only what was sent of it; None takes a setting back."""

    text: str
    nonce: UUID
    model: str = ""
    panel: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A message and the answer that is being written to it."""

    conversation: Conversation
    question: Message
    answer: Message


def when_free(act: Callable[P, Exchange]) -> Callable[P, Exchange]:
    """An answer that has ended for its reader is closed by the steward a moment later: who says the
    next thing in that moment closes it and goes on."""

    @wraps(act)
    def act_again(*args: P.args, **kwargs: P.kwargs) -> Exchange:
        try:
            return act(*args, **kwargs)
        except refusals.Refusal as refusal:
            if refusal.kind != "busy" or not settle(UUID(refusal.details["generation"])):
                raise
        return act(*args, **kwargs)

    return act_again


def settle(pk: UUID) -> bool:
    """Close an answer of which the log has the end: what the steward does, in the same order."""
    growth = gateway.catch_up(pk)
    if growth is None or growth.end is None:
        return growth is None
    with transaction.atomic():
        if metering.close(growth.row, growth.end):
            close(growth.row)
        transaction.on_commit(partial(gateway.let_go, pk.hex))
    return True


@when_free
def say(owner: User, conversation: UUID | None, draft: Draft) -> Exchange:
    """Save a message and start its answer; the same nonce again finds what the first post wrote."""
    try:
        return _say(owner, conversation, draft)
    except IntegrityError:
        # Two identical posts at the same moment: the other one made the conversation.
        return _say(owner, conversation, draft)


@transaction.atomic
def _say(owner: User, pk: UUID | None, draft: Draft) -> Exchange:
    conversation = _lock(owner, pk) if pk else _begin(owner, draft.nonce)
    if said := _said(conversation, draft.nonce):
        return said
    _configure(conversation, draft.model, draft.panel)
    return _ask(conversation, conversation.leaf_id, draft)


@when_free
@transaction.atomic
def edit(owner: User, pk: UUID, message: int, draft: Draft) -> Exchange:
    """Say something else instead of an earlier message: a branch beside it."""
    conversation = _lock(owner, pk)
    if said := _said(conversation, draft.nonce):
        return said
    old = conversation.messages.get(pk=message, role=Message.Role.USER)
    _configure(conversation, draft.model, draft.panel)
    return _ask(conversation, old.parent_id, draft)


@when_free
@transaction.atomic
def regenerate(
    owner: User, pk: UUID, message: int, draft: Draft, *, drop_oldest: bool = False
) -> Exchange:
    """Another answer to the same message, beside the first one. The draft's text is not used."""
    conversation = _lock(owner, pk)
    if said := _said(conversation, draft.nonce):
        return said
    old = conversation.messages.select_related("parent").get(
        pk=message, role=Message.Role.ASSISTANT
    )
    assert old.parent is not None, "an answer answers something"
    _configure(conversation, draft.model, draft.panel)
    return _answer(conversation, old.parent, nonce=draft.nonce, drop_oldest=drop_oldest)


@transaction.atomic
def branch(owner: User, pk: UUID, message: int) -> Conversation:
    """Show the branch of this message, down to where it went on last."""
    conversation = _lock(owner, pk)
    tree = thread.Tree.load(conversation)
    if message not in tree.parents:
        raise Message.DoesNotExist
    conversation.leaf_id = tree.newest_leaf(message)
    conversation.save(update_fields=["leaf"])
    _tell(conversation, listed=False)
    return conversation


@transaction.atomic
def rename(owner: User, pk: UUID, title: str) -> Conversation:
    conversation = _lock(owner, pk)
    conversation.title = title
    conversation.title_by_hand = True
    conversation.save(update_fields=["title", "title_by_hand"])
    _tell(conversation)
    return conversation


@transaction.atomic
def delete(owner: User, pk: UUID) -> Conversation:
    """Put a conversation away for 30 days; what is being written in it stops."""
    conversation = _lock(owner, pk)
    conversation.deleted = timezone.now()
    conversation.save(update_fields=["deleted"])
    answer = thread.live_answer(conversation)
    for generation in (answer.generation if answer else None, conversation.title_generation):
        if generation is not None and generation.is_live:
            transaction.on_commit(partial(gateway.cancel, generation))
    _tell(conversation)
    return conversation


@transaction.atomic
def restore(owner: User, pk: UUID) -> Conversation:
    conversation = _locked(owner=owner, pk=pk)
    conversation.deleted = None
    conversation.save(update_fields=["deleted"])
    _tell(conversation)
    return conversation


@transaction.atomic
def update_settings(owner: User, pk: UUID, model: str, panel: dict[str, Any]) -> Conversation:
    conversation = _lock(owner, pk)
    _configure(conversation, model, panel)
    conversation.save(update_fields=["model", "settings"])
    _tell(conversation, listed=False)
    return conversation


@transaction.atomic
def purge() -> int:
    """Remove for good what was deleted long ago, with all that was generated for it."""
    gone = Conversation.objects.filter(deleted__lt=timezone.now() - KEPT)
    answers = Message.objects.filter(conversation__in=gone).exclude(generation=None)
    generations = [
        *answers.values_list("generation_id", flat=True),
        *gone.exclude(title_generation=None).values_list("title_generation_id", flat=True),
    ]
    count = gone.count()
    gone.delete()
    gateway.remove(generations)
    return count


@transaction.atomic
def close(generation: Generation) -> None:
    """Keep what a generation wrote. Called once, in the transaction that ends it."""
    if generation.kind == Generation.Kind.TITLE:
        _entitle(generation)
        return
    conversation = (
        Conversation.objects.select_for_update(of=("self",))
        .filter(messages__generation=generation)
        .first()
    )
    if conversation is None:
        return
    answer = conversation.messages.get(generation=generation)
    answer.content = generation.text.replace("\x00", "")
    answer.reasoning = generation.reasoning.replace("\x00", "")
    answer.save(update_fields=["content", "reasoning"])
    search.index(answer, conversation.owner_id)
    conversation.updated = timezone.now()
    if answer.content and not (conversation.title or conversation.title_generation_id):
        titles.start(conversation)
    conversation.save(update_fields=["updated", "title", "title_generation"])
    _tell(conversation)


def _entitle(generation: Generation) -> None:
    conversation = titles.apply(generation)
    if conversation is not None:
        conversation.save(update_fields=["title"])
        _tell(conversation)


def _locked(**which: Any) -> Conversation:
    """The row, held to the end of the transaction: changes to a conversation come one by one."""
    return Conversation.objects.select_for_update(of=("self",)).get(**which)


def _lock(owner: User, pk: UUID) -> Conversation:
    return _locked(owner=owner, pk=pk, deleted=None)


def _begin(owner: User, nonce: UUID) -> Conversation:
    found = Conversation.objects.filter(owner=owner, nonce=nonce).first()
    if found is not None:
        return _lock(owner, found.pk)
    return Conversation.objects.create(owner=owner, nonce=nonce, updated=timezone.now())


def _said(conversation: Conversation, nonce: UUID) -> Exchange | None:
    """What an earlier post with this nonce wrote."""
    found = conversation.messages.filter(nonce=nonce).select_related("parent").first()
    if found is None:
        return None
    if found.role == Message.Role.USER:
        return Exchange(conversation, found, found.children.order_by("id")[0])
    assert found.parent is not None, "an answer answers something"
    return Exchange(conversation, found.parent, found)


def _configure(conversation: Conversation, model: str, panel: dict[str, Any]) -> None:
    if model and model != conversation.model:
        conversation.model = _usable(conversation.owner, model).name
    merged = {**conversation.settings, **panel}
    conversation.settings = {name: value for name, value in merged.items() if value is not None}


def _usable(owner: User, name: str) -> Model:
    model = catalogue.find_answering(owner, name)
    if model is None:
        raise refusals.model_missing()
    return model


def _ask(conversation: Conversation, parent: int | None, draft: Draft) -> Exchange:
    question = Message.objects.create(
        conversation=conversation,
        parent_id=parent,
        role=Message.Role.USER,
        content=draft.text,
        nonce=draft.nonce,
    )
    search.index(question, conversation.owner_id)
    return _answer(conversation, question)


def _answer(
    conversation: Conversation,
    question: Message,
    *,
    nonce: UUID | None = None,
    drop_oldest: bool = False,
) -> Exchange:
    model = _usable(conversation.owner, conversation.model)
    if answer := thread.live_answer(conversation):
        raise refusals.busy(str(answer.generation_id))
    late = _let_in(conversation.owner_id)
    generation = gateway.start(
        owner=conversation.owner,
        kind=Generation.Kind.CHAT,
        spec=catalogue.spec(model),
        messages=thread.history(conversation, question, model),
        sampling=nouns.Sampling.from_dict({**catalogue.usual(model), **conversation.settings}),
        shape=nouns.Shape("json" if conversation.settings.get("json") else "text"),
        drop_oldest=drop_oldest,
        late=late,
    )
    conversation.leaf = answer = Message.objects.create(
        conversation=conversation,
        parent=question,
        role=Message.Role.ASSISTANT,
        generation=generation,
        nonce=nonce,
    )
    conversation.updated = timezone.now()
    conversation.save()
    _tell(conversation)
    return Exchange(conversation, question, answer)


def _let_in(owner: int) -> bool:
    """Whether the answer waits behind everybody else's; refused where the admin chose that."""
    try:
        return quotas.admit(owner).late
    except quotas.OverQuotaError as over:
        raise refusals.over_quota(over.gauge.unit, over.gauge.span, over.gauge.limit) from None


def _tell(conversation: Conversation, *, listed: bool = True) -> None:
    """Other open pages read again, once the change can be read."""
    owner = conversation.owner_id
    tell = partial(notices.publish, owner, "conversation", id=str(conversation.pk))
    transaction.on_commit(tell)
    if listed:
        transaction.on_commit(partial(notices.publish, owner, "conversations"))
