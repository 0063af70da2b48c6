"""The paper's claims on tables of which the answer is known."""

import numpy as np
import pandas as pd
import pytest

from tsgbook.experiments import claims

GAPS = (2, 3, 4, 6, 8, 12)
PARTICLES = 6


def rows(distance, *, gaps=GAPS, offsets=lambda gap: 1, **columns):
    """A table of both microscopes: `distance(arm, gap)`, and other columns, plus what differs between particles."""
    rng = np.random.default_rng(0)
    shift = rng.normal(0, 0.3, PARTICLES)
    found = []
    for microscope in ("aberrated", "non_aberrated"):
        for p in range(PARTICLES):
            arms = [("Reference", "", 1)]
            arms += [(arm, "" if arm == "Sparse" else "net", g) for g in gaps for arm in ("Sparse", *claims_arms(g))]
            for arm, method, gap in arms:
                for offset in range(offsets(gap)):
                    row = {"microscope": microscope, "particle": f"p{p}", "arm": arm, "method": method, "gap": gap}
                    noise = rng.normal(0, 0.01)
                    row |= {"offset": offset, "chamfer_A": 5 + distance(arm, gap) + shift[p] + noise}
                    found.append(row | {k: v(microscope, arm) + 0.01 * noise for k, v in columns.items()})
    table = pd.DataFrame(found)
    table.loc[table["arm"] == "Twice as dense", "method"] = ""
    return table


def claims_arms(gap):
    return ("Mix (midpoint)", "Mix (all)", *(["Twice as dense"] if gap % 2 == 0 else []))


def measured_as(g_of_mix):
    """Distance that is the gap for measured frames and `g_of_mix(gap)` for Mix."""

    def distance(arm, gap):
        if arm.startswith("Mix"):
            return g_of_mix(gap)
        return gap / 2 if arm == "Twice as dense" else float(gap)

    return distance


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.5, "yes"), (0.3, "yes"), (0.53, "yes"), (0.6, "no"), (1.0, "no")],  # of the gap; the margin reaches to 0.55
)
def test_as_good_as_twice_the_density(share, said):
    table = rows(measured_as(lambda gap: share * gap))
    for judge in (claims.as_good_as_twice_the_density, claims.equal_or_better_at_equal_count):
        found = judge(table)
        assert [claim.verdict for claim in found] == [said, said]
        assert [claim.microscope for claim in found] == ["aberrated", "non_aberrated"]
        assert found[0].mean == pytest.approx((share - 0.5) * np.mean([4, 6, 8, 12]), abs=0.02)
        assert found[0].low <= found[0].mean <= found[0].high
        assert found[0].by_gap == ", ".join(f"{gap}: {said}" for gap in (4, 6, 8, 12))


def test_the_gaps_may_differ_in_their_verdicts():
    table = rows(measured_as(lambda gap: gap / 2 if gap <= 6 else gap))
    found = claims.as_good_as_twice_the_density(table)[0]
    assert found.by_gap == "4: yes, 6: yes, 8: no, 12: no" and found.verdict == "no"


def test_a_claim_that_particles_disagree_about_is_not_resolved():
    table = rows(measured_as(lambda gap: 0.6 * gap))
    signs = table["particle"].map({f"p{p}": (-1) ** p for p in range(PARTICLES)})
    table["chamfer_A"] += np.where(table["arm"].str.startswith("Mix"), 3.0 * signs, 0)
    assert {claim.verdict for claim in claims.as_good_as_twice_the_density(table)} == {"not resolved"}
    one = table[table["particle"] == "p0"]
    assert {claim.verdict for claim in claims.as_good_as_twice_the_density(one)} == {"not resolved"}


def test_offsets_are_averaged_before_gaps():
    """Gaps with many offsets do not weigh more: Mix is worse at the gap of 12 alone, by its 12 rows."""
    table = rows(measured_as(lambda gap: gap / 2 + 4 * (gap == 12)), offsets=lambda gap: gap if gap == 12 else 1)
    found = claims.as_good_as_twice_the_density(table)[0]
    assert found.mean == pytest.approx(1.0, abs=0.02)


def test_a_gap_of_two_is_not_compared_with_the_reference():
    assert claims.as_good_as_twice_the_density(rows(measured_as(lambda gap: 99), gaps=(2, 3))) == []
    assert claims.equal_or_better_at_equal_count(rows(measured_as(lambda gap: 99), gaps=(2, 3))) == []


@pytest.mark.parametrize(("slope", "said"), [(1.0, "yes"), (-1.0, "no"), (0.0, "not resolved")])
def test_falls_with_the_gap(slope, said):
    table = rows(lambda arm, gap: slope * gap)
    table["chamfer_A"] += np.random.default_rng(1).normal(0, 0.5, len(table))
    found = claims.falls_with_the_gap(table)
    assert {claim.verdict for claim in found} == {said}
    assert {claim.who for claim in found} == {"Sparse", "Mix (all) net"}


@pytest.mark.parametrize(
    ("curve", "said"),
    [(lambda g: min(g, 6.0), "yes"), (lambda g: min(g, 6) + 0.2 * max(g - 6, 0), "yes"), (lambda g: 1.0 * g, "no")],
)
def test_levels_off(curve, said):
    assert {claim.verdict for claim in claims.levels_off(rows(lambda arm, gap: curve(gap)))} == {said}


def test_levels_off_needs_gaps_on_both_sides():
    assert claims.levels_off(rows(lambda arm, gap: gap, gaps=(2, 4, 6))) == []
    assert len(claims.levels_off(rows(lambda arm, gap: gap, gaps=(2, 6, 8)))) == 4


@pytest.mark.parametrize(("aberrated", "said"), [(2.0, "yes"), (0.5, "no")])
def test_differences_between_the_microscopes(aberrated, said):
    def column(microscope, arm):
        return aberrated if microscope == "aberrated" else 1.0

    table = rows(lambda arm, gap: 0, roughness_per_A=column, background=column)
    for judge in (claims.aberrated_volumes_are_rougher, claims.aberrated_volumes_have_more_background):
        found = judge(table)
        assert [claim.who for claim in found] == ["Reference", "Sparse"]
        assert [claim.verdict for claim in found] == [said, said]
        assert found[0].mean == pytest.approx(aberrated - 1, abs=0.01)
    assert claims.aberrated_volumes_are_rougher(table[table["microscope"] == "aberrated"]) == []


@pytest.mark.parametrize(("of_mix", "said"), [(0.5, "yes"), (2.0, "no")])
def test_fewer_artefacts_in_mix(of_mix, said):
    table = rows(lambda arm, gap: 0, artefacts=lambda microscope, arm: of_mix if arm == "Mix (all)" else 1.0)
    assert [claim.verdict for claim in claims.fewer_artefacts_in_mix(table)] == [said, said]


def test_a_table_without_the_columns_gives_the_claims_that_it_can():
    table = rows(measured_as(lambda gap: gap / 2))
    found = claims.all_claims(table)
    assert set(found["claim"]) == {
        "Mix is as good as a series of twice the angular density",
        "At an equal number of frames Mix is equal or better",
        "Similarity falls with the gap",
        "Similarity levels off beyond a gap of six",
    }
    assert claims.all_claims(table, distance="true_chamfer_A").empty
    assert list(found) == list(claims.all_claims(table.iloc[:0]))


def test_sentences_count_the_verdicts():
    found = pd.DataFrame({"claim": ["a", "a", "b", "c", "c"], "verdict": ["yes", "no", "no", "yes", "yes"]})
    lines = claims.sentences(found).splitlines()
    assert lines[0] == "- *a*: **it depends**; yes in 1, no in 1 of 2 cases."
    assert lines[1] == "- *b*: **no**, in the one case tested."
    assert lines[2] == "- *c*: **yes**, in all 2 cases."
