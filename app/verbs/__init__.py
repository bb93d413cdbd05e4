"""The verbs of the `tallystick` command, but for the one that serves; `group` has them all."""
