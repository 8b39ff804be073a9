"""A request's JSON: its size, its syntax, and what pydantic finds wrong in it as the API's
error."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from django.http.request import UnreadablePostError
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from chatsite.api.errors import ApiError, invalid

# A long conversation is a few hundred kilobytes.
BODY_BYTES = 8 << 20
# Where a body lies that was read and is wanted once more.
KEPT = "chatsite_body"


class Part(BaseModel):
    """What every object of a request is: strict about types, and nothing in it is overlooked."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def without_nulls(cls, data: Any) -> Any:
        """The SDKs send null for what was not given."""
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None}


Wanted = TypeVar("Wanted", bound=BaseModel)


def read(request: HttpRequest, kind: type[Wanted]) -> Wanted:
    data = load(request)
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise explain(error) from None


def load(request: HttpRequest) -> dict[str, Any]:
    return parse(vars(request).pop(KEPT, None) or pull(request))


def peek(request: HttpRequest) -> dict[str, Any]:
    """The same, and it can be loaded once more."""
    raw = vars(request)[KEPT] = pull(request)
    return parse(raw)


def pull(request: HttpRequest) -> bytes:
    """The bytes, which come but once."""
    length = request.headers.get("Content-Length") or "0"
    if length.isdecimal() and int(length[:20]) > BODY_BYTES:
        raise too_big()
    try:
        raw = request.read(BODY_BYTES + 1)
    except RequestDataTooBig:
        raise too_big() from None
    except UnreadablePostError:
        raise invalid("The body could not be read.") from None
    if len(raw) > BODY_BYTES:
        raise too_big()
    return raw


def parse(raw: bytes) -> dict[str, Any]:
    """JSON that has only what can be stored and sent on: no half characters, no nulls in texts."""
    try:
        # Of bytes it would guess the encoding, and what follows looks at UTF-8.
        data = json.loads(raw.decode("utf-8-sig"), parse_constant=refuse)
        json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        message = "We could not parse the JSON body of your request."
        raise invalid(message, code="invalid_json") from None
    if not isinstance(data, dict):
        raise invalid("The body must be a JSON object.", code="invalid_json")
    if b"\\u0000" in raw and "\x00" in "".join(texts(data)):
        raise invalid("Texts may not contain null characters.", code="invalid_json")
    return data


def refuse(_constant: str) -> NoReturn:
    """NaN and Infinity are no JSON."""
    raise ValueError


def texts(data: Any) -> list[str]:
    """Every text in it, the keys included."""
    found, rest = [], [data]
    while rest:
        each = rest.pop()
        if isinstance(each, str):
            found.append(each)
        elif isinstance(each, dict):
            rest += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            rest += each
    return found


def too_big() -> ApiError:
    message = f"The body is larger than {BODY_BYTES >> 20} MB."
    return ApiError(413, "request_too_large", message)


def explain(error: ValidationError) -> ApiError:
    """The first thing that is wrong, by the name that the caller knows it by."""
    first = error.errors(include_url=False, include_input=False)[0]
    steps = [*first["loc"], first.get("ctx", {}).get("param") or ""]
    # A step may be a key of the caller's own.
    param = ".".join(str(step)[:64] for step in steps if step != "") or None
    if first["type"] == "extra_forbidden":
        return invalid(f"Unknown parameter: '{param}'.", param, "unknown_parameter")
    if first["type"] == "missing":
        message = f"Missing required parameter: '{param}'."
        return invalid(message, param, "missing_required_parameter")
    code = "invalid_type" if first["type"].endswith("_type") else "invalid_value"
    return invalid(f"Invalid '{param}': {first['msg']}.", param, code)
