"""The one writer of deliveries: what comes to this site, what goes, what leaves. What is done about
them a worker does; this room enters errands, hears how they stand, and makes models of them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from chatsite.accounts.models import User
from chatsite.catalogue import homes, hub, landing
from chatsite.catalogue.errors import (
    HereAlreadyError,
    NotHereError,
    PathError,
    UnderwayError,
    WrongStateError,
)
from chatsite.catalogue.models import Delivery, Model
from chatsite.catalogue.subjects import folder_of, storable, subject
from chatsite.gateway import engines, library, notices
from chatsite.gateway.library import Errand, ErrandState, FileRef, LibraryError, Variant

log = logging.getLogger(__name__)
Kind, State = Delivery.Kind, Delivery.State
# How long an ended delivery is remembered.
REMEMBERED = timedelta(days=90)
# Steps after the last byte.
COMPLETE = ("checking", "testing")
MOVED = ("state", "phase", "file", "done", "total", "speed", "worker", "error", "result", "ended")


def begin_download(
    user: User | None,
    repo: str,
    revision: str,
    variant: Variant,
    about: dict[str, Any] | None = None,
    node: str = "",
) -> Delivery:
    """Fetch one variant of a repository at a pinned revision (a commit). `about`: name, title,
    description, licence and the like, for the model that it becomes.

    Refused with UnderwayError, or HereAlreadyError where a model has these files already."""
    folder = folder_of(repo, revision, variant)
    if here := Model.objects.filter(landed__folder=folder).first():
        raise HereAlreadyError(here.name)
    title = f"{repo} {variant.quant}".strip()
    return _begin(
        user,
        Kind.DOWNLOAD,
        title=title,
        repo=repo,
        revision=revision,
        quant=variant.quant[:40],
        folder=folder,
        files=[asdict(each) for each in variant.files],
        total=variant.bytes,
        about=about or {},
        node=node,
    )


def begin_file(
    user: User | None, url: str, about: dict[str, Any] | None = None, node: str = ""
) -> Delivery:
    """Fetch one file from a host that the admin allowed."""
    title = PurePosixPath(url.partition("?")[0]).name or url
    return _begin(user, Kind.DOWNLOAD, title=title, url=url, about=about or {}, node=node)


def begin_import(
    user: User | None, path: str, about: dict[str, Any] | None = None, node: str = ""
) -> Delivery:
    """Take a file, a folder or a bundle that lies on the worker's machine, as an upload does as
    well. PathError where the path is none."""
    if not path.startswith("/") or "\0" in path or len(path) > 4096:
        raise PathError
    title = PurePosixPath(path).name or path
    return _begin(user, Kind.IMPORT, title=title, path=path, about=about or {}, node=node)


def begin_export(user: User | None, model: Model, path: str) -> Delivery:
    """Write a bundle of this model to a path on the machine where its files lie."""
    if not model.folder:
        raise NotHereError
    if not path.startswith("/") or "\0" in path or len(path) > 4096:
        raise PathError
    return _begin(
        user,
        Kind.EXPORT,
        title=str(model),
        path=path,
        folder=model.folder,
        files=model.landed.get("files") or [],
        total=model.size,
        about=landing.manifest(model),
        node=homes.home(model),
        model=model,
    )


def begin_copy(user: User | None, model: Model, node: str, source: str) -> Delivery:
    """Bring a model's files to the worker `node` from `source`; see `copies`."""
    return _begin(
        user,
        Kind.COPY,
        title=str(model),
        repo=model.repo,
        revision=model.revision,
        quant=model.quant[:40],
        folder=model.folder,
        files=model.landed.get("files") or [],
        total=model.size,
        about={"licence": model.licence, "source": source},
        node=node,
        model=model,
    )


def begin_removal(model: Model, user: User | None = None) -> int:
    """Remove the files of a model whose row is gone, as soon as nobody uses them; the bytes that
    this will free. It is called in the transaction that deletes the row."""
    if not model.folder or shared(model):
        return 0
    for row in Delivery.objects.live().filter(kind=Kind.COPY, folder=model.folder):
        cancel(row.pk)
    first, *more = homes.homes(model)
    fields = {"title": str(model), "folder": model.folder, "total": model.size}
    _begin(user, Kind.REMOVE, about={"name": model.name}, node=first, **fields)
    for node in more:
        _begin(user, Kind.REMOVE, about={"name": model.name, "copy": True}, node=node, **fields)
    return model.size


def shared(model: Model, but: int | None = None) -> bool:
    """Whether another model of the catalogue has the same files."""
    same = Model.objects.filter(landed__folder=model.folder)
    return (same if but is None else same.exclude(pk=but)).exists()


def _begin(user: User | None, kind: Delivery.Kind, **fields: Any) -> Delivery:
    row = Delivery(kind=kind, asked_by=user, **storable(fields))
    row.title = row.title[:300]
    row.subject = subject(row)
    if leaving := _leaving(row):
        raise UnderwayError(leaving)
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise UnderwayError(_twin(row)) from None
    transaction.on_commit(lambda: _enter(row))
    transaction.on_commit(tell)
    return row


def _leaving(row: Delivery) -> UUID | None:
    """A removal of the files that this one is to bring: it would take them as well."""
    if row.kind not in (Kind.DOWNLOAD, Kind.COPY) or not row.folder:
        return None
    removals = Delivery.objects.live().filter(kind=Kind.REMOVE, folder=row.folder)
    return removals.values_list("pk", flat=True).first()


def _twin(row: Delivery) -> UUID | None:
    same = Delivery.objects.live().filter(subject=row.subject)
    return same.values_list("pk", flat=True).first()


def pause(pk: UUID) -> None:
    """What has come stays, and goes on from there when it is resumed."""
    _wish(pk, "pause", (State.WAITING, State.RUNNING))


def resume(pk: UUID) -> None:
    _wish(pk, "", (State.PAUSED,))


def cancel(pk: UUID) -> None:
    """What has come is thrown away."""
    _wish(pk, "cancel", Delivery.LIVE)


@transaction.atomic
def _wish(pk: UUID, wish: str, states: Sequence[str]) -> None:
    row = Delivery.objects.select_for_update().get(pk=pk)
    # A pause that has not been obeyed yet may be taken back as well.
    undone = wish == "" and row.wish == "pause" and row.is_live
    if row.kind == Kind.REMOVE or not (row.state in states or undone):
        raise WrongStateError
    row.wish = wish
    row.save(update_fields=["wish"])
    transaction.on_commit(lambda: _tell_worker(row))
    transaction.on_commit(tell)


@transaction.atomic
def retry(pk: UUID) -> None:
    """Again, with what has come so far. UnderwayError where another one does the same by now."""
    row = Delivery.objects.select_for_update().get(pk=pk)
    if row.state not in (State.FAILED, State.CANCELLED):
        raise WrongStateError
    row.state, row.wish, row.phase, row.error, row.ended = State.WAITING, "", "", None, None
    row.speed, row.worker = 0, ""
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise UnderwayError(_twin(row)) from None
    # Before the row is seen as live: the steward would take the old end for the new one.
    _enter(row)
    transaction.on_commit(tell)


@transaction.atomic
def forget(pk: UUID) -> None:
    """Take one that has ended from the list."""
    row = Delivery.objects.select_for_update().get(pk=pk)
    if row.is_live:
        raise WrongStateError
    row.delete()
    transaction.on_commit(lambda: _forget(pk.hex))
    transaction.on_commit(tell)


def _forget(id: str) -> None:
    try:
        library.forget([id])
    except LibraryError:
        log.warning("Redis remembers the errand %s for a while.", id)


def errand(row: Delivery) -> Errand:
    """As the workers are told of it."""
    about = dict(row.about)
    return Errand(
        id=row.pk.hex,
        kind=row.kind,
        # Where it began there are bytes of it.
        node=row.node or row.worker,
        folder=row.folder,
        hub=hub.told() if row.kind == Kind.DOWNLOAD else hub.nobody(),
        repo=row.repo,
        revision=row.revision,
        url=row.url,
        path=row.path,
        files=tuple(FileRef.from_dict(each) for each in row.files),
        about=about,
        source=str(about.get("source") or ""),
    )


def _enter(row: Delivery) -> None:
    """Never raises: what cannot be entered now, the steward enters."""
    if not _due(row):
        return
    try:
        library.enter(errand(row))
        if row.wish:
            library.wish(row.pk.hex, row.wish)
    except LibraryError as error:
        log.warning("Delivery %s waits: %s.", row.pk, error.kind)


def _tell_worker(row: Delivery) -> None:
    try:
        library.wish(row.pk.hex, row.wish or "resume")
    except LibraryError as error:
        log.warning("A wish about delivery %s waits: %s.", row.pk, error.kind)


def _due(row: Delivery) -> bool:
    """Files are removed when no answer needs them any more."""
    if row.kind != Kind.REMOVE:
        return True
    name = row.about.get("name", "")
    if Delivery.objects.live().filter(kind=Kind.EXPORT, folder=row.folder).exists():
        return False
    if engines.busy(name):
        return False
    return not engines.unload(name)


def step() -> None:
    """How errands stand becomes rows; what Redis lost is entered again. The steward calls it once a
    round; several may do it at once."""
    rows = list(Delivery.objects.live())
    if not rows:
        return
    try:
        states = library.states([row.pk.hex for row in rows])
    except LibraryError:
        # The rows wait until Redis is back.
        return
    for row in rows:
        state = states.get(row.pk.hex)
        if state is not None:
            settle(row.pk, state)
        elif row.wish == "cancel":
            settle(row.pk, ErrandState(row.pk.hex, state=State.CANCELLED))
        else:
            _enter(row)


def catch_up(pk: UUID) -> Delivery:
    """The row as its worker says it, without waiting for the steward."""
    row = Delivery.objects.select_related("model").get(pk=pk)
    if row.is_live:
        try:
            state = library.states([pk.hex]).get(pk.hex)
        except LibraryError:
            # The site is being restarted, perhaps: it goes on by itself.
            return row
        if state is not None:
            settle(pk, state)
            row = Delivery.objects.select_related("model").get(pk=pk)
    return row


def settle(pk: UUID, state: ErrandState) -> None:
    """Move a row to what its worker says; what has arrived becomes a model, once."""
    with transaction.atomic():
        row = Delivery.objects.select_for_update().filter(pk=pk).first()
        if row is None or not row.is_live:
            return
        _remind(row, state)
        before = (row.state, row.phase)
        if not _take(row, state):
            return
        if row.state == State.DONE and row.kind in (Kind.DOWNLOAD, Kind.IMPORT):
            row.model = landing.land(row)
            transaction.on_commit(lambda: notices.publish(None, "models"))
        row.save(update_fields=[*MOVED, "model"])
        if row.state == State.DONE and row.kind == Kind.COPY:
            _check_wanted(row)
        # Who looks sees the bytes by asking each second.
        if before != (row.state, row.phase):
            transaction.on_commit(tell)


def _check_wanted(row: Delivery) -> None:
    """A copy whose model was deleted meanwhile leaves again."""
    if not Model.objects.filter(landed__folder=row.folder).exists():
        about = {"name": "", "copy": True}
        with contextlib.suppress(UnderwayError):
            _begin(
                None, Kind.REMOVE, title=row.title, folder=row.folder, about=about, node=row.node
            )


def _remind(row: Delivery, state: ErrandState) -> None:
    """A wish that Redis did not hear is said again."""
    unheard = row.wish != "pause" if state.state == State.PAUSED else bool(row.wish)
    if unheard and state.state in Delivery.LIVE:
        _tell_worker(row)


def _take(row: Delivery, state: ErrandState) -> bool:
    """Whether it brings anything new. A download goes forward only, whoever says what."""
    before = [getattr(row, name) for name in MOVED]
    row.state, row.phase, row.file = state.state, state.phase[:16], storable(state.file[:1000])
    row.total = max(state.total, 0) or row.total
    # What is looked at has come.
    whole = row.state == State.DONE or row.phase in COMPLETE
    row.done = row.total if whole else max(state.done, 0)
    row.speed, row.worker = max(state.speed, 0.0), state.node[:200]
    row.error, row.result = storable(state.error), storable(state.result)
    if not row.is_live:
        row.ended = row.ended or timezone.now()
        row.speed = 0
    return before != [getattr(row, name) for name in MOVED]


def purge() -> None:
    """What has ended long ago is no news to anybody."""
    Delivery.objects.filter(ended__lt=timezone.now() - REMEMBERED).delete()


def tell() -> None:
    """Pages of admins that show deliveries read again."""
    for pk in User.objects.filter(is_staff=True, is_active=True).values_list("pk", flat=True):
        notices.publish(pk, "deliveries")
