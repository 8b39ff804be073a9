"""Accounts in Django's own admin, for what the product's pages do not offer. Same rules apply."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from chatsite.accounts.models import ApiKey, User


@admin.register(User)
class PersonAdmin(UserAdmin[User]):
    """The stock page plus our fields. Deleting is left to the product's page and its checks."""

    fieldsets = (
        *(UserAdmin.fieldsets or ()),
        (_("Display"), {"fields": ("language", "theme", "must_change_password")}),
    )

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False


admin.site.unregister(Group)


@admin.register(Group)
class PeopleGroupAdmin(GroupAdmin):
    """The stock page. Deleting is left to the product's page: models could be open to everybody
    afterwards."""

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return False


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin[ApiKey]):
    """To look at: keys are made and revoked on the product's pages."""

    list_display = ["prefix", "name", "user", "created_at", "last_used_at", "expires_at"]
    list_select_related = ["user"]
    search_fields = ["prefix", "name", "user__username"]
    exclude = ["hash"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False
