"""All hostile programs."""

from tests.hostile.listed import LISTED
from tests.hostile.ours import OURS
from tests.hostile.reaching import REACHING

PROGRAMS = (*LISTED, *REACHING, *OURS)
