// SPDX-License-Identifier: Apache-2.0
//
// Width arithmetic shared by all kernels; hls/cycles.py has the same functions in Python and
// tests/hls/test_cycles.py holds both to each other.
`default_nettype none
package phy_pkg;
  // Smallest number of bits that can hold 0 ... n-1, at least 1.
  function automatic int unsigned idx_bits(input int unsigned n);
    return (n > 2) ? $clog2(n) : 1;
  endfunction

  // Smallest whole number of bytes that holds n bits, in bits.
  function automatic int unsigned byte_bits(input int unsigned n);
    return (n + 7) / 8 * 8;
  endfunction

  function automatic int unsigned ceil_div(input int unsigned a, input int unsigned b);
    return (a + b - 1) / b;
  endfunction

  function automatic int unsigned min_of(input int unsigned a, input int unsigned b);
    return (a < b) ? a : b;
  endfunction

  function automatic int unsigned max_of(input int unsigned a, input int unsigned b);
    return (a > b) ? a : b;
  endfunction

  // Values left of n after l levels of four-input adders.
  function automatic int unsigned tree_width(input int unsigned n, input int unsigned l);
    int unsigned left;
    left = n;
    for (int unsigned i = 0; i < l; i++) left = (left + 3) / 4;
    return left;
  endfunction

  // Levels of four-input adders that sum n values.
  function automatic int unsigned tree_levels(input int unsigned n);
    int unsigned left;
    int unsigned levels;
    left = n;
    levels = 0;
    for (int unsigned i = 0; i < 16; i++) begin
      if (left > 1) begin
        left = (left + 3) / 4;
        levels = levels + 1;
      end
    end
    return levels;
  endfunction

  // Registers behind a ROM: 1 for the depths that become LUTs; 2 for those that may become block RAM,
  // whose slow output has a register of its own; 3 where several banks of block RAM are chosen from.
  function automatic int unsigned rom_regs(input int unsigned depth);
    if (depth > 512) return 3;
    return (depth >= 64) ? 2 : 1;
  endfunction

  // Blocks of 18 kbit side by side that hold up to 16384 words: block shapes are 512 x 36, 1024 x 18,
  // 2048 x 9, 4096 x 4, 8192 x 2, 16384 x 1.
  function automatic int unsigned rom_blocks(input int unsigned depth, input int unsigned width);
    if (depth <= 512) return ceil_div(width, 36);
    if (depth <= 1024) return ceil_div(width, 18);
    if (depth <= 2048) return ceil_div(width, 9);
    if (depth <= 4096) return ceil_div(width, 4);
    if (depth <= 8192) return ceil_div(width, 2);
    return width;
  endfunction

  // Rows of a ROM of depth words: all of them up to 512, else the depth of the block shape that needs
  // the fewest blocks with at most 8 words in a row; of equally good ones the deepest.
  function automatic int unsigned rom_rows(input int unsigned depth, input int unsigned width);
    int unsigned best;
    int unsigned least;
    int unsigned rows;
    int unsigned blocks;
    if (depth <= 512) return depth;
    best = 16384;
    least = 0;
    for (int unsigned i = 0; i < 6; i++) begin
      rows = 16384 >> i;
      blocks = rom_blocks(rows, width * ceil_div(depth, rows));
      if (ceil_div(depth, rows) <= 8 && (least == 0 || blocks < least)) begin
        best = rows;
        least = blocks;
      end
    end
    return min_of(best, depth);
  endfunction

  // Cycles of the first `stages` stages of a binary search over `folds` sets of thresholds.
  function automatic int unsigned search_cycles(input int unsigned folds, input int unsigned stages);
    int unsigned cycles;
    cycles = 0;
    for (int unsigned s = 0; s < stages; s++) cycles = cycles + 1 + rom_regs(folds << s);
    return cycles;
  endfunction
endpackage
`default_nettype wire
