"""Who is generating what: claims, leases, fences. Each change is one Lua call, so two can never
agree.

A claim gives the next request of a model to one worker and raises the generation's fence; whoever
holds an older fence is refused by the log. A lease that is not renewed lapses, and the generation
waits again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import redis

from inference.stream import Script

# What both RELEASE and LAPSE do: back to its old place in the queue, and the readers are told.
_WAIT_AGAIN = """
local function wait_again(id)
  local run = redis.call('HMGET', 'run:'..id, 'model', 'arrival', 'position', 'status')
  redis.call('ZREM', 'leases', id)
  if not run[1] or run[4] ~= 'running' then return false end
  redis.call('HSET', 'run:'..id, 'status', 'waiting')
  redis.call('ZADD', 'waiting:'..run[1], run[2], id)
  redis.call('SADD', 'models', run[1])
  redis.call('XADD', 'gen:'..id, run[3]..'-*', 'phase', 'waiting', 'fraction', 0)
  return run[1]
end
local function now()
  local time = redis.call('TIME')
  return time[1]*1000 + math.floor(time[2]/1000)
end
"""

# model, lease in ms -> {id, fence, attempts} or nil. Among the oldest 200 the one whose user has
# the fewest running goes first; the oldest of equals.
CLAIM = Script(
    _WAIT_AGAIN
    + """
local model, lease = ARGV[1], ARGV[2]
local busy = {}
for _, id in ipairs(redis.call('ZRANGE', 'leases', 0, -1)) do
  local user = redis.call('HGET', 'run:'..id, 'user')
  if user then busy[user] = (busy[user] or 0) + 1 end
end
local best, least
for _, id in ipairs(redis.call('ZRANGE', 'waiting:'..model, 0, 199)) do
  local run = redis.call('HMGET', 'run:'..id, 'user', 'status')
  local user = run[1]
  if not user or run[2] ~= 'waiting' then redis.call('ZREM', 'waiting:'..model, id)
  elseif not best or (busy[user] or 0) < least then best, least = id, busy[user] or 0 end
end
if not best then return nil end
redis.call('ZREM', 'waiting:'..model, best)
redis.call('HSET', 'run:'..best, 'status', 'running')
redis.call('ZADD', 'leases', now() + lease, best)
return {best, redis.call('HINCRBY', 'run:'..best, 'fence', 1),
  redis.call('HINCRBY', 'run:'..best, 'attempts', 1)}
"""
)

# lease in ms, then id and fence by turns -> for each 1: stop was asked, 0: go on, -1: not yours
RENEW = Script(
    _WAIT_AGAIN
    + """
local answers = {}
for i = 2, #ARGV, 2 do
  local run = redis.call('HMGET', 'run:'..ARGV[i], 'fence', 'status', 'cancel')
  if run[1] ~= ARGV[i+1] or run[2] ~= 'running' then table.insert(answers, -1)
  else
    redis.call('ZADD', 'leases', now() + ARGV[1], ARGV[i])
    table.insert(answers, run[3] and 1 or 0)
  end
end
return answers
"""
)

# id, fence -> 1 where it waits again
RELEASE = Script(
    _WAIT_AGAIN
    + """
if redis.call('HGET', 'run:'..ARGV[1], 'fence') ~= ARGV[2] then return 0 end
return wait_again(ARGV[1]) and 1 or 0
"""
)

# -> the models that have something new to do
LAPSE = Script(
    _WAIT_AGAIN
    + """
local models = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'leases', 0, now())) do
  local model = wait_again(id)
  if model then table.insert(models, model) end
end
return models
"""
)

# id, end as JSON -> the model to ring (it runs and must hear of it), '' (it is over), nil (unknown)
CANCEL = Script(
    _WAIT_AGAIN
    + """
local id, finish = unpack(ARGV)
local run = redis.call('HMGET', 'run:'..id, 'model', 'status', 'position', 'created', 'first')
if not run[1] then return nil end
if run[2] == 'done' then return '' end
redis.call('HSET', 'run:'..id, 'cancel', 1)
if run[2] == 'running' then return run[1] end
redis.call('ZREM', 'waiting:'..run[1], id)
redis.call('HSET', 'run:'..id, 'status', 'done')
redis.call('XADD', 'gen:'..id, run[3]..'-*', 'end', finish,
  'created', run[4] or now(), 'first', run[5] or now(), 'now', now())
return ''
"""
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A generation that this worker may write, until a higher fence exists."""

    id: str
    fence: int
    attempts: int


def claim(client: redis.Redis, model: str, lease_ms: int) -> Claim | None:
    answer = CLAIM(client, model, lease_ms)
    return Claim(answer[0].decode(), int(answer[1]), int(answer[2])) if answer else None


def renew(client: redis.Redis, lease_ms: int, claims: Sequence[tuple[str, int]]) -> list[int]:
    """Keep the leases, (id, fence) each: 1 stop was asked, 0 go on, -1 somebody else has it."""
    flat = [value for pair in claims for value in pair]
    return [int(answer) for answer in RENEW(client, lease_ms, *flat)]


def release(client: redis.Redis, id: str, fence: int) -> None:
    """Give it back unfinished: it waits at its old place."""
    RELEASE(client, id, fence)


def lapse(client: redis.Redis) -> list[str]:
    """Take back what nobody renewed; the models to ring."""
    return [model.decode() for model in LAPSE(client)]


def cancel(client: redis.Redis, id: str, finish: str) -> str | None:
    """Ask for a stop. The model to ring, "" where it is over already, None where it is unknown."""
    answer: bytes | None = CANCEL(client, id, finish)
    return None if answer is None else answer.decode()
