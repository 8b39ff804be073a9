"""Conversations in the admin site: whose and how old, never what was said; read-only."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from chatsite.chat.models import Conversation

SHOWN = ("id", "owner", "model", "created", "updated", "deleted")


@admin.register(Conversation)
class ConversationAdmin(admin.ModelAdmin[Conversation]):
    list_display = SHOWN
    list_select_related = ["owner"]
    fields = SHOWN

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Conversation | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Conversation | None = None) -> bool:
        return False
