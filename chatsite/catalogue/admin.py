"""The catalogue's rows in the admin site: names and switches of models, the rest to look at. Where
weights lie is never edited by hand."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest

from chatsite.catalogue import actions
from chatsite.catalogue.models import Alias, Delivery, Model


@admin.register(Model)
class ModelAdmin(admin.ModelAdmin[Model]):
    list_display = ["name", "title", "engine", "enabled"]
    # The site's own page checks names and parameters.
    readonly_fields = ["name", "engine", "source", "provider", "defaults", "created"]

    def save_model(
        self, request: HttpRequest, obj: Model, form: ModelForm[Model], change: bool
    ) -> None:
        actions.save(obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnly(admin.ModelAdmin[Any]):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Alias)
class AliasAdmin(ReadOnly):
    list_display = ["name", "model"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly):
    list_display = ["title", "kind", "state", "created", "ended"]
    list_filter = ["kind", "state"]
