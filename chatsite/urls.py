"""Every address of the site, room by room."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("chatsite.accounts.urls")),
    path("", include("chatsite.chat.urls")),
    path("admin/", admin.site.urls),
]
