"""The colours of all pictures, which the colour-blind can tell apart.

The colours of the atoms (the four parts of the information that two networks have about the label) also differ in
lightness.
"""

#: The lightness of these colours is 27, 45, 63 and 80 of 100 (CIE L*).
REDUNDANT, UNIQUE_FIRST, UNIQUE_SECOND, SYNERGISTIC = "#27408b", "#c1440e", "#5aa1c4", "#e3c16f"
ATOMS = {
    "redundant": REDUNDANT,
    "unique_first": UNIQUE_FIRST,
    "unique_second": UNIQUE_SECOND,
    "synergistic": SYNERGISTIC,
}
#: Each atom also has a marker of its own.
MARKERS = dict(zip(ATOMS, "osD^", strict=True))
#: Colours of compared groups, in the order in which they are drawn; their lightness is 27, 45, 63, 80, 0 and 55.
ARM_COLOURS = (REDUNDANT, UNIQUE_FIRST, UNIQUE_SECOND, SYNERGISTIC, "#000000", "#9a6fb0")
ARM_MARKERS = ("o", "s", "D", "^", "v", "P", "X")
#: Colours of lines that show no atom: the information of each network about the label, and upper bounds of information.
REFERENCE, LIMIT = "#000000", "#7a7a7a"
#: The colour map of heat maps, whose lightness changes evenly.
MAP = "cividis_r"
