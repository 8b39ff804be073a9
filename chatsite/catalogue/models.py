"""A model as the site knows it: a name, where its weights are, and how it is run; the servers
elsewhere that run some; and what comes from the hub and from disks."""

from __future__ import annotations

import uuid
from typing import Self

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chatsite.catalogue import curated


class Provider(models.Model):
    """A server elsewhere that speaks OpenAI's API. `permit` holds its address and key, sealed: it
    is read by `providers` and opened by the engine alone."""

    name = models.CharField(_("name"), max_length=80, unique=True)
    permit = models.TextField()
    enabled = models.BooleanField(_("enabled"), default=True)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("provider")
        verbose_name_plural = _("providers")

    def __str__(self) -> str:
        return self.name


class Model(models.Model):
    """One entry of the catalogue. `source` and `settings` go to the engine as they are, but for a
    `provider`'s model: of that `source` holds the name there."""

    name = models.CharField(_("name"), max_length=200, unique=True)
    title = models.CharField(_("title"), max_length=200, blank=True)
    description = models.TextField(_("description"), blank=True)
    engine = models.CharField(_("engine"), max_length=50, default="llamacpp")
    source = models.JSONField(_("source"))
    provider = models.ForeignKey(
        Provider,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="models",
        verbose_name=_("provider"),
    )
    settings = models.JSONField(_("settings"), default=dict, blank=True)
    system_prompt = models.TextField(
        _("system prompt"),
        blank=True,
        max_length=20_000,
        help_text=_(
            "For conversations that have none of their own. No secrets: it can be asked for."
        ),
    )
    # Sampling by the names of the chat's panel: they count where a conversation or a call says
    # nothing.
    defaults = models.JSONField(_("default parameters"), default=dict, blank=True)
    groups = models.ManyToManyField(
        Group,
        blank=True,
        related_name="+",
        verbose_name=_("groups"),
        help_text=_("Who may use it. Nobody chosen: everybody."),
    )
    keep_loaded = models.BooleanField(
        _("keep loaded"),
        default=False,
        help_text=_("It stays in memory, also while nobody uses it."),
    )
    # Names of the workers that may load it; none: any.
    nodes = models.JSONField(_("machines"), default=list, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    # Where it came from, for one that was downloaded or imported: a Landed as a dict, and the name
    # of the worker on whose disk it lies.
    landed = models.JSONField(default=dict, blank=True, editable=False)
    node = models.CharField(max_length=200, blank=True, editable=False)
    repo = models.CharField(_("repository"), max_length=200, blank=True, editable=False)
    revision = models.CharField(_("revision"), max_length=80, blank=True, editable=False)
    licence = models.CharField(_("licence"), max_length=200, blank=True, editable=False)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("model")
        verbose_name_plural = _("models")

    def __str__(self) -> str:
        return self.title or self.name

    @property
    def gives(self) -> frozenset[str]:
        """What its engine makes: answers, vectors, or both where only another site knows."""
        known = {"llamacpp": {"answers"}, "echo": {"answers"}, "llamacpp-embed": {"vectors"}}
        if self.engine not in known and (shapes := self.landed.get("shapes")):
            return frozenset({"vectors"} if shapes.get("embeds") else {"answers"})
        return frozenset(known.get(self.engine, {"answers", "vectors"}))

    @property
    def folder(self) -> str:
        """Below its worker's folder of models; "" for one that did not come through the library."""
        return str(self.landed.get("folder") or "")

    @property
    def size(self) -> int:
        """Bytes on the disk; 0 where the library does not know."""
        return sum(int(each.get("size") or 0) for each in self.landed.get("files") or ())

    @property
    def quant(self) -> str:
        return str(self.landed.get("quant") or "")

    @property
    def about(self) -> str:
        """The description as the reader sees it: one that we wrote is there in their language."""
        if self.description:
            return curated.translate(gettext(self.description))
        if self.provider:
            # Whoever writes to it should know.
            told = gettext("Runs at %(provider)s: what you write is sent there.")
            return told % {"provider": self.provider.name}
        return ""


class Alias(models.Model):
    """Another name for a model: for programs that ask for one which is not here. A model's own name
    goes before an alias."""

    name = models.CharField(_("name"), max_length=200, unique=True)
    model = models.ForeignKey(Model, models.CASCADE, related_name="aliases")

    class Meta:
        ordering = ["name"]
        verbose_name = _("alias")
        verbose_name_plural = _("aliases")

    def __str__(self) -> str:
        return self.name


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def live(self) -> Self:
        return self.filter(state__in=Delivery.LIVE)


class Delivery(models.Model):
    """An errand as the site remembers it: what comes, goes or leaves, and how far it is. Its key is
    the errand's id. The steward moves it by what the worker says; `wish` is what an admin said."""

    class Kind(models.TextChoices):
        DOWNLOAD = "download", _("Download")
        IMPORT = "import", _("Import")
        EXPORT = "export", _("Export")
        REMOVE = "remove", _("Removal")
        COPY = "copy", _("Copy to a machine")

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        PAUSED = "paused", _("Paused")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    LIVE = (State.WAITING, State.RUNNING, State.PAUSED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=16, choices=Kind)
    # What people call it: a repository and its quantization, a file, a model.
    title = models.CharField(max_length=300, blank=True)
    repo = models.CharField(max_length=200, blank=True)
    revision = models.CharField(max_length=80, blank=True)
    quant = models.CharField(max_length=40, blank=True)
    url = models.CharField(max_length=2000, blank=True)
    path = models.CharField(max_length=4096, blank=True)
    folder = models.CharField(max_length=200, blank=True)
    # FileRefs as dicts.
    files = models.JSONField(default=list, blank=True)
    # For the manifest and for the model that it becomes: name, title, description and the like.
    about = models.JSONField(default=dict, blank=True)
    # Who has to do it, "" for whoever comes first; and who does it.
    node = models.CharField(max_length=200, blank=True)
    worker = models.CharField(max_length=200, blank=True)
    # Two of the same never live at once; a hash of what they are about.
    subject = models.CharField(max_length=64)
    # The way an admin wants it to go: "", pause or cancel.
    wish = models.CharField(max_length=8, blank=True)
    state = models.CharField(max_length=16, choices=State, default=State.WAITING)
    # See inference.library.nouns.ErrandState.
    phase = models.CharField(max_length=16, blank=True)
    file = models.CharField(max_length=1000, blank=True)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    # Bytes per second.
    speed = models.FloatField(default=0)
    # A LibraryError as {"kind", ...facts}: `troubles.explain` has the words.
    error = models.JSONField(null=True, blank=True)
    result = models.JSONField(null=True, blank=True)
    # What it became, or whose files leave.
    model = models.ForeignKey(
        Model, models.SET_NULL, null=True, blank=True, related_name="deliveries"
    )
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created = models.DateTimeField(auto_now_add=True)
    ended = models.DateTimeField(null=True, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["-created", "-pk"]
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [
            models.UniqueConstraint(
                fields=["subject"],
                condition=models.Q(state__in=["waiting", "running", "paused"]),
                name="catalogue_one_live_delivery",
            )
        ]
        indexes = [models.Index(fields=["state", "created"], name="delivery_state")]

    def __str__(self) -> str:
        return f"{self.kind} {self.title} ({self.state})"

    @property
    def is_live(self) -> bool:
        return self.state in self.LIVE

    @property
    def fraction(self) -> float | None:
        """From 0 to 1; None where the whole is not known."""
        return min(1.0, self.done / self.total) if self.total > 0 else None

    @property
    def seconds_left(self) -> int | None:
        """At the speed of now; None where nothing moves."""
        moves = self.state == self.State.RUNNING and self.speed > 0 and self.total > self.done
        return int((self.total - self.done) / self.speed) + 1 if moves else None


class HubSettings(models.Model):
    """Where models are looked for, and what for: one row. `permit` holds the address and the token,
    sealed for the workers; `hosts`: from which others a plain file may come."""

    endpoint = models.CharField(max_length=500, blank=True)
    permit = models.TextField(blank=True)
    hosts = models.JSONField(default=list, blank=True)

    class Meta:
        verbose_name = _("hub")
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="catalogue_one_hub")]

    def __str__(self) -> str:
        return self.endpoint or "hub"

    @classmethod
    def current(cls) -> Self:
        """The row, or its defaults while nobody has changed anything."""
        return cls.objects.filter(pk=1).first() or cls(pk=1)
