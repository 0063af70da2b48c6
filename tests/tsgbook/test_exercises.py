"""Exercises have solutions that are run and checked; chapters have questions, take-aways and what comes next."""

import re

import pytest
from conftest import ROOT

from tsgbook.chapters import CHAPTERS
from tsgbook.notebook import read_chapter

SOLUTIONS = "10_solutions"
NAMES = [chapter.name for chapter in CHAPTERS if chapter.name != SOLUTIONS]
each_chapter = pytest.mark.parametrize("name", NAMES)


def text_of(name):
    cells = read_chapter(ROOT / "notebooks", name).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def exercises(name):
    """Numbers such as "3.2" and titles of a chapter's exercises."""
    section = text_of(name).split("## Exercises")[1]
    numbered = re.findall(r"^(\d+)\. \*(.+?)[.?]?\*", section, re.MULTILINE)
    return [(f"{int(name[:2])}.{k}", title) for k, title in numbered]


@pytest.fixture(scope="module")
def solutions():
    """Code of each solution by number and title."""
    found, key = {}, None
    for cell in read_chapter(ROOT / "notebooks", SOLUTIONS).cells:
        if cell.cell_type == "markdown":
            for heading in re.findall(r"^#{2,3} (.+)$", cell.source, re.MULTILINE):
                match = re.match(r"(\d+\.\d+) (.+?)[.?]?$", heading)
                key = match.groups() if match else None
                found.update({key: ""} if key else {})
        elif key:
            found[key] += cell.source + "\n"
    return found


@each_chapter
def test_every_exercise_has_a_solution_with_code(name, solutions):
    asked = exercises(name)
    assert len(asked) >= 2
    for key in asked:
        assert solutions.get(key), f"no code solves exercise {key}"


def test_no_solution_is_left_over_and_most_check_what_they_say(solutions):
    assert set(solutions) == {key for name in NAMES for key in exercises(name)}
    unchecked = [number for (number, _), code in solutions.items() if "assert" not in code]
    assert set(unchecked) <= {"5.2", "5.3"}  # what a training of seconds brings is open


@each_chapter
def test_five_questions_each_with_an_answer(name):
    section = text_of(name).split("## Check yourself")[1].split("## Exercises")[0]
    questions = re.findall(r"^\*\*(\d)\.\*\* .+\n\n```\{dropdown\} Answer (\d)\n.+\n```$", section, re.MULTILINE)
    assert questions == [(str(k), str(k)) for k in range(1, 6)]


@each_chapter
def test_take_aways_stand_before_the_questions(name):
    text = text_of(name)
    assert "**You need**" in text and "**You learn**" in text and "**Next**" in text
    taken = text.split("## Take away")[1].split("## Check yourself")[0]
    assert len(re.findall(r"^- ", taken, re.MULTILINE)) >= 2
