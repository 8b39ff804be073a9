"""The one command line of the product: `up`, `worker`, `models`, `chat`, and those of Django."""

import argparse
import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
    sys.argv[2:] = choose_data(sys.argv[2:])
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


def choose_data(arguments: list[str]) -> list[str]:
    """The settings need the data directory when they load, before a command gets its options: every
    command takes `--data-dir`, also those of Django. The other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--data-dir")
    known, others = parser.parse_known_args(arguments)
    if not known.data_dir:
        return arguments
    os.environ["CHATSITE_DATA_DIR"] = known.data_dir
    return others


if __name__ == "__main__":
    main()
