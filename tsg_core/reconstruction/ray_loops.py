"""The compiled loops of `ray_sums`, over the voxels of a block and the tilts of its frames.

Blocks (n_z, n_x, N_ROWS) and frames (n_tilt, n_pixels + 3, N_ROWS) are flat, contiguous and float32. Pixel i is at
i + 1; the other places of a frame take what leaves it.

The N_ROWS numbers of a voxel or a ray are a run, held in the registers of the processor. A sum kept in an array would
be written and read at every step of a loop, because Numba cannot know that no other array shares its memory; no memory
is shared with a vector of LLVM. It may be longer than a register: LLVM divides it. Everything stands in this file
because the cache of compiled code only notices changes in the file of a loop itself.
"""

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

N_ROWS = 32  # enough to hide the cost of the weights, few enough for rays to stay in the cache

_VECTOR = ir.VectorType(ir.FloatType(), N_ROWS)


class _Run(types.Type):
    def __init__(self):
        super().__init__(name="run of float32")


@register_model(_Run)
class _RunModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _VECTOR)


_RUN = _Run()


@intrinsic
def _empty_run(typing_context):
    """A run of zeros."""
    return _RUN(), lambda context, builder, signature, arguments: ir.Constant(_VECTOR, [0.0] * N_ROWS)


@intrinsic
def _run_at(typing_context, values, first):
    """The run that begins at the index `first` of an array."""

    def generated(context, builder, signature, arguments):
        loaded = builder.load(_address(context, builder, signature, arguments))
        loaded.align = 4
        return loaded

    return _RUN(values, types.intp), generated


@intrinsic
def _put_run(typing_context, values, first, run):
    """Write a run into an array, from the index `first` on."""

    def generated(context, builder, signature, arguments):
        builder.store(arguments[2], _address(context, builder, signature, arguments)).align = 4
        return context.get_dummy_value()

    return types.void(values, types.intp, _RUN), generated


@intrinsic
def _is_zero(typing_context, run):
    """Whether all numbers of a run are zero."""

    def generated(context, builder, signature, arguments):
        differ = builder.fcmp_unordered("!=", arguments[0], ir.Constant(_VECTOR, [0.0] * N_ROWS))
        bits = ir.IntType(N_ROWS)
        return builder.icmp_unsigned("==", builder.bitcast(differ, bits), ir.Constant(bits, 0))

    return types.boolean(_RUN), generated


@intrinsic
def _plus_times(typing_context, run, factor, other):
    """run + factor * other"""

    def generated(context, builder, signature, arguments):
        run, factor, other = arguments
        return builder.fadd(run, builder.fmul(_all(builder, factor), other, flags=("fast",)), flags=("fast",))

    return _RUN(_RUN, types.float32, _RUN), generated


@intrinsic
def _times_above(typing_context, run, other, least):
    """run * other, and zero where that is not above the least."""

    def generated(context, builder, signature, arguments):
        run, other, least = arguments
        product = builder.fmul(run, other, flags=("fast",))
        above = builder.fcmp_ordered(">", product, _all(builder, least))
        return builder.select(above, product, ir.Constant(_VECTOR, [0.0] * N_ROWS))

    return _RUN(_RUN, _RUN, types.float32), generated


def _all(builder, number):
    """A run that repeats the number."""
    undefined, lane = ir.Constant(_VECTOR, ir.Undefined), ir.IntType(32)
    first = builder.insert_element(undefined, number, ir.Constant(lane, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(lane, N_ROWS), [0] * N_ROWS))


def _address(context, builder, signature, arguments):
    values = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.bitcast(builder.gep(values.data, [arguments[1]]), _VECTOR.as_pointer())


def _compiled(function):
    """Machine code of the function, cached for the next start if there is a folder for it."""
    options = {"nogil": True, "fastmath": True}
    try:
        return numba.njit(**options, cache=True)(function)
    except RuntimeError:  # no writable folder
        return numba.njit(**options)(function)


@_compiled
def _weights_of_line(z, n_z, n_pixels, cos, sin, sharpness, at, lower, upper):
    """For each voxel of a line along x and each tilt: the pixel below its centre, its share, and that of the next."""
    n = at.shape[1]
    middle_x, middle_z = np.float32((n - 1) / 2), np.float32((n_z - 1) / 2)
    first = np.float32((n_pixels - 1) / 2 + 1)
    for t in range(len(cos)):
        start = (np.float32(z) - middle_z) * sin[t] - middle_x * cos[t] + first
        for x in range(n):
            place = min(max(np.float32(x) * cos[t] + start, np.float32(0)), np.float32(n_pixels + 1))
            pixel = int(place)
            beyond = place - np.float32(pixel)
            at[t, x] = pixel
            lower[t, x] = max(np.float32(0), np.float32(1) - beyond * sharpness[t]) * sharpness[t]
            upper[t, x] = max(np.float32(0), np.float32(1) - (np.float32(1) - beyond) * sharpness[t]) * sharpness[t]


@numba.njit(inline="always")  # a call would cost a tenth of the time
def _held_by_rays(frames, n_pixels, at, lower, upper, x):
    """What the frames hold of the x-th voxels of a line, by the weights of the line."""
    held = _empty_run()
    for t in range(at.shape[0]):
        if at[t, x] > n_pixels:
            continue
        place = (t * (n_pixels + 3) + at[t, x]) * N_ROWS
        held = _plus_times(held, lower[t, x], _run_at(frames, place))
        held = _plus_times(held, upper[t, x], _run_at(frames, place + N_ROWS))
    return held


@_compiled
def project(block, n_z, n_x, cos, sin, sharpness, sums, n_pixels):
    n_tilt = len(cos)
    at = np.empty((n_tilt, n_x), np.int32)
    lower, upper = np.empty((n_tilt, n_x), np.float32), np.empty((n_tilt, n_x), np.float32)
    for z in range(n_z):
        _weights_of_line(z, n_z, n_pixels, cos, sin, sharpness, at, lower, upper)
        for x in range(n_x):
            first = (z * n_x + x) * N_ROWS
            if _is_zero(_run_at(block, first)):
                continue
            voxels = _run_at(block, first)
            for t in range(n_tilt):
                if at[t, x] > n_pixels:
                    continue
                place = (t * (n_pixels + 3) + at[t, x]) * N_ROWS
                _put_run(sums, place, _plus_times(_run_at(sums, place), lower[t, x], voxels))
                place += N_ROWS
                _put_run(sums, place, _plus_times(_run_at(sums, place), upper[t, x], voxels))


@_compiled
def project_back(block, n_z, n_x, frames, n_pixels, cos, sin, sharpness):
    n_tilt = len(cos)
    at = np.empty((n_tilt, n_x), np.int32)
    lower, upper = np.empty((n_tilt, n_x), np.float32), np.empty((n_tilt, n_x), np.float32)
    for z in range(n_z):
        _weights_of_line(z, n_z, n_pixels, cos, sin, sharpness, at, lower, upper)
        for x in range(n_x):
            first = (z * n_x + x) * N_ROWS
            held = _held_by_rays(frames, n_pixels, at, lower, upper, x)
            _put_run(block, first, _plus_times(_run_at(block, first), np.float32(1), held))


@_compiled
def correct(block, n_z, n_x, ratios, n_pixels, cos, sin, sharpness, seen, least_seen, least):
    n_tilt = len(cos)
    at = np.empty((n_tilt, n_x), np.int32)
    lower, upper = np.empty((n_tilt, n_x), np.float32), np.empty((n_tilt, n_x), np.float32)
    for z in range(n_z):
        _weights_of_line(z, n_z, n_pixels, cos, sin, sharpness, at, lower, upper)
        for x in range(n_x):
            first = (z * n_x + x) * N_ROWS
            voxels = _run_at(block, first)
            if seen[z, x] <= least_seen or _is_zero(voxels):
                continue
            gain = _held_by_rays(ratios, n_pixels, at, lower, upper, x)
            gain = _plus_times(_empty_run(), np.float32(1) / seen[z, x], gain)
            _put_run(block, first, _times_above(voxels, gain, least))
