"""Run a study: `python -m pushforward.benchmarks.cell_studies letters`, trajectory, screens, …"""

from pushforward.benchmarks.cell_studies import gap_regularisation, letters, screens, trajectory
from pushforward.benchmarks.study import command_line

if __name__ == "__main__":
    command_line(
        "pushforward.benchmarks.cell_studies",
        {
            "gap-gaussians": gap_regularisation.run_gaussians,
            "gap-plane": gap_regularisation.run_plane,
            "letters": letters.run,
            "screens": screens.run,
            "trajectory": trajectory.run,
        },
        "cell-studies",
        reads=["trajectory"],
    )
