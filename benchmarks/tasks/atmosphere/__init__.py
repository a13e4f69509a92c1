"""The atmosphere task: emulators of CO2 transport, judged over 90 days."""
