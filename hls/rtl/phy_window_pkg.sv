// SPDX-License-Identifier: Apache-2.0
//
// How much of an image phy_window holds; hls/cycles.py has the same function in Python.
`default_nettype none
package phy_window_pkg;
  // Rows of the line buffer of a window: the pixels from the oldest one that a position of the kernel
  // needs to the newest one that the next position needs, within a row of positions, from one row to
  // the next and from one frame to the next.
  function automatic int unsigned window_rows(
    input int unsigned h, input int unsigned w, input int unsigned kh, input int unsigned kw,
    input int unsigned pt, input int unsigned pb, input int unsigned pl, input int unsigned pr
  );
    int unsigned done;   // pixels of a row that are not needed at its last position
    int unsigned first;  // pixels of the newest row that are needed at its first position
    int unsigned above;  // rows above that one, in the first row of positions
    int unsigned most;
    done  = (w + pr > kw) ? w + pr - kw : 0;
    first = phy_pkg::min_of(kw - pl, w);
    above = phy_pkg::min_of(kh - pt, h) - 1;
    most  = (phy_pkg::min_of(kh, h) - 1) * w + phy_pkg::min_of(kw + 1, w);
    most  = phy_pkg::max_of(most, kh * w + first - done);
    if (h + pb >= kh) most = phy_pkg::max_of(most, (kh - pb + above) * w + first - done);
    else most = phy_pkg::max_of(most, (h + above) * w + first);
    return phy_pkg::ceil_div(most, w);
  endfunction
endpackage
`default_nettype wire
