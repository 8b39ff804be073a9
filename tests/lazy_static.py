"""Static files for tests, looked up when one is asked for: every test client has middleware of its
own, which would go through all of the files first."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from servestatic.middleware import ServeStaticMiddleware


class LazyStaticMiddleware(ServeStaticMiddleware):
    def add_files_from_finders(self) -> None:
        """None: with SERVESTATIC_AUTOREFRESH the finders are asked for each."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(self.static_prefix):
            served: HttpResponseBase = await super().__call__(request)
            return served
        answer: HttpResponseBase = await self.get_response(request)
        return answer
