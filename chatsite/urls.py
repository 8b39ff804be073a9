"""Every address of the site, room by room."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.i18n import JavaScriptCatalog

from chatsite import health, metrics
from chatsite.api.views import reference

handler500 = "chatsite.outage.answer"
urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    # The words of the page's scripts, in the reader's language; the login page has some too.
    path(
        "jsi18n/",
        login_not_required(JavaScriptCatalog.as_view(packages=["chatsite"])),
        name="javascript-catalog",
    ),
    path("reference/", reference.page, name="reference"),
    path("reference/schema.json", reference.document, name="reference-schema"),
    path("", include("chatsite.accounts.urls")),
    path("", include("chatsite.catalogue.urls")),
    path("", include("chatsite.metering.urls")),
    path("", include("chatsite.chat.urls")),
    path("", include("chatsite.api.urls")),
    path("", include("chatsite.ollama.urls")),
    path("admin/", admin.site.urls),
]
