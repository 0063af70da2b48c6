"""The page on troubleshooting names commands, options and messages that exist."""

import re
import shlex
from pathlib import Path

from tsgbook.cli import tsg

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "book" / "troubleshooting.md").read_text(encoding="utf-8")


def test_every_command_and_option_of_the_page_exists():
    called = re.findall(r"(?:^|`)tsg (\w+) ?([^`\n]*)", TEXT, re.MULTILINE)
    assert len(called) > 15
    for name, rest in called:
        options = {option for p in tsg.commands[name].params for option in (*p.opts, *p.secondary_opts)}
        for word in shlex.split(rest):
            assert not word.startswith("--") or word in options, f"tsg {name} {word}"


def test_every_message_of_the_page_is_one_that_the_module_gives():
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tsg_core").rglob("*.py"))
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # strings that go on in the next line
    for symptom in re.findall(r"^`\.\.\. (.*?)`", TEXT, re.MULTILINE):
        for piece in re.split(r"\.mrc file|[-\d.]+|deg", symptom):
            words = piece.strip(" .")
            assert len(words) < 4 or words in source, f"no message holds {words!r}"


def test_the_options_of_the_page_that_stand_alone_belong_to_a_command():
    everything = {
        option for command in tsg.commands.values() for p in command.params for option in (*p.opts, *p.secondary_opts)
    }
    for option in re.findall(r"`(--[\w-]+)", TEXT):
        assert option in everything, option
