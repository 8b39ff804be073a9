"""What was used, how much may be, and which requests are answered once. `actions`, and of the last
`repeats`, write rows; nobody else."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Usage(models.Model):
    """What one person used on one day of one model by one way: the chat, the titles of its
    conversations, one key, or no key on this machine. The day is that on which it was asked."""

    day = models.DateField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    # Keys are revoked and stay; they go with their owner, as this does.
    key = models.ForeignKey("accounts.ApiKey", models.CASCADE, null=True, related_name="+")
    # As Generation.Kind has it.
    kind = models.CharField(max_length=16)
    model = models.CharField(max_length=200)
    requests = models.PositiveBigIntegerField(default=0)
    prompt_tokens = models.PositiveBigIntegerField(default=0)
    # Those of the prompt that were found computed.
    cached_tokens = models.PositiveBigIntegerField(default=0)
    completion_tokens = models.PositiveBigIntegerField(default=0)

    class Meta:
        indexes = [
            models.Index(fields=["user", "day"], name="usage_of_user"),
            models.Index(fields=["day"], name="usage_of_day"),
        ]
        # Two, since nulls are never equal.
        constraints = [
            models.UniqueConstraint(
                fields=["day", "user", "kind", "model", "key"],
                condition=models.Q(key__isnull=False),
                name="usage_of_key_once",
            ),
            models.UniqueConstraint(
                fields=["day", "user", "kind", "model"],
                condition=models.Q(key__isnull=True),
                name="usage_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.user_id} {self.model}"


class Limit(models.Model):
    """How much may be used; null is without limit. A person without a row has the site's.

    `waits` is the site's alone: what is asked beyond a limit waits behind everybody else's and is
    not refused.
    """

    SITE = "site"

    # SITE, or what `of_user` and `of_key` make: so each is there once, and all are read together.
    scope = models.CharField(max_length=40, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    key = models.ForeignKey("accounts.ApiKey", models.CASCADE, null=True, related_name="+")
    tokens_per_day = models.PositiveBigIntegerField(_("Tokens per day"), null=True, blank=True)
    requests_per_day = models.PositiveBigIntegerField(_("Requests per day"), null=True, blank=True)
    requests_per_minute = models.PositiveBigIntegerField(
        _("Requests per minute"), null=True, blank=True
    )
    waits = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.scope

    @staticmethod
    def of_user(pk: int) -> str:
        return f"user:{pk}"

    @staticmethod
    def of_key(pk: int) -> str:
        return f"key:{pk}"

    @property
    def amounts(self) -> tuple[int | None, int | None, int | None]:
        return self.tokens_per_day, self.requests_per_day, self.requests_per_minute

    @property
    def is_set(self) -> bool:
        return any(amount is not None for amount in self.amounts)


class Repeat(models.Model):
    """A request that came with an Idempotency-Key, and the generations that answer it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    # Null: the owner of this machine without a key.
    key = models.ForeignKey("accounts.ApiKey", models.CASCADE, null=True, related_name="+")
    name = models.CharField(max_length=255)
    # Of the address and the body.
    digest = models.CharField(max_length=64)
    # Their ids, in the order of the answer.
    generations = models.JSONField(default=list)
    # Callers that read the answer, or left it a moment ago. A web process that died leaves its
    # readers here: then the answer goes on to its end.
    readers = models.PositiveIntegerField(default=0)
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["created"], name="repeat_age")]
        constraints = [
            models.UniqueConstraint(
                fields=["key", "name"],
                condition=models.Q(key__isnull=False),
                name="repeat_of_key_once",
            ),
            models.UniqueConstraint(
                fields=["user", "name"], condition=models.Q(key__isnull=True), name="repeat_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name
