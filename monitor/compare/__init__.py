"""Two result sets to a `Comparison`: what changed, why, how far scores drifted, and whether it is noise.

Pure: columns and the drift states of the comparison before in, dataclasses out.
"""
