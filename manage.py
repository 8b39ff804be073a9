"""The one command line of the product: `up`, `worker`, `models`, `chat`, and those of Django."""

import argparse
import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
    if sys.argv[1:2] in (["up"], ["chat"], ["move"]):
        choose_data(sys.argv[2:])
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


def choose_data(arguments: list[str]) -> None:
    """The settings need the data directory when they load: before a command gets its options."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--data-dir")
    chosen = parser.parse_known_args(arguments)[0].data_dir
    if chosen:
        os.environ["CHATSITE_DATA_DIR"] = chosen


if __name__ == "__main__":
    main()
