"""The spine: stages, params, sources, gates, runs. It knows no study."""
