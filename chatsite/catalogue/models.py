"""A model as the site knows it: a name, where its weights are, and how it is run."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext


class Model(models.Model):
    """One entry of the catalogue. `source` and `settings` go to the engine as they are."""

    name = models.CharField(max_length=200, unique=True)
    title = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    engine = models.CharField(max_length=50, default="llamacpp")
    source = models.JSONField()
    settings = models.JSONField(default=dict, blank=True)
    enabled = models.BooleanField(default=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.title or self.name

    @property
    def about(self) -> str:
        """The description as the reader sees it: one that we wrote is there in their language."""
        return gettext(self.description) if self.description else ""
