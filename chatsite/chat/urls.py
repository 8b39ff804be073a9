"""The addresses of the chat."""

from __future__ import annotations

from django.urls import path

from chatsite.chat import views

urlpatterns = [
    path("", views.home, name="home"),
    path("chat/", views.page, name="chat"),
    path("chat/send", views.send, name="chat-send"),
    path("chat/sidebar/", views.side, name="chat-sidebar"),
    path("chat/<uuid:pk>/", views.page, name="conversation"),
    path("chat/<uuid:pk>/earlier/", views.earlier, name="chat-earlier"),
    path("chat/<uuid:pk>/thread/", views.tail, name="chat-thread"),
    path("chat/<uuid:pk>/edit", views.edit, name="chat-edit"),
    path("chat/<uuid:pk>/regenerate", views.regenerate, name="chat-regenerate"),
    path("chat/<uuid:pk>/branch", views.branch, name="chat-branch"),
    path("chat/<uuid:pk>/settings", views.settings, name="chat-settings"),
    path("chat/<uuid:pk>/rename", views.rename, name="chat-rename"),
    path("chat/<uuid:pk>/delete", views.delete, name="chat-delete"),
    path("chat/<uuid:pk>/restore", views.restore, name="chat-restore"),
]
