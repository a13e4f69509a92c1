"""The tasks of the leaderboard, one folder a domain: `task` runs it, `report` shows its rows."""
