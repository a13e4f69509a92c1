"""The tasks of the leaderboard, one module a domain."""
