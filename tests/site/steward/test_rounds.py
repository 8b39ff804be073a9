"""The steward saves what grows, closes it once, and forgets nothing when something is away."""

from __future__ import annotations

import pytest
import redis
from django.db import DataError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from chatsite.accounts.models import User
from chatsite.catalogue import actions as catalogue
from chatsite.chat import actions as chat
from chatsite.chat.models import Message
from chatsite.gateway import actions as gateway
from chatsite.gateway import journal
from chatsite.gateway.models import Generation
from chatsite.gateway.packing import unpack
from chatsite.steward.rounds import Steward
from inference import lease, stream
from inference.contract import CallDelta, Finish, Logprob, ModelSpec, Sampling, Tokens
from tests.site.chat.socket import Worker, words
from tests.site.chat.talk import draft
from tests.site.metering.using import begin

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def answer(bob: User, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Message:
    monkeypatch.setenv("CHATSITE_ECHO_MODEL", "1")
    catalogue.register_echo()
    return chat.say(bob, None, draft("Hello")).answer


def row(answer: Message) -> Generation:
    assert answer.generation is not None
    answer.generation.refresh_from_db()
    return answer.generation


def key(answer: Message) -> str:
    assert answer.generation is not None
    return answer.generation.pk.hex


def test_it_works(answer: Message, broker: redis.Redis) -> None:
    steward = Steward()
    worker = Worker(broker, key(answer))
    worker.write(3)
    steward.round()
    assert (row(answer).position, row(answer).text) == (3, words(3))
    assert unpack(bytes(row(answer).tokens)) == [1, 2, 3]
    assert row(answer).is_live
    worker.write(2)
    worker.end()
    steward.round()
    answer.refresh_from_db()
    assert answer.content == row(answer).text == words(5)
    assert row(answer).status == Generation.Status.DONE
    assert row(answer).stats["completion_tokens"] == 5
    assert 0 < int(str(broker.ttl(f"gen:{key(answer)}"))) <= stream.KEPT_S


def test_two_stewards_close_once(
    answer: Message, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Generation] = []
    real = chat.close

    def count(generation: Generation) -> None:
        closed.append(generation)
        real(generation)

    monkeypatch.setattr(chat, "close", count)
    one, two = Steward(), Steward()
    worker = Worker(broker, key(answer))
    worker.write(2)
    one.round()
    worker.write(2)
    two._meet()
    two._read()
    one.round()
    # The second saves what it read before: the row does not go back.
    worker.write(1)
    one.round()
    two._save()
    assert row(answer).position == 5
    worker.end()
    one._read()
    two._read()
    one._save()
    two._save()
    one.round()
    two.round()
    assert len(closed) == 1
    assert row(answer).text == words(5)


def test_a_lost_log_is_put_back_from_memory(answer: Message, broker: redis.Redis) -> None:
    steward = Steward()
    Worker(broker, key(answer)).write(3)
    steward.round()
    broker.flushall()
    steward.round()
    log = stream.load(broker, key(answer))
    assert log.tokens == [1, 2, 3]
    claim = lease.claim(broker, "echo", 60_000)
    assert claim
    event = Tokens(claim.id, 4, (4,), "w4 ")
    assert stream.append(broker, [(claim.fence, event)]) == [0]
    stream.finish(broker, claim.fence, Finish(claim.id, "stop"))
    steward.round()
    assert row(answer).text == words(4)
    assert unpack(bytes(row(answer).tokens)) == [1, 2, 3, 4]


def test_a_lost_log_is_put_back_from_the_row(answer: Message, broker: redis.Redis) -> None:
    Worker(broker, key(answer)).write(3)
    Steward().round()
    broker.flushall()
    Steward().round()
    assert stream.load(broker, key(answer)).tokens == [1, 2, 3]


def test_a_log_that_another_put_back_repeats_no_text(answer: Message, broker: redis.Redis) -> None:
    """One steward has three tokens, the other five; the log comes back with five in one piece."""
    behind, ahead = Steward(), Steward()
    worker = Worker(broker, key(answer))
    worker.write(3)
    behind.round()
    worker.write(2)
    ahead._meet()
    ahead._read()
    broker.flushall()
    ahead._read()
    behind._read()
    behind._save()
    assert (row(answer).position, row(answer).text) == (5, words(5))
    assert unpack(bytes(row(answer).tokens)) == [1, 2, 3, 4, 5]


def test_a_database_that_refuses_is_asked_again(
    answer: Message, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    steward = Steward()
    worker = Worker(broker, key(answer))
    worker.write(3)

    def refuse(_: object) -> None:
        raise OperationalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(chat, "close", refuse)
        worker.end()
        steward.round()
        steward.round()
        # The close and its message are one transaction.
        assert row(answer).is_live
    # What was read once is not read again, and is not forgotten; also where the log is lost now.
    broker.flushall()
    steward.round()
    answer.refresh_from_db()
    assert answer.content == row(answer).text == words(3)
    assert row(answer).status == Generation.Status.DONE


def test_a_stop_while_redis_was_away(
    answer: Message, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    steward = Steward()
    with monkeypatch.context() as patch:

        def away() -> redis.Redis:
            raise redis.ConnectionError

        patch.setattr(gateway, "connect", away)
        patch.setattr(journal, "connect", away)
        gateway.cancel(row(answer))
        steward.round()
        assert row(answer).is_live
    steward.round()
    steward.round()
    assert row(answer).status == Generation.Status.STOPPED


def test_an_answer_that_was_begun_while_redis_was_away(
    bob: User, answer: Message, broker: redis.Redis
) -> None:
    broker.flushall()
    Steward().round()
    claim = lease.claim(broker, "echo", 1000)
    assert claim
    assert claim.id == key(answer)


def test_a_null_character_is_no_poison(answer: Message, broker: redis.Redis) -> None:
    """PostgreSQL takes no such text, and one answer must not keep the others from being saved."""
    worker = Worker(broker, key(answer))
    event = Tokens(key(answer), 1, (1,), "a\x00b", "c\x00d")
    stream.append(broker, [(worker.claim.fence, event)])
    stream.finish(broker, worker.claim.fence, Finish(key(answer), "stop", "\x00e"))
    Steward().round()
    assert (row(answer).text, row(answer).reasoning) == ("abe", "cd")


def test_what_nobody_renews_is_given_back(
    answer: Message, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    Worker(broker, key(answer))
    broker.zadd("leases", {key(answer): 1})
    steward = Steward()
    steward.round()
    # Not at once: the workers may just have found Redis again.
    assert lease.claim(broker, "echo", 1000) is None
    monkeypatch.setattr("chatsite.steward.rounds.GRACE", 0)
    steward.round()
    assert lease.claim(broker, "echo", 1000) is not None


def test_an_answer_whose_row_is_gone_is_stopped(answer: Message, broker: redis.Redis) -> None:
    steward = Steward()
    id = key(answer)
    worker = Worker(broker, id)
    steward.round()
    Generation.objects.all().delete()
    steward.round()
    assert broker.hget(f"run:{id}", "cancel") == b"1"
    assert int(str(broker.ttl(f"gen:{id}"))) > 0
    worker.end("cancelled")


def test_an_answer_that_the_database_refuses_holds_nobody_back(
    answer: Message, bob: User, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = chat.say(bob, None, draft("Another")).answer
    steward = Steward()
    for message in (answer, other):
        Worker(broker, key(message)).write(2)
    save = gateway.save

    def refuse(generation: Generation) -> bool:
        if generation.pk.hex == key(answer):
            raise DataError
        return save(generation)

    monkeypatch.setattr(gateway, "save", refuse)
    steward.round()
    assert (row(answer).position, row(other).position) == (0, 2)
    monkeypatch.undo()
    steward.round()
    assert row(answer).text == words(2)


def test_a_log_that_redis_refuses_holds_nobody_back(
    answer: Message, bob: User, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.flushall()
    other = chat.say(bob, None, draft("Another")).answer
    Worker(broker, key(other)).write(2)
    restore = gateway.restore

    def refuse(generation: Generation) -> bool:
        if generation.pk.hex == key(answer):
            raise redis.ResponseError("GAP")
        return restore(generation)

    monkeypatch.setattr(gateway, "restore", refuse)
    steward = Steward()
    steward.round()
    assert row(other).position == 2
    assert not broker.exists(f"gen:{key(answer)}")
    monkeypatch.undo()
    steward.round()
    assert broker.exists(f"gen:{key(answer)}")


CALLS = [{"name": "weather", "arguments": '{"in": "Oslo"}'}, {"name": "time", "arguments": "{}"}]


def write_calls(broker: redis.Redis, worker: Worker) -> None:
    """Two calls, in pieces."""
    pieces = [
        (CallDelta(0, "weather", '{"in"'),),
        (CallDelta(0, arguments=': "Oslo"}'), CallDelta(1, "time")),
    ]
    for at, calls in enumerate(pieces, 1):
        event = Tokens(worker.claim.id, at, (at,), calls=calls)
        assert stream.append(broker, [(worker.claim.fence, event)]) == [0]


def test_tool_calls_grow_too(answer: Message, broker: redis.Redis) -> None:
    steward = Steward()
    worker = Worker(broker, key(answer))
    write_calls(broker, worker)
    steward.round()
    assert row(answer).calls == [CALLS[0], {"name": "time", "arguments": ""}]
    last = Finish(key(answer), "stop", calls=(CallDelta(1, arguments="{}"),))
    stream.finish(broker, worker.claim.fence, last)
    steward.round()
    assert row(answer).calls == CALLS
    assert row(answer).logprobs is None


def test_tool_calls_are_put_back(answer: Message, broker: redis.Redis) -> None:
    write_calls(broker, Worker(broker, key(answer)))
    Steward().round()
    broker.flushall()
    ahead, behind = Steward(), Steward()
    ahead.round()
    entries = journal.read([(key(answer), b"0-0")])[0].entries
    assert [entry.calls for entry in entries if entry.calls] == [
        (CallDelta(0, **CALLS[0]), CallDelta(1, "time"))
    ]
    # And read once, by whom it finds.
    behind.round()
    assert row(answer).calls == [CALLS[0], {"name": "time", "arguments": ""}]


def test_log_probabilities_are_kept_where_they_were_asked_for(
    bob: User, answer: Message, broker: redis.Redis
) -> None:
    spec = ModelSpec("echo", "echo", {})
    asked = gateway.start(
        owner=bob, kind=Generation.Kind.API, spec=spec, sampling=Sampling(logprobs=1), prompt="Go"
    )
    broker.zrem("waiting:echo", key(answer))
    worker = Worker(broker, asked.pk.hex)
    likely = Logprob(1, (104, 105), -0.5, (Logprob(1, (104, 105), -0.5), Logprob(2, (33,), -2.0)))
    event = Tokens(asked.pk.hex, 1, (1,), "hi", logprobs=(likely,))
    stream.append(broker, [(worker.claim.fence, event)])
    Steward().round()
    asked.refresh_from_db()
    assert asked.logprobs == [
        [1, [104, 105], -0.5, [[1, [104, 105], -0.5, []], [2, [33], -2.0, []]]]
    ]
    broker.flushall()
    Steward().round()
    entries = journal.read([(asked.pk.hex, b"0-0")])[0].entries
    assert [entry.logprobs for entry in entries if entry.tokens] == [(likely,)]


def test_rows_are_taken_in_one_order_and_counted_afterwards(
    bob: User, answer: Message, broker: redis.Redis
) -> None:
    """Whoever ends or stops one of them meanwhile waits for the steward, and it never for them."""
    came = [key(answer), *(begin(bob).pk.hex for _ in range(7))]
    workers = {id: Worker(broker, id) for id in came}
    ids = sorted(came)
    for id in ids:
        workers[id].write()
    for id in ids[::2]:
        workers[id].end()
    with CaptureQueriesContext(connection) as made:
        Steward().round()
    written = [query["sql"] for query in made.captured_queries]
    rows = [sql for sql in written if sql.startswith('UPDATE "gateway_generation"')]
    assert [next(id for id in ids if id in sql.replace("-", "")) for sql in rows] == ids
    counted = [at for at, sql in enumerate(written) if '"metering_usage"' in sql]
    assert counted
    assert min(counted) > written.index(rows[-1])
