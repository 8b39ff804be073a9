"""What callers asked to be kept: responses and chat completions. The texts are in their
generations."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from chatsite.gateway.models import Generation


class Stored(models.Model):
    """One response, or one chat completion, under the id of its first generation. It belongs to the
    person, whichever of their keys it was asked with.

    `asked` is what is told again of the request. `said` is what it came with: a response's own
    input items, a completion's messages, each with its id.
    """

    class Kind(models.TextChoices):
        RESPONSE = "response", _("Response")
        COMPLETION = "completion", _("Chat completion")

    generation = models.OneToOneField(
        Generation, models.CASCADE, primary_key=True, related_name="stored"
    )
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    kind = models.CharField(max_length=16, choices=Kind)
    model = models.CharField(max_length=200)
    # Goes on when nobody reads it; only then it may be cancelled by its id.
    background = models.BooleanField(default=False)
    # The generations of the further choices, as hex.
    others = models.JSONField(default=list)
    # The responses that it goes on from, the oldest first, as hex.
    chain = models.JSONField(default=list)
    asked = models.JSONField()
    said = models.JSONField()
    metadata = models.JSONField(default=dict)
    # Deleted while it was written: nobody finds it, and it goes when its generation has ended.
    gone = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["owner", "kind", "created"], name="stored_owner")]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
