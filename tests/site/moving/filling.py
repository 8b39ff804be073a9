"""Runs inside `manage.py shell`: something in every table, most of it as people make it."""

import os
import uuid
from datetime import UTC, datetime, timedelta

from axes.models import AccessAttempt
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session

from chatsite.accounts import keys
from chatsite.accounts.models import Invitation, SiteSettings, User
from chatsite.catalogue.models import Alias, Model, Provider
from chatsite.chat import search
from chatsite.chat.models import Conversation, Message
from chatsite.gateway.models import Generation

WORDS = ["你好，世界", "灯塔守护人的故事", "lighthouse keeper", "naïve café"]
WORDS += ["👩\u200d🚀 emoji", "普通话 测试"]
when = datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC)

alice = User.objects.create_superuser("alice", password="violet-harbour-7")
bob = User.objects.create_user("Bob 鲍勃", password="violet-harbour-7", language="zh-hans")
team = Group.objects.create(name="团队")
alice.groups.add(team)
bob.user_permissions.add(*Permission.objects.all()[:3])
SiteSettings.objects.create(pk=1, sign_up="invitation")
Invitation.objects.create(token_hash="0" * 64, created_by=alice, expires_at=when, note="邀请")
row, secret = keys.make_key(bob, name="脚本")
Session.objects.create(session_key="s" * 32, session_data="x", expire_date=when)
AccessAttempt.objects.create(
    username="bob", ip_address="2001:db8::7", user_agent="x", failures_since_start=3
)
LogEntry.objects.create(
    user=alice,
    content_type=ContentType.objects.get_for_model(User),
    object_id="1",
    object_repr="鲍勃",
    action_flag=2,
)
provider = Provider.objects.create(name="Elsewhere", permit="sealed")
model = Model.objects.create(
    name="far", engine="remote", source={"model": "gpt"}, provider=provider, defaults={"top_p": 0.1}
)
model.groups.add(team)
Alias.objects.create(name="also-far", model=model)

numbers = {"small": 0.1, "whole": 2.0, "big": 1e22, "huge": 1.5e300, "seed": 2**63 - 1, "n": -0.0}
for number in range(int(os.environ["CONVERSATIONS"])):
    owner = bob if number % 3 else alice
    talk = Conversation.objects.create(
        owner=owner,
        title=f"{WORDS[number % len(WORDS)]} {number}",
        settings={"nested": {"文字": [1, None, True, numbers]}, "number": number},
        nonce=uuid.uuid4(),
        updated=when + timedelta(microseconds=number),
        deleted=when if number % 20 == 19 else None,
    )
    parent = None
    for branch in range(int(os.environ["BRANCHES"])):
        asked = Message.objects.create(
            conversation=talk, parent=parent, role="user", content=WORDS[branch % 6] * 20
        )
        generation = Generation.objects.create(
            owner=owner,
            model="far",
            request={"messages": [{"role": "user", "content": asked.content}], **numbers},
            status="done",
            text=f"answer {branch} {WORDS[(branch + 1) % 6]}",
            tokens=bytes(range(256)),
            logprobs=[{"token": "字", "logprob": -1.25e-7}] if branch % 2 else None,
            ended=when,
        )
        answer = Message.objects.create(
            conversation=talk,
            parent=asked,
            role="assistant",
            content=f"needle{number}x{branch} 针{number} {generation.text}",
            generation=generation,
        )
        search.index(asked, owner.pk)
        search.index(answer, owner.pk)
        # Every third turn is a branch beside the last one.
        parent = answer if branch % 3 else parent
    Conversation.objects.filter(pk=talk.pk).update(leaf=answer)
