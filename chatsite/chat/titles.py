"""Short titles: asked of the model after the first answer, cleaned of what small models add."""

from __future__ import annotations

import re

from chatsite.catalogue import actions as catalogue
from chatsite.chat.models import Conversation, Message
from chatsite.chat.words import words
from chatsite.gateway import actions as gateway
from chatsite.gateway import nouns
from chatsite.gateway.models import Generation

LONGEST = 60
DRAWN = {"temperature": 0.2, "max_tokens": 32}
# Letters that make two words the same here: rainbow, rainbows.
STEM = 5
# A longer line is an essay, not a title.
MOST_WORDS = 10
# Of a long message the beginning says enough, and the title must not wait for a long prefill.
READ = 1500

ASK = (
    "Write a title for the conversation below: at most six words, in the language of the "
    "conversation, plain text without quotation marks. Answer with the title alone."
)
PREFIX = re.compile(
    r"^\W*(?:the\s+)?(?:chat\s+|conversation\s+)?(?:title|标题|题目|主题)(?:\s+is)?\s*[:：]\s*",
    re.IGNORECASE,
)
MARKUP = re.compile(r"[*_`#~]+|^\s*(?:[-+>•]|\d+[.)])\s+")
QUOTES = "\"'“”‘’«»„‹›「」『』《》〈〉"
EXCUSE = re.compile(
    r"^(?:i['’]m |i am |i cannot|i can['’]t|sorry|as an ai|what an? |sure\b|here is|here['’]s"
    r"|抱歉|对不起)",
    re.IGNORECASE,
)


def start(conversation: Conversation) -> None:
    """Ask the model for a title; without the model the user's first words are one."""
    model = catalogue.find_answering(conversation.owner, conversation.model)
    if model is None:
        conversation.title = fallback(conversation)
        return
    conversation.title_generation = gateway.start(
        owner=conversation.owner,
        kind=Generation.Kind.TITLE,
        spec=catalogue.spec(model),
        messages=[nouns.Message("user", f"{ASK}\n\n{_excerpt(conversation)}")],
        sampling=nouns.Sampling.from_dict({**catalogue.usual(model), **DRAWN}),
    )


def apply(generation: Generation) -> Conversation | None:
    """The conversation with its new title, not yet saved; None where there is nothing to do."""
    conversation = (
        Conversation.objects.select_for_update(of=("self",))
        .filter(title_generation=generation)
        .first()
    )
    if conversation is None or conversation.title_by_hand or conversation.deleted:
        return None
    # What had to be cut off at the limit was an answer, not a title.
    written = "" if generation.finish_reason == "length" else clean(generation.text)
    fitting = written if is_about(written, _excerpt(conversation)) else ""
    conversation.title = fitting or fallback(conversation)
    return conversation


def is_about(title: str, text: str) -> bool:
    """Whether they share a word: small models like to make up a title about something else."""
    known = {word[:STEM] for word in words(text)}
    return any(word[:STEM] in known for word in words(title) if len(word) > 3 or not word.isascii())


def clean(text: str) -> str:
    """One short line, or nothing where the model did not write a title."""
    line = next((line for line in text.replace("\x00", "").splitlines() if line.strip()), "")
    line = MARKUP.sub("", line).strip()
    line = PREFIX.sub("", line).strip().strip(QUOTES).strip()
    line = " ".join(line.split()).rstrip(".。:：,，;；").strip(QUOTES)
    if not any(char.isalnum() for char in line) or EXCUSE.match(line):
        return ""
    if len(line.split()) > MOST_WORDS:
        return ""
    return shorten(line)


def fallback(conversation: Conversation) -> str:
    first = conversation.messages.filter(role=Message.Role.USER).first()
    return shorten(" ".join(first.content[:READ].split())) if first else ""


def shorten(line: str) -> str:
    """At most 60 characters, cut at a space if there is one."""
    if len(line) <= LONGEST:
        return line
    cut = line[: LONGEST - 1]
    whole, space, _ = cut.rpartition(" ")
    return (whole if space and len(whole) > LONGEST // 2 else cut).rstrip(" ,.;:，。；：") + "…"


def _excerpt(conversation: Conversation) -> str:
    first = conversation.messages.exclude(content="")[:2]
    return "\n\n".join(f"{m.role.capitalize()}: {m.content[:READ]}" for m in first)
