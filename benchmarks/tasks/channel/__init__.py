"""The channel task: emulators of wall turbulence beside large-eddy simulation."""
