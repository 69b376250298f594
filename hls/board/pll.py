# SPDX-License-Identifier: Apache-2.0
"""Settings of the PLL of Lattice ECP5 devices (EHXPLLL) for one clock.

    f_pfd = f_in / CLKI_DIV,  f_vco = f_pfd * CLKFB_DIV * CLKOP_DIV  (feedback from CLKOP),
    f_CLKOP = f_vco / CLKOP_DIV,  f_CLKOS = f_vco / CLKOS_DIV

The clock is CLKOP where its frequency is a multiple of a permitted f_pfd, else CLKOS. The limits
are those that open projects take from the ECP5 data sheet (LiteX, Project Trellis); where they
differ (f_pfd from 10 or from 3.125 MHz, CLKFB_DIV to 80 or to 128) the narrower ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from models.errors import ConfigError

IN_MHZ = (8, 400)
OUT_MHZ = (Fraction(25, 8), 400)
PFD_MHZ = (10, 400)
VCO_MHZ = (400, 800)
VCO_MIDDLE_MHZ = 600
DIVIDER = range(1, 129)
FEEDBACK_DIVIDER = range(1, 81)
TOLERANCE = Fraction(1, 10_000)
"""A frequency is met if it is off by no more: 133.33 means 133 1/3."""


@dataclass(frozen=True)
class Pll:
    """One setting of EHXPLLL; frequencies are exact.

    Attributes:
        input_mhz: of CLKI.
        clki_div: CLKI_DIV.
        clkfb_div: CLKFB_DIV.
        clkop_div: CLKOP_DIV.
        clkos_div: CLKOS_DIV; 0 if CLKOP is the clock.
    """

    input_mhz: Fraction
    clki_div: int
    clkfb_div: int
    clkop_div: int
    clkos_div: int = 0

    @property
    def pfd_mhz(self) -> Fraction:
        """Frequency at the phase detector."""
        return self.input_mhz / self.clki_div

    @property
    def feedback_mhz(self) -> Fraction:
        """Frequency of CLKOP."""
        return self.pfd_mhz * self.clkfb_div

    @property
    def vco_mhz(self) -> Fraction:
        """Frequency of the oscillator."""
        return self.feedback_mhz * self.clkop_div

    @property
    def output_mhz(self) -> Fraction:
        """Frequency of the clock."""
        return self.vco_mhz / self.clkos_div if self.clkos_div else self.feedback_mhz

    @property
    def output_hz(self) -> int:
        """Frequency of the clock, rounded to 1 Hz."""
        return round(self.output_mhz * 1_000_000)


def find_pll(input_mhz: float, output_mhz: float) -> Pll:
    """The setting that makes ``output_mhz`` of ``input_mhz``.

    Of several, the one with CLKOP as the clock, then the fastest phase detector, then the
    oscillator nearest the middle of its range.

    Raises:
        ConfigError: the frequency is out of range or cannot be made; the nearest are named.
    """
    wanted, source = exact(output_mhz), exact(input_mhz)
    if not IN_MHZ[0] <= source <= IN_MHZ[1]:
        raise ConfigError(
            f"clock of {input_mhz:g} MHz into a PLL: must be {IN_MHZ[0]} to {IN_MHZ[1]} MHz"
        )
    if not OUT_MHZ[0] <= wanted <= OUT_MHZ[1]:
        raise ConfigError(
            f"clock of {output_mhz:g} MHz: the PLL makes {float(OUT_MHZ[0]):g} to {OUT_MHZ[1]} MHz"
        )
    best: tuple[tuple[Fraction, ...], Pll] | None = None
    below: Fraction | None = None
    above: Fraction | None = None
    for pll in _settings(source, wanted):
        found = pll.output_mhz
        if abs(found - wanted) <= wanted * TOLERANCE:
            rank = (
                abs(found - wanted),
                Fraction(pll.clkos_div > 0),
                -pll.pfd_mhz,
                abs(pll.vco_mhz - VCO_MIDDLE_MHZ),
            )
            if best is None or rank < best[0]:
                best = (rank, pll)
        elif found < wanted:
            below = found if below is None else max(below, found)
        else:
            above = found if above is None else min(above, found)
    if best is None:
        near = " and ".join(f"{float(f):.6g}" for f in (below, above) if f is not None)
        raise ConfigError(
            f"clock of {output_mhz:g} MHz cannot be made of {input_mhz:g} MHz by the PLL",
            hint=f"the nearest that can: {near} MHz",
        )
    return best[1]


def exact(mhz: float) -> Fraction:
    """A frequency that was written as a decimal number."""
    return Fraction(mhz).limit_denominator(1_000_000)


def _settings(source: Fraction, wanted: Fraction) -> Iterator[Pll]:
    """Settings within the limits; of CLKOS_DIV only the two next to the frequency wanted."""
    for clki in DIVIDER:
        pfd = source / clki
        if not PFD_MHZ[0] <= pfd <= PFD_MHZ[1]:
            continue
        for clkfb in FEEDBACK_DIVIDER:
            feedback = pfd * clkfb
            if not OUT_MHZ[0] <= feedback <= OUT_MHZ[1]:
                continue
            for clkop in DIVIDER:
                vco = feedback * clkop
                if not VCO_MHZ[0] <= vco <= VCO_MHZ[1]:
                    continue
                yield Pll(source, clki, clkfb, clkop)
                floor = int(vco / wanted)
                for clkos in (floor, floor + 1):
                    if clkos in DIVIDER and OUT_MHZ[0] <= vco / clkos <= OUT_MHZ[1]:
                        yield Pll(source, clki, clkfb, clkop, clkos)
