"""Models for vLLM in the catalogue of a running site."""

from __future__ import annotations

import json
from pathlib import Path

from tests.live import Site

ADD = """
import json, os
from chatsite.catalogue.models import Model
Model.objects.update_or_create(name=os.environ["NAME"], defaults=json.loads(os.environ["ROW"]))
"""


def broker_of(site: Site) -> str:
    """The address by which a further worker reaches its broker."""
    code = "from django.conf import settings; print(settings.REDIS_URL)"
    return site.shell(code).split()[-1]


def add(site: Site, name: str, folder: Path, **settings: object) -> None:
    """A model that vLLM runs, in the place of one of that name."""
    row = {"engine": "vllm", "source": {"path": str(folder)}, "settings": settings}
    site.shell(ADD, NAME=name, ROW=json.dumps(row))
