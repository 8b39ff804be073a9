"""A generation as a row: the record that exists before any engine hears of it."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Generation(models.Model):
    """One answer of one model, from the request to its last token.

    `tokens` are the ids as packed little-endian int32. `position` counts them; `fence` is the floor
    of the fences in the log, so that a log that was lost and put back still refuses an old writer.
    `calls` are the tool calls, {"name", "arguments"} each; `logprobs` is null unless asked for.
    A call of the API may have several: an answer to each of its prompts (`part`), and of each
    several `choice`s, so that what they share is counted once.
    """

    class Kind(models.TextChoices):
        CHAT = "chat", _("Chat")
        TITLE = "title", _("Title")
        API = "api", _("API")

    class Status(models.TextChoices):
        LIVE = "live", _("Running")
        DONE = "done", _("Done")
        STOPPED = "stopped", _("Stopped")
        FAILED = "failed", _("Failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    # What it came in with; null for the chat and for the owner of this machine.
    key = models.ForeignKey(
        "accounts.ApiKey", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    part = models.PositiveSmallIntegerField(default=0)
    choice = models.PositiveSmallIntegerField(default=0)
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.CHAT)
    model = models.CharField(max_length=200)
    request = models.JSONField()
    status = models.CharField(max_length=16, choices=Status, default=Status.LIVE)
    # What the steward has saved so far; one writer (the steward) after creation.
    text = models.TextField(blank=True, default="")
    reasoning = models.TextField(blank=True, default="")
    tokens = models.BinaryField(default=bytes)
    calls = models.JSONField(default=list, blank=True)
    # In which order text, reasoning and calls came: see chatsite/gateway/order.py.
    runs = models.JSONField(default=list, blank=True)
    logprobs = models.JSONField(null=True, blank=True)
    position = models.PositiveIntegerField(default=0)
    fence = models.PositiveIntegerField(default=0)
    # A stop that Redis could not be told of yet.
    stop_asked = models.BooleanField(default=False)
    # Set once, when it ends.
    finish_reason = models.CharField(max_length=16, blank=True, default="")
    error = models.JSONField(null=True, blank=True)
    stats = models.JSONField(default=dict, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    ended = models.DateTimeField(null=True, blank=True)
    # From here on the stream is gone and the row alone is read.
    log_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["created"], name="generation_live", condition=models.Q(status="live")
            ),
            models.Index(fields=["owner", "created"], name="generation_owner"),
        ]

    def __str__(self) -> str:
        return f"{self.id} ({self.status})"

    @property
    def is_live(self) -> bool:
        return self.status == self.Status.LIVE
