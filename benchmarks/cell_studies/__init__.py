"""Studies of the maps between cell populations, on problems whose answer is known."""
