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

  // Registers behind a ROM: 1 for the depths that become LUTs; 2 for those that become block RAM, so
  // that the slow output of the block RAM has a cycle of its own.
  function automatic int unsigned rom_regs(input int unsigned depth);
    return (depth >= 256) ? 2 : 1;
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
