"""The mistakes that the check by mutants makes."""

import importlib.util
from pathlib import Path

FILE = Path(__file__).parents[2] / "benchmarks" / "mutants.py"
CODE = '''"""What."""
N = 3

def first(a: int = 1) -> bool:
    """Größe."""
    if a and not N:
        raise ValueError(f"{a + 1} µm")
    say("ä", a < N, "ü")
    return a * 2

def second():
    pass
'''


def made(*functions):
    spec = importlib.util.spec_from_file_location("mutants", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {mutant.name: mutant for mutant in module.mutants(CODE, functions)}


def test_each_mutant_has_one_mistake_and_is_named_after_it():
    found = made()
    expected = {
        "module: 3 -> 4": ("N = 3", "N = (4)"),
        "first: 1 -> 2": ("int = 1", "int = (2)"),
        "first: a and (not N) -> a or not N": ("if a and not N", "if (a or not N)"),
        "first: a and (not N) -> not (a and (not N))": ("if a and not N", "if (not (a and (not N)))"),
        "first: not N -> N": ("not N", "(N)"),
        "first: raise ValueError(f'{a + 1} µm') -> pass": ('raise ValueError(f"{a + 1} µm")', "pass"),
        "first: say('ä', a < N, 'ü') -> pass": ('say("ä", a < N, "ü")', "pass"),
        "first: a < N -> a <= N": ("a < N", "(a <= N)"),
        "first: return a * 2 -> return None": ("return a * 2", "return None"),
        "first: a * 2 -> a / 2": ("a * 2", "(a / 2)"),
        "first: 2 -> 3": ("* 2", "* (3)"),
    }
    assert {name: mutant.text for name, mutant in found.items()} == {
        name: CODE.replace(*change) for name, change in expected.items()
    }
    assert found["first: a * 2 -> a / 2"].line == 9


def test_only_the_functions_that_are_named():
    assert made("second") == {} and "module: 3 -> 4" not in made("first")
