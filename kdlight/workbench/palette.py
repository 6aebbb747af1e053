"""The colours of every picture; the colour-blind can tell them apart, and in grey their lightness differs by 15."""

#: Lightness 27, 45, 63 and 80 of 100 (CIE L*).
REDUNDANT, UNIQUE_FIRST, UNIQUE_SECOND, SYNERGISTIC = "#27408b", "#c1440e", "#5aa1c4", "#e3c16f"
ATOMS = {
    "redundant": REDUNDANT,
    "unique_first": UNIQUE_FIRST,
    "unique_second": UNIQUE_SECOND,
    "synergistic": SYNERGISTIC,
}
#: The atoms also have different marks and dashes.
MARKERS = dict(zip(ATOMS, "osD^", strict=True))
#: Colours of compared groups, in the order in which they are drawn; lightness 27, 45, 63, 80, 0 and 55.
ARM_COLOURS = (REDUNDANT, UNIQUE_FIRST, UNIQUE_SECOND, SYNERGISTIC, "#000000", "#9a6fb0")
ARM_MARKERS = ("o", "s", "D", "^", "v", "P", "X")
#: Colours of lines that are not atoms: informations and entropies; caps.
REFERENCE, LIMIT = "#000000", "#7a7a7a"
#: The colour map of heat maps, whose lightness changes evenly.
MAP = "cividis_r"
