"""A ledger that never was: a year of a busy house, told by chance, to try reports on."""
