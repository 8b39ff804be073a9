"""The search index: its table is the database's own kind, so it is no model of Django's.

A later migration that alters `chat_message` on SQLite makes that table anew, which drops the trigger:
it has to create it again (tests/site/chat/test_delete.py fails otherwise).
"""

from django.db import migrations

SQLITE = [
    # No positions are kept (detail): a document is a set of words. The words are cut by
    # chatsite.chat.words; `ascii` only splits them at the spaces. The beginnings of one character
    # have an index of their own (prefix): a single letter would otherwise gather a tenth of all words.
    "CREATE VIRTUAL TABLE chat_search"
    " USING fts5(words, tokenize = 'ascii', detail = 'none', prefix = '1')",
    "CREATE TRIGGER chat_search_delete AFTER DELETE ON chat_message"
    " BEGIN DELETE FROM chat_search WHERE rowid = old.id; END",
]
POSTGRESQL = [
    "CREATE TABLE chat_search (message_id bigint PRIMARY KEY, words tsvector NOT NULL)",
    "CREATE INDEX chat_search_words ON chat_search USING gin (words)",
    "CREATE FUNCTION chat_search_forget() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF TG_OP = 'TRUNCATE' THEN TRUNCATE chat_search;"
    " ELSE DELETE FROM chat_search WHERE message_id = old.id; END IF; RETURN NULL; END $$",
    "CREATE TRIGGER chat_search_delete AFTER DELETE ON chat_message"
    " FOR EACH ROW EXECUTE FUNCTION chat_search_forget()",
    "CREATE TRIGGER chat_search_truncate AFTER TRUNCATE ON chat_message"
    " FOR EACH STATEMENT EXECUTE FUNCTION chat_search_forget()",
]


def create(apps, schema_editor):
    vendor = schema_editor.connection.vendor
    for statement in POSTGRESQL if vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement)


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION chat_search_forget() CASCADE")
    else:
        schema_editor.execute("DROP TRIGGER chat_search_delete")
    schema_editor.execute("DROP TABLE chat_search")


class Migration(migrations.Migration):
    dependencies = [("chat", "0001_initial")]
    operations = [migrations.RunPython(create, drop)]
