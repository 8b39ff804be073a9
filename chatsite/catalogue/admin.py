"""Models in the admin site: names and switches. Where weights lie is never edited by hand."""

from __future__ import annotations

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest

from chatsite.catalogue import actions
from chatsite.catalogue.models import Model


@admin.register(Model)
class ModelAdmin(admin.ModelAdmin[Model]):
    list_display = ["name", "title", "engine", "enabled"]
    readonly_fields = ["name", "engine", "source", "provider", "created"]

    def save_model(
        self, request: HttpRequest, obj: Model, form: ModelForm[Model], change: bool
    ) -> None:
        actions.save(obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
