"""How static files are named: by a hash of their content, modules that import each other too."""

from __future__ import annotations

from servestatic.storage import CompressedManifestStaticFilesStorage


class Files(CompressedManifestStaticFilesStorage):
    """Without the aggregation browsers would keep old modules: imports would name no hash."""

    support_js_module_import_aggregation = True
