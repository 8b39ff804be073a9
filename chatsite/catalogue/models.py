"""A model as the site knows it: a name, where its weights are, and how it is run; and the servers
elsewhere that run some."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


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
    enabled = models.BooleanField(_("enabled"), default=True)
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
        return frozenset(known.get(self.engine, {"answers", "vectors"}))

    @property
    def about(self) -> str:
        """The description as the reader sees it: one that we wrote is there in their language."""
        if self.description:
            return gettext(self.description)
        if self.provider:
            # Whoever writes to it should know.
            told = gettext("Runs at %(provider)s: what you write is sent there.")
            return told % {"provider": self.provider.name}
        return ""
