import json

import pytest
from conftest import ROOT

from tsg_core.errors import TsgError
from tsg_core.tools.digests import write_json
from tsgbook import results
from tsgbook.chapters import CHAPTERS
from tsgbook.pipeline import Run
from tsgbook.profiles import Profile, load_profile

PARAMETERS = {chapter.name: {"n": 1, "gaps": [2, 3]} for chapter in CHAPTERS}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run: artifacts and stamps as the pipeline leaves them, and every chapter current."""
    (tmp_path / "notebooks" / "profiles").mkdir(parents=True)
    profile = Profile(name="book", description="", parameters=PARAMETERS)
    run = Run(profile, root=tmp_path)
    run.executed.mkdir(parents=True)
    for artifact, file in results.TABLES.values():

        def build(path, file=file):
            path.mkdir()
            (path / file).write_text("method,psnr_dB\nlinear,30.5\n")

        run.store.make(artifact, build, parameters={})
    for chapter in CHAPTERS:
        stamp = {"recipe": {}, "artifacts": {}, "duration_s": 10.0, "made": "2026-11-23T10:00:00+00:00"}
        stamp["versions"] = {"python": "3.11"}
        write_json(run.executed / f"{chapter.name}.json", stamp)
    monkeypatch.setattr(Run, "_why_run", lambda self, chapter: "")
    return run


def test_recorded_tables_come_with_what_made_them(run):
    files = results.record(run.profile, root=run.root)
    assert sorted(path.name for path in files) == sorted(
        f"{name}{suffix}" for name in (*results.TABLES, "durations") for suffix in (".csv", ".json")
    )
    table, sidecar = results.load_results("frame_metrics", root=run.root)
    assert list(table.psnr_dB) == [30.5]
    assert sidecar["parameters"].keys() == {"01_structures", "02_simulation", "05_training", "06_prediction"}
    assert sidecar["profile"] == "book" and sidecar["versions"] and sidecar["made"] and "duration_s" in sidecar
    durations, total = results.load_results("durations", root=run.root)
    assert list(durations.chapter) == [chapter.name for chapter in CHAPTERS]
    assert total["duration_s"] == durations.duration_s.sum() == 10 * len(CHAPTERS)
    assert results.recorded("volume_metrics", root=run.root).table.method[0] == "linear"


def test_an_incomplete_run_is_not_recorded(run, monkeypatch):
    monkeypatch.setattr(Run, "_why_run", lambda self, chapter: "n changed" if chapter.number == 6 else "")
    with pytest.raises(TsgError, match=r"06_prediction is not current \(n changed\); .*tsg run --profile book"):
        results.record(run.profile, root=run.root)
    assert not (run.root / results.FOLDER).exists()


def test_pages_that_only_show_the_last_record_do_not_keep_from_recording_again(run, monkeypatch):
    monkeypatch.setattr(Run, "_why_run", lambda self, chapter: "the recorded results changed")
    assert results.record(run.profile, root=run.root)


def test_other_parameters_are_noticed(run):
    results.record(run.profile, root=run.root)
    assert results.outdated(run.profile, root=run.root) == {}
    changed = {**PARAMETERS, "05_training": {"n": 2, "gaps": [2, 3]}}
    found = results.outdated(Profile(name="book", description="", parameters=changed), root=run.root)
    assert found.keys() == {"durations", "frame_metrics"}  # chapter 7 predicts with shipped networks
    assert "05_training.n" in found["frame_metrics"]
    changed = {**PARAMETERS, "06_prediction": {"n": 1}}
    found = results.outdated(Profile(name="book", description="", parameters=changed), root=run.root)
    assert found.keys() == {"durations", "frame_metrics"} and "06_prediction.gaps" in found["frame_metrics"]


def test_a_table_edited_by_hand_is_refused(run):
    results.record(run.profile, root=run.root)
    path = run.root / results.FOLDER / "frame_metrics.csv"
    path.write_text(path.read_text().replace("30.5", "40.5"))
    with pytest.raises(TsgError, match="is not what was recorded"):
        results.load_results("frame_metrics", root=run.root)


def test_nothing_recorded_yet(run, capsys):
    with pytest.raises(TsgError, match="frame_metrics has not been recorded"):
        results.load_results("frame_metrics", root=run.root)
    assert results.recorded("frame_metrics", root=run.root) is None


@pytest.fixture
def displayed(monkeypatch):
    seen = []
    for place in ("IPython.display.display", "tsgbook.figures.shown.display"):
        monkeypatch.setattr(place, lambda thing, metadata=None: seen.append(thing))
    return seen


def test_show_says_so_or_draws_with_the_date(run, displayed):
    results.show(None, lambda table: pytest.fail("drawn"))
    assert "No run" in displayed.pop().data
    results.record(run.profile, root=run.root)
    results.show(results.recorded("frame_metrics", root=run.root), lambda table: table, caption="Gains")
    assert "Gains (recorded run, profile book)" in displayed[0].to_html() and "30.5" in displayed[0].to_html()
    assert "Made on" in displayed[1].data and "`book`" in displayed[1].data


def test_both_runs_stand_in_tabs_the_recorded_one_first(run, displayed):
    results.record(run.profile, root=run.root)
    recorded = results.recorded("frame_metrics", root=run.root)
    shown = {"profile": "smoke", "caption": "Gains"}
    results.show(recorded, lambda table: table, this_run=recorded.table.assign(psnr_dB=1.5), **shown)
    titles = [thing.data for thing in displayed if "**" in getattr(thing, "data", "")]
    assert titles == ["**Recorded run (profile book)**", "**This run (profile smoke)**"]
    assert "profile smoke" in displayed[-1].to_html() and "1.5" in displayed[-1].to_html()
    displayed.clear()
    results.show(recorded, lambda table: table, this_run=recorded.table.copy(), **shown)
    assert not [thing for thing in displayed if "This run" in getattr(thing, "data", "")]
    displayed.clear()
    results.show(None, lambda table: table, this_run=recorded.table, **shown)
    assert displayed[0].data == "**This run (profile smoke)**" and len(displayed) == 2


def test_the_books_recorded_results_were_made_with_the_profile_as_it_is():
    folder = ROOT / results.FOLDER
    if not folder.exists():
        pytest.skip("no run of the profile book has been recorded yet")
    assert results.outdated(load_profile("book", root=ROOT), root=ROOT) == {}
    for path in folder.glob("*.json"):
        table, _ = results.load_results(path.stem, root=ROOT)
        assert len(table) and json.loads(path.read_text())["sha256"]
