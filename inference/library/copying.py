"""Brings a model from another machine of this site: the same way as from the hub, and through the
same border. What each file has to be, the catalogue says."""

from __future__ import annotations

import redis

from inference import silence
from inference.library import border, fetch
from inference.library.meter import Tell
from inference.library.nouns import Errand, Landed, LibraryError
from inference.library.peer import Peers
from inference.library.store import Store
from inference.settings import current


def run(errand: Errand, store: Store, report: Tell) -> Landed:
    """What is here already stays as it is."""
    here = store.manifest(errand.folder)
    if here:
        if set(here.landed.files) != set(errand.files):
            raise LibraryError("exists", path=errand.folder)
        return here.landed
    border.check_names(each.path for each in errand.files)
    folder = store.incoming(errand.id)
    url = current().redis_url
    with redis.Redis.from_url(url, **silence.options(url)) as broker:
        source = Peers(errand, broker)
        source.start()
        fetch.run(errand, folder, report, source)
    return store.land(folder, errand, report)
