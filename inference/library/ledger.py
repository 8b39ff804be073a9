"""Errands and questions in Redis: entered, claimed, reported, ended. Each change is one Lua call,
so two workers can never have the same; it does nothing itself.

An errand stays on the machine where it began, since its bytes lie there: `place` is a worker's name
without the number that tells several of one data directory apart.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from inference.library.nouns import Errand, ErrandState
from inference.stream import Script

# The tasks that ring a worker, by name.
ERRAND, QUESTION = "inference.errand", "inference.question"
# What has ended is remembered for a month, if the site does not forget it before.
KEPT_S = 30 * 24 * 3600
# Seconds that an answer waits to be taken away.
ANSWER_S = 60
FIELDS = ("state", "phase", "file", "done", "total", "speed", "node", "error", "result")

_LINES = """
local function now()
  local time = redis.call('TIME')
  return time[1]*1000 + math.floor(time[2]/1000)
end
local function close(id, state)
  local key = 'errand:'..id
  redis.call('ZREM', 'errands', id)
  redis.call('ZREM', 'errand-leases', id)
  redis.call('HSET', key, 'state', state, 'wish', '', 'speed', 0, 'phase', '')
  if state ~= 'paused' then redis.call('EXPIRE', key, KEPT) end
end
-- What lies on a disk of one that was cancelled while nobody worked on it.
local function cancel(id)
  local begun = redis.call('HGET', 'errand:'..id, 'begun')
  if begun then redis.call('SADD', 'errand-litter:'..begun, id) end
  close(id, 'cancelled')
end
-- Its worker holds it no more: a wish that was not obeyed yet is obeyed now.
local function line_up(id)
  local key = 'errand:'..id
  local run = redis.call('HMGET', key, 'state', 'wish', 'arrival')
  redis.call('ZREM', 'errand-leases', id)
  if run[1] ~= 'running' and run[1] ~= 'paused' then return false end
  if run[2] == 'cancel' then cancel(id)
  elseif run[2] == 'pause' then close(id, 'paused')
  else
    redis.call('HSET', key, 'state', 'waiting', 'speed', 0)
    redis.call('ZADD', 'errands', run[3], id)
  end
  return true
end
""".replace("KEPT", str(KEPT_S))

# id, request, kind, place or '' -> 1, or 0 where it is known and not over or done
ENTER = Script("""
local id, request, kind, place = unpack(ARGV)
local key = 'errand:'..id
local run = redis.call('HMGET', key, 'state', 'begun')
if run[1] and run[1] ~= 'failed' and run[1] ~= 'cancelled' then return 0 end
if run[2] then redis.call('SREM', 'errand-litter:'..run[2], id) end
local arrival = redis.call('INCR', 'errand-arrivals')
redis.call('HSET', key, 'request', request, 'kind', kind, 'for', place, 'state', 'waiting',
  'wish', '', 'error', '', 'result', '', 'phase', '', 'attempts', 0, 'arrival', arrival)
redis.call('PERSIST', key)
redis.call('ZADD', 'errands', arrival, id)
return 1
""")

# place, name, mark, lease in ms, kinds -> {id, request, fence, attempts} or nil
CLAIM = Script(
    _LINES
    + """
local place, name, mark, lease = unpack(ARGV)
local kinds = {}
for i = 5, #ARGV do kinds[ARGV[i]] = true end
for _, id in ipairs(redis.call('ZRANGE', 'errands', 0, 999)) do
  local key = 'errand:'..id
  local run = redis.call('HMGET', key, 'state', 'kind', 'for', 'begun', 'request')
  if run[1] ~= 'waiting' then redis.call('ZREM', 'errands', id)
  elseif kinds[run[2]] and (run[3] == '' or run[3] == place)
      and (not run[4] or run[4] == place) then
    redis.call('ZREM', 'errands', id)
    redis.call('ZADD', 'errand-leases', now() + lease, id)
    redis.call('HSET', key, 'state', 'running', 'owner', mark, 'node', name, 'begun', place)
    return {id, run[5], redis.call('HINCRBY', key, 'fence', 1),
      redis.call('HINCRBY', key, 'attempts', 1)}
  end
end
return nil
"""
)

# id, fence, lease in ms, then field and value by turns -> the wish, or nil: it is not yours
REPORT = Script(
    _LINES
    + """
local id, fence, lease = unpack(ARGV)
local key = 'errand:'..id
local run = redis.call('HMGET', key, 'fence', 'state', 'wish', 'best')
if run[1] ~= fence or run[2] ~= 'running' then return nil end
redis.call('ZADD', 'errand-leases', now() + lease, id)
for i = 4, #ARGV, 2 do
  -- Whoever gets further than ever is not one that fails again and again.
  if ARGV[i] == 'done' and tonumber(ARGV[i+1]) > tonumber(run[4] or 0) then
    redis.call('HSET', key, 'attempts', 0, 'best', ARGV[i+1])
  end
  redis.call('HSET', key, ARGV[i], ARGV[i+1])
end
return run[3]
"""
)

# id, fence, state, then field and value by turns -> 1, or 0: it is not yours
FINISH = Script(
    _LINES
    + """
local id, fence, state = unpack(ARGV)
local key = 'errand:'..id
local run = redis.call('HMGET', key, 'fence', 'state')
if run[1] ~= fence or run[2] ~= 'running' then return 0 end
for i = 4, #ARGV, 2 do redis.call('HSET', key, ARGV[i], ARGV[i+1]) end
close(id, state)
return 1
"""
)

# id, fence -> 1 where it waits again
RELEASE = Script(
    _LINES
    + """
if redis.call('HGET', 'errand:'..ARGV[1], 'fence') ~= ARGV[2] then return 0 end
return line_up(ARGV[1]) and 1 or 0
"""
)

# id, wish: pause, resume or cancel -> its state then, nil where it is unknown
WISH = Script(
    _LINES
    + """
local id, wish = unpack(ARGV)
local key = 'errand:'..id
local state = redis.call('HGET', key, 'state')
if not state then return nil end
if state == 'running' then redis.call('HSET', key, 'wish', wish == 'resume' and '' or wish)
elseif wish == 'cancel' and (state == 'waiting' or state == 'paused') then cancel(id)
elseif wish == 'pause' and state == 'waiting' then close(id, 'paused')
elseif wish == 'resume' and state == 'paused' then
  redis.call('HSET', key, 'wish', '', 'attempts', 0)
  line_up(id)
end
return redis.call('HGET', key, 'state')
"""
)

# -> how many wait again, since nobody renewed them
LAPSE = Script(
    _LINES
    + """
local lapsed = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'errand-leases', 0, now())) do
  if line_up(id) then lapsed = lapsed + 1 end
end
return lapsed
"""
)

# name, mark -> how many of an earlier process of this name wait again
ORPHANS = Script(
    _LINES
    + """
local name, mark = unpack(ARGV)
local found = 0
for _, id in ipairs(redis.call('ZRANGE', 'errand-leases', 0, -1)) do
  local owner = redis.call('HGET', 'errand:'..id, 'owner')
  if owner and owner ~= mark and string.sub(owner, 1, #name + 1) == name..'/' and line_up(id) then
    found = found + 1
  end
end
return found
"""
)

# ids -> nothing is known of them; what came of those that did not arrive is litter
FORGET = Script("""
for _, id in ipairs(ARGV) do
  local run = redis.call('HMGET', 'errand:'..id, 'state', 'begun')
  if run[2] and (run[1] == 'failed' or run[1] == 'cancelled') then
    redis.call('SADD', 'errand-litter:'..run[2], id)
  end
  redis.call('DEL', 'errand:'..id)
  redis.call('ZREM', 'errands', id)
end
""")


@dataclass(frozen=True, slots=True)
class Claim:
    """An errand that this worker does, until a higher fence exists. `attempts`: how often it was
    begun since it got on last."""

    errand: Errand
    fence: int
    attempts: int


def place(name: str) -> str:
    """The machine and data directory of a worker."""
    return name.rpartition("-")[0]


def enter(client: redis.Redis, errand: Errand) -> bool:
    """It waits for a worker; one that failed or was cancelled begins again. False: it is known."""
    home = place(errand.node) if errand.node else ""
    return bool(ENTER(client, errand.id, errand.to_json(), errand.kind, home))


def claim(
    client: redis.Redis, name: str, mark: str, lease_ms: int, kinds: Iterable[str]
) -> Claim | None:
    """The next errand of these kinds that this worker may do."""
    answer = CLAIM(client, place(name), name, mark, lease_ms, *kinds)
    if not answer:
        return None
    return Claim(Errand.from_json(answer[1]), int(answer[2]), int(answer[3]))


def report(
    client: redis.Redis, id: str, fence: int, lease_ms: int, news: Mapping[str, Any]
) -> str | None:
    """Keep the lease and say how it stands: what somebody wishes ("", pause, cancel), or None where
    it is not ours any more."""
    answer: bytes | None = REPORT(client, id, fence, lease_ms, *_flat(news))
    return None if answer is None else answer.decode()


def finish(
    client: redis.Redis, id: str, fence: int, state: str, news: Mapping[str, Any] | None = None
) -> bool:
    """It has ended, or it is paused. False where somebody else has it."""
    return bool(FINISH(client, id, fence, state, *_flat(news or {})))


def release(client: redis.Redis, id: str, fence: int) -> None:
    """Give it back unfinished: it waits at its old place."""
    RELEASE(client, id, fence)


def wish(client: redis.Redis, id: str, wished: str) -> str | None:
    """Pause, resume or cancel it: how it stands now, None where nobody knows it."""
    answer: bytes | None = WISH(client, id, wished)
    return None if answer is None else answer.decode()


def lapse(client: redis.Redis) -> int:
    return int(LAPSE(client))


def orphans(client: redis.Redis, name: str, mark: str) -> int:
    """Take back at once what a dead worker of this name held."""
    return int(ORPHANS(client, name, mark))


def states(client: redis.Redis, ids: Sequence[str]) -> dict[str, ErrandState]:
    """How they stand; those that Redis does not know are left out."""
    pipe = client.pipeline(transaction=False)
    for id in ids:
        pipe.hmget(f"errand:{id}", *FIELDS)
    found = zip(ids, pipe.execute(), strict=True)
    return {id: _state(id, values) for id, values in found if values[0]}


def forget(client: redis.Redis, ids: Sequence[str]) -> None:
    """Nobody will ask for these again; what has come of one that failed is thrown away."""
    FORGET(client, *ids)


def litter(client: redis.Redis, name: str) -> list[str]:
    """Cancelled errands whose bytes still lie on this machine's disk."""
    found: Any = client.smembers(f"errand-litter:{place(name)}")
    return [id.decode() for id in found]


def swept(client: redis.Redis, name: str, id: str) -> None:
    client.srem(f"errand-litter:{place(name)}", id)


def ask(
    client: redis.Redis, id: str, question: Mapping[str, Any], seconds: int, node: str = ""
) -> None:
    """Put a question; one that nobody has taken after that many seconds goes by itself."""
    line = _line(node)
    pipe = client.pipeline()
    pipe.set(f"ask:{id}", json.dumps(question), ex=seconds)
    pipe.rpush(line, id)
    pipe.expire(line, 600)
    pipe.execute()


def take(client: redis.Redis, name: str) -> tuple[str, dict[str, Any]] | None:
    """The next question for this worker, or for any."""
    for line in (_line(name), _line("")):
        while id := client.lpop(line):
            assert isinstance(id, bytes)
            text: Any = client.getdel(b"ask:" + id)
            if text:
                return id.decode(), json.loads(text)
    return None


def answer(client: redis.Redis, id: str, said: Mapping[str, Any]) -> None:
    pipe = client.pipeline()
    pipe.rpush(f"question:{id}", json.dumps(said))
    pipe.expire(f"question:{id}", ANSWER_S)
    pipe.execute()


def hear(client: redis.Redis, id: str, seconds: float) -> dict[str, Any] | None:
    """Its answer, waiting for it; None where none came."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        # Shorter than the client's own patience with its socket.
        found: Any = client.blpop([f"question:{id}"], timeout=min(left, 2))
        if found:
            answer: dict[str, Any] = json.loads(found[1])
            return answer
    return None


def _line(node: str) -> str:
    return f"questions:{place(node)}" if node else "questions"


def _flat(news: Mapping[str, Any]) -> list[Any]:
    """Fields as Redis keeps them: what is a mapping or None as JSON."""
    flat: list[Any] = []
    for name, value in news.items():
        plain = isinstance(value, str | int | float)
        flat += [name, value if plain else json.dumps(value, ensure_ascii=False)]
    return flat


def _state(id: str, values: Sequence[bytes | None]) -> ErrandState:
    known = {name: value.decode() for name, value in zip(FIELDS, values, strict=True) if value}
    readers: dict[str, Callable[[str], Any]] = {
        "done": int,
        "total": int,
        "speed": float,
        "error": json.loads,
        "result": json.loads,
    }
    return ErrandState.from_dict(
        {"id": id} | {name: readers.get(name, str)(value) for name, value in known.items()}
    )
