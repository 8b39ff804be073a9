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

# The oldest 200 that wait for a model, and who runs how many of it. `before` is the order in which
# they will be taken: what is late after all else; whose user has fewer running, was served fewer
# tokens lately, came earlier; of one user's, each next one counts as one more running.
_QUEUE = """
local function running(model)
  local busy, held = {}, 0
  for _, id in ipairs(redis.call('ZRANGE', 'leases', 0, -1)) do
    local run = redis.call('HMGET', 'run:'..id, 'user', 'model')
    if run[1] and run[2] == model then
      busy[run[1]] = (busy[run[1]] or 0) + 1
      held = held + 1
    end
  end
  return busy, held
end
local function served(user, cache)
  if not cache[user] then
    local minute, sum = math.floor(now()/60000), 0
    for at = minute - 1, minute do
      sum = sum + tonumber(redis.call('HGET', 'served:'..at, user) or 0)
    end
    cache[user] = sum
  end
  return cache[user]
end
local function queue(model, busy)
  local found, turns, cache = {}, {}, {}
  for place, id in ipairs(redis.call('ZRANGE', 'waiting:'..model, 0, 199)) do
    local run = redis.call('HMGET', 'run:'..id, 'user', 'status', 'late')
    local user = run[1]
    if user and run[2] == 'waiting' then
      turns[user] = (turns[user] or busy[user] or 0) + 1
      table.insert(found, {id=id, user=user, turn=turns[user] - 1, served=served(user, cache),
        place=place, late=run[3] == '1'})
    end
  end
  return found
end
local function before(a, b)
  if a.late ~= b.late then return b.late end
  if a.turn ~= b.turn then return a.turn < b.turn end
  if a.served ~= b.served then return a.served < b.served end
  return a.place < b.place
end
"""

# model, lease in ms, worker, held, slots -> {id, fence, attempts} or nil. Where the worker holds as
# many as it has slots, only somebody with less than a fair share of them is taken; what is late has
# no share.
CLAIM = Script(
    _WAIT_AGAIN
    + _QUEUE
    + """
local model, lease, worker, held, slots = unpack(ARGV)
held, slots = tonumber(held), tonumber(slots)
local busy = running(model)
local best, users, seen = nil, 0, {}
for user in pairs(busy) do seen[user], users = true, users + 1 end
for _, run in ipairs(queue(model, busy)) do
  if not run.late and not seen[run.user] then seen[run.user], users = true, users + 1 end
  if not best or before(run, best) then best = run end
end
if not best then
  -- Strays alone, if anything: ids of what is over or gone.
  redis.call('ZREMRANGEBYRANK', 'waiting:'..model, 0, 199)
  return nil
end
if held >= slots then
  if best.late or best.turn >= math.max(1, math.floor(slots / users)) then return nil end
end
redis.call('ZREM', 'waiting:'..model, best.id)
redis.call('HSET', 'run:'..best.id, 'status', 'running', 'worker', worker, 'claimed', now())
redis.call('HSET', 'pace:'..model, 'slots', slots)
redis.call('ZADD', 'leases', now() + lease, best.id)
return {best.id, redis.call('HINCRBY', 'run:'..best.id, 'fence', 1),
  redis.call('HINCRBY', 'run:'..best.id, 'attempts', 1)}
"""
)

# model and id by turns -> for each how many go before it and the milliseconds that it will wait, or
# -1 where that is not known; {} for one that does not wait
PLACES = Script(
    _WAIT_AGAIN
    + _QUEUE
    + """
local answers, models = {}, {}
local function look(model)
  local busy, held = running(model)
  local line, ahead = queue(model, busy), {}
  table.sort(line, before)
  for i, run in ipairs(line) do ahead[run.id] = i - 1 end
  local pace = redis.call('HMGET', 'pace:'..model, 'ms', 'slots')
  local each = pace[1] and pace[1] / math.max(held > 0 and held or tonumber(pace[2]) or 1, 1)
  return {ahead=ahead, each=each, next=held > 0 and 1 or 0}
end
for i = 1, #ARGV, 2 do
  local model, id = ARGV[i], ARGV[i+1]
  models[model] = models[model] or look(model)
  local known = models[model]
  local ahead = known.ahead[id] or redis.call('ZRANK', 'waiting:'..model, id)
  if ahead then
    local wait = known.each and math.floor((ahead + known.next) * known.each) or -1
    table.insert(answers, {ahead, wait})
  else table.insert(answers, {}) end
end
return answers
"""
)

# name of a worker, its present mark -> the models of which an earlier process of that name held
# something; it waits again
ORPHANS = Script(
    _WAIT_AGAIN
    + """
local name, mark = unpack(ARGV)
local models = {}
for _, id in ipairs(redis.call('ZRANGE', 'leases', 0, -1)) do
  local worker = redis.call('HGET', 'run:'..id, 'worker')
  if worker and worker ~= mark and string.sub(worker, 1, #name + 1) == name..'/' then
    local model = wait_again(id)
    if model then table.insert(models, model) end
  end
end
return models
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

# id, fence -> it waits as if nobody had claimed it: nobody is told, no attempt is counted
PUT_BACK = Script("""
local id, fence = unpack(ARGV)
local run = redis.call('HMGET', 'run:'..id, 'fence', 'status', 'model', 'arrival')
if run[1] ~= fence or run[2] ~= 'running' then return 0 end
redis.call('ZREM', 'leases', id)
redis.call('HSET', 'run:'..id, 'status', 'waiting')
redis.call('HINCRBY', 'run:'..id, 'attempts', -1)
redis.call('ZADD', 'waiting:'..run[3], run[4], id)
return 1
""")

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


# id, end as JSON -> 1 where it waited and has ended with that
GIVE_UP = Script(
    _WAIT_AGAIN
    + """
local id, finish = unpack(ARGV)
local run = redis.call('HMGET', 'run:'..id, 'model', 'status', 'position', 'created', 'first')
if not run[1] or run[2] ~= 'waiting' then return 0 end
redis.call('ZREM', 'waiting:'..run[1], id)
redis.call('HSET', 'run:'..id, 'status', 'done')
redis.call('XADD', 'gen:'..id, run[3]..'-*', 'end', finish,
  'created', run[4] or now(), 'first', run[5] or now(), 'now', now())
return 1
"""
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A generation that this worker may write, until a higher fence exists."""

    id: str
    fence: int
    attempts: int


def claim(
    client: redis.Redis,
    model: str,
    lease_ms: int,
    *,
    worker: str = "",
    held: int = 0,
    slots: int = 1,
) -> Claim | None:
    """The next request of a model. A worker that holds `slots` of them or more is given one only
    for a user who has less than a fair share."""
    answer = CLAIM(client, model, lease_ms, worker, held, slots)
    return Claim(answer[0].decode(), int(answer[1]), int(answer[2])) if answer else None


def orphans(client: redis.Redis, name: str, mark: str) -> list[str]:
    """Take back at once what a dead worker of this name held; the models to ring. A worker's mark
    is its name, a slash and what no process before it had."""
    return [model.decode() for model in ORPHANS(client, name, mark)]


def renew(client: redis.Redis, lease_ms: int, claims: Sequence[tuple[str, int]]) -> list[int]:
    """Keep the leases, (id, fence) each: 1 stop was asked, 0 go on, -1 somebody else has it."""
    flat = [value for pair in claims for value in pair]
    return [int(answer) for answer in RENEW(client, lease_ms, *flat)]


def release(client: redis.Redis, id: str, fence: int) -> None:
    """Give it back unfinished: it waits at its old place."""
    RELEASE(client, id, fence)


def put_back(client: redis.Redis, id: str, fence: int) -> None:
    """Give it back untouched: its turn has not come."""
    PUT_BACK(client, id, fence)


def lapse(client: redis.Redis) -> list[str]:
    """Take back what nobody renewed; the models to ring."""
    return [model.decode() for model in LAPSE(client)]


def cancel(client: redis.Redis, id: str, finish: str) -> str | None:
    """Ask for a stop. The model to ring, "" where it is over already, None where it is unknown."""
    answer: bytes | None = CANCEL(client, id, finish)
    return None if answer is None else answer.decode()


def give_up(client: redis.Redis, id: str, finish: str) -> bool:
    """End what waits and nobody takes; False where it does not wait."""
    return bool(GIVE_UP(client, id, finish))
