"""The turbulence task: coarse models of Kolmogorov flow, judged by duration and seconds."""
