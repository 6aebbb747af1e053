"""The colours of every picture: apart for the colour-blind, and in grey, where their lightness steps by 15 or more."""

#: Lightness 27, 45, 63 and 80 of 100 (CIE L*).
REDUNDANT, UNIQUE_FIRST, UNIQUE_SECOND, SYNERGISTIC = "#27408b", "#c1440e", "#5aa1c4", "#e3c16f"
ATOMS = {
    "redundant": REDUNDANT,
    "unique_first": UNIQUE_FIRST,
    "unique_second": UNIQUE_SECOND,
    "synergistic": SYNERGISTIC,
}
#: Marks and dashes tell the same apart once more.
MARKERS = dict(zip(ATOMS, "osD^", strict=True))
#: Arms of a comparison, in the order in which they are drawn; lightness 27, 45, 63, 80, 0 and 55.
ARM_COLOURS = (REDUNDANT, UNIQUE_FIRST, UNIQUE_SECOND, SYNERGISTIC, "#000000", "#9a6fb0")
ARM_MARKERS = ("o", "s", "D", "^", "v", "P", "X")
#: Lines that are no atoms: informations, entropies and caps.
REFERENCE, LIMIT = "#000000", "#7a7a7a"
#: Of heat maps: lightness falls evenly.
MAP = "cividis_r"
