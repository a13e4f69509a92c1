"""Run a study: `python -m pushforward.benchmarks.cell_studies gap`, `letters` or `trajectory`."""

from pushforward.benchmarks.cell_studies import gap_regularisation, trajectory
from pushforward.benchmarks.study import command_line

if __name__ == "__main__":
    command_line(
        "pushforward.benchmarks.cell_studies",
        {
            "gap": gap_regularisation.run,
            "trajectory": trajectory.run,
        },
        "cell-studies",
        reads=["trajectory"],
    )
