"""Lists: which filters a type has, the index of each, and one page of what they select. It may import `models/rows/`,
and knows no stored thing."""
