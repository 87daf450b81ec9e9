"""In which ways a sample changes sides: names alone, so that a command's options load nothing else."""

from __future__ import annotations

NEWLY_WRONG = "newly_wrong"
FIXED = "fixed"
RELABELLED = "relabelled"
ADDED_WRONG = "added_wrong"
REMOVED_WRONG = "removed_wrong"
SUSPECT_LABEL = "suspect_label"
KINDS = (NEWLY_WRONG, FIXED, RELABELLED, ADDED_WRONG, REMOVED_WRONG, SUSPECT_LABEL)
"""In which ways a sample changed sides, and those whose label looks wrong."""

VARIANT_LOST = "variant_lost"
VARIANT_GAINED = "variant_gained"
VARIANT_KINDS = {VARIANT_LOST: NEWLY_WRONG, VARIANT_GAINED: FIXED}
"""In which ways a variant and its reference differ on a sample: only the reference gets it right, or only the variant;
and what each is from the reference's run to the variant's."""
