"""The addresses of this room."""

from __future__ import annotations

from django.urls import path

from chatsite.metering.views import everybody, own

urlpatterns = [
    path("settings/usage", own.usage, name="usage"),
    path("settings/usage/keys/<int:pk>", own.key, name="usage-key"),
    path("settings/usage/everybody", everybody.usage, name="usage-all"),
    path("settings/usage/everybody.csv", everybody.download, name="usage-download"),
    path("settings/usage/limits", everybody.limits, name="usage-limits"),
    path("settings/usage/people/<int:pk>", everybody.person, name="usage-person"),
]
