"""Who looks after the house: operators, their passwords, and guessing at these."""
