"""The search index: its table is the database's own kind, so it is no model of Django's."""

from django.db import migrations

SQLITE = [
    # No positions are kept (detail): a document is a set of words. The words are cut by
    # chatsite.chat.words; `ascii` only splits them at the spaces.
    "CREATE VIRTUAL TABLE chat_search USING fts5(words, tokenize = 'ascii', detail = 'none')",
    "CREATE TRIGGER chat_search_delete AFTER DELETE ON chat_message"
    " BEGIN DELETE FROM chat_search WHERE rowid = old.id; END",
]
POSTGRESQL = [
    "CREATE TABLE chat_search (message_id bigint PRIMARY KEY, words tsvector NOT NULL)",
    "CREATE INDEX chat_search_words ON chat_search USING gin (words)",
    "CREATE FUNCTION chat_search_forget() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN DELETE FROM chat_search WHERE message_id = old.id; RETURN NULL; END'",
    "CREATE TRIGGER chat_search_delete AFTER DELETE ON chat_message"
    " FOR EACH ROW EXECUTE FUNCTION chat_search_forget()",
]


def create(apps, schema_editor):
    vendor = schema_editor.connection.vendor
    for statement in POSTGRESQL if vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement)


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER chat_search_delete ON chat_message")
        schema_editor.execute("DROP FUNCTION chat_search_forget()")
    else:
        schema_editor.execute("DROP TRIGGER chat_search_delete")
    schema_editor.execute("DROP TABLE chat_search")


class Migration(migrations.Migration):
    dependencies = [("chat", "0001_initial")]
    operations = [migrations.RunPython(create, drop)]
