"""The addresses of this room."""

from __future__ import annotations

from django.urls import path

from chatsite.catalogue import views

urlpatterns = [
    path("settings/providers", views.overview, name="providers"),
    path("settings/providers/new", views.add, name="providers-add"),
    path("settings/providers/<int:pk>", views.provider, name="providers-one"),
    path("settings/providers/<int:pk>/models", views.models, name="providers-models"),
    path("settings/providers/<int:pk>/delete", views.remove, name="providers-delete"),
]
