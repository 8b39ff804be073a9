"""The token log: one Redis Stream per generation, written by one script, read by everybody.

An entry's id is `<position>-<n>`; position counts the tokens after the entry. Redis refuses ids
that do not grow, so a token cannot be logged twice. See docs/architecture.md, "The log".
"""

from __future__ import annotations

import hashlib
import json
from array import array
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import redis

from inference.contract import (
    CallDelta,
    Finish,
    Job,
    Logprob,
    Progress,
    Request,
    Tokens,
    Vector,
    read_calls,
)

# How a reader's client and a script agree on names.
LOG, RUN = "gen:", "run:"
# An ended log stays readable for this long; later reads come from the row. In seconds.
KEPT_S = 3600


class Script:
    """A Lua script that runs by its hash and loads itself where the server forgot it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, client: redis.Redis, *args: str | bytes | float) -> Any:
        try:
            return client.evalsha(self.sha, 0, *args)
        except redis.exceptions.NoScriptError:
            return client.eval(self.text, 0, *args)

    def each(self, client: redis.Redis, calls: Sequence[Sequence[Any]]) -> list[Any]:
        """Many calls in one round trip. Safe to repeat: every script of the log is idempotent."""
        try:
            return self._pipeline(client, calls)
        except redis.exceptions.NoScriptError:
            client.script_load(self.text)
            return self._pipeline(client, calls)

    def _pipeline(self, client: redis.Redis, calls: Sequence[Sequence[Any]]) -> list[Any]:
        pipe = client.pipeline(transaction=False)
        for args in calls:
            pipe.evalsha(self.sha, 0, *args)
        return pipe.execute()


# The place in the queue of what comes now. What is late counts from so far behind that whatever is
# not comes before it, however many they are.
_ARRIVE = """
local function arrive(late)
  return redis.call('INCR', 'arrivals') + (late == '1' and 1099511627776 or 0)
end
"""

# id, model, user, request, late (1 or 0) -> 1, or 0 where the log is there already
CREATE = Script(
    _ARRIVE
    + """
local id, model, user, request, late = unpack(ARGV)
if redis.call('EXISTS', 'run:'..id) == 1 then return 0 end
local now = redis.call('TIME')
redis.call('DEL', 'gen:'..id)
redis.call('XADD', 'gen:'..id, '0-1', 'request', request)
local arrival = arrive(late)
redis.call('HSET', 'run:'..id, 'model', model, 'user', user, 'status', 'waiting', 'fence', 0,
  'position', 0, 'attempts', 0, 'arrival', arrival, 'late', late, 'created', now[1]*1000 +
  math.floor(now[2]/1000))
redis.call('ZADD', 'waiting:'..model, arrival, id)
redis.call('SADD', 'models', model)
return 1
"""
)

# id, model, user, request, fence, position, tokens, text, reasoning, created, late, further fields
# as in APPEND -> 1, or 0 where the log knows as much as the row or more. A shorter log is rebuilt
# from the row with a higher fence.
RESTORE = Script(
    _ARRIVE
    + """
local id, model, user, request, fence, position, t, s, r, created, late = unpack(ARGV)
local run = redis.call('HMGET', 'run:'..id, 'position', 'fence')
if run[1] and tonumber(run[1]) >= tonumber(position)
  and redis.call('EXISTS', 'gen:'..id) == 1 then return 0 end
redis.call('DEL', 'gen:'..id)
redis.call('ZREM', 'leases', id)
redis.call('XADD', 'gen:'..id, '0-1', 'request', request)
if tonumber(position) > 0 then
  redis.call('XADD', 'gen:'..id, position..'-0', 't', t, 's', s, 'r', r, unpack(ARGV, 12))
  redis.call('XADD', 'gen:'..id, position..'-*', 'phase', 'restored', 'fraction', 0)
end
local arrival, floor = arrive(late), math.max(tonumber(fence), tonumber(run[2] or 0))
-- Where it was claimed before, an engine may have begun with it.
redis.call('HSET', 'run:'..id, 'model', model, 'user', user, 'status', 'waiting',
  'fence', floor + 1, 'position', position,
  'attempts', floor > 0 and 1 or 0, 'arrival', arrival, 'late', late, 'created', created)
redis.call('ZADD', 'waiting:'..model, arrival, id)
redis.call('SADD', 'models', model)
return 1
"""
)

# id, fence, position, count, tokens, text, reasoning, further fields by turns with their values ->
# 1: stop was asked, 0: go on, -1: not yours
APPEND = Script("""
local id, fence, position, count, t, s, r = unpack(ARGV)
local run = redis.call('HMGET', 'run:'..id, 'fence', 'position', 'status', 'cancel', 'first')
if run[1] ~= fence or run[3] ~= 'running' then return -1 end
local at = tonumber(run[2])
if tonumber(position) > at then
  if tonumber(position) - tonumber(count) ~= at then
    return redis.error_reply('GAP at '..at..' for '..position)
  end
  redis.call('XADD', 'gen:'..id, position..'-0', 't', t, 's', s, 'r', r, unpack(ARGV, 8))
  redis.call('HSET', 'run:'..id, 'position', position, 'attempts', 0)
  if not run[5] then
    local now = redis.call('TIME')
    redis.call('HSET', 'run:'..id, 'first', now[1]*1000 + math.floor(now[2]/1000))
  end
end
return run[4] and 1 or 0
""")

# id, fence, phase, fraction -> as APPEND
PROGRESS = Script("""
local id, fence, phase, fraction = unpack(ARGV)
local run = redis.call('HMGET', 'run:'..id, 'fence', 'position', 'status', 'cancel')
if run[1] ~= fence or run[3] ~= 'running' then return -1 end
redis.call('XADD', 'gen:'..id, run[2]..'-*', 'phase', phase, 'fraction', fraction)
return run[4] and 1 or 0
""")

# id, fence, index, values -> as APPEND
VECTOR = Script("""
local id, fence, index, values = unpack(ARGV)
local run = redis.call('HMGET', 'run:'..id, 'fence', 'position', 'status', 'cancel')
if run[1] ~= fence or run[3] ~= 'running' then return -1 end
redis.call('XADD', 'gen:'..id, run[2]..'-*', 'v', values, 'i', index)
return run[4] and 1 or 0
""")

# id, fence, end as JSON, whole (1 where it came to its own end) -> 0, or -1: not yours. The times
# are the log's own, so that they are right for an answer that several workers wrote. What the
# estimates of others' waits and the order of the queue are made of is kept here, too.
END = Script("""
local id, fence, finish, whole = unpack(ARGV)
local run = redis.call('HMGET', 'run:'..id, 'fence', 'position', 'status', 'created', 'first',
  'claimed', 'model', 'user')
if run[1] ~= fence then return -1 end
if run[3] == 'done' then return 0 end
-- It waits again: who claims it next ends it, or there would be two ends.
if run[3] ~= 'running' then return -1 end
local time = redis.call('TIME')
local now = time[1]*1000 + math.floor(time[2]/1000)
redis.call('XADD', 'gen:'..id, run[2]..'-*', 'end', finish,
  'created', run[4] or now, 'first', run[5] or now, 'now', now)
redis.call('HSET', 'run:'..id, 'status', 'done')
redis.call('ZREM', 'leases', id)
local minute = 'served:'..math.floor(now/60000)
redis.call('HINCRBY', minute, run[8], run[2])
redis.call('EXPIRE', minute, 180)
if whole == '1' and run[6] then
  local pace, took = 'pace:'..run[7], now - run[6]
  local mean = redis.call('HGET', pace, 'ms')
  redis.call('HSET', pace, 'ms', mean and mean*0.8 + took*0.2 or took)
end
return 0
""")


@dataclass(frozen=True, slots=True)
class End:
    """The last entry as a reader gets it."""

    finish: Finish
    stats: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log as a reader gets it; exactly one of the optional parts is set."""

    position: int
    request: bytes | None = None
    tokens: tuple[int, ...] | None = None
    text: str = ""
    reasoning: str = ""
    calls: tuple[CallDelta, ...] = ()
    logprobs: tuple[Logprob, ...] = ()
    # Of one that was put back whole: in which order its parts came.
    runs: tuple[tuple[int, ...], ...] = ()
    vector: Vector | None = None
    phase: str = ""
    fraction: float = 0.0
    end: End | None = None


@dataclass(slots=True)
class Log:
    """A whole log, added up: what a worker needs to go on with it."""

    request: Request | None = None
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    reasoning: str = ""
    ended: bool = False

    def job(self, attempt: int) -> Job:
        assert self.request
        return Job(self.request, tuple(self.tokens), attempt, self.text, self.reasoning)


def create(client: redis.Redis, request: Request) -> bool:
    """Write a request as the first entry and put it into its model's waiting set; once."""
    args = (request.id, request.queue, request.user, request.to_json())
    return bool(CREATE(client, *args, int(request.late)))


def restore(
    client: redis.Redis,
    request: Request,
    *,
    fence: int,
    position: int,
    tokens: Sequence[int],
    text: str,
    reasoning: str,
    created: int,
    calls: tuple[CallDelta, ...] = (),
    logprobs: tuple[Logprob, ...] = (),
    runs: Sequence[Sequence[int]] = (),
) -> bool:
    """Rebuild a log from its row where Redis has less than the row; `created` in ms since 1970.
    `runs` say in which order it came: they are the readers' own and travel as they are."""
    head = (request.id, request.model.name, request.user, request.to_json(), fence, position)
    entry = (json.dumps(list(tokens)), text, reasoning, created, int(request.late))
    order = ("o", json.dumps(runs)) if runs else ()
    return bool(RESTORE(client, *head, *entry, *_further(calls, logprobs), *order))


def expire(client: redis.Redis, id: str, seconds: int = KEPT_S) -> None:
    """Let an ended log go when its readers had time to finish."""
    client.expire(LOG + id, seconds)
    client.expire(RUN + id, seconds)


def remove(client: redis.Redis, id: str) -> None:
    """A log that has no row and that nobody reads any more. A worker that holds it is refused."""
    client.delete(LOG + id, RUN + id)


def append(client: redis.Redis, events: Sequence[tuple[int, Tokens]]) -> list[int]:
    """Log the tokens of one step, (fence, event) each, in one round trip: 1 stop, 0 on, -1
    fenced."""
    calls = [
        (
            event.id,
            fence,
            event.position,
            len(event.tokens),
            json.dumps(event.tokens),
            event.text,
            event.reasoning,
            *_further(event.calls, event.logprobs),
        )
        for fence, event in events
    ]
    return [int(answer) for answer in APPEND.each(client, calls)]


def _further(calls: tuple[CallDelta, ...], logprobs: tuple[Logprob, ...]) -> list[str]:
    """Fields that few entries have: c, the calls, and l, the log probabilities."""
    further = []
    if calls:
        further += ["c", json.dumps([asdict(call) for call in calls])]
    if logprobs:
        further += ["l", json.dumps([each.to_list() for each in logprobs])]
    return further


def vector(client: redis.Redis, fence: int, event: Vector) -> int:
    """Log an embedding; a repeated one has the same index."""
    data = b64encode(array("f", event.values).tobytes())
    return int(VECTOR(client, event.id, fence, event.index, data))


def report(client: redis.Redis, fence: int, progress: Progress) -> int:
    return int(PROGRESS(client, progress.id, fence, progress.phase, progress.fraction))


def finish(client: redis.Redis, fence: int, event: Finish) -> int:
    """Write the one last entry; a repeat is harmless."""
    whole = int(event.reason in {"stop", "length"})
    end = json.dumps(asdict(event), ensure_ascii=False)
    return int(END(client, event.id, fence, end, whole))


def load(client: redis.Redis, id: str) -> Log:
    """The whole log of a generation, for the worker that claimed it."""
    log = Log()
    entries: Any = client.xrange(LOG + id)
    for raw in entries:
        entry = parse(*raw)
        if entry.request is not None:
            log.request = Request.from_json(entry.request)
        log.tokens.extend(entry.tokens or ())
        log.text += entry.text
        log.reasoning += entry.reasoning
        log.ended = log.ended or entry.end is not None
    return log


def parse(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    """An entry from its raw form; readers in the site and in the worker share it."""
    position = int(entry_id.split(b"-")[0])
    if b"t" in fields:
        tokens = tuple(json.loads(fields[b"t"].decode()))
        return Entry(
            position,
            tokens=tokens,
            text=fields[b"s"].decode(),
            reasoning=fields[b"r"].decode(),
            calls=read_calls(json.loads(fields[b"c"].decode())) if b"c" in fields else (),
            logprobs=_logprobs(fields[b"l"]) if b"l" in fields else (),
            runs=_runs(fields[b"o"]) if b"o" in fields else (),
        )
    if b"v" in fields:
        return Entry(position, vector=_vector(fields))
    if b"end" in fields:
        return Entry(position, end=_end(position, fields))
    if b"phase" in fields:
        return Entry(position, phase=fields[b"phase"].decode(), fraction=float(fields[b"fraction"]))
    return Entry(position, request=fields[b"request"])


def _runs(data: bytes) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(run) for run in json.loads(data))


def _logprobs(data: bytes) -> tuple[Logprob, ...]:
    return tuple(Logprob.from_list(each) for each in json.loads(data))


def _vector(fields: Mapping[bytes, bytes]) -> Vector:
    return Vector("", int(fields[b"i"]), array("f", b64decode(fields[b"v"])))


def _end(position: int, fields: Mapping[bytes, bytes]) -> End:
    finish = Finish.from_dict(json.loads(fields[b"end"]))
    created, first, now = (int(fields[key]) for key in (b"created", b"first", b"now"))
    # Who writes elsewhere counts otherwise than in what came, and knows better.
    stats: dict[str, Any] = {"completion_tokens": position, **finish.stats}
    count = stats["completion_tokens"]
    if position:
        stats["first_token_ms"] = first - created
    if position and count > 1 and now > first:
        stats["tokens_per_second"] = round((count - 1) * 1000 / (now - first), 1)
    return End(finish, stats)
