"""What shall go wrong at the tests' hub, and what was asked of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Fault:
    """`where`: hub or files ("": both); `path`: a piece of the address. It happens `times` times.

    `status` is answered instead, with `headers`; `cut`: the connection breaks after so many bytes
    of the body; `wrong`: the byte at this place of the file is another; `silent`: seconds without a
    word; `pace`: bytes per second; `deaf`: it knows no ranges.
    """

    where: str = ""
    path: str = ""
    method: str = ""
    times: int = 1
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    wrong: int | None = None
    silent: float = 0.0
    pace: float = 0.0
    deaf: bool = False

    def meets(self, where: str, method: str, path: str) -> bool:
        return (
            self.times > 0
            and self.where in {"", where}
            and self.method in {"", method}
            and self.path in path
        )


@dataclass(frozen=True)
class Seen:
    """A request as it came in; `sent`: bytes of the body of its answer."""

    where: str
    method: str
    path: str
    headers: dict[str, str]
    status: int
    sent: int

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "")

    @property
    def range(self) -> str:
        return self.headers.get("range", "")
