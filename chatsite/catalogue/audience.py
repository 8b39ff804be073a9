"""What the people of a group may use, for the page about it. Who may use a model is `actions`'."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.db.models import Count

from chatsite.accounts.groups import Opening
from chatsite.catalogue.models import Model


def opened_by(group: Group) -> list[Opening]:
    chosen = Model.objects.filter(pk__in=Model.objects.filter(groups=group).values("pk"))
    models = chosen.annotate(all_groups=Count("groups"))
    return [Opening(str(model), alone=model.all_groups == 1) for model in models]
