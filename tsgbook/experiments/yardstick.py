"""Everything that can be measured about a volume of a simulated particle, as one row of numbers."""

import numpy as np
from ase import Atoms

from tsg_core.errors import TsgError
from tsg_core.evaluation import compare_prepared, fourier_shell_correlation, prepare_volume
from tsg_core.evaluation.atom_peaks import find_atoms, match_atoms
from tsg_core.evaluation.true_density import near_atoms, true_density
from tsg_core.microscope import Microscope

SUPPORT_A = 2.5  # the particle extends this far from its nuclei, about one atomic distance
MATCH_A = 1.0


class Yardstick:
    """The Reference volume, true density and atoms of a particle, prepared once for the volumes of all arms.

    `reference` (n_y, n_z, n_x) is the volume from all clean frames. Raises TsgError if it has no contrast, or if it is
    empty within 2.5 A of the atoms.
    """

    def __init__(
        self,
        reference: np.ndarray,
        *,
        atoms: Atoms,
        microscope: Microscope,
        voxel_size_A: float,
        n_points: int,
        seed: int = 0,
    ):
        self._own_seed, *seeds = np.random.SeedSequence(seed).spawn(3)
        self._settings = {"voxel_size_A": voxel_size_A, "n_points": n_points}
        truth = true_density(atoms, microscope=microscope, shape=reference.shape, voxel_size_A=voxel_size_A)
        self.reference, self.truth = (
            prepare_volume(v, seed=s, **self._settings) for v, s in zip((reference, truth), seeds, strict=True)
        )
        self.atoms = atoms
        self.support = near_atoms(atoms, shape=truth.shape, voxel_size_A=voxel_size_A, within_A=SUPPORT_A)
        self._brightness = _rms(self.reference.volume[self.support])
        if not self._brightness > 0:
            raise TsgError(f"the Reference is empty within {SUPPORT_A} A of the atoms; frames and atoms do not fit")

    def measure(self, volume: np.ndarray) -> dict[str, float]:
        """The columns of one volume (n_y, n_z, n_x):

        chamfer_A, rms_A, dice, nrmse, psnr_dB, ssim   against the Reference; see `evaluation.VolumeMetrics`
        true_chamfer_A, ..., true_ssim   the same against the true density; see `evaluation.true_density`
        true_cutoff_per_A   frequency at which the Fourier shell correlation with the true density falls below 0.5;
                            0 if it starts below
        atoms, missing, invented   number of true atoms, of true atoms without a maximum of `find_atoms` within 1 A, and
                            of maxima without an atom
        rmsd_pm             root mean square distance of the found atoms from the true ones; 100, the reach of the
                            match, if none was found
        roughness_per_A     sum of |grad v| over sum of |v|, over the support (voxels within 2.5 A of a nucleus)
        background          rms of v outside the support over rms of v inside
        artefacts           rms of v - Reference outside the support over rms of the Reference inside
        """
        own = prepare_volume(volume, seed=self._own_seed, **self._settings)
        to_reference, to_truth = vars(compare_prepared(own, self.reference)), vars(compare_prepared(own, self.truth))
        return {
            **to_reference,
            **{f"true_{name}": value for name, value in to_truth.items()},
            "true_cutoff_per_A": self._cutoff_per_A(own.volume),
            **self._atoms(own.volume),
            **self._texture(own.volume),
        }

    def _cutoff_per_A(self, volume: np.ndarray) -> float:
        curve = fourier_shell_correlation(volume, self.truth.volume, voxel_size_A=self._settings["voxel_size_A"])
        return 1 / curve.resolution_A(threshold=0.5)

    def _atoms(self, volume: np.ndarray) -> dict[str, float]:
        found = find_atoms(volume, voxel_size_A=self._settings["voxel_size_A"])
        match = match_atoms(found.positions_A, self.atoms.positions, within_A=MATCH_A)
        return {
            "atoms": len(self.atoms),
            "missing": match.missing,
            "invented": match.invented,
            "rmsd_pm": match.rmsd_pm if match.matched else 100 * MATCH_A,
        }

    def _texture(self, volume: np.ndarray) -> dict[str, float]:
        step_A = self._settings["voxel_size_A"]
        steepness = np.sqrt(sum(np.gradient(volume, step_A, axis=axis) ** 2 for axis in range(3)))[self.support]
        return {
            "roughness_per_A": float(steepness.sum() / np.abs(volume[self.support]).sum()),
            "background": _rms(volume[~self.support]) / _rms(volume[self.support]),
            "artefacts": _rms((volume - self.reference.volume)[~self.support]) / self._brightness,
        }


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2, dtype=np.float64)))
