"""The addresses of this room."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import path

from chatsite.accounts.views import entry, groups, keys, people, personal, site

urlpatterns = [
    path("setup", entry.setup, name="setup"),
    path("login", entry.Login.as_view(), name="login"),
    path("logout", LogoutView.as_view(next_page="login"), name="logout"),
    path("signup", entry.sign_up, name="signup"),
    path("join/<str:token>", entry.join, name="join"),
    path("settings/", personal.preferences, name="settings"),
    path("settings/appearance", personal.appearance, name="settings-appearance"),
    path("settings/language", personal.language, name="settings-language"),
    path("settings/password", personal.password, name="password"),
    path("settings/keys", keys.overview, name="keys"),
    path("settings/keys/new", keys.new, name="keys-new"),
    path("settings/keys/<int:pk>/revoke", keys.revoke, name="keys-revoke"),
    path("settings/users", people.people, name="users"),
    path("settings/users/new", people.add, name="users-add"),
    path("settings/users/<int:pk>", people.person, name="users-one"),
    path("settings/users/<int:pk>/reset", people.reset, name="users-reset"),
    path("settings/users/<int:pk>/enable", people.activate, name="users-enable"),
    path("settings/users/<int:pk>/disable", people.disable, name="users-disable"),
    path("settings/users/<int:pk>/promote", people.promote, name="users-promote"),
    path("settings/users/<int:pk>/demote", people.demote, name="users-demote"),
    path("settings/users/<int:pk>/delete", people.delete, name="users-delete"),
    path("settings/users/keys/<int:pk>/revoke", keys.revoke_for, name="users-key-revoke"),
    path("settings/groups", groups.groups, name="groups"),
    path("settings/groups/new", groups.add, name="groups-add"),
    path("settings/groups/<int:pk>", groups.group, name="groups-one"),
    path("settings/groups/<int:pk>/rename", groups.rename, name="groups-rename"),
    path("settings/groups/<int:pk>/people", groups.put_in, name="groups-put"),
    path("settings/groups/<int:pk>/take", groups.take_out, name="groups-take"),
    path("settings/groups/<int:pk>/delete", groups.delete, name="groups-delete"),
    path("settings/site", site.site, name="site"),
    path("settings/site/policy", site.policy, name="site-policy"),
    path("settings/site/invite", site.invite, name="site-invite"),
    path("settings/site/invitations/<int:pk>/revoke", site.revoke, name="site-revoke"),
]
