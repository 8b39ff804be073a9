"""The addresses of this room."""

from __future__ import annotations

from django.urls import path

from chatsite.catalogue.views import (
    adding,
    files,
    machines,
    model,
    models,
    own,
    providers,
    repository,
)

urlpatterns = [
    path("settings/models", models.overview, name="models"),
    path("settings/models/live", models.live, name="models-live"),
    path("settings/models/add", adding.add, name="models-add"),
    path("settings/models/hub", adding.hub, name="models-hub"),
    path("settings/models/hub/found", adding.found, name="models-found"),
    path("settings/models/fetch", adding.fetch, name="models-fetch"),
    path("settings/models/repository", repository.repository, name="models-repository"),
    path("settings/models/repository/variants", repository.variants, name="models-variants"),
    path("settings/models/download", repository.download, name="models-download"),
    path("settings/models/file", files.from_file, name="models-file"),
    path("settings/models/own", own.add, name="models-own"),
    path("settings/models/<int:pk>/own", own.change, name="models-own-change"),
    path("settings/models/uploads", files.begin, name="models-upload"),
    path("settings/models/uploads/<str:key>", files.piece, name="models-upload-piece"),
    path("settings/models/deliveries/<uuid:pk>/<slug:act>", models.act, name="models-delivery"),
    path("settings/models/<int:pk>", model.model, name="models-one"),
    path("settings/models/<int:pk>/state", model.state, name="models-state"),
    path("settings/models/<int:pk>/enable", models.enable, name="models-enable"),
    path("settings/models/<int:pk>/load", model.load, name="models-load"),
    path("settings/models/<int:pk>/unload", model.unload, name="models-unload"),
    path("settings/models/<int:pk>/try", model.attempt, name="models-try"),
    path("settings/models/<int:pk>/try/<uuid:key>", model.trial, name="models-trial"),
    path("settings/models/<int:pk>/places", model.places, name="models-places"),
    path("settings/models/<int:pk>/copy", model.copy, name="models-copy"),
    path("settings/models/<int:pk>/export", model.export, name="models-export"),
    path("settings/models/<int:pk>/delete", model.remove, name="models-delete"),
    path("settings/machines", machines.machines, name="machines"),
    path("settings/machines/live", machines.machines_live, name="machines-live"),
    path("settings/machines/acts/<slug:act>", machines.act, name="machines-act"),
    path("settings/hub", machines.hub, name="hub"),
    path("settings/providers", providers.overview, name="providers"),
    path("settings/providers/new", providers.add, name="providers-add"),
    path("settings/providers/<int:pk>", providers.provider, name="providers-one"),
    path("settings/providers/<int:pk>/models", providers.models, name="providers-models"),
    path("settings/providers/<int:pk>/delete", providers.remove, name="providers-delete"),
]
