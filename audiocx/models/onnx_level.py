"""Level normalisation as an ONNX graph before a network: the same gain as :mod:`audiocx.models.level`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .level import BLOCK_SAMPLES, DECAY_DB_PER_S, LOOKAHEAD_BLOCKS, LOWEST_DBFS

if TYPE_CHECKING:
    import onnx

__all__ = ["with_level_normalization"]

# Names of the values begin with "level_". K blocks; "ahead" are the levels of each block and of those that follow it.
# The recursion begins a step of decay above the loudest of the first levels, so that its first result is that level.
_GRAPH = """
level (float[batch, samples] samples) => (float[batch, samples] level_normalized) {{
    level_length = Shape <start = 1, end = 2> (samples)
    level_zero = Constant <value_ints = [0]> ()
    level_one = Constant <value_ints = [1]> ()
    level_two = Constant <value_ints = [2]> ()
    level_block = Constant <value_ints = [{block}]> ()
    level_missing = Neg (level_length)
    level_padding = Mod (level_missing, level_block)
    level_left = Constant <value_ints = [0, 0, 0]> ()
    level_pads = Concat <axis = 0> (level_left, level_padding)
    level_padded = Pad (samples, level_pads)
    level_split = Constant <value_ints = [0, -1, {block}]> ()
    level_blocks = Reshape (level_padded, level_split)
    level_squares = Mul (level_blocks, level_blocks)
    level_power = ReduceMean <keepdims = 0> (level_squares, level_two)
    level_shift = Constant <value_ints = [0, 1, 0, -1]> ()
    level_previous = Pad (level_power, level_shift)
    level_sum = Add (level_power, level_previous)
    level_half = Constant <value_float = 0.5> ()
    level_tiny = Constant <value_float = 1e-20> ()
    level_mean = Mul (level_sum, level_half)
    level_positive = Add (level_mean, level_tiny)
    level_log = Log (level_positive)
    level_db = Constant <value_float = 4.342944819> ()
    level_unbounded = Mul (level_log, level_db)
    level_lowest = Constant <value_float = {lowest}> ()
    level_levels = Max (level_unbounded, level_lowest)
    level_end = Constant <value_ints = [0, 0, 0, {lookahead}]> ()
    level_longer = Pad (level_levels, level_end, level_lowest)
    level_count = Shape <start = 1, end = 2> (level_levels)
    level_first = Constant <value_int = 0> ()
    level_step = Constant <value_int = 1> ()
    level_scalar = Squeeze (level_count)
    level_index = Range (level_first, level_scalar, level_step)
    level_column = Unsqueeze (level_index, level_one)
    level_offsets = Constant <value_ints = [{offsets}]> ()
    level_positions = Add (level_column, level_offsets)
    level_ahead = Gather <axis = 1> (level_longer, level_positions)
    level_steps = Transpose <perm = [1, 0, 2]> (level_ahead)
    level_window = Constant <value_ints = [{window}]> ()
    level_opening = Slice (level_levels, level_zero, level_window, level_one)
    level_loudest = ReduceMax <keepdims = 1> (level_opening, level_one)
    level_decay = Constant <value_float = {decay}> ()
    level_start = Add (level_loudest, level_decay)
    level_last, level_scanned = Scan <num_scan_inputs = 1, body = level_body
        (float[b, 1] level_before, float[b, {window}] level_next)
        => (float[b, 1] level_after, float[b, 1] level_copy) {{
            level_fallen = Sub (level_before, level_decay)
            level_decayed = Max (level_fallen, level_lowest)
            level_rises = Sub (level_next, level_decayed)
            level_blocks_to = Constant <value_floats = [{divisors}]> ()
            level_slopes = Div (level_rises, level_blocks_to)
            level_axis = Constant <value_ints = [1]> ()
            level_steepest = ReduceMax <keepdims = 1> (level_slopes, level_axis)
            level_nothing = Constant <value_float = 0.0> ()
            level_rise = Max (level_steepest, level_nothing)
            level_after = Add (level_decayed, level_rise)
            level_copy = Identity (level_after)
        }}> (level_start, level_steps)
    level_ends = Transpose <perm = [1, 0, 2]> (level_scanned)
    level_loudest_too = Unsqueeze (level_loudest, level_one)
    level_but_last = Constant <value_ints = [-1]> ()
    level_sliced = Slice (level_ends, level_zero, level_but_last, level_one)
    level_begins = Concat <axis = 1> (level_loudest_too, level_sliced)
    level_change = Sub (level_ends, level_begins)
    level_ramp = Constant <value_floats = [{ramp}]> ()
    level_part = Mul (level_change, level_ramp)
    level_line = Add (level_begins, level_part)
    level_target = Constant <value_float = {target}> ()
    level_gain_db = Sub (level_target, level_line)
    level_to_bels = Constant <value_float = 0.05> ()
    level_gain_bels = Mul (level_gain_db, level_to_bels)
    level_ten = Constant <value_float = 10.0> ()
    level_gain = Pow (level_ten, level_gain_bels)
    level_scaled = Mul (level_blocks, level_gain)
    level_flat = Constant <value_ints = [0, -1]> ()
    level_whole = Reshape (level_scaled, level_flat)
    level_normalized = Slice (level_whole, level_zero, level_length, level_one)
}}
"""


def with_level_normalization(model: onnx.ModelProto, sample_rate: int, level_dbfs: float) -> None:
    """Normalise the level of a model's input, in place.

    Args:
        model: A model with the one input "samples", float32 [B, N], whole recordings.
        sample_rate: Sample rate in Hz.
        level_dbfs: Level of what the network is given, in dBFS.
    """
    from onnx import parser

    text = _GRAPH.format(
        block=BLOCK_SAMPLES,
        lowest=LOWEST_DBFS,
        lookahead=LOOKAHEAD_BLOCKS,
        window=LOOKAHEAD_BLOCKS + 1,
        offsets=", ".join(map(str, range(LOOKAHEAD_BLOCKS + 1))),
        divisors=", ".join(str(float(max(blocks, 1))) for blocks in range(LOOKAHEAD_BLOCKS + 1)),
        decay=DECAY_DB_PER_S * BLOCK_SAMPLES / sample_rate,
        ramp=", ".join(str(index / BLOCK_SAMPLES) for index in range(BLOCK_SAMPLES)),
        target=float(level_dbfs),
    )
    level = parser.parse_graph(text)
    for node in model.graph.node:
        node.input[:] = ["level_normalized" if name == "samples" else name for name in node.input]
    network = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*level.node, *network])
