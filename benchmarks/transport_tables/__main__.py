"""Run a study: `python -m pushforward.benchmarks.transport_tables sparse|noise|gibbs`."""

from pushforward.benchmarks.study import command_line

from . import gibbs_pairs, noise_pairs, sparse_routing

if __name__ == "__main__":
    command_line(
        "pushforward.benchmarks.transport_tables",
        {"sparse": sparse_routing.run, "noise": noise_pairs.run, "gibbs": gibbs_pairs.run},
        "transport-tables",
    )
