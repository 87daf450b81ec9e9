"""Two result sets, or one beside what was remembered: what changed, why, and whether it is noise. Pure: columns in,
dataclasses out.
"""
