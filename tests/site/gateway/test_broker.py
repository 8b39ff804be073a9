"""Connections to Redis are few, and who finds none free waits."""

from __future__ import annotations

import asyncio

import redis

from chatsite.gateway.broker import share_async


async def test_who_finds_no_connection_waits(broker: redis.Redis) -> None:
    before = {each["id"] for each in broker.client_list()}
    client = share_async(2)
    try:
        asked = [client.blpop([f"none:{n}"], timeout=0.05) for n in range(12)]
        assert await asyncio.gather(*asked) == [None] * 12
        assert len({each["id"] for each in broker.client_list()} - before) <= 2
    finally:
        await client.aclose()
