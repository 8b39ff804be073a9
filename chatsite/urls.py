"""Every address of the site, room by room."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from chatsite import health

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("", include("chatsite.accounts.urls")),
    path("", include("chatsite.chat.urls")),
    path("admin/", admin.site.urls),
]
