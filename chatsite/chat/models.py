"""Conversations as trees of messages: an edit or a second answer is a branch."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from chatsite.gateway.models import Generation


class Conversation(models.Model):
    """A person's thread. `leaf` is the last message of the branch that is shown."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        related_name="conversations",
        verbose_name=_("owner"),
    )
    title = models.CharField(max_length=200, blank=True)
    # A title that a person wrote is never replaced by the model's.
    title_by_hand = models.BooleanField(default=False)
    title_generation = models.OneToOneField(
        Generation, models.SET_NULL, null=True, blank=True, related_name="titled"
    )
    model = models.CharField(_("model"), max_length=200, blank=True)
    # System prompt and sampling parameters of the side panel; absent means the model's default.
    settings = models.JSONField(default=dict, blank=True)
    leaf = models.ForeignKey("Message", models.SET_NULL, null=True, blank=True, related_name="+")
    # Of the send that made it: two identical posts at the same moment make one conversation.
    nonce = models.UUIDField(null=True, blank=True)
    created = models.DateTimeField(_("created"), auto_now_add=True)
    updated = models.DateTimeField(_("updated"))
    deleted = models.DateTimeField(_("deleted"), null=True, blank=True)

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        indexes = [models.Index(fields=["owner", "-updated"], name="conversation_recent")]
        constraints = [
            models.UniqueConstraint(fields=["owner", "nonce"], name="conversation_nonce")
        ]

    def __str__(self) -> str:
        return self.title or str(self.id)


class Message(models.Model):
    """One turn. An assistant's message points at the generation that writes it."""

    class Role(models.TextChoices):
        USER = "user", _("You")
        ASSISTANT = "assistant", _("Assistant")

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages")
    parent = models.ForeignKey(
        "self", models.CASCADE, null=True, blank=True, related_name="children"
    )
    role = models.CharField(max_length=16, choices=Role)
    content = models.TextField(blank=True, default="")
    reasoning = models.TextField(blank=True, default="")
    # `content` and `reasoning` of an answer are copied here once, when the generation ends.
    generation = models.OneToOneField(
        Generation, models.SET_NULL, null=True, blank=True, related_name="message"
    )
    # Made by the browser for each send: a retried post finds what the lost one wrote.
    nonce = models.UUIDField(null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        # The shape of a whole tree is read from this index alone, without touching the texts.
        indexes = [models.Index(fields=["conversation", "id", "parent"], name="message_tree")]
        constraints = [
            models.UniqueConstraint(fields=["conversation", "nonce"], name="message_nonce")
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.pk}"
