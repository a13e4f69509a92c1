"""Run a study: `python -m pushforward.benchmarks.cell_studies screens`, or gap-…."""

from pushforward.benchmarks.cell_studies import gap_regularisation, screens
from pushforward.benchmarks.study import command_line

if __name__ == "__main__":
    command_line(
        "pushforward.benchmarks.cell_studies",
        {
            "gap-gaussians": gap_regularisation.run_gaussians,
            "gap-plane": gap_regularisation.run_plane,
            "screens": screens.run,
        },
        "cell-studies",
    )
